//! Kafka's error codes: number, name, what it means, and how a client should take it.

use core::fmt;

/// An error code as it stands in a response.
///
/// A newtype rather than an enum: a broker newer than this crate may send codes
/// that this table does not have, and they must survive to the error message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ErrorCode(pub i16);

/// What the table knows about one code.
struct Entry {
    name: &'static str,
    message: &'static str,
    class: Class,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Asking again with the same request cannot help.
    Final,
    /// The same request may succeed later.
    Retriable,
    /// Retriable once the cluster metadata has been refreshed.
    Metadata,
}

macro_rules! error_codes {
    ($($code:literal $name:ident $class:ident $message:literal;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("Code ", $code, ": ", $message, ".")]
                pub const $name: Self = Self($code);
            )*

            fn entry(self) -> Option<Entry> {
                match self.0 {
                    $($code => Some(Entry {
                        name: stringify!($name),
                        message: $message,
                        class: Class::$class,
                    }),)*
                    _ => None,
                }
            }

            /// Every code that this crate has a name for, in ascending order.
            pub const KNOWN: &'static [Self] = &[$(Self($code)),*];
        }
    };
}

impl ErrorCode {
    /// Whether this is code 0, the absence of an error.
    pub fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// `Ok(())` for code 0, otherwise the code as the error.
    ///
    /// # Errors
    /// The code itself when it is not 0.
    pub fn ok(self) -> Result<(), Self> {
        if self.is_ok() { Ok(()) } else { Err(self) }
    }

    /// Whether this crate has a name for the code.
    pub fn is_known(self) -> bool {
        self.entry().is_some()
    }

