"""What confluent-kafka and librdkafka see of a broker: ``OTTLA_SERVERS`` says where it listens."""

import json
import os
import threading
import time
import uuid

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

SERVERS = os.environ["OTTLA_SERVERS"]
REPLICAS = min(3, len(SERVERS.split(",")))
PATIENCE = 60.0
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
PROTOCOLS = ["classic", "consumer"]


def producer(**more):
    return Producer({"bootstrap.servers": SERVERS, "linger.ms": 5, **named(more)})


def consumer(group=None, **more):
    conf = {
        "bootstrap.servers": SERVERS,
        "group.id": group or uuid.uuid4().hex,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": False,
        **named(more),
    }
    return Consumer(conf)


def named(settings):
    """Settings under the names that librdkafka has for them; callbacks keep theirs."""
    return {
        name if callable(value) else name.replace("_", "."): value
        for name, value in settings.items()
    }


def settled(futures):
    """What each of the futures gives; the first error is raised."""
    return {what: future.result(PATIENCE) for what, future in futures.items()}


def error_of(futures):
    [future] = futures.values()
    with pytest.raises(KafkaException) as caught:
        future.result(PATIENCE)
    return caught.value.args[0].code()


@pytest.fixture(scope="module")
def admin():
    return AdminClient({"bootstrap.servers": SERVERS})


@pytest.fixture
def create(admin):
    """Creates topics, and waits until a producer may use them; they go with the test."""
    names = []

    def create(partitions=1, **config):
        name = f"t-{uuid.uuid4().hex}"
        topic = NewTopic(name, partitions, REPLICAS, config=named(config))
        settled(admin.create_topics([topic]))
        names.append(name)
        wait(lambda: len(admin.list_topics(name).topics[name].partitions) == partitions)
        return name

    yield create
    if names:
        settled(admin.delete_topics(names))


def wait(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.05)


def send(to, topic, values, **more):
    """Sends and waits: where each record went, in order."""
    reports = []

    def report(error, message):
        reports.append((error, message))

    for value in values:
        to.produce(topic, value, on_delivery=report, **more)
    assert to.flush(PATIENCE) == 0
    assert [error for error, _ in reports] == [None] * len(values)
    return [(message.partition(), message.offset()) for _, message in reports]


def read(source, count):
    """The next ``count`` records."""
    messages = []
    end = time.monotonic() + PATIENCE
    while len(messages) < count:
        assert time.monotonic() < end, f"{len(messages)} of {count} records came"
        message = source.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            messages.append(message)
    return messages


