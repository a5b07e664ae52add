"""``AdminClient`` as far as producing programs use it: topics, their settings, the cluster."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Tuple, TypeVar

from . import _codes, _config, _native, _tokens
from ._model import Node, TopicCollection, TopicPartitionInfo
from ._resources import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)
from .errors import KafkaError, KafkaException

__all__ = [
    "AdminClient",
    "AlterConfigOpType",
    "BrokerMetadata",
    "ClusterMetadata",
    "ConfigEntry",
    "ConfigResource",
    "ConfigSource",
    "DescribeClusterResult",
    "NewPartitions",
    "NewTopic",
    "PartitionMetadata",
    "ResourceType",
    "TopicDescription",
    "TopicMetadata",
]


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


_T = TypeVar("_T")

#: Errors that say that a server is out of reach.
_OF_SERVERS = (_codes.CODES["_TRANSPORT"], _codes.CODES["_AUTHENTICATION"])


def _error(told: Optional[Tuple[int, str]]) -> Optional[KafkaError]:
    return None if told is None else KafkaError(told[0], f"Broker: {told[1]}")


def describe(
    native: _native.Admin, servers: str, topic: Optional[str], timeout: float
) -> ClusterMetadata:
    """Asks the cluster; ``timeout`` below zero is the usual minute."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"must be real number, not {type(timeout).__name__}")
    asked = None if topic is None else [topic]
    told = native.describe_cluster(asked, 60.0 if timeout < 0 else timeout)
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


class NewPartitions:
    """How many partitions a topic is to have in all."""

    def __init__(
        self,
        topic: str,
        new_total_count: int,
        replica_assignment: Optional[List[List[int]]] = None,
    ) -> None:
        if not isinstance(topic, str):
            raise TypeError(f"topic must be a str, not {type(topic).__name__}")
        if replica_assignment is not None:
            raise NotImplementedError("replica_assignment: let the cluster place the replicas")
        self.topic = topic
        self.new_total_count = new_total_count

    def __repr__(self) -> str:
        return f"NewPartitions(topic={self.topic},new_total_count={self.new_total_count})"


class DescribeClusterResult:
    """A cluster: its id, its controller and its brokers."""

    def __init__(
        self, controller: Optional[Node], nodes: List[Node], cluster_id: Optional[str] = None
    ) -> None:
        self.cluster_id = cluster_id
        self.controller = controller
        self.nodes = nodes
        self.authorized_operations: Optional[List[Any]] = None


class TopicDescription:
    """A topic and its partitions."""

    def __init__(self, name: str, is_internal: bool, partitions: List[TopicPartitionInfo]) -> None:
        self.name = name
        self.is_internal = is_internal
        self.partitions = partitions
        self.authorized_operations: Optional[List[Any]] = None


