"""Producing, with callbacks and without."""

from __future__ import annotations

import gc
import json
import pickle
import threading
import weakref

import pytest

import ottla

NOWHERE = "127.0.0.1:1"


def test_a_record_arrives_with_all_its_fields_and_its_callback_is_told_where(
    make_producer, make_topic, outcomes
):
    topic, producer = make_topic(), make_producer()
    producer.produce(
        topic,
        value="signed_in",
        key=b"amara-1000",
        timestamp=1_700_000_000_000,
        headers=[("trace", b"7f3a"), ("empty", None), ("trace", "again")],
        on_delivery=outcomes,
    )
    assert outcomes.told == []
    assert producer.flush(30) == 0
    [(error, message)] = outcomes.told
    assert error is None and message.error() is None
    assert (message.topic(), message.partition(), message.offset()) == (topic, 0, 0)
    assert (message.key(), message.value()) == (b"amara-1000", b"signed_in")
    assert message.timestamp() == (ottla.TIMESTAMP_CREATE_TIME, 1_700_000_000_000)
    assert message.headers() == [("trace", b"7f3a"), ("empty", None), ("trace", b"again")]
    assert message.latency() > 0
    assert len(message) == 9


# Laws: L9. Scenarios: bug-53.
def test_callbacks_come_in_the_order_of_the_records_and_only_from_poll_and_flush(
    make_producer, make_topic, outcomes
):
    topic, producer = make_topic(), make_producer()
    for number in range(1000):
        producer.produce(topic, str(number), callback=outcomes)
    assert len(producer) == 1000 and outcomes.told == []
    while len(producer) > 0:
        producer.poll(30)
    assert [message.value() for message in outcomes.messages] == [b"%d" % n for n in range(1000)]
    assert [message.offset() for message in outcomes.messages] == list(range(1000))


def test_records_without_a_callback_are_counted_until_they_are_delivered(make_producer, make_topic):
    topic, producer = make_topic(), make_producer()
    for _ in range(100):
        producer.produce(topic, b"x")
    assert producer.flush(30) == 0
    assert len(producer) == 0
    assert producer._metrics()["records_delivered"] == 100


def test_a_tombstone_and_an_empty_value_are_not_the_same(outcomes):
    with ottla.Cluster() as cluster:
        with ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            producer.produce("t", key=b"k", callback=outcomes)
            producer.produce("t", b"", b"k")
        assert [record.value() for record in cluster.records("t")] == [None, b""]
    assert outcomes.messages[0].value() is None


# Laws: L1. Scenarios: H1.
def test_an_exception_of_a_callback_comes_out_of_poll_and_the_rest_is_told_later(
    make_producer, make_topic, outcomes
):
    topic, producer = make_topic(), make_producer()

    def raises(error, message):
        outcomes(error, message)
        if message.value() == b"1":
            raise ValueError("of the callback")

    for number in range(4):
        producer.produce(topic, str(number), callback=raises)
    with pytest.raises(ValueError, match="of the callback"):
        producer.flush(30)
    assert producer.flush(30) == 0
    assert [message.value() for message in outcomes.messages] == [b"0", b"1", b"2", b"3"]


# Laws: L9. Scenarios: H2, bug-50.
def test_a_callback_may_produce_poll_and_flush(make_producer, make_topic, outcomes):
    topic, producer = make_topic(), make_producer()

    def again(error, message):
        producer.produce(topic, b"second", callback=outcomes)
        producer.poll(0)
        producer.flush(30)

    producer.produce(topic, b"first", callback=again)
    assert producer.flush(30) == 0
    assert [message.value() for message in outcomes.messages] == [b"second"]


def test_a_full_queue_is_a_buffer_error_and_polling_makes_room(make_producer, make_topic, outcomes):
    topic = make_topic()
    producer = make_producer(queue_buffering_max_messages=10)
    for _ in range(10):
        producer.produce(topic, b"x", callback=outcomes)
    with pytest.raises(BufferError, match="Queue full"):
        producer.produce(topic, b"x", callback=outcomes)
    producer.flush(30)
    producer.produce(topic, b"x", callback=outcomes)
    producer.flush(30)
    assert len(outcomes.told) == 11


def test_a_default_callback_is_called_for_records_without_their_own(servers, make_topic, outcomes):
    topic = make_topic()
    with ottla.Producer({"bootstrap.servers": servers}, on_delivery=outcomes) as producer:
        producer.produce(topic, b"default")
        producer.produce(topic, b"own", callback=lambda error, message: None)
    assert [message.value() for message in outcomes.messages] == [b"default"]


