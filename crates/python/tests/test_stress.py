"""What shows only with many records, many threads, or a garbage collector that is always at work."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

import ottla

NOWHERE = {"bootstrap.servers": "127.0.0.1:1"}


@pytest.fixture
def always_collecting():
    """Garbage is collected wherever that can happen."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def producer(ottla_cluster):
    producer = ottla.Producer({"bootstrap.servers": ottla_cluster.bootstrap_servers})
    yield producer
    producer.close(0)


# Laws: L9. Scenarios: H12, bug-51.
def test_callbacks_may_collect_garbage_whose_finalizers_produce(producer, always_collecting):
    told, last_words = [], []

    class Garbage:
        def __init__(self):
            self.itself = self

        def __del__(self):
            producer.produce("t", b"x", callback=lambda error, message: last_words.append(error))

    def collects(error, message):
        Garbage()
        gc.collect()
        told.append(message.value())

    for number in range(200):
        Garbage()
        producer.produce("t", str(number), headers={"h": str(number)}, callback=collects)
        producer.poll(0)
    gc.collect()
    assert producer.flush(30) == 0
    assert told == [b"%d" % number for number in range(200)]
    assert last_words == [None] * 400


# Laws: L9. Scenarios: H12, bug-51.
def test_producers_in_cycles_are_collected_with_records_pending():
    class Owner:
        pass

    alive = []
    for _ in range(20):
        owner = Owner()
        owner.producer = ottla.Producer({**NOWHERE, "message.timeout.ms": 1000})
        owner.producer.owner = owner
        owner.producer.produce("t", b"x")
        alive.append(weakref.ref(owner.producer))
    del owner
    gc.collect()
    assert [producer() for producer in alive] == [None] * 20


def test_callbacks_that_hold_the_producer_let_it_go_once_they_were_called(ottla_cluster):
    producer = ottla.Producer({"bootstrap.servers": ottla_cluster.bootstrap_servers})
    alive = weakref.ref(producer)
    gc.disable()
    try:
        for _ in range(100):
            producer.produce("t", b"x", callback=lambda error, message, held=producer: None)
        producer.flush(30)
        del producer
        assert alive() is None
    finally:
        gc.enable()


def test_messages_in_cycles_are_collected():
    class Value:
        pass

    value = Value()
    value.message = ottla.Message(value=[value])
    alive = weakref.ref(value)
    del value
    gc.collect()
    assert alive() is None


def test_threads_produce_while_another_polls_and_callbacks_keep_the_order(always_collecting):
    told = {partition: [] for partition in range(4)}
    with ottla.Cluster(topics={"t": 4}) as cluster:
        producer = ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers})

        def produce(partition):
            def callback(error, message):
                told[partition].append((error, message.partition(), message.value()))

            for number in range(500):
                producer.produce("t", str(number), partition=partition, callback=callback)

        threads = [threading.Thread(target=produce, args=(partition,)) for partition in told]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            producer.poll(0.01)
        producer.close()
    for partition, outcomes in told.items():
        assert outcomes == [(None, partition, b"%d" % number) for number in range(500)]