class AdminClient:
    """Topics, settings and the cluster. Each method gives a future for each thing asked."""

    def __init__(self, conf: Dict[str, Any], **kwargs: Any) -> None:
        config = _config.merged((conf,), kwargs)
        if not (config.get("bootstrap.servers") or config.get("metadata.broker.list")):
            raise _config.refused("bootstrap.servers is needed to reach a cluster")
        settings = _config.read(config)
        self._servers = settings.native["bootstrap.servers"]
        self._error_cb = settings.callbacks.get("error_cb")
        self._errors: Deque[KafkaError] = deque()
        try:
            token = _tokens.first_of_callback(settings.callbacks, settings.native)
            self._native = _native.Admin(self._servers, settings.native, token)
        except _native.ConfigRefused as raised:
            raise _config.refusal(raised.args, settings.native) from None
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="ottla-admin")

    def list_topics(self, topic: Optional[str] = None, timeout: float = -1) -> ClusterMetadata:
        """As ``Producer.list_topics``."""
        return self._noting_errors(describe, self._native, self._servers, topic, timeout)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Uses another name and password from the next connection on."""
        self._native.set_sasl_credentials(username, password)

    def _submit(self, ask: Callable[..., _T], *arguments: Any) -> "Future[_T]":
        return self._pool.submit(self._noting_errors, ask, *arguments)

    def _noting_errors(self, ask: Callable[..., _T], *arguments: Any) -> _T:
        """Asks; whoever gave an error_cb hears of servers out of reach by :meth:`poll`, too."""
        try:
            return ask(*arguments)
        except KafkaException as raised:
            error = raised.args[0]
            if self._error_cb is not None and error.code() in _OF_SERVERS:
                self._errors.append(error)
            raise

    def create_topics(
        self,
        new_topics: List[NewTopic],
        operation_timeout: float = 60,
        request_timeout: float = 60,
        validate_only: bool = False,
    ) -> Dict[str, "Future[None]"]:
        """Creates topics; each future's result is None."""

        def create(topic: NewTopic) -> None:
            self._native.create_topic(
                topic.topic,
                None if topic.num_partitions < 0 else topic.num_partitions,
                None if topic.replication_factor < 0 else topic.replication_factor,
                topic.config,
                float(request_timeout),
                validate_only,
            )

        topics = _listed(new_topics, NewTopic, "new_topics")
        return {topic.topic: self._submit(create, topic) for topic in topics}

    def delete_topics(
        self, topics: List[str], operation_timeout: float = 60, request_timeout: float = 60
    ) -> Dict[str, "Future[None]"]:
        """Deletes topics with all their records."""
        delete, wait = self._native.delete_topic, float(request_timeout)
        names = _listed(topics, str, "topics")
        return {topic: self._submit(delete, topic, wait) for topic in names}

    def create_partitions(
        self,
        new_partitions: List[NewPartitions],
        operation_timeout: float = 60,
        request_timeout: float = 60,
        validate_only: bool = False,
    ) -> Dict[str, "Future[None]"]:
        """Gives topics more partitions."""

        def create(wanted: NewPartitions) -> None:
            self._native.create_partitions(
                wanted.topic, wanted.new_total_count, float(request_timeout), validate_only
            )

        listed = _listed(new_partitions, NewPartitions, "new_partitions")
        return {wanted.topic: self._submit(create, wanted) for wanted in listed}

    def describe_configs(
        self, resources: List[ConfigResource], request_timeout: float = 60
    ) -> Dict[ConfigResource, "Future[Dict[str, ConfigEntry]]"]:
        """The settings of topics and brokers, by name."""

        def described(resource: ConfigResource) -> Dict[str, ConfigEntry]:
            rows = self._native.describe_configs(*_which(resource), float(request_timeout))
            return {row[0]: _entry(*row) for row in rows}

        listed = _listed(resources, ConfigResource, "resources")
        return {resource: self._submit(described, resource) for resource in listed}

    def incremental_alter_configs(
        self,
        resources: List[ConfigResource],
        request_timeout: float = 60,
        validate_only: bool = False,
        broker: int = -1,
    ) -> Dict[ConfigResource, "Future[None]"]:
        """Changes settings one by one; the others stay."""

        def alter(resource: ConfigResource) -> None:
            operations = []
            for entry in resource.incremental_configs:
                operation = entry.incremental_operation
                if operation is None:
                    raise ValueError(f"{entry.name} has no incremental_operation")
                operations.append((entry.name, int(operation.value), entry.value))
            which = _which(resource)
            self._native.alter_configs(*which, operations, float(request_timeout), validate_only)

        listed = _listed(resources, ConfigResource, "resources")
        return {resource: self._submit(alter, resource) for resource in listed}

    def alter_configs(
        self,
        resources: List[ConfigResource],
        request_timeout: float = 60,
        validate_only: bool = False,
        broker: int = -1,
    ) -> Dict[ConfigResource, "Future[None]"]:
        """Gives resources these settings and no others: what is not named goes back to its
        default."""

        def alter(resource: ConfigResource) -> None:
            which, wait = _which(resource), float(request_timeout)
            own = ConfigSource.DYNAMIC_TOPIC_CONFIG, ConfigSource.DYNAMIC_BROKER_CONFIG
            rows = self._native.describe_configs(*which, wait)
            now = [row[0] for row in rows if ConfigSource(row[2]) in own]
            wanted = resource.set_config_dict
            operations: List[Tuple[str, int, Optional[str]]] = [
                (name, 1, None) for name in now if name not in wanted
            ]
            operations += [(name, 0, str(value)) for name, value in wanted.items()]
            self._native.alter_configs(*which, operations, wait, validate_only)

        listed = _listed(resources, ConfigResource, "resources")
        return {resource: self._submit(alter, resource) for resource in listed}

    def describe_cluster(
        self, include_authorized_operations: bool = False, request_timeout: float = 60
    ) -> "Future[DescribeClusterResult]":
        """The cluster's id, controller and brokers."""

        def described() -> DescribeClusterResult:
            told = self._native.describe_cluster([], float(request_timeout))
            nodes = _nodes(told)
            return DescribeClusterResult(
                nodes.get(told["controller_id"]), list(nodes.values()), told["cluster_id"]
            )

        return self._submit(described)

    def describe_topics(
        self,
        topics: TopicCollection,
        include_authorized_operations: bool = False,
        request_timeout: float = 60,
    ) -> Dict[str, "Future[TopicDescription]"]:
        """Topics with their partitions."""

        def described(name: str) -> TopicDescription:
            told = self._native.describe_cluster([name], float(request_timeout))
            nodes = _nodes(told)
            for topic, error, is_internal, rows in told["topics"]:
                if error is not None:
                    raise KafkaException(_error(error))
                partitions = [
                    TopicPartitionInfo(
                        number,
                        nodes.get(leader),
                        [nodes[node] for node in replicas if node in nodes],
                        [nodes[node] for node in isrs if node in nodes],
                    )
                    for number, leader, replicas, isrs, _ in rows
                ]
                return TopicDescription(topic, is_internal, partitions)
            raise KafkaException(KafkaError(KafkaError._FAIL, f"no answer about {name}"))  # type: ignore[attr-defined]

        names = _listed(topics.topic_names, str, "topics")
        return {name: self._submit(described, name) for name in names}

    def poll(self, timeout: float = -1) -> int:
        """Calls ``error_cb`` for servers that were out of reach. Futures tell what came of each
        call, so that there is nothing to wait for."""
        served = 0
        while self._errors and self._error_cb is not None:
            served += 1
            self._error_cb(self._errors.popleft())
        return served