def test_only_errors_are_reported_if_that_is_asked(servers, make_topic, outcomes):
    config = {"bootstrap.servers": servers, "delivery.report.only.error": True}
    with ottla.Producer(config) as producer:
        producer.produce(make_topic(), b"x", callback=outcomes)
    assert outcomes.told == []


def test_records_for_a_topic_that_is_not_known_yet_arrive_in_their_order(outcomes):
    with ottla.Cluster(topics={"later": 1}) as cluster:
        cluster.inject("Metadata", delay_s=0.2)
        with ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            for number in range(100):
                producer.produce("later", str(number), callback=outcomes)
        values = [record.value() for record in cluster.records("later")]
    assert values == [b"%d" % number for number in range(100)]
    assert [message.offset() for message in outcomes.messages] == list(range(100))


# Laws: L1. Scenarios: #116.
def test_a_topic_that_does_not_exist_fails_its_records(outcomes):
    with ottla.Cluster(auto_create_topics=False) as cluster:
        config = {
            "bootstrap.servers": cluster.bootstrap_servers,
            "topic.metadata.propagation.max.ms": 10,
        }
        with ottla.Producer(config) as producer:
            producer.produce("missing", b"x", b"k", callback=outcomes)
            assert producer.flush(30) == 0
    [(error, message)] = outcomes.told
    assert error in (ottla.KafkaError.UNKNOWN_TOPIC_OR_PART, ottla.KafkaError._UNKNOWN_TOPIC)
    assert error.outcome == "not_persisted"
    assert message.offset() is None and message.key() == b"k" and message.error() is error


def test_a_batch_of_dicts_is_taken_and_what_is_wrong_is_marked(make_producer, make_topic, outcomes):
    topic, producer = make_topic(), make_producer()
    good = {"value": b"1", "key": "k", "headers": {"h": "v"}, "callback": outcomes}
    bad = {"value": b"2", "partition": 7}
    producer.produce(topic, b"0")
    producer.flush(30)
    assert producer.produce_batch(topic, [good, bad, {"value": "3"}]) == 2
    assert bad["_error"] == ottla.KafkaError._UNKNOWN_PARTITION
    producer.flush(30)
    assert outcomes.messages[0].headers() == [("h", b"v")]


def test_columns_are_sent_in_one_call(outcomes):
    with ottla.Cluster(topics={"t": 1}) as cluster:
        with ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            values = [b"a", "b", None]
            keys = ["1", "2", "3"]
            sent = producer.send_many(
                "t", values, keys, timestamps=[5, 6, 7], headers={"h": "v"}, on_delivery=outcomes
            )
            assert sent == 3
            with pytest.raises(ValueError, match="keys has 1 entries, values has 2"):
                producer.send_many("t", [b"x", b"y"], ["k"])
            with pytest.raises(TypeError, match="must be a list"):
                producer.send_many("t", b"xy")
        told = [(r.key(), r.value(), r.timestamp()[1], r.headers()) for r in cluster.records("t")]
    header = [("h", b"v")]
    assert told == [(b"1", b"a", 5, header), (b"2", b"b", 6, header), (b"3", None, 7, header)]
    assert len(outcomes.told) == 3


# Laws: L1. Scenarios: #114.
def test_purged_records_are_reported_as_purged(outcomes):
    producer = ottla.Producer({"bootstrap.servers": NOWHERE})
    producer.produce("t", b"x", callback=outcomes)
    producer.purge()
    assert producer.flush(30) == 0
    assert outcomes.errors == [ottla.KafkaError._PURGE_QUEUE]
    producer.close()


# Laws: L1. Scenarios: #114.
def test_what_was_sent_and_purged_may_be_in_the_log(outcomes):
    with ottla.Cluster(topics={"t": 1}) as cluster:
        producer = ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers})
        producer.produce("t", b"known")
        producer.flush(30)
        cluster.inject("Produce", lose_answer=True, times=0)
        producer.produce("t", b"in flight", callback=outcomes)
        while cluster.log_end_offset("t", 0) < 2:
            producer.poll(0.01)
        producer.purge()
        producer.flush(30)
        producer.close(0)
    assert outcomes.errors == [ottla.KafkaError._PURGE_INFLIGHT]
    assert outcomes.errors[0].outcome == "maybe_persisted"


def test_flush_gives_up_at_its_deadline_and_says_how_many_are_left(outcomes):
    producer = ottla.Producer({"bootstrap.servers": NOWHERE})
    for _ in range(3):
        producer.produce("t", b"x", callback=outcomes)
    assert producer.flush(0.05) == 3
    assert len(producer) == 3
    producer.close(0)
    assert len(outcomes.errors) == 3


