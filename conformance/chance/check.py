"""confluent-kafka writes to a cluster whose nodes and requests fail by chance, and reads all of it.

usage: check.py SERVERS CONTROL SEED SECONDS
"""

import json
import sys
import time
import urllib.request

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 6
OUTAGE_EVERY_S = 1.0


def ask(control, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(control + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def write(servers, control, seed, seconds):
    """Gives, for each partition, the value that was told at each offset, and how many failed."""
    told = [{} for _ in range(PARTITIONS)]
    failed = []

    def delivered(error, message):
        if error:
            failed.append(str(error))
        else:
            told[message.partition()][message.offset()] = int(message.value())

    producer = Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "linger.ms": 5,
            "request.timeout.ms": 2000,
            "socket.timeout.ms": 2000,
            "message.timeout.ms": 600_000,
            "log_level": 0,
        }
    )
    number = 0
    end = time.monotonic() + seconds
    next_outage = 0.0
    while time.monotonic() < end:
        if time.monotonic() >= next_outage:
            print(ask(control, "POST", "/outages", {"seed": seed})["told"])
            next_outage = time.monotonic() + OUTAGE_EVERY_S
        for _ in range(500):
            try:
                producer.produce("t", str(number), partition=number % PARTITIONS, callback=delivered)
                number += 1
            except BufferError:
                producer.poll(0.1)
        producer.poll(0.01)
    ask(control, "DELETE", "/outages")
    ask(control, "DELETE", "/faults")
    left = producer.flush(120)
    print(f"{number} sent, {sum(map(len, told))} acknowledged, {len(failed)} failed, {left} left")
    return told, number, failed


def read(servers):
    """The values of each partition by their offsets."""
    settings = {
        "bootstrap.servers": servers,
        "group.id": "check",
        "enable.partition.eof": True,
        "log_level": 0,
    }
    consumer = Consumer(settings)
    consumer.assign([TopicPartition("t", partition, 0) for partition in range(PARTITIONS)])
    found = [{} for _ in range(PARTITIONS)]
    ended = set()
    give_up = time.monotonic() + 120
    while len(ended) < PARTITIONS and time.monotonic() < give_up:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is None:
            found[message.partition()][message.offset()] = int(message.value())
        elif message.error().name() == "_PARTITION_EOF":
            ended.add(message.partition())
    consumer.close()
    if len(ended) < PARTITIONS:
        sys.exit("the consumer did not come to the end of each partition")
    return found


def main():
    servers, control, seed, seconds = sys.argv[1:]
    told, sent, failed = write(servers, control, int(seed), float(seconds))
    ask(control, "POST", "/wait", {"in_sync": True, "timeout_ms": 30_000})
    found = read(servers)
    lost = twice = disordered = 0
    for told_here, found_here in zip(told, found):
        values = [value for _, value in sorted(found_here.items())]
        lost += sum(found_here.get(offset) != value for offset, value in told_here.items())
        twice += len(values) - len(set(values))
        disordered += sum(later < earlier for earlier, later in zip(values, values[1:]))
    count = sum(map(len, found))
    print(f"{count} read, {lost} lost, {twice} twice, {disordered} out of order")
    if lost or twice or disordered or failed or count != sent:
        sys.exit(f"a promise was broken; some failed with {failed[:3]}")


if __name__ == "__main__":
    main()