# Laws: L1, L9. Scenarios: bug-50, H3.
def test_every_record_has_one_outcome_when_the_producer_is_closed_under_its_threads(ottla_cluster):
    told, taken, refused = [], [], []
    producer = ottla.Producer({"bootstrap.servers": ottla_cluster.bootstrap_servers})
    many = threading.Semaphore(0)

    def produce(thread):
        for number in range(1_000_000):
            try:
                producer.produce(
                    "t", f"{thread}-{number}", callback=lambda error, m: told.append(m.value())
                )
            except BufferError:
                continue
            except RuntimeError as raised:
                refused.append(str(raised))
                return
            taken.append(b"%d-%d" % (thread, number))
            many.release()

    threads = [threading.Thread(target=produce, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(1000):
        many.acquire()
    producer.close(0)
    for thread in threads:
        thread.join()
    assert refused == ["Producer has been closed"] * 4
    assert sorted(told) == sorted(taken)


def produced(producer, values, callback):
    for value in values:
        producer.produce("t", value, "key", headers=[("h", value)], callback=callback)


def sent_in_columns(producer, values, callback):
    assert producer.send_many("t", values, values, headers={"h": "v"}, on_delivery=callback) > 0


def produced_in_a_batch(producer, values, callback):
    messages = [{"value": value, "key": value, "callback": callback} for value in values]
    assert producer.produce_batch("t", messages) == len(values)


def refused(producer, values, callback):
    for value in values:
        with pytest.raises(ottla.KafkaException):
            producer.produce("t", value, partition=-5, callback=callback)
        with pytest.raises(TypeError):
            producer.produce("t", value, headers=[("h", 1)], callback=callback)


def purged(producer, values, callback):
    for value in values:
        producer.produce("unknown", value, value, callback=callback)
    producer.purge()


@pytest.mark.parametrize("send", [produced, sent_in_columns, produced_in_a_batch, refused, purged])
def test_nothing_of_a_record_is_kept_when_it_was_told(ottla_cluster, producer, send):
    value, key = b"a value of its own", "a callback of its own"

    def callback(error, message, key=key):
        message.error(), message.headers(), message.key(), message.value()

    def settle():
        send(producer, [value] * 1000, callback)
        producer.flush(30)
        gc.collect()
        return sys.getrefcount(value), sys.getrefcount(callback), sys.getallocatedblocks()

    settle()
    *first, blocks_at_first = settle()
    for _ in range(10):
        *last, blocks_at_last = settle()
    assert last == first
    # Less than one for a hundred records: caches may grow.
    assert blocks_at_last - blocks_at_first < 100


# Laws: L10. Scenarios: bug-49, bug-51.
def test_nothing_grows_with_300_000_records(producer):
    told = [0]

    def callback(error, message):
        told[0] += error is None

    def chunk():
        for number in range(10_000):
            producer.produce("t", b"%d" % number, callback=callback)
            producer.poll(0)
        producer.flush(30)
        return sys.getallocatedblocks()

    chunk()
    first = chunk()
    for _ in range(28):
        last = chunk()
    assert told == [300_000]
    assert last - first < 1000


def test_nothing_of_a_future_is_kept_when_it_was_awaited(ottla_cluster):
    value = b"a value of its own"

    async def main():
        config = {"bootstrap_servers": ottla_cluster.bootstrap_servers}
        async with ottla.AsyncProducer(**config) as producer:
            counts = []
            for _ in range(12):
                await producer.send_many("t", [value] * 1000)
                gc.collect()
                counts.append((sys.getrefcount(value), sys.getallocatedblocks()))
            return counts

    counts = asyncio.run(main())
    assert counts[-1][0] == counts[1][0]
    assert counts[-1][1] - counts[1][1] < 100


PENDING = {
    "a producer that is gone": """
        def main():
            producer = ottla.Producer(config)
            for _ in range(3):
                producer.produce("t", b"x", callback=print)
        main()
    """,
    "a producer in a cycle": """
        producer = ottla.Producer(config, on_delivery=lambda error, message: producer)
        producer.itself = producer
        for _ in range(3):
            producer.produce("t", b"x")
    """,
    "threads that go on": """
        import threading
        producer = ottla.Producer(config)
        begun = threading.Event()
        def produce():
            while True:
                try:
                    producer.produce("t", b"x", callback=print)
                except BufferError:
                    begun.set()
        for _ in range(3):
            threading.Thread(target=produce, daemon=True).start()
        begun.wait()
    """,
    "threads that wait": """
        import threading
        producer = ottla.Producer(config)
        producer.produce("t", b"x", callback=print)
        for wait in (producer.poll, producer.flush, producer.close):
            threading.Thread(target=wait, daemon=True).start()
    """,
}


# Laws: L1, L9. Scenarios: H12.
@pytest.mark.parametrize("program", PENDING.values(), ids=PENDING)
def test_an_interpreter_ends_with_records_pending_and_says_so(program):
    code = f"import ottla\nconfig = {NOWHERE}\n" + textwrap.dedent(program)
    command = [sys.executable, "-X", "faulthandler", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "records" in ran.stderr and "flush()" in ran.stderr


def test_an_interpreter_ends_while_a_thread_of_ours_wants_the_partitioner():
    # The topic becomes known when the interpreter is about to end, and a thread of ours then sends
    # the record that waits for it.
    code = """
        import asyncio, select, sys
        import ottla

        class Last:
            def __del__(self, wait=select.select):
                self.cluster.clear_faults()
                wait([self.producer._signal], [], [], 10)

        async def main(last):
            last.producer = ottla.AsyncProducer(
                bootstrap_servers=last.cluster.bootstrap_servers,
                partitioner=lambda topic, key, value, count: 0,
            )
            last.producer.send("t", b"x")

        sys.last = last = Last()
        last.cluster = ottla.Cluster(topics={"t": 1})
        last.cluster.inject("Metadata", error=5, times=0)
        asyncio.run(main(last))
        del last
    """
    command = [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_partitioner_may_send_when_memory_is_spent():
    code = """
        import asyncio, sys
        import ottla

        async def main(servers):
            calls, futures = [], []

            def partitioner(topic, key, value, count):
                calls.append(topic)
                if topic == "t" and calls.count("t") == 10:
                    futures.extend(producer.send("u", b"x" * 8000) for _ in range(50))
                return 0

            producer = ottla.AsyncProducer(
                bootstrap_servers=servers,
                partitioner=partitioner,
                batch_size=16384,
                buffer_memory=65536,
            )
            async with producer:
                await producer.send("u", b"known")
                await producer.send("t", b"known")
                futures.extend(producer.send("t", b"x") for _ in range(20))
                await asyncio.gather(*futures)

        asyncio.run(main(sys.argv[1]))
    """
    with ottla.Cluster(topics={"t": 1, "u": 1}) as cluster:
        # No answer comes while the fifty are sent: they are six times as much as memory holds.
        cluster.inject("Produce", delay_s=0.1, times=10)
        command = [sys.executable, "-c", textwrap.dedent(code), cluster.bootstrap_servers]
        subprocess.run(command, check=True, timeout=30)
        assert cluster.log_end_offset("u", 0) == 51 and cluster.log_end_offset("t", 0) == 21