# Laws: L1. Scenarios: H5.
def test_a_closed_producer_takes_nothing(make_producer, make_topic):
    producer = make_producer()
    assert producer.close() is True
    assert len(producer) == 0 and bool(producer)
    for call in (
        lambda: producer.produce("t", b"x"),
        lambda: producer.poll(0),
        lambda: producer.flush(0),
        lambda: producer.purge(),
    ):
        with pytest.raises(RuntimeError, match="Producer has been closed"):
            call()
    assert producer.close() is True


def test_many_threads_produce_while_others_poll(make_producer, make_topic, outcomes):
    topic, producer = make_topic(4), make_producer()

    def produce():
        for number in range(500):
            producer.produce(topic, str(number), callback=outcomes)

    threads = [threading.Thread(target=produce) for _ in range(4)]
    threads += [threading.Thread(target=producer.flush, args=(1,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert producer.flush(30) == 0
    assert len(outcomes.told) == 2000 and not outcomes.errors


def test_a_producer_that_its_callback_refers_to_is_collected(servers, make_topic):
    topic = make_topic()

    class Owner:
        def __init__(self):
            self.producer = ottla.Producer({"bootstrap.servers": servers}, on_delivery=self.told)

        def told(self, error, message):
            pass

    owner = Owner()
    owner.producer.produce(topic, b"x")
    owner.producer.flush(30)
    alive = weakref.ref(owner.producer)
    del owner
    gc.collect()
    assert alive() is None


def test_topics_are_listed(servers, make_producer, make_topic):
    topic = make_topic(3)
    cluster = make_producer().list_topics(topic, timeout=30)
    assert sorted(cluster.topics[topic].partitions) == [0, 1, 2]
    assert cluster.brokers and cluster.topics[topic].error is None
    with pytest.raises(ottla.KafkaException) as raised:
        ottla.Producer({"bootstrap.servers": NOWHERE}).list_topics(timeout=0.2)
    assert raised.value.args[0] == ottla.KafkaError._TRANSPORT


def test_messages_and_errors_survive_pickling():
    error = ottla.KafkaError(ottla.KafkaError._TRANSPORT, "reason", fatal=True)
    error.outcome = "maybe_persisted"
    again = pickle.loads(pickle.dumps(error))
    assert (again, str(again), again.outcome) == (error, str(error), "maybe_persisted")
    message = ottla.Message("t", 1, 2, b"k", b"v", [("h", b"x")], None, (1, 5), 0.5)
    assert pickle.loads(pickle.dumps(message)) == message


def test_partitions_of_keys_are_those_of_librdkafka(outcomes):
    assert ottla.consistent(b"abc", 12) == 6
    with ottla.Cluster(topics={"t": 12}) as cluster:
        with ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            producer.produce("t", b"v", b"abc", callback=outcomes)
    assert outcomes.messages[0].partition() == 6


def test_statistics_name_brokers_and_topics_under_librdkafkas_keys(servers, make_topic):
    topic, told = make_topic(), []
    config = {"bootstrap.servers": servers, "statistics.interval.ms": 1, "stats_cb": told.append}

    def is_up():
        brokers = json.loads(told[-1])["brokers"].values() if told else []
        return any(broker["state"] == "UP" for broker in brokers)

    with ottla.Producer(config) as producer:
        producer.produce(topic, b"x")
        producer.flush(30)
        while not is_up():
            producer.poll(0.01)
    statistics = json.loads(told[-1])
    assert statistics["type"] == "producer"
    assert statistics["topics"][topic]["topic"] == topic


# The first is taken before the topic is known, the second after.
# Laws: L2, L6. Scenarios: H14.
def test_a_buffer_that_changes_after_produce_does_not_change_the_record():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        with ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            for _ in range(2):
                value, key, header = bytearray(b"value"), bytearray(b"key"), bytearray(b"trace")
                producer.produce("t", value=memoryview(value), key=key, headers=[("h", header)])
                value[:], key[:], header[:] = b"other", b"ano", b"third"
                assert producer.flush(30) == 0
        records = cluster.records("t")
    expected = (b"value", b"key", [("h", b"trace")])
    told = [(record.value(), record.key(), record.headers()) for record in records]
    assert told == [expected, expected]


# Laws: L9. Scenarios: H15.
@pytest.mark.parametrize("wait", ["flush", "poll", "close"])
def test_other_threads_run_while_one_waits_for_the_network(wait):
    producer = ottla.Producer({"bootstrap.servers": NOWHERE})
    producer.produce("t", b"never arrives")
    waiter = threading.Thread(target=getattr(producer, wait), args=(3,))
    waiter.start()
    # With the lock held, this thread would not get as far as its next line before the wait is over.
    turns = 0
    while turns < 100_000 and waiter.is_alive():
        turns += 1
    assert turns == 100_000 and waiter.is_alive()
    producer.purge()
    waiter.join()
