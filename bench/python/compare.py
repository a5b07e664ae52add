"""The cost of a record in Python, Ottla beside confluent_kafka, in turn.

    ottla broker --discard --listen 127.0.0.1:0     # prints where it listens
    python compare.py 127.0.0.1:PORT [RECORDS [ROUNDS]]     # or all of it: cargo xtask bench --python

Both packages have to be installed. Microseconds are those of the calling thread's loop, flush not
included, and of the whole process's processor time for each record.
"""

import asyncio
import resource
import statistics
import sys
import time

import confluent_kafka
import confluent_kafka.aio

import ottla

VALUE = b'{"event":"page_view","page":"/home","device":"phone","duration_ms":1834,"language":"ja"}' + b" " * 12


def config(servers):
    return {
        "bootstrap.servers": servers,
        "acks": "all",
        "linger.ms": 5,
        "queue.buffering.max.messages": 10_000_000,
    }


def processor_s():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(loop, producer, records):
    """The loop's microseconds for each record, and the process's."""
    begin, begin_processor = time.perf_counter(), processor_s()
    loop(producer, records)
    looped = time.perf_counter() - begin
    producer.flush()
    processor = processor_s() - begin_processor
    return looped * 1e6 / records, processor * 1e6 / records


def plain(producer, records):
    produce = producer.produce
    for _ in range(records):
        produce("bench", VALUE)


def with_callback(producer, records):
    produce, poll = producer.produce, producer.poll

    def told(error, message):
        if error is not None:
            raise RuntimeError(error)

    for _ in range(records):
        produce("bench", VALUE, callback=told)
        poll(0)


def columns(producer, records):
    values = [VALUE] * 10_000
    for _ in range(records // len(values)):
        if producer.send_many("bench", values) != len(values):
            raise RuntimeError("the queue is full")


async def awaited(send, records):
    window = 10_000
    for _ in range(records // window):
        await asyncio.gather(*[await_of(send) for _ in range(window)])


def await_of(send):
    return send("bench", VALUE)


async def ours_async(servers, records):
    async with ottla.AsyncProducer(bootstrap_servers=servers, compression_type="none") as producer:
        await producer.send("bench", VALUE)
        begin = time.perf_counter()
        await awaited(producer.send, records)
        return records / (time.perf_counter() - begin)


async def theirs_async(servers, records):
    producer = confluent_kafka.aio.AIOProducer(config(servers))

    async def send(topic, value):
        return await (await producer.produce(topic, value))

    await producer.produce("bench", VALUE)
    await producer.flush()
    begin = time.perf_counter()
    await awaited(send, records)
    rate = records / (time.perf_counter() - begin)
    await producer.close()
    return rate


def ratio(what, ours, theirs, goal, smaller_is_better=True):
    share = ours / theirs
    met = share <= goal if smaller_is_better else share >= goal
    bound = "at most" if smaller_is_better else "at least"
    print(f"- {what}: {share:.2f} times confluent_kafka's ({bound} {goal:.2f}): {'met' if met else 'missed'}")


def main():
    servers = sys.argv[1]
    records = int(sys.argv[2]) if len(sys.argv) > 2 else 500_000
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    rows = [
        ("`produce()`", plain, confluent_kafka.Producer),
        ("`produce()`", plain, ottla.Producer),
        ("`produce()` with callback, `poll()`", with_callback, confluent_kafka.Producer),
        ("`produce()` with callback, `poll()`", with_callback, ottla.Producer),
        ("`send_many()`", columns, ottla.Producer),
    ]
    figures = [[] for _ in rows]
    rates = {"`AIOProducer`": [], "`AsyncProducer`": []}
    for _ in range(rounds):
        for row, (_, loop, kind) in enumerate(rows):
            producer = kind(config(servers))
            producer.produce("bench", VALUE)
            producer.flush()
            figures[row].append(timed(loop, producer, records))
            producer.close()
        rates["`AIOProducer`"].append(asyncio.run(theirs_async(servers, records // 20)))
        rates["`AsyncProducer`"].append(asyncio.run(ours_async(servers, records)))
    print("| | | µs/record in the loop | least … greatest | CPU µs/record |\n|---|---|---:|---:|---:|")
    medians = []
    for (name, _, kind), told in zip(rows, figures):
        package = kind.__module__.split(".")[0].replace("cimpl", "confluent_kafka")
        looped, processor = zip(*told)
        medians.append(statistics.median(looped))
        spread = f"{min(looped):.3f} … {max(looped):.3f}"
        print(f"| {name} | {package} | {medians[-1]:.3f} | {spread} | {statistics.median(processor):.3f} |")
    print("\n| awaited in asyncio | records/s |\n|---|---:|")
    for name, told in rates.items():
        print(f"| {name} | {statistics.median(told):,.0f} |")
    print()
    ratio("`produce()`", medians[1], medians[0], 1 / 3)
    ratio("`produce()` with callback and `poll()`", medians[3], medians[2], 1 / 2)
    ratio("`send_many()`, to `produce()`", medians[4], medians[0], 1 / 10)
    theirs, ours = (statistics.median(told) for told in rates.values())
    ratio("asyncio, records/s", ours, theirs, 5, smaller_is_better=False)


if __name__ == "__main__":
    main()
