"""Runs a workload with confluent-kafka. See bench/README.md for the rules of every adapter."""

import json
import resource
import sys
import time

import confluent_kafka

# The client's defaults, but for a longer queue, which it is faster with.
SETTINGS = {"queue.buffering.max.messages": 1_000_000}
# Callbacks are called by poll; every so many records it is called.
POLL_EVERY = 1000
ACTIONS = ["login", "logout", "view", "click", "buy"]
MASK = (1 << 64) - 1


def values(size):
    """The same in every adapter: xorshift with 13, 7 and 17 from the same seed."""
    state = 88_172_645_463_325_252

    def below(bound):
        nonlocal state
        state ^= (state << 13) & MASK
        state ^= state >> 7
        state ^= (state << 17) & MASK
        return state % bound

    result = []
    for _ in range(1000):
        text = ""
        while len(text) < size:
            user, action = below(10_000), ACTIONS[below(5)]
            amount, page, ms = below(100_000), below(1000), 1_700_000_000_000 + below(100_000_000)
            text += (
                f'{{"user":"user_{user}","action":"{action}","amount":{amount},'
                f'"url":"/home/{page}","ts":{ms}}},'
            )
        result.append(text[:size].encode())
    return result


class Run:
    def __init__(self, workload):
        self.workload = workload
        self.values = values(workload["size"])
        self.keys = [f"user_{key}".encode() for key in range(workload["keys"])]
        self.acknowledged = self.failed = 0
        self.latencies_us = []
        settings = dict(SETTINGS)
        settings["bootstrap.servers"] = workload["servers"]
        settings["acks"] = workload["acks"]
        settings["enable.idempotence"] = workload["acks"] == "all"
        settings["compression.type"] = workload["codec"]
        if workload["linger_ms"] is not None:
            settings["linger.ms"] = workload["linger_ms"]
        if workload["batch_bytes"] is not None:
            settings["batch.size"] = workload["batch_bytes"]
        settings.update(workload["properties"])
        self.producer = confluent_kafka.Producer(settings)

    def settled(self, error, _message):
        if error is None:
            self.acknowledged += 1
        else:
            self.failed += 1

    def settled_late(self, due):
        def settled(error, message):
            self.settled(error, message)
            self.latencies_us.append(int((time.monotonic() - due) * 1e6))

        return settled

    def send(self, records, rate):
        producer, topics = self.producer, self.workload["topics"]
        start = time.monotonic()
        on_delivery = self.settled
        for number in range(records):
            if rate:
                due = start + number / rate
                wait = due - time.monotonic()
                producer.poll(max(wait, 0))
                on_delivery = self.settled_late(due)
            elif number % POLL_EVERY == 0:
                producer.poll(0)
            key = self.keys[number % len(self.keys)] if self.keys else None
            value = self.values[number % len(self.values)]
            topic = topics[number % len(topics)]
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=on_delivery)
                    break
                except BufferError:
                    producer.poll(0.001)
        producer.flush()

    def percentiles(self):
        ordered = sorted(self.latencies_us)
        if not ordered:
            return None
        at = lambda share: ordered[min(int(share * len(ordered)), len(ordered) - 1)]
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
        return {name: at(share) for name, share in shares.items()}


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    if len(sys.argv) != 2:
        sys.exit("give one argument: the workload as JSON")
    workload = json.loads(sys.argv[1])
    if workload["threads"] > 1:
        sys.exit("this adapter is one thread")
    run = Run(workload)
    run.send(workload["warmup"], 0)
    cpu, start = cpu_seconds(), time.monotonic()
    run.send(workload["records"], workload["rate"])
    seconds, cpu = time.monotonic() - start, cpu_seconds() - cpu
    outcome = {
        "client": f"confluent-kafka {confluent_kafka.__version__}",
        "records": workload["records"],
        "acknowledged": run.acknowledged,
        "failed": run.failed,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "latency_us": run.percentiles(),
        "requests": None,
    }
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
