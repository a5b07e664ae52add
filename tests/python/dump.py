"""Writes all records of a topic to standard output, as confluent_kafka reads them.

Each is partition, offset, length of the key (-1 for null), length of the value (-1 for null), all
big-endian, then key and value. A record of partition -1 ends it.
"""

import struct
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

HEAD = struct.Struct(">iqii")


def main(servers, topic):
    consumer = Consumer({
        "bootstrap.servers": servers,
        "group.id": "ottla-chaos",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "check.crcs": True,
        "fetch.wait.max.ms": 20,
        "isolation.level": "read_uncommitted",
    })
    partitions = sorted(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    unfinished = set(partitions)
    out = sys.stdout.buffer
    last = time.monotonic()
    while unfinished:
        # It waits for all of them, or for as long as it may.
        messages = consumer.consume(10_000, timeout=0.2)
        if messages:
            last = time.monotonic()
        elif time.monotonic() - last > 60:
            raise RuntimeError(f"nothing came for 60 s, {unfinished} are unfinished")
        for message in messages:
            error = message.error()
            if error is None:
                write(out, message)
            elif error.code() == KafkaError._PARTITION_EOF:
                unfinished.discard(message.partition())
            elif not error.retriable():
                raise RuntimeError(str(error))
    consumer.close()
    out.write(HEAD.pack(-1, 0, -1, -1))
    out.flush()


def write(out, message):
    key, value = message.key(), message.value()
    key_len = -1 if key is None else len(key)
    value_len = -1 if value is None else len(value)
    out.write(HEAD.pack(message.partition(), message.offset(), key_len, value_len))
    out.write(key or b"")
    out.write(value or b"")


main(*sys.argv[1:])
