"""``AdminClient`` as far as producing programs use it: topics, their settings, the cluster."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

from . import _native
from ._config import merged
from ._config import servers as normalized
from .errors import KafkaError, KafkaException


class BrokerMetadata:
    """A broker of the cluster."""

    def __init__(self) -> None:
        self.id = -1
        self.host: Optional[str] = None
        self.port = -1

    def __repr__(self) -> str:
        return f"BrokerMetadata({self.id}, {self.host}:{self.port})"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.id}"


class PartitionMetadata:
    """A partition of a topic."""

    def __init__(self) -> None:
        self.id = -1
        self.leader = -1
        self.replicas: List[int] = []
        self.isrs: List[int] = []
        self.error: Optional[KafkaError] = None

    def __repr__(self) -> str:
        return f"PartitionMetadata({self.id})" if self.error is None else f"PartitionMetadata({self.id}, {self.error})"

    def __str__(self) -> str:
        return str(self.id)


class TopicMetadata:
    """A topic of the cluster."""

    def __init__(self) -> None:
        self.topic: Optional[str] = None
        self.partitions: Dict[int, PartitionMetadata] = {}
        self.error: Optional[KafkaError] = None

    def __repr__(self) -> str:
        count = len(self.partitions)
        error = "" if self.error is None else f", {self.error}"
        return f"TopicMetadata({self.topic}, {count} partitions{error})"

    def __str__(self) -> str:
        return str(self.topic)


class ClusterMetadata:
    """What a cluster says of itself."""

    def __init__(self) -> None:
        self.cluster_id: Optional[str] = None
        self.controller_id = -1
        self.brokers: Dict[int, BrokerMetadata] = {}
        self.topics: Dict[str, TopicMetadata] = {}
        self.orig_broker_id = -1
        self.orig_broker_name: Optional[str] = None

    def __repr__(self) -> str:
        return f"ClusterMetadata({self.cluster_id})"

    def __str__(self) -> str:
        return str(self.cluster_id)


def _error(told: Optional[Tuple[int, str]]) -> Optional[KafkaError]:
    return None if told is None else KafkaError(told[0], f"Broker: {told[1]}")


def describe(servers: str, topic: Optional[str], timeout: float) -> ClusterMetadata:
    """Asks the cluster; ``timeout`` below zero is the usual minute."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"must be real number, not {type(timeout).__name__}")
    asked = None if topic is None else [topic]
    told = _native.Admin(servers).describe_cluster(asked, 60.0 if timeout < 0 else timeout)
    cluster = ClusterMetadata()
    cluster.cluster_id = told["cluster_id"]
    cluster.controller_id = -1 if told["controller_id"] is None else told["controller_id"]
    cluster.orig_broker_name = servers.split(",")[0]
    for number, host, port, _rack in told["brokers"]:
        broker = BrokerMetadata()
        broker.id, broker.host, broker.port = number, host, port
        cluster.brokers[number] = broker
    for name, error, _internal, partitions in told["topics"]:
        described = TopicMetadata()
        described.topic, described.error = name, _error(error)
        for number, leader, replicas, isrs, wrong in partitions:
            partition = PartitionMetadata()
            partition.id, partition.leader = number, -1 if leader is None else leader
            partition.replicas, partition.isrs = list(replicas), list(isrs)
            partition.error = _error(wrong)
            described.partitions[number] = partition
        cluster.topics[name] = described
    return cluster


class NewTopic:
    """A topic to be created."""

    def __init__(
        self,
        topic: str,
        num_partitions: int = -1,
        replication_factor: int = -1,
        replica_assignment: Optional[List[List[int]]] = None,
        config: Optional[Dict[str, str]] = None,
    ) -> None:
        if not isinstance(topic, str):
            raise TypeError(f"topic must be a str, not {type(topic).__name__}")
        if replica_assignment is not None:
            raise NotImplementedError("replica_assignment: let the cluster place the replicas")
        self.topic = topic
        self.num_partitions = num_partitions
        self.replication_factor = replication_factor
        self.config = dict(config or {})

    def __repr__(self) -> str:
        return f"NewTopic(topic={self.topic},num_partitions={self.num_partitions})"


class AdminClient:
    """Creates, lists and deletes topics. Each method gives a future for each thing asked."""

    def __init__(self, conf: Dict[str, Any], **kwargs: Any) -> None:
        config = merged((conf,), kwargs)
        servers = config.get("bootstrap.servers") or config.get("metadata.broker.list")
        if not servers:
            text = "bootstrap.servers is needed to reach a cluster"
            raise KafkaException(KafkaError(KafkaError._INVALID_ARG, text))  # type: ignore[attr-defined]
        self._servers = normalized(str(servers))
        self._native = _native.Admin(self._servers)
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ottla-admin")

    def list_topics(self, topic: Optional[str] = None, timeout: float = -1) -> ClusterMetadata:
        """As ``Producer.list_topics``."""
        return describe(self._servers, topic, timeout)

    def create_topics(
        self,
        new_topics: Iterable[NewTopic],
        operation_timeout: float = 60,
        request_timeout: float = 60,
        validate_only: bool = False,
    ) -> Dict[str, "Future[None]"]:
        """Creates topics; each future's result is None."""
        if validate_only:
            raise NotImplementedError("validate_only")
        new_topics = list(new_topics)
        if not new_topics:
            raise ValueError("expected non-empty list of topics")

        def create(topic: NewTopic) -> Callable[[], None]:
            partitions = None if topic.num_partitions < 0 else topic.num_partitions
            replication = None if topic.replication_factor < 0 else topic.replication_factor
            return lambda: self._native.create_topic(
                topic.topic, partitions, replication, topic.config, float(request_timeout)
            )

        return {topic.topic: self._pool.submit(create(topic)) for topic in new_topics}

    def delete_topics(
        self, topics: List[str], operation_timeout: float = 60, request_timeout: float = 60
    ) -> Dict[str, "Future[None]"]:
        """Deletes topics with all their records."""
        wait = float(request_timeout)
        return {
            topic: self._pool.submit(self._native.delete_topic, topic, wait) for topic in topics
        }

    def topic_configs(self, topic: str, request_timeout: float = 60) -> Dict[str, Optional[str]]:
        """The settings of a topic."""
        return self._native.topic_configs(topic, float(request_timeout))

    def poll(self, timeout: float = -1) -> int:
        """Nothing is to be served: futures tell what came of each call."""
        return 0


