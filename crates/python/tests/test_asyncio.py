"""The native interface for asyncio, and `AIOProducer`."""

from __future__ import annotations

import asyncio
import gc
import os
import stat

import pytest

import ottla
from ottla.aio import AIOProducer


def test_a_record_is_awaited_with_all_its_fields():
    async def main(cluster):
        async with ottla.AsyncProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
            return await producer.send(
                "t", "v", key="k", headers={"h": b"x"}, timestamp_ms=7, partition=0
            )

    with ottla.Cluster() as cluster:
        metadata = asyncio.run(main(cluster))
        [record] = cluster.records("t")
    assert (metadata.topic, metadata.partition, metadata.offset) == ("t", 0, 0)
    assert metadata.timestamp_ms == 7
    assert (record.key(), record.value(), record.headers()) == (b"k", b"v", [("h", b"x")])


def test_many_records_are_sent_at_once_and_keep_their_order(servers, make_topic):
    topic = make_topic()

    async def main():
        async with ottla.AsyncProducer(bootstrap_servers=servers) as producer:
            return await asyncio.gather(*(producer.send(topic, str(n)) for n in range(5000)))

    told = asyncio.run(main())
    assert [metadata.offset for metadata in told] == list(range(5000))


def test_columns_are_sent_and_each_has_its_outcome(servers, make_topic):
    topic = make_topic(2)

    async def main():
        async with ottla.AsyncProducer({"bootstrap.servers": servers}) as producer:
            return await producer.send_many(topic, [b"a", b"b"], keys=["1", "2"])

    assert all(isinstance(told, ottla.RecordMetadata) for told in asyncio.run(main()))


def test_more_than_the_memory_holds_goes_through_it(servers, make_topic):
    topic = make_topic()

    async def main():
        config = {"bootstrap.servers": servers, "buffer.memory": 200_000, "compression.type": "none"}
        async with ottla.AsyncProducer(config) as producer:
            return await asyncio.gather(*(producer.send(topic, b"x" * 1000) for _ in range(3000)))

    assert [metadata.offset for metadata in asyncio.run(main())] == list(range(3000))


def test_a_failure_says_its_outcome():
    async def main(cluster):
        config = {"topic.metadata.propagation.max.ms": 10}
        servers = cluster.bootstrap_servers
        async with ottla.AsyncProducer(config, bootstrap_servers=servers) as producer:
            with pytest.raises(ottla.DeliveryError) as raised:
                await producer.send("missing", b"x")
            return raised.value

    with ottla.Cluster(auto_create_topics=False) as cluster:
        error = asyncio.run(main(cluster))
    assert error.outcome == "not_persisted" and error.is_safe_to_resend
    assert error.kind == "unknown_topic"


# Laws: L1. Scenarios: H13.
def test_a_task_that_was_cancelled_leaves_its_record_on_the_way():
    async def main(cluster):
        async with ottla.AsyncProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
            future = producer.send("t", b"x")
            future.cancel()
            await producer.flush()
            with pytest.raises(asyncio.CancelledError):
                await future

    with ottla.Cluster() as cluster:
        asyncio.run(main(cluster))
        assert len(cluster.records("t")) == 1


def test_a_partitioner_and_serializers_of_python_are_used():
    import json

    async def main(cluster):
        producer = ottla.AsyncProducer(
            bootstrap_servers=cluster.bootstrap_servers,
            partitioner=lambda topic, key, value, count: len(value) % count,
            value_serializer=lambda value: json.dumps(value),
        )
        async with producer:
            return await producer.send("t", [1, 2])

    with ottla.Cluster(topics={"t": 4}) as cluster:
        assert asyncio.run(main(cluster)).partition == len("[1, 2]") % 4


def test_a_partitioner_is_told_topic_key_and_value():
    told = []

    async def main(cluster):
        async with ottla.AsyncProducer(
            bootstrap_servers=cluster.bootstrap_servers,
            partitioner=lambda *arguments: told.append(arguments) or 2,
        ) as producer:
            await producer.send("t", "not known yet")
            await producer.send("t", "known", key=b"k")

    with ottla.Cluster(topics={"t": 4}) as cluster:
        asyncio.run(main(cluster))
    assert told == [("t", None, b"not known yet", 4), ("t", b"k", b"known", 4)]


def test_a_producer_that_was_not_closed_leaves_no_descriptor_behind(ottla_cluster):
    def descriptors():
        gc.collect()
        return len([name for name in os.listdir("/dev/fd") if is_pipe(name)])

    def is_pipe(name):
        try:
            return stat.S_ISFIFO(os.stat(f"/dev/fd/{name}").st_mode)
        except OSError:
            return False

    async def main():
        producer = ottla.AsyncProducer(bootstrap_servers=ottla_cluster.bootstrap_servers)
        await producer.send("t", b"x")

    before = descriptors()
    for _ in range(5):
        asyncio.run(main())
    assert descriptors() == before


def test_close_gives_up_at_its_deadline():
    async def main():
        producer = ottla.AsyncProducer(bootstrap_servers="127.0.0.1:1")
        future = producer.send("t", b"x")
        await producer.close(timeout=0.1)
        with pytest.raises(ottla.DeliveryError) as raised:
            await future
        with pytest.raises(ottla.OttlaError, match="closed"):
            producer.send("t", b"y")
        return raised.value

    assert asyncio.run(main()).outcome == "not_persisted"


def test_a_setting_that_cannot_be_is_named():
    async def main():
        with pytest.raises(ottla.ConfigError, match="linger.ms"):
            ottla.AsyncProducer(bootstrap_servers="h:1", linger_ms="soon")

    asyncio.run(main())


def test_aio_producer_is_awaited_twice(servers, make_topic):
    topic = make_topic()

    async def main():
        async with AIOProducer({"bootstrap.servers": servers}) as producer:
            told = await producer.produce(topic, "v", "k", timestamp=5, headers={"h": "x"})
            message = await told
            assert await producer.flush() == 0 and len(producer) == 0
            return message

    message = asyncio.run(main())
    assert (message.value(), message.key(), message.offset()) == (b"v", b"k", 0)
    assert message.timestamp() == (1, 5)
