"""Packages that are built on `confluent_kafka` and produce through ours, each in a process of its
own, where that name means ours."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

import ottla

BEGIN = """
import sys
import ottla, ottla.compat
ottla.compat.install()
servers = sys.argv[1]
"""


def run(program: str, *arguments: str) -> str:
    """What the program prints, after it was made to import ours."""
    command = [sys.executable, "-c", BEGIN + textwrap.dedent(program), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_what_quixstreams_produces_goes_through_ours(ottla_cluster):
    pytest.importorskip("quixstreams")
    told = run(
        """
        from quixstreams import Application
        from quixstreams.kafka import Producer

        def on_delivery(error, message):
            print(error, message.offset(), message.headers())

        with Producer(servers) as producer:
            producer.produce("plain", "v", b"k", {"h": b"1"}, 0, 5, on_delivery=on_delivery)
            assert type(producer._producer) is ottla.Producer
        application = Application(servers, loglevel="ERROR")
        topic = application.topic("user-events", value_serializer="json")
        with application.get_producer() as producer:
            for number in range(100):
                message = topic.serialize("amara-1000", {"number": number})
                producer.produce(topic.name, message.value, message.key)
            assert type(producer._producer) is ottla.Producer
        """,
        ottla_cluster.bootstrap_servers,
    )
    assert told == "None 0 [('h', b'1')]\n"
    [plain] = ottla_cluster.records("plain")
    assert (plain.key(), plain.value(), plain.timestamp()[1]) == (b"k", b"v", 5)
    values = [json.loads(record.value()) for record in ottla_cluster.records("user-events")]
    assert values == [{"number": number} for number in range(100)]


def test_a_stream_of_quixstreams_reads_by_the_original_and_writes_by_ours(ottla_cluster, tmp_path):
    pytest.importorskip("quixstreams")
    with ottla.Producer({"bootstrap.servers": ottla_cluster.bootstrap_servers}) as producer:
        for number in range(10):
            producer.produce("in", json.dumps({"number": number}), b"amara-1000")
    run(
        """
        from quixstreams import Application

        application = Application(
            servers, consumer_group="doubles", auto_offset_reset="earliest",
            state_dir=sys.argv[2], loglevel="ERROR",
        )
        stream = application.dataframe(application.topic("in"))
        stream["number"] *= 2
        stream.to_topic(application.topic("out"))
        application.run(count=10, timeout=60)
        assert type(application._producer._producer._producer) is ottla.Producer
        """,
        ottla_cluster.bootstrap_servers,
        str(tmp_path),
    )
    values = [json.loads(record.value()) for record in ottla_cluster.records("out")]
    assert values == [{"number": 2 * number} for number in range(10)]


def test_what_faststream_publishes_goes_through_ours(ottla_cluster):
    pytest.importorskip("faststream.confluent")
    run(
        """
        import asyncio
        from faststream.confluent import KafkaBroker

        async def main():
            async with KafkaBroker(servers) as broker:
                assert await broker.ping(timeout=30)
                told = await broker.publish({"number": 0}, "user-events", key=b"k")
                assert type(told) is ottla.Message and told.offset() == 0
                await broker.publish_batch({"number": 1}, {"number": 2}, topic="user-events")

        asyncio.run(main())
        """,
        ottla_cluster.bootstrap_servers,
    )
    records = ottla_cluster.records("user-events")
    assert sorted(json.loads(record.value())["number"] for record in records) == [0, 1, 2]
    assert records[0].key() == b"k"


AVRO = '{"type": "record", "name": "Event", "fields": [{"name": "number", "type": "int"}]}'
JSON = '{"title": "Event", "type": "object", "properties": {"number": {"type": "integer"}}}'


@pytest.mark.parametrize(
    ("module", "name", "schema", "body"),
    [("json_schema", "JSON", JSON, b'{"number":7}'), ("avro", "Avro", AVRO, b"\x0e")],
    ids=["json", "avro"],
)
def test_serializers_of_the_schema_registry_work_with_ours(
    ottla_cluster, module, name, schema, body
):
    pytest.importorskip(f"confluent_kafka.schema_registry.{module}")
    told = run(
        f"""
        from confluent_kafka import SerializingProducer
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.{module} import {name}Serializer
        from confluent_kafka.serialization import SerializationError, StringSerializer

        registry = SchemaRegistryClient.new_client({{"url": "mock://"}})
        producer = SerializingProducer[str, dict]({{
            "bootstrap.servers": servers,
            "key.serializer": StringSerializer(),
            "value.serializer": {name}Serializer(
                schema_registry_client=registry, schema_str={schema!r}
            ),
        }})
        assert isinstance(producer, ottla.Producer)
        producer.produce("user-events", key="amara-1000", value={{"number": 7}})
        try:
            producer.produce("user-events", key="amara-1000", value={{"number": "seven"}})
        except SerializationError as raised:
            print(raised.name, registry.get_subjects())
        producer.close()
        try:
            producer.produce("not-registered", value={{"number": 8}})
        except RuntimeError as raised:
            print(raised, registry.get_subjects())
        """,
        ottla_cluster.bootstrap_servers,
    )
    assert told == (
        "_VALUE_SERIALIZATION ['user-events-value']\n"
        "Producer has been closed ['user-events-value']\n"
    )
    [record] = ottla_cluster.records("user-events")
    assert record.key() == b"amara-1000"
    assert record.value().replace(b" ", b"") == b"\0\0\0\0\1" + body


NAMES = """
import importlib, json
import confluent_kafka
found = {}
for module in ("", ".admin", ".aio", ".cimpl", ".error", ".serialization"):
    for name, value in vars(importlib.import_module("confluent_kafka" + module)).items():
        if getattr(value, "__module__", "").partition(".")[0] in ("cimpl", "confluent_kafka"):
            found[f"confluent_kafka{module}.{name}"] = True
for kind in ("KafkaError", "KafkaException", "Producer", "SerializingProducer"):
    owner = getattr(confluent_kafka, kind)
    found.update((f"{kind}.{name}", callable(getattr(owner, name))) for name in dir(owner))
print(json.dumps([name for name in found.items() if "._" not in name[0]]))
"""

ABSENT = """
import importlib, json
import confluent_kafka
def is_there(name, is_callable):
    owner, _, name = name.rpartition(".")
    if owner.startswith("confluent_kafka"):
        return hasattr(importlib.import_module(owner), name)
    value = getattr(getattr(confluent_kafka, owner), name, None)
    return value is not None and callable(value) == is_callable
print([name for name, is_callable in json.loads(sys.argv[2]) if not is_there(name, is_callable)])
"""


def test_no_public_name_of_the_original_is_missing():
    pytest.importorskip("confluent_kafka")
    command = [sys.executable, "-c", NAMES]
    names = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert len(json.loads(names)) > 200
    assert run(ABSENT, "no servers", names) == "[]\n"
