//! The table of differences that are known, and why each is there.

use super::known::{Known, known};

const MESSAGES: &str = "Its error messages are its own, and there are more of them.";
const APIS: &str = "\
    It does not have every API of Kafka, and tells of no features that only Kafka has.";
const OPERATIONS: &str = "\
    What one may do with a topic is told of topics that are there, and no more operations are \
    told than it has.";
const BY_ID: &str = "\
    Metadata versions 10 and 11 find topics by id; in Kafka they refuse to.";
const BY_NOTHING: &str = "\
    Metadata by neither name nor id is answered with UNKNOWN_TOPIC_ID for that topic; in Kafka \
    the request fails.";
const TOO_MANY: &str = "\
    The number of partitions has a limit of its own, and going over it is INVALID_PARTITIONS.";
const CHECKED: &str = "A topic that is only checked gets no id.";
const SETTINGS: &str = "\
    Settings that it could only ignore (levels of compression, throttled replicas, \
    tiered storage, threads, share groups) and an empty `cleanup.policy` are refused with \
    INVALID_CONFIG, and not listed; so are settings of brokers that it does not know.";
const RETENTION: &str = "\
    `retention.ms` is -1 unless it is set: data of tests often has old timestamps.";
const SYNONYMS: &str = "\
    A topic's setting has those of the broker's settings for synonyms that the broker has \
    (`log.retention.ms`, not `log.retention.hours`), and no broker-wide default counts as dynamic \
    before it was given.";
const UNKNOWN_OPERATION: &str = "\
    An unknown operation of IncrementalAlterConfigs is INVALID_REQUEST, not \
    UNKNOWN_SERVER_ERROR.";
const NO_PARTITIONS: &str = "\
    A topic that is named without partitions is named in the answer, too; a partition that is \
    named twice is answered twice.";
const NAMELESS: &str = "\
    A group without a name cannot have offsets, and has no coordinator; nor has an empty \
    transactional id.";
const OFFSETS_OF_TRANSACTIONS: &str = "\
    TxnOffsetCommit needs AddOffsetsToTxn for the same group before it, and tells a stranger \
    of the wrong generation first.";
const BAD_BATCHES: &str = "\
    Of a batch that is malformed in several ways, another one may be told (CORRUPT_MESSAGE, \
    INVALID_RECORD, UNSUPPORTED_COMPRESSION_TYPE, where Kafka has another of these or \
    UNKNOWN_SERVER_ERROR); bytes behind a batch and a producer id without epoch are refused.";
const LOG_START: &str = "The answer to a refused batch does not tell where the log starts.";
const FETCH: &str = "\
    Fetch ends answers with whole batches, takes limits below 0 for 0 and unknown isolation \
    levels for 0, and does not compare the last fetched epoch of consumers.";
const ABORTED: &str = "\
    Fetch answers that are errors have an empty list of aborted transactions, never null.";
const REPLICAS: &str = "\
    Whoever comes as a replica is served as a consumer: replicas do not copy over the network.";
const SESSIONS: &str = "\
    A fetch session that has no partitions left goes on, and one without any does not begin.";
const QUORUM: &str = "\
    The controller is 0, alone in its quorum and at no address; the nodes watch it.";