def read_all(topic, **more):
    """All records of partition 0, up to its end."""
    source = consumer(enable_partition_eof=True, **more)
    source.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    messages = []
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        message = source.poll(0.2)
        if message is None:
            continue
        if message.error() is None:
            messages.append(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            source.close()
            return messages
        else:
            raise KafkaException(message.error())
    raise AssertionError("the end of the partition did not come")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("acks", ["all", "1", "0"])
def test_records_come_back_in_order_with_every_codec(create, codec, acks):
    topic = create()
    values = [b"%d-" % i + b"x" * 500 for i in range(500)]
    send(producer(compression_type=codec, acks=acks), topic, values)
    wait(lambda: consumer().get_watermark_offsets(TopicPartition(topic, 0), PATIENCE)[1] == 500)
    assert [message.value() for message in read_all(topic, check_crcs=True)] == values


def test_an_idempotent_producer_keeps_offsets_without_gaps(create):
    topic = create()
    sender = producer(enable_idempotence=True, linger_ms=0)
    where = send(sender, topic, [b"%d" % i for i in range(2000)])
    assert where == [(0, i) for i in range(2000)]


def test_headers_keys_nulls_and_timestamps_are_kept(create):
    topic = create()
    headers = [("a", b"1"), ("a", b"2"), ("null", None), ("empty", b"")]
    sender = producer()
    sender.produce(topic, key=b"k", value=b"v", headers=headers, timestamp=1_234_567_890_123)
    sender.produce(topic, key=None, value=None)
    assert sender.flush(PATIENCE) == 0
    first, second = read_all(topic)
    assert first.headers() == headers
    assert (first.key(), first.value()) == (b"k", b"v")
    assert first.timestamp() == (1, 1_234_567_890_123)
    assert (second.key(), second.value()) == (None, None)


def test_reading_begins_at_any_offset_inside_of_a_batch(create):
    topic = create()
    send(producer(linger_ms=200), topic, [b"%d" % i for i in range(100)])
    for start in (1, 37, 99):
        source = consumer()
        source.assign([TopicPartition(topic, 0, start)])
        assert read(source, 1)[0].offset() == start
        source.close()


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_transaction_is_seen_whole_or_not_at_all(create, is_committed):
    topic = create()
    sender = producer(transactional_id=uuid.uuid4().hex)
    sender.init_transactions(PATIENCE)
    sender.begin_transaction()
    send(sender, topic, [b"in"] * 10)
    assert read_all(topic, isolation_level="read_committed") == []
    assert len(read_all(topic, isolation_level="read_uncommitted")) == 10
    end = sender.commit_transaction if is_committed else sender.abort_transaction
    end(PATIENCE)
    expected = [b"in"] * 10 if is_committed else []
    seen = read_all(topic, isolation_level="read_committed")
    assert [message.value() for message in seen] == expected


def test_aborted_records_between_committed_ones_are_not_seen(create):
    topic = create()
    sender = producer(transactional_id=uuid.uuid4().hex)
    sender.init_transactions(PATIENCE)
    for i in range(10):
        sender.begin_transaction()
        send(sender, topic, [b"%d" % i] * 3)
        end = sender.abort_transaction if i % 2 else sender.commit_transaction
        end(PATIENCE)
    seen = read_all(topic, isolation_level="read_committed")
    committed = [b"%d" % i for i in range(0, 10, 2) for _ in range(3)]
    assert [message.value() for message in seen] == committed


def test_the_second_producer_of_an_id_fences_the_first(create):
    topic = create()
    name = uuid.uuid4().hex
    first, second = (producer(transactional_id=name) for _ in range(2))
    first.init_transactions(PATIENCE)
    first.begin_transaction()
    send(first, topic, [b"first"])
    second.init_transactions(PATIENCE)
    with pytest.raises(KafkaException) as caught:
        first.commit_transaction(PATIENCE)
    assert caught.value.args[0].fatal()
    second.begin_transaction()
    send(second, topic, [b"second"])
    second.commit_transaction(PATIENCE)
    seen = read_all(topic, isolation_level="read_committed")
    assert [message.value() for message in seen] == [b"second"]


def test_offsets_are_committed_with_the_transaction(create):
    source_topic, target = create(), create()
    send(producer(), source_topic, [b"%d" % i for i in range(10)])
    group = uuid.uuid4().hex
    source = consumer(group, enable_auto_commit=False)
    source.subscribe([source_topic])
    sender = producer(transactional_id=uuid.uuid4().hex)
    sender.init_transactions(PATIENCE)
    read(source, 5)
    for end in (sender.abort_transaction, sender.commit_transaction):
        sender.begin_transaction()
        send(sender, target, [b"copy"])
        where = [TopicPartition(source_topic, 0, 5)]
        sender.send_offsets_to_transaction(where, source.consumer_group_metadata(), PATIENCE)
        end(PATIENCE)
        [committed] = source.committed([TopicPartition(source_topic, 0)], PATIENCE)
        is_committed = end == sender.commit_transaction
        assert committed.offset == (5 if is_committed else -1001)
    source.close()


def test_a_transaction_timeout_over_the_limit_is_refused():
    sender = producer(transactional_id=uuid.uuid4().hex, transaction_timeout_ms=2_000_000_000)
    with pytest.raises(KafkaException) as caught:
        sender.init_transactions(PATIENCE)
    assert caught.value.args[0].code() == KafkaError.INVALID_TRANSACTION_TIMEOUT


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_reads_everything_while_members_come_and_go(create, protocol):
    topic = create(6)
    group = uuid.uuid4().hex
    total = 600
    sender = producer()
    seen, lock, stop = set(), threading.Lock(), threading.Event()

    def member(until):
        source = consumer(group, group_protocol=protocol)
        source.subscribe([topic])
        while not until.is_set():
            message = source.poll(0.1)
            if message is not None:
                assert message.error() is None, message.error()
                with lock:
                    seen.add((message.partition(), message.offset()))
        source.close()

    leave = threading.Event()
    ends = (stop, leave, stop, leave)
    members = [threading.Thread(target=member, args=(until,)) for until in ends]
    for thread in members:
        thread.start()
    for i in range(total // 2):
        sender.produce(topic, b"a", partition=i % 6)
    assert sender.flush(PATIENCE) == 0
    wait(lambda: len(seen) == total // 2)
    leave.set()
    for i in range(total // 2):
        sender.produce(topic, b"b", partition=i % 6)
    assert sender.flush(PATIENCE) == 0
    try:
        wait(lambda: len(seen) == total)
    finally:
        stop.set()
        for thread in members:
            thread.join()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_group_goes_on_where_it_committed(create, admin, protocol):
    topic = create()
    send(producer(), topic, [b"%d" % i for i in range(20)])
    group = uuid.uuid4().hex
    source = consumer(group, group_protocol=protocol, enable_auto_commit=False)
    source.subscribe([topic])
    read(source, 20)
    source.commit(offsets=[TopicPartition(topic, 0, 12)], asynchronous=False)
    source.close()
    source = consumer(group, group_protocol=protocol)
    source.subscribe([topic])
    assert read(source, 1)[0].offset() == 12
    listed = admin.list_consumer_groups().result(PATIENCE)
    assert group in {each.group_id for each in listed.valid}
    [described] = settled(admin.describe_consumer_groups([group])).values()
    assert len(described.members) == 1
    source.close()
    settled(admin.delete_consumer_groups([group]))


def test_offsets_of_groups_are_listed_and_altered(create, admin):
    topic = create(2)
    group = uuid.uuid4().hex
    wanted = [TopicPartition(topic, 0, 3), TopicPartition(topic, 1, 4)]
    settled(admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]))
    asked = [ConsumerGroupTopicPartitions(group)]
    [told] = settled(admin.list_consumer_group_offsets(asked)).values()
    assert {(each.partition, each.offset) for each in told.topic_partitions} == {(0, 3), (1, 4)}


@pytest.mark.parametrize("is_static", [False, True])
def test_cooperative_members_share_the_partitions(create, is_static):
    topic = create(4)
    group = uuid.uuid4().hex
    members = []
    for i in range(2):
        static = {"group_instance_id": f"member-{i}"} if is_static else {}
        strategy = "cooperative-sticky"
        members.append(consumer(group, partition_assignment_strategy=strategy, **static))
        members[-1].subscribe([topic])

    def shared():
        for each in members:
            each.poll(0.1)
        return [len(each.assignment()) for each in members] == [2, 2]

    wait(shared)
    for each in members:
        each.close()


def test_topics_are_created_grow_and_are_deleted(admin, create):
    topic = create(2)
    assert error_of(admin.create_topics([NewTopic(topic, 1, 1)])) == KafkaError.TOPIC_ALREADY_EXISTS
    settled(admin.create_partitions([NewPartitions(topic, 5)]))
    wait(lambda: len(admin.list_topics(topic).topics[topic].partitions) == 5)
    shrink = admin.create_partitions([NewPartitions(topic, 3)])
    assert error_of(shrink) == KafkaError.INVALID_PARTITIONS
    gone = admin.delete_topics([f"no-{topic}"])
    assert error_of(gone) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_a_topic_is_created_by_producing_to_it(admin):
    topic = f"auto-{uuid.uuid4().hex}"
    send(producer(), topic, [b"x"])
    assert topic in admin.list_topics().topics
    settled(admin.delete_topics([topic]))


def test_settings_are_described_and_altered(admin, create):
    topic = create(retention_ms="1234567")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    [told] = settled(admin.describe_configs([resource])).values()
    assert told["retention.ms"].value == "1234567"
    assert told["cleanup.policy"].is_default
    entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    settled(admin.incremental_alter_configs([change]))
    [told] = settled(admin.describe_configs([resource])).values()
    assert told["cleanup.policy"].value == "compact"
    broker = ConfigResource(ResourceType.BROKER, str(next(iter(admin.list_topics().brokers))))
    [told] = settled(admin.describe_configs([broker])).values()
    assert "auto.create.topics.enable" in told


@pytest.mark.parametrize("codec", ["uncompressed", "gzip", "snappy", "lz4", "zstd"])
def test_a_topic_with_a_codec_of_its_own_keeps_the_records(create, codec):
    topic = create(compression_type=codec)
    values = [b"%d" % i for i in range(100)]
    for sent in CODECS:
        send(producer(compression_type=sent), topic, values)
    seen = read_all(topic, check_crcs=True)
    assert [message.value() for message in seen] == values * len(CODECS)


def test_a_compacted_topic_takes_no_record_without_key(create):
    topic = create(cleanup_policy="compact")
    codes = []
    sender = producer()
    sender.produce(topic, b"x", on_delivery=lambda error, _: codes.append(error.code()))
    assert sender.flush(PATIENCE) == 0
    assert codes == [KafkaError.INVALID_RECORD]
    send(sender, topic, [b"x"], key=b"k")


def test_a_record_over_the_limit_of_the_topic_is_refused(create):
    topic = create(max_message_bytes="1000")
    codes = []
    sender = producer()
    large = os.urandom(2000)
    sender.produce(topic, large, on_delivery=lambda error, _: codes.append(error.code()))
    assert sender.flush(PATIENCE) == 0
    assert codes == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_offsets_are_found_by_time_and_records_deleted(admin, create):
    topic = create()
    sender = producer()
    for i in range(10):
        sender.produce(topic, b"%d" % i, timestamp=1_700_000_000_000 + i)
    assert sender.flush(PATIENCE) == 0
    place = TopicPartition(topic, 0)

    def offset(spec):
        [told] = settled(admin.list_offsets({place: spec})).values()
        return told.offset

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 10
    assert offset(OffsetSpec.for_timestamp(1_700_000_000_004)) == 4
    assert offset(OffsetSpec.max_timestamp()) == 9
    settled(admin.delete_records([TopicPartition(topic, 0, 6)]))
    assert offset(OffsetSpec.earliest()) == 6
    assert [message.offset() for message in read_all(topic)] == [6, 7, 8, 9]


def test_the_cluster_and_its_topics_are_described(admin, create):
    topic = create(3)
    cluster = admin.describe_cluster().result(PATIENCE)
    assert len(cluster.nodes) == len(SERVERS.split(","))
    assert cluster.controller is not None
    [told] = settled(admin.describe_topics(TopicCollection([topic]))).values()
    assert [len(each.isr) for each in told.partitions] == [REPLICAS] * 3


def test_statistics_know_the_brokers(create):
    topic = create()
    told = []
    sender = producer(
        statistics_interval_ms=100, stats_cb=lambda text: told.append(json.loads(text))
    )
    send(sender, topic, [b"x"])

    def is_counted():
        sender.poll(0.1)
        return told and told[-1]["txmsgs"] == 1 and topic in told[-1]["topics"]

    wait(is_counted)
    brokers = told[-1]["brokers"].values()
    assert any(broker["nodeid"] >= 0 and broker["rtt"]["cnt"] for broker in brokers)
