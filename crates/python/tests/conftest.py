"""What all tests share: a broker, and topics of their own."""

from __future__ import annotations

import itertools
import os
from typing import Any, Callable, Dict, Iterator

import pytest

import ottla
from ottla.admin import AdminClient, NewTopic

_numbers = itertools.count()


@pytest.fixture(params=["embedded", "kafka"])
def servers(request: pytest.FixtureRequest) -> Iterator[str]:
    """The embedded broker, and real Kafka where `OTTLA_TEST_KAFKA` says where it is."""
    if request.param == "kafka":
        kafka = os.environ.get("OTTLA_TEST_KAFKA")
        if not kafka:
            pytest.skip("OTTLA_TEST_KAFKA does not say where Kafka is")
        yield kafka
        return
    with ottla.Cluster() as cluster:
        yield cluster.bootstrap_servers


@pytest.fixture
def make_topic(servers: str) -> Callable[..., str]:
    """Makes a topic that no other test has."""

    def make(partitions: int = 1) -> str:
        name = f"python-{os.getpid()}-{next(_numbers)}"
        made = AdminClient({"bootstrap.servers": servers}).create_topics(
            [NewTopic(name, partitions, 1)]
        )
        made[name].result(timeout=60)
        return name

    return make


@pytest.fixture
def make_producer(servers: str) -> Iterator[Callable[..., ottla.Producer]]:
    """Makes producers that end with the test."""
    made = []

    def make(**config: Any) -> ottla.Producer:
        dotted: Dict[str, Any] = {name.replace("_", "."): value for name, value in config.items()}
        producer = ottla.Producer({"bootstrap.servers": servers, **dotted})
        made.append(producer)
        return producer

    yield make
    for producer in made:
        producer.close(0)


class Outcomes:
    """A callback that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ottla.Message]] = []

    def __call__(self, error: Any, message: ottla.Message) -> None:
        self.told.append((error, message))

    @property
    def messages(self) -> list[ottla.Message]:
        return [message for _, message in self.told]

    @property
    def errors(self) -> list[Any]:
        return [error for error, _ in self.told if error is not None]


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()