    /// Kafka's name of the code, such as `NOT_LEADER_OR_FOLLOWER`, or `UNKNOWN_ERROR_CODE`.
    pub fn name(self) -> &'static str {
        self.entry().map_or("UNKNOWN_ERROR_CODE", |entry| entry.name)
    }

    /// What the code says, as a clause without a full stop.
    pub fn message(self) -> &'static str {
        self.entry()
            .map_or("the broker sent an error code that this version does not know", |e| e.message)
    }

    /// Whether the same request may succeed later.
    ///
    /// A code that is not in the table counts as retriable: nothing says that it is definite.
    pub fn is_retriable(self) -> bool {
        self.entry().is_none_or(|entry| entry.class != Class::Final)
    }

    /// Whether the cluster metadata that led to the request is out of date.
    pub fn is_invalid_metadata(self) -> bool {
        self.entry().is_some_and(|entry| entry.class == Class::Metadata)
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

error_codes! {
    -1 UNKNOWN_SERVER_ERROR Final "the broker failed in a way it has no code for";
    0 NONE Final "no error";
    1 OFFSET_OUT_OF_RANGE Final "the offset lies outside what the partition holds";
    2 CORRUPT_MESSAGE Retriable "the records failed their checksum, are too large, or lack a key on a compacted topic";
    3 UNKNOWN_TOPIC_OR_PARTITION Metadata "the broker does not host this topic or partition";
    4 INVALID_FETCH_SIZE Final "the fetch asked for an impossible number of bytes";
    5 LEADER_NOT_AVAILABLE Metadata "the partition has no leader at the moment";
    6 NOT_LEADER_OR_FOLLOWER Metadata "the broker is neither leader nor replica of the partition any more";
    7 REQUEST_TIMED_OUT Retriable "the broker ran out of time before the request was complete";
    8 BROKER_NOT_AVAILABLE Final "the broker is not available";
    9 REPLICA_NOT_AVAILABLE Metadata "the replica is not on this broker at the moment";
    10 MESSAGE_TOO_LARGE Final "the batch is larger than the topic's max.message.bytes";
    11 STALE_CONTROLLER_EPOCH Final "the request came from an earlier controller";
    12 OFFSET_METADATA_TOO_LARGE Final "the text stored with the committed offset is too long";
    13 NETWORK_EXCEPTION Metadata "the connection ended before the answer came";
    14 COORDINATOR_LOAD_IN_PROGRESS Retriable "the coordinator is still loading its state";
    15 COORDINATOR_NOT_AVAILABLE Retriable "no coordinator is available at the moment";
    16 NOT_COORDINATOR Retriable "the broker is not the coordinator any more";
    17 INVALID_TOPIC_EXCEPTION Final "the topic name is not allowed, or the topic is an internal one";
    18 RECORD_LIST_TOO_LARGE Final "the batch is larger than the broker's segment size";
    19 NOT_ENOUGH_REPLICAS Retriable "fewer replicas are in sync than min.insync.replicas asks for; nothing was written";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Retriable "the leader wrote the batch, but fewer replicas are in sync than min.insync.replicas asks for";
    21 INVALID_REQUIRED_ACKS Final "acks is none of 0, 1 and -1";
    22 ILLEGAL_GENERATION Final "the group is at another generation";
    23 INCONSISTENT_GROUP_PROTOCOL Final "the member shares no protocol with its group";
    24 INVALID_GROUP_ID Final "the group id is not allowed";
    25 UNKNOWN_MEMBER_ID Final "the coordinator does not know this group member";
    26 INVALID_SESSION_TIMEOUT Final "the session timeout lies outside the broker's bounds";
    27 REBALANCE_IN_PROGRESS Final "the group is rebalancing and the member must join again";
    28 INVALID_COMMIT_OFFSET_SIZE Final "the offset commit is too large to store";
    29 TOPIC_AUTHORIZATION_FAILED Final "the principal may not do this with the topic";
    30 GROUP_AUTHORIZATION_FAILED Final "the principal may not use this group";
    31 CLUSTER_AUTHORIZATION_FAILED Final "the principal may not do this in the cluster";
    32 INVALID_TIMESTAMP Final "a record's timestamp lies outside what the topic accepts";
    33 UNSUPPORTED_SASL_MECHANISM Final "the broker does not offer this SASL mechanism";
    34 ILLEGAL_SASL_STATE Final "the request does not fit the state of the SASL exchange";
    35 UNSUPPORTED_VERSION Final "the broker does not speak this version of the API";
    36 TOPIC_ALREADY_EXISTS Final "a topic of this name exists already";
    37 INVALID_PARTITIONS Final "the number of partitions is not allowed";
    38 INVALID_REPLICATION_FACTOR Final "the replication factor is below 1 or above the number of brokers";
    39 INVALID_REPLICA_ASSIGNMENT Final "the assignment of replicas to brokers is not possible";
    40 INVALID_CONFIG Final "a configuration value is not allowed";
    41 NOT_CONTROLLER Retriable "the broker is not the controller";
    42 INVALID_REQUEST Final "the broker found the request malformed or contradictory";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Final "the record format on the broker cannot carry this";
    44 POLICY_VIOLATION Final "a policy of the cluster forbids this";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER Final "the sequence number does not follow the last one the broker holds for this producer";
    46 DUPLICATE_SEQUENCE_NUMBER Final "the broker has a batch with this sequence number already";
    47 INVALID_PRODUCER_EPOCH Final "the producer's epoch is older than the one the broker holds";
    48 INVALID_TXN_STATE Final "the transaction is in a state that does not allow this";
    49 INVALID_PRODUCER_ID_MAPPING Final "the producer id does not belong to this transactional id";
    50 INVALID_TRANSACTION_TIMEOUT Final "the transaction timeout is above the broker's transaction.max.timeout.ms";
    51 CONCURRENT_TRANSACTIONS Retriable "the previous transaction of this producer is still being completed";
    52 TRANSACTION_COORDINATOR_FENCED Final "the request came from an earlier transaction coordinator";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Final "the principal may not use this transactional id";
    54 SECURITY_DISABLED Final "the cluster runs without security features";
    55 OPERATION_NOT_ATTEMPTED Final "the broker did not try this part because another part failed";
    56 KAFKA_STORAGE_ERROR Metadata "the broker could not reach its disk";
    57 LOG_DIR_NOT_FOUND Final "the log directory is not in the broker's configuration";
    58 SASL_AUTHENTICATION_FAILED Final "the broker refused the credentials";
    59 UNKNOWN_PRODUCER_ID Final "the broker holds no state for this producer id any more";
    60 REASSIGNMENT_IN_PROGRESS Final "the partition's replicas are being moved";
    61 DELEGATION_TOKEN_AUTH_DISABLED Final "delegation tokens are not enabled";
    62 DELEGATION_TOKEN_NOT_FOUND Final "the delegation token does not exist";
    63 DELEGATION_TOKEN_OWNER_MISMATCH Final "the principal is neither owner nor renewer of the token";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Final "token requests are not allowed on this kind of connection";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED Final "the principal may not use this delegation token";
    66 DELEGATION_TOKEN_EXPIRED Final "the delegation token has expired";
    67 INVALID_PRINCIPAL_TYPE Final "this type of principal is not supported";
    68 NON_EMPTY_GROUP Final "the group still has members";
    69 GROUP_ID_NOT_FOUND Final "the group does not exist";
    70 FETCH_SESSION_ID_NOT_FOUND Retriable "the broker does not hold this fetch session any more";
    71 INVALID_FETCH_SESSION_EPOCH Retriable "the fetch session is at another epoch";
    72 LISTENER_NOT_FOUND Metadata "the leader has no listener that matches the one asked through";
    73 TOPIC_DELETION_DISABLED Final "the cluster does not allow topics to be deleted";
    74 FENCED_LEADER_EPOCH Metadata "the leader epoch in the request is older than the broker's";
    75 UNKNOWN_LEADER_EPOCH Retriable "the leader epoch in the request is newer than the broker's";
    76 UNSUPPORTED_COMPRESSION_TYPE Final "the compression type cannot be used with this version of the request";
    77 STALE_BROKER_EPOCH Final "the broker has registered again since the request was made";
    78 OFFSET_NOT_AVAILABLE Retriable "the new leader's high watermark has not caught up yet";
    79 MEMBER_ID_REQUIRED Final "the member must join again with the member id it was given";
    80 PREFERRED_LEADER_NOT_AVAILABLE Metadata "the preferred leader is not available";
    81 GROUP_MAX_SIZE_REACHED Final "the group has as many members as the broker allows";
    82 FENCED_INSTANCE_ID Final "another member took over this group instance id";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE Metadata "no replica that may become leader is available";
    84 ELECTION_NOT_NEEDED Metadata "the partition has the wanted leader already";
    85 NO_REASSIGNMENT_IN_PROGRESS Final "the partition's replicas are not being moved";
    86 GROUP_SUBSCRIBED_TO_TOPIC Final "the group is subscribed to the topic, so its offsets cannot be deleted";
    87 INVALID_RECORD Final "the broker's validation refused a record";
    88 UNSTABLE_OFFSET_COMMIT Retriable "a transaction that is still open has written offsets here";
    89 THROTTLING_QUOTA_EXCEEDED Retriable "the request is over its quota";
    90 PRODUCER_FENCED Final "a newer producer with the same transactional id took over";
    91 RESOURCE_NOT_FOUND Final "the resource does not exist";
    92 DUPLICATE_RESOURCE Final "the resource is named twice";
    93 UNACCEPTABLE_CREDENTIAL Final "the credential does not meet the requirements";
    94 INCONSISTENT_VOTER_SET Final "sender and receiver disagree about the set of voters";
    95 INVALID_UPDATE_VERSION Final "the version to update to is not allowed";
    96 FEATURE_UPDATE_FAILED Final "the cluster could not change the finalized features";
    97 PRINCIPAL_DESERIALIZATION_FAILURE Final "the forwarded principal could not be decoded";
    98 SNAPSHOT_NOT_FOUND Final "the snapshot does not exist";
    99 POSITION_OUT_OF_RANGE Final "the position lies outside the snapshot";
    100 UNKNOWN_TOPIC_ID Metadata "the broker does not know this topic id";
    101 DUPLICATE_BROKER_REGISTRATION Final "another broker is registered under this id";
    102 BROKER_ID_NOT_REGISTERED Final "no broker is registered under this id";
    103 INCONSISTENT_TOPIC_ID Metadata "the topic id is not the one that the broker's log has for this topic";
    104 INCONSISTENT_CLUSTER_ID Final "the cluster id is another one";
    105 TRANSACTIONAL_ID_NOT_FOUND Final "the coordinator does not know this transactional id";
    106 FETCH_SESSION_TOPIC_ID_ERROR Retriable "the fetch session mixes topic names and topic ids";
    107 INELIGIBLE_REPLICA Final "the replica may not join the in-sync replicas";
    108 NEW_LEADER_ELECTED Final "the change to the partition has led to a new leader";
    109 OFFSET_MOVED_TO_TIERED_STORAGE Final "the offset has moved to tiered storage";
    110 FENCED_MEMBER_EPOCH Final "the coordinator has moved the member to a newer epoch";
    111 UNRELEASED_INSTANCE_ID Final "another member still holds this group instance id";
    112 UNSUPPORTED_ASSIGNOR Final "the group does not support this assignor";
    113 STALE_MEMBER_EPOCH Final "the member's epoch is out of date";
    114 MISMATCHED_ENDPOINT_TYPE Final "the request came to the wrong kind of endpoint";
    115 UNSUPPORTED_ENDPOINT_TYPE Final "this kind of endpoint is not supported";
    116 UNKNOWN_CONTROLLER_ID Final "no controller has this id";
    117 UNKNOWN_SUBSCRIPTION_ID Final "the telemetry subscription is out of date";
    118 TELEMETRY_TOO_LARGE Final "the telemetry is larger than the broker accepts";
    119 INVALID_REGISTRATION Final "the controller refused the registration";
    120 TRANSACTION_ABORTABLE Final "the transaction failed in a way that aborting it repairs";
    121 INVALID_RECORD_STATE Final "the record's state does not allow this acknowledgement";
    122 SHARE_SESSION_NOT_FOUND Retriable "the broker does not hold this share session any more";
    123 INVALID_SHARE_SESSION_EPOCH Retriable "the share session is at another epoch";
    124 FENCED_STATE_EPOCH Final "the share coordinator holds a newer state epoch";
    125 INVALID_VOTER_KEY Final "the voter key is not the receiver's";
    126 DUPLICATE_VOTER Final "the voter is in the set already";
    127 VOTER_NOT_FOUND Final "the voter is not in the set";
    128 INVALID_REGULAR_EXPRESSION Final "the regular expression cannot be used";
    129 REBOOTSTRAP_REQUIRED Final "the client must start again from its bootstrap servers";
    130 STREAMS_INVALID_TOPOLOGY Final "the topology of the streams group cannot be used";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH Final "the epoch of the streams topology is not allowed";
    132 STREAMS_TOPOLOGY_FENCED Final "the epoch of the streams topology is out of date";
    133 SHARE_SESSION_LIMIT_REACHED Retriable "the broker holds as many share sessions as it allows";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn known_codes_run_from_minus_one_without_a_gap() {
        for (index, code) in ErrorCode::KNOWN.iter().enumerate() {
            assert_eq!(i32::from(code.0), index as i32 - 1);
            assert!(code.is_known());
        }
    }

    #[test]
    fn a_code_displays_name_and_number() {
        assert_eq!(ErrorCode(6).to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
        assert_eq!(ErrorCode(999).to_string(), "UNKNOWN_ERROR_CODE (999)");
    }

    #[test]
    fn an_unknown_code_is_retriable_and_no_verdict_on_metadata() {
        assert!(ErrorCode(999).is_retriable());
        assert!(!ErrorCode(999).is_invalid_metadata());
    }

    #[test]
    fn an_invalid_metadata_code_is_retriable() {
        for code in ErrorCode::KNOWN {
            assert!(!code.is_invalid_metadata() || code.is_retriable(), "{code}");
        }
    }
}