/// Every one must be met when the cases of its area have run.
pub(super) const KNOWN: &[Known] = &[
    known("create partitions", "*", "*error_message", ("none", "words"), MESSAGES),
    known("create topics", "*", "*error_message", ("none", "words"), MESSAGES),
    known("configs", "*", "*error_message", ("none", "words"), MESSAGES),
    known("configs", "DescribeConfigs: *", "*error_message", ("empty", "words"), MESSAGES),
    known("moves", "*", "*error_message", ("none", "words"), MESSAGES),
    known("consumer groups", "*", "*error_message", ("none", "words"), MESSAGES),
    known("produce", "*", "*error_message", ("none", "words"), MESSAGES),
    known("produce settings", "*", "*error_message", ("none", "words"), MESSAGES),
    known("coordinators", "*", "*error_message", ("empty", "words"), MESSAGES),
    known("coordinators", "*", "*error_message", ("words", "none"), MESSAGES),
    known("transactions", "*", "*error_message", ("words", "none"), MESSAGES),
    known("cluster tools", "DescribeQuorum: the quorum", "*", ("*", "*"), QUORUM),
    known("cluster tools", "UpdateFeatures: *", "*error_message", ("words", "none"), MESSAGES),
    known("versions", "ApiVersions: *", "api_keys[*", ("{*", "-"), APIS),
    known("versions", "ApiVersions: named", "supported_features[*", ("{*", "-"), APIS),
    known("versions", "ApiVersions: named", "finalized_features[*", ("{*", "-"), APIS),
    known(
        "metadata",
        "Metadata: with topics' operations",
        "topics[\"~-missing\"].topic_authorized_operations",
        ("3576", "-2147483648"),
        OPERATIONS,
    ),
    known("metadata", "Metadata: by id*", "*", ("*", "*"), BY_ID),
    known("metadata", "Metadata: by unknown id", "*", ("*", "*"), BY_ID),
    known("metadata", "Metadata: by no id and no name", "*", ("*", "*"), BY_NOTHING),
    known(
        "create partitions",
        "CreatePartitions: too many",
        "*.error_code",
        ("-1", "37"),
        TOO_MANY,
    ),
    known(
        "create topics",
        "CreateTopics: 100000000 partitions, 1 replicas",
        "*.error_code",
        ("44", "37"),
        TOO_MANY,
    ),
    known("create topics", "CreateTopics: only to be checked", "*.topic_id", ("*", "*"), CHECKED),
    known(
        "create topics",
        "CreateTopics: setting \"cleanup.policy*Some(\"\")",
        "*",
        ("*", "*"),
        SETTINGS,
    ),
    known(
        "create topics",
        "CreateTopics: setting \"leader.replication.throttled.replicas*",
        "*",
        ("*", "*"),
        SETTINGS,
    ),
    known(
        "create topics",
        "CreateTopics: setting \"compression.zstd.level*",
        "*",
        ("*", "*"),
        SETTINGS,
    ),
    known("create topics", "CreateTopics: *", "*.configs[\"*\"]", ("{*", "-"), SETTINGS),
    known("configs", "DescribeConfigs: *", "*.configs[\"*\"]", ("{*", "-"), SETTINGS),
    known(
        "create topics",
        "CreateTopics: *",
        "*.configs[\"retention.ms\"].value",
        ("\"604800000\"", "\"-1\""),
        RETENTION,
    ),
    known(
        "configs",
        "DescribeConfigs: *",
        "*.configs[\"retention.ms\"].value",
        ("\"604800000\"", "\"-1\""),
        RETENTION,
    ),
    known(
        "create topics",
        "CreateTopics: *",
        "*.configs[\"min.insync.replicas\"].config_source",
        ("3", "5"),
        SYNONYMS,
    ),
    known(
        "configs",
        "DescribeConfigs: *",
        "*.configs[\"min.insync.replicas\"].config_source",
        ("3", "5"),
        SYNONYMS,
    ),
    known(
        "configs",
        "DescribeConfigs: *",
        "*.configs[\"retention.ms\"].synonyms[*",
        ("*", "*"),
        SYNONYMS,
    ),
    known("configs", "IncrementalAlterConfigs: *ignored*", "*.error_code", ("0", "40"), SETTINGS),
    known("configs", "IncrementalAlterConfigs: *, fixed*", "*.error_code", ("42", "40"), SETTINGS),
    known(
        "configs",
        "IncrementalAlterConfigs: unknown operation",
        "*.error_code",
        ("-1", "42"),
        UNKNOWN_OPERATION,
    ),
    known("delete records", "DeleteRecords: no partition", "topics[*", ("-", "{*"), NO_PARTITIONS),
    known("list offsets", "ListOffsets: no partition", "topics[*", ("-", "{*"), NO_PARTITIONS),
    known("list offsets", "ListOffsets: a partition twice", "*", ("-", "{*"), NO_PARTITIONS),
    known("offsets", "OffsetCommit: no partitions", "topics[*", ("-", "{*"), NO_PARTITIONS),
    known("produce", "Produce: no partitions", "responses[*", ("-", "{*"), NO_PARTITIONS),
    known("produce", "Produce: a partition twice", "*", ("*", "*"), NO_PARTITIONS),
    known("fetch", "Fetch: a partition twice", "*", ("-", "{*"), NO_PARTITIONS),
    known("offsets", "OffsetCommit: no group", "*", ("0", "24"), NAMELESS),
    known("offsets", "OffsetFetch: no group", "*", ("*", "*"), NAMELESS),
    known("offsets", "DescribeGroups: nameless", "*", ("-", "{*"), NAMELESS),
    known("offsets", "DeleteGroups: nameless", "*", ("*", "24"), NAMELESS),
    known("coordinators", "FindCoordinator: type *, key \"\"", "*", ("*", "*"), NAMELESS),
    known("transactions", "AddOffsetsToTxn: no group", "error_code", ("0", "24"), NAMELESS),
    known(
        "transactions",
        "TxnOffsetCommit: another group",
        "*",
        ("0", "48"),
        OFFSETS_OF_TRANSACTIONS,
    ),
    known(
        "transactions",
        "TxnOffsetCommit: a stranger",
        "*",
        ("25", "22"),
        OFFSETS_OF_TRANSACTIONS,
    ),
    known("produce", "Produce: garbage", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: a few bytes", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: a batch cut short", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: bytes behind the batch", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: magic 3", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: length too large", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: unknown codec", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: id without epoch", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: compressed garbage", "*", ("*", "*"), BAD_BATCHES),
    known("produce", "Produce: *", "*.log_start_offset", ("0", "-1"), LOG_START),
    known("produce settings", "Produce: *", "*.log_start_offset", ("0", "-1"), LOG_START),
    known("fetch", "Fetch: 150 bytes at most*", "*", ("19 bytes that are no batch", "-"), FETCH),
    known("fetch", "Fetch: -1 bytes at most*", "*", ("*", "*"), FETCH),
    known("fetch", "Fetch: isolation 7", "*", ("*", "*"), FETCH),
    known("fetch", "Fetch: last epoch 1", "*", ("*", "*"), FETCH),
    known("fetch", "Fetch: last epoch 9", "*", ("*", "*"), FETCH),
    known("fetch", "Fetch: *", "*.aborted_transactions", ("None", "[]"), ABORTED),
    known("delete records", "Fetch: before *", "*.aborted_transactions", ("None", "[]"), ABORTED),
    known("fetch", "Fetch: as replica 1", "*", ("*", "*"), REPLICAS),
    known("fetch", "Fetch: a session forgets", "session_id", ("0", "*"), SESSIONS),
    known("fetch", "Fetch: a session begins empty", "session_id", ("*", "0"), SESSIONS),
];
