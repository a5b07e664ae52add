"""What is seen only from outside of the process: Ctrl-C, forks, the interpreter's end, scripts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

import ottla


def python(code: str, *arguments: str, **options) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


# Laws: L9. Scenarios: H12.
@pytest.mark.parametrize("call", ["poll()", "flush()", "close()"])
def test_ctrl_c_ends_a_wait(call):
    code = f"""
        import signal
        import ottla
        # A shell has what it starts in the background ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        producer = ottla.Producer({{"bootstrap.servers": "127.0.0.1:1"}})
        producer.produce("t", b"x")
        try:
            print("waits", flush=True)
            producer.{call}
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            producer.close(0)
    """
    child = python(code)
    assert child.stdout.readline() == "waits\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert out == "interrupted\n", err
    assert child.returncode == 0


# Laws: L9. Scenarios: H12, E12, bug-52.
def test_a_producer_of_the_parent_says_so_in_a_forked_child_and_a_new_one_works():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        code = """
            import os, sys, ottla
            config = {"bootstrap.servers": sys.argv[1]}
            producer = ottla.Producer(config)
            producer.produce("t", b"parent")
            producer.flush(30)
            child = os.fork()
            if child == 0:
                try:
                    producer.produce("t", b"x")
                except RuntimeError as raised:
                    assert "forked" in str(raised), raised
                    with ottla.Producer(config) as own:
                        own.produce("t", b"child")
                    os._exit(0)
                os._exit(1)
            _, status = os.waitpid(child, 0)
            producer.produce("t", b"parent again")
            producer.close()
            sys.exit(os.waitstatus_to_exitcode(status))
        """
        child = python(code, cluster.bootstrap_servers)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        values = [record.value() for record in cluster.records("t")]
    assert values == [b"parent", b"child", b"parent again"]


# Laws: L1. Scenarios: H12.
def test_an_interpreter_that_ends_with_records_pending_says_how_many():
    code = """
        import ottla
        producer = ottla.Producer({"bootstrap.servers": "127.0.0.1:1"})
        for _ in range(3):
            producer.produce("t", b"x", callback=print)
    """
    child = python(code)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "3 records" in err and "flush()" in err


@pytest.fixture(params=["beside-the-original", "alone"])
def environment(request, tmp_path):
    """With the original confluent_kafka installed, and as if it were not."""
    if request.param == "beside-the-original":
        pytest.importorskip("confluent_kafka")
        return dict(os.environ)
    (tmp_path / "none" / "confluent_kafka").mkdir(parents=True)
    nothing = tmp_path / "none" / "confluent_kafka" / "__init__.py"
    nothing.write_text("raise ImportError('not installed')")
    return {**os.environ, "PYTHONPATH": str(tmp_path / "none")}


def test_a_script_for_confluent_kafka_runs_unchanged(tmp_path, environment):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
            from confluent_kafka.admin import AdminClient, NewTopic
            from confluent_kafka.serialization import StringSerializer

            config = {
                'bootstrap.servers': ','.join([sys.argv[1]] * 3),
                'acks': 'all',
                'compression.type': 'lz4',
                'batch.size': 65536,
                'linger.ms': 10,
                'retries': 3,
                'enable.idempotence': True,
            }
            admin = AdminClient({'bootstrap.servers': sys.argv[1]})
            admin.create_topics([NewTopic('user-events', 6, 1)])['user-events'].result()
            producer = Producer(config)
            producer.produce(topic='user-events', key='user_42', value='{"action": "login"}',
                             callback=lambda err, msg: print(err, msg.topic(), msg.key()))
            producer.produce(topic='user-events', value='{"url": "/home"}')
            producer.flush()
            try:
                Producer({'foo': 'bar'})
            except KafkaException as e:
                print(e.args[0].code() == KafkaError._INVALID_ARG)
            """
        )
    )
    with ottla.Cluster() as cluster:
        command = [sys.executable, "-m", "ottla.compat", str(script), cluster.bootstrap_servers]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment
        )
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == "None user-events b'user_42'\nTrue\n"
        assert len(cluster.records("user-events")) == 2


def test_consumers_come_from_the_original_and_their_errors_are_caught(tmp_path, environment):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

            servers = {'bootstrap.servers': sys.argv[1]}
            with Producer(servers) as producer:
                producer.produce('t', b'read by a consumer')
            try:
                consumer = Consumer({**servers, 'group.id': 'g', 'auto.offset.reset': 'earliest'})
            except NotImplementedError as raised:
                print(raised)
                sys.exit()
            consumer.assign([TopicPartition('t', 0, 0)])
            message = consumer.poll(30)
            print(message.value())
            consumer.close()
            try:
                Consumer({'group.id': 'g', 'foo': 'bar'})
            except KafkaException as raised:
                assert isinstance(raised.args[0], KafkaError)
                print('caught')
            """
        )
    )
    with ottla.Cluster(topics={"t": 1}) as cluster:
        command = [sys.executable, "-m", "ottla.compat", str(script), cluster.bootstrap_servers]
        ran = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment
        )
        assert ran.returncode == 0, ran.stderr
    expected = "b'read by a consumer'\ncaught\n"
    if environment.get("PYTHONPATH", "").endswith("none"):
        expected = "ottla has no Consumer: it is a producer. Install confluent-kafka"
    assert ran.stdout.startswith(expected), ran.stderr


def test_a_module_runs_against_us_as_well():
    ran = subprocess.run(
        [sys.executable, "-m", "ottla.compat", "-m", "timeit", "-n1", "-r1",
         "import confluent_kafka; assert 'ottla' in confluent_kafka.__file__"],
        capture_output=True, text=True, timeout=60,
    )
    assert ran.returncode == 0, ran.stderr


def test_a_script_that_is_not_there_is_named():
    command = [sys.executable, "-m", "ottla.compat", "no-such-script.py"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode != 0 and "no-such-script.py" in ran.stderr


def test_constants_are_those_of_confluent_kafka():
    original = pytest.importorskip("confluent_kafka")
    theirs = {
        name: value
        for name, value in vars(original.KafkaError).items()
        if isinstance(value, int) and name.lstrip("_")[:1].isupper()
    }
    ours = {name: getattr(ottla.KafkaError, name, None) for name in theirs}
    assert ours == theirs and len(theirs) > 150


# Laws: L10. Scenarios: bug-49, bug-51.
def test_memory_does_not_grow_with_records():
    code = """
        import sys, ottla
        def rss():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * 4096
        with ottla.Cluster(topics={"t": 1}) as cluster:
            producer = ottla.Producer({"bootstrap.servers": cluster.bootstrap_servers})
            def told(error, message):
                assert error is None
            sizes = []
            for _ in range(6):
                for _ in range(20):
                    for _ in range(1000):
                        producer.produce("t", b"x" * 100, b"k", callback=told)
                    producer.flush()
                sizes.append(rss())
            producer.close()
            print(sizes[-1] - sizes[1])
    """
    child = python(code, env={**os.environ})
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    assert int(out) < 8 << 20