def _listed(things: Iterable[_T], kind: type, what: str) -> List[_T]:
    listed = list(things)
    if not listed:
        raise ValueError(f"expected a non-empty list of {what}")
    for thing in listed:
        if not isinstance(thing, kind):
            raise TypeError(
                f"{what} must hold {kind.__name__} objects, not {type(thing).__name__}"
            )
    return listed


def _which(resource: ConfigResource) -> Tuple[str, bool]:
    if resource.restype not in (ResourceType.TOPIC, ResourceType.BROKER):
        raise NotImplementedError(f"settings of {resource.restype}: only of topics and brokers")
    return (resource.name, resource.restype is ResourceType.BROKER)


def _entry(
    name: str,
    value: Optional[str],
    source: int,
    is_read_only: bool,
    is_sensitive: bool,
    synonyms: List[Tuple[str, Optional[str], int]],
) -> ConfigEntry:
    others = {
        other: ConfigEntry(other, text, ConfigSource(origin), is_synonym=True)
        for other, text, origin in synonyms
    }
    return ConfigEntry(
        name,
        value,
        ConfigSource(source),
        is_read_only=is_read_only,
        is_default=ConfigSource(source) is ConfigSource.DEFAULT_CONFIG,
        is_sensitive=is_sensitive,
        synonyms=others,
    )


def _nodes(told: Dict[str, Any]) -> Dict[int, Node]:
    return {number: Node(number, host, port, rack) for number, host, port, rack in told["brokers"]}
