"""ottla.Cluster with several nodes: what is lost with one of them, and what is not."""

from __future__ import annotations

import pytest

import ottla


def values(cluster: ottla.Cluster) -> list:
    return [record.value() for record in cluster.records("t")]


def produce(cluster: ottla.Cluster, value: str) -> None:
    told = []
    settings = {
        "bootstrap.servers": cluster.bootstrap_servers,
        "enable.idempotence": True,
        "request.timeout.ms": 1000,
    }
    producer = ottla.Producer(settings)
    producer.produce("t", value, on_delivery=lambda error, message: told.append(error))
    producer.flush()
    assert told == [None]


def test_records_outlive_their_leader():
    with ottla.Cluster(nodes=3, topics={"t": 1}, min_insync_replicas=2) as cluster:
        produce(cluster, "a")
        leader = cluster.leader("t", 0)
        cluster.node(leader, "kill")
        produce(cluster, "b")
        assert cluster.leader("t", 0) not in (leader, None)
        cluster.node(leader, "start")
        assert cluster.wait_until_in_sync()
        assert values(cluster) == [b"a", b"b"]


def test_faults_are_named_by_their_parts_or_left_to_chance():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        cluster.inject_parts(api="Produce", error="NOT_LEADER_OR_FOLLOWER", times=2)
        produce(cluster, "a")
        cluster.inject_random(seed=7, one_in=3)
        produce(cluster, "b")
        cluster.clear_faults()
        assert values(cluster) == [b"a", b"b"]


def test_what_makes_no_sense_is_said():
    with ottla.Cluster(topics={"t": 1}) as cluster:
        with pytest.raises(ValueError, match="explode is none of kill"):
            cluster.node(1, "explode")
        with pytest.raises(RuntimeError, match="no node 9"):
            cluster.node(9, "kill")
        with pytest.raises(RuntimeError, match="runs already"):
            cluster.node(1, "start")
        with pytest.raises(ValueError, match="no such error"):
            cluster.inject_parts(error="NOTHING")
        with pytest.raises(ValueError, match="nothing would happen"):
            cluster.inject_parts()
        assert cluster.leader("unknown", 0) is None
        with pytest.raises(ValueError, match="negative"):
            cluster.wait_until_in_sync(-1.0)
