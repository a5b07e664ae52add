"""A broker for tests: ask for the fixture ``ottla_cluster``."""

from __future__ import annotations

from typing import Iterator

import pytest

from ._native import Cluster


@pytest.fixture
def ottla_cluster() -> Iterator[Cluster]:
    """An embedded broker that ends with the test. Topics come into being when they are used."""
    with Cluster() as cluster:
        yield cluster
