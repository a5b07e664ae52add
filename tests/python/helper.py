"""Reads and writes with confluent_kafka for the tests.

A request is a line of JSON on standard input, its answer a line of JSON on standard output. Bytes are
base64, null is null. The process ends with its input.
"""

import base64
import json
import sys

from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin import AdminClient, NewPartitions, ResourcePatternType, ResourceType


def text(data):
    return None if data is None else base64.b64encode(data).decode("ascii")


def data(text):
    return None if text is None else base64.b64decode(text)


def read(request):
    """Every record from the beginning to the end that each partition has now."""
    consumer = Consumer({
        "bootstrap.servers": request["servers"],
        "group.id": "ottla-tests",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
        "fetch.wait.max.ms": 5,
        "fetch.message.max.bytes": 10_000_000,
        "isolation.level": request.get("isolation", "read_uncommitted"),
    })
    topic = request["topic"]
    partitions = sorted(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    unfinished = set(partitions)
    records = []
    while unfinished:
        message = consumer.poll(30)
        if message is None:
            raise RuntimeError(f"nothing came for 30 s, {len(unfinished)} partitions are unfinished")
        error = message.error()
        if error is None:
            records.append(seen(message))
        elif error.code() == KafkaError._PARTITION_EOF:
            unfinished.discard(message.partition())
        else:
            raise RuntimeError(str(error))
    consumer.close()
    return records


def seen(message):
    kind, timestamp = message.timestamp()
    headers = [[name, text(value)] for name, value in message.headers() or []]
    return {
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": timestamp,
        "append_time": kind == TIMESTAMP_LOG_APPEND_TIME,
        "key": text(message.key()),
        "value": text(message.value()),
        "headers": headers,
    }


def produce(request):
    """Produces the records; gives [partition, offset] for each."""
    # Lost connections are part of some tests.
    own = {"bootstrap.servers": request["servers"], "log_level": 2}
    producer = Producer({**own, **request["config"]})
    reports = [None] * len(request["records"])

    def reporter(index):
        def report(error, message):
            if error is not None:
                reports[index] = str(error)
            else:
                reports[index] = [message.partition(), message.offset()]
        return report

    for index, record in enumerate(request["records"]):
        options = {}
        if record["partition"] is not None:
            options["partition"] = record["partition"]
        if record["timestamp"] is not None:
            options["timestamp"] = record["timestamp"]
        producer.produce(
            request["topic"],
            value=data(record["value"]),
            key=data(record["key"]),
            headers=[(name, data(value)) for name, value in record["headers"]],
            on_delivery=reporter(index),
            **options,
        )
        producer.poll(0)
    left = producer.flush(30)
    if left:
        raise RuntimeError(f"{left} records were not delivered within 30 s")
    return reports


def grow(request):
    """Gives a topic more partitions."""
    admin = AdminClient({"bootstrap.servers": request["servers"], "log_level": 2})
    wanted = NewPartitions(request["topic"], request["partitions"])
    for done in admin.create_partitions([wanted]).values():
        done.result(30)


def rule(request):
    """Lets somebody do something with a topic, or takes that back."""
    admin = AdminClient({"bootstrap.servers": request["servers"], "log_level": 2})
    parts = (
        ResourceType.TOPIC,
        request["topic"],
        ResourcePatternType.LITERAL,
        request["principal"],
        "*",
        AclOperation[request["operation"]],
        AclPermissionType.ALLOW,
    )
    if request["holds"]:
        futures = admin.create_acls([AclBinding(*parts)])
    else:
        futures = admin.delete_acls([AclBindingFilter(*parts)])
    for done in futures.values():
        done.result(30)


def main():
    work = {"read": read, "produce": produce, "grow": grow, "rule": rule}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": work[request["do"]](request)}
        except Exception as error:  # whatever it is, the test wants to know
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
