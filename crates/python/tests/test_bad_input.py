"""Every bad input has its exception, as `confluent_kafka` has it."""

from __future__ import annotations

import pytest

import ottla
from ottla import KafkaError, KafkaException, Producer

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("make", "raised"),
    [
        (lambda: Producer(), TypeError),
        (lambda: Producer("x"), TypeError),
        (lambda: Producer({}, {}), TypeError),
        (lambda: Producer({1: 2}), TypeError),
        (lambda: Producer({"error_cb": 1}), TypeError),
        (lambda: Producer({"throttle_cb": 1}), ValueError),
    ],
)
def test_a_constructor_that_makes_no_sense_raises(make, raised):
    with pytest.raises(raised):
        make()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"no.such.thing": 1}, 'No such configuration property: "no.such.thing"'),
        ({"acks": "perhaps"}, "acks"),
        ({"linger.ms": "abc"}, "linger.ms"),
        ({"linger.ms": -1}, "linger.ms"),
        ({"partitioner": "murmur"}, "partitioner"),
        ({"on_delivery": 1}, "on_delivery requires a callable object"),
        ({"partitioner_cb": 1}, "partitioner_cb"),
        ({"queue.buffering.max.messages": "many"}, "queue.buffering.max.messages"),
        ({"enable.idempotence": True, "acks": 1}, "acks"),
        ({"bootstrap.servers": "host:port"}, "bootstrap.servers"),
    ],
)
def test_a_setting_that_cannot_be_is_named(config, words):
    with pytest.raises(KafkaException) as raised:
        Producer({**NOWHERE, **config})
    error = raised.value.args[0]
    assert error == KafkaError._INVALID_ARG and words in error.str()


def test_a_setting_of_consumers_is_warned_of():
    with pytest.warns(RuntimeWarning, match="group.id is a consumer property"):
        Producer({**NOWHERE, "group.id": "g"}).close()


def test_settings_of_librdkafka_are_accepted():
    config = {
        "socket.keepalive.enable": True,
        "topic.metadata.refresh.interval.ms": 1000,
        "default.topic.config": {"message.timeout.ms": 500, "acks": -1},
        "compression.codec": "lz4",
        "log_level": 7,
        "retries": 3,
        "enable.idempotence": "True",
    }
    Producer(NOWHERE, **config).close()


# Laws: L11. Scenarios: H16.
@pytest.mark.parametrize(
    ("arguments", "raised"),
    [
        ({"topic": 1}, TypeError),
        ({"topic": None}, TypeError),
        ({"topic": "t", "value": 1}, TypeError),
        ({"topic": "t", "key": 1.5}, TypeError),
        ({"topic": "t", "partition": "a"}, TypeError),
        ({"topic": "t", "partition": -2}, KafkaException),
        ({"topic": "t", "partition": 2**40}, OverflowError),
        ({"topic": "t", "timestamp": "now"}, TypeError),
        ({"topic": "t", "timestamp": -5}, ValueError),
        ({"topic": "t", "headers": 3}, TypeError),
        ({"topic": "t", "headers": [1]}, TypeError),
        ({"topic": "t", "headers": {"a": 1}}, TypeError),
        ({"topic": "t", "headers": {1: "a"}}, TypeError),
        ({"topic": "t", "value": "\ud800"}, UnicodeEncodeError),
        ({"topic": "t", "unknown": 1}, TypeError),
    ],
)
def test_an_argument_of_the_wrong_kind_raises(arguments, raised):
    producer = Producer(NOWHERE)
    with pytest.raises(raised):
        producer.produce(**arguments)
    assert len(producer) == 0
    producer.close(0)


@pytest.mark.parametrize("call", ["poll", "flush"])
def test_a_timeout_that_is_no_number_raises(call):
    producer = Producer(NOWHERE)
    with pytest.raises(TypeError):
        getattr(producer, call)("soon")
    with pytest.raises(ValueError):
        getattr(producer, call)(float("nan"))
    producer.close(0)


def test_a_record_that_is_too_large_is_refused_by_produce():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
        producer.produce("t", b"small")
        producer.flush(30)
        with pytest.raises(KafkaException) as raised:
            producer.produce("t", b"x" * 2_000_000)
        producer.close()
    assert raised.value.args[0] == KafkaError.MSG_SIZE_TOO_LARGE


def test_bytes_like_objects_are_taken():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        with Producer({"bootstrap.servers": cluster.bootstrap_servers}) as producer:
            producer.produce("t", bytearray(b"a"), memoryview(b"b"))
        [record] = cluster.records("t")
    assert (record.value(), record.key()) == (b"a", b"b")


def test_init_cannot_be_called_twice():
    producer = Producer(NOWHERE)
    with pytest.raises(RuntimeError, match="already"):
        producer.__init__(NOWHERE)
    producer.close(0)


def test_transactions_say_that_they_are_not_configured():
    producer = Producer(NOWHERE)
    for call in (producer.init_transactions, producer.begin_transaction):
        with pytest.raises(KafkaException) as raised:
            call()
        assert raised.value.args[0] == KafkaError._NOT_CONFIGURED
    producer.close(0)


def test_an_unreachable_broker_is_told_to_error_cb_and_to_the_logger():
    errors, lines = [], []

    class Logger:
        def log(self, level, form, *arguments):
            lines.append(form % arguments)

    producer = Producer(NOWHERE, error_cb=errors.append, logger=Logger())
    producer.produce("t", b"x")
    while KafkaError._ALL_BROKERS_DOWN not in errors:
        producer.poll(1)
    assert KafkaError._TRANSPORT in errors
    assert lines[0].startswith("FAIL [rdkafka] 127.0.0.1:1")
    producer.close(0)


@pytest.mark.parametrize("given_up", ["by time", "by purge"])
def test_a_record_whose_topic_never_became_known_is_not_persisted(given_up):
    told = []
    producer = Producer({**NOWHERE, "message.timeout.ms": 300 if given_up == "by time" else 60_000})
    producer.produce("t", b"x", callback=lambda error, message: told.append(error))
    if given_up == "by purge":
        producer.purge()
    assert producer.flush(30) == 0
    code = {"by time": KafkaError._MSG_TIMED_OUT, "by purge": KafkaError._PURGE_QUEUE}[given_up]
    assert [(error.code(), error.outcome) for error in told] == [(code, "not_persisted")]
    producer.close(0)


def test_each_record_has_its_own_time_to_wait_for_its_topic():
    told = []
    producer = Producer({**NOWHERE, "message.timeout.ms": 200, "max.block.ms": 1})
    for number in range(3):
        producer.produce("t", b"%d" % number, callback=lambda error, message: told.append(error))
        producer.poll(0.05)
    assert producer.flush(30) == 0
    assert [error.code() for error in told] == [KafkaError._MSG_TIMED_OUT] * 3
    producer.close(0)


def test_a_producer_with_statistics_is_closed_whenever_they_are_due():
    for _ in range(20):
        producer = Producer({**NOWHERE, "statistics.interval.ms": 1, "stats_cb": lambda _: None})
        producer.poll(0.002)
        producer.close()


def test_statistics_are_json_with_librdkafkas_names():
    import json

    told = []
    producer = Producer({**NOWHERE, "statistics.interval.ms": 10, "stats_cb": told.append})
    while not told:
        producer.poll(0.02)
    statistics = json.loads(told[0])
    assert statistics["type"] == "producer" and statistics["msg_cnt"] == 0
    assert {"name", "client_id", "ts", "time", "age", "tx", "txmsgs"} <= set(statistics)
    producer.close(0)
