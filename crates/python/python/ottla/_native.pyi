"""The native half of the package."""

import asyncio
from types import TracebackType
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple, Type, Union, final

from typing_extensions import Self, disjoint_base

_Bytes = Union[None, str, bytes, bytearray, memoryview]
_Headers = Union[None, Dict[str, Any], List[Tuple[str, Any]]]
_Callback = Callable[[Any, "Message"], Any]
_TokenFunction = Callable[[], Tuple[str, float, Optional[str], List[Tuple[str, str]]]]

__all__ = [
    "Admin",
    "AsyncCore",
    "Cluster",
    "ConfigRefused",
    "Message",
    "ProducerBase",
    "RecordMetadata",
    "VERSION",
    "_register",
    "consistent",
    "fnv1a",
    "known_settings",
    "murmur2",
    "warnings_of",
]

VERSION: str

class ConfigRefused(Exception): ...

@disjoint_base
class Message:
    def __init__(
        self,
        topic: Optional[str] = None,
        partition: Optional[int] = None,
        offset: Optional[int] = None,
        key: Any = None,
        value: Any = None,
        headers: Any = None,
        error: Any = None,
        timestamp: Optional[Tuple[int, int]] = None,
        latency: Optional[float] = None,
        leader_epoch: Optional[int] = None,
    ) -> None: ...
    def topic(self) -> Optional[str]: ...
    def partition(self) -> Optional[int]: ...
    def offset(self) -> Optional[int]: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...
    def error(self) -> Any: ...
    def timestamp(self) -> Tuple[int, int]: ...
    def latency(self) -> Optional[float]: ...
    def leader_epoch(self) -> Optional[int]: ...
    def delivery_count(self) -> Optional[int]: ...
    def set_topic(self, topic: str) -> None: ...
    def set_key(self, key: Any) -> None: ...
    def set_value(self, value: Any) -> None: ...
    def set_headers(self, headers: Any) -> None: ...
    def set_error(self, error: Any) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

@disjoint_base
class ProducerBase:
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def _start(
        self,
        config: Dict[str, str],
        *,
        on_delivery: Optional[_Callback] = None,
        on_server: Optional[Callable[[str, Optional[str], int], None]] = None,
        on_throttle: Optional[Callable[[str, int, float], None]] = None,
        on_tick: Optional[Callable[[], None]] = None,
        tick_s: float = 0.0,
        only_errors: bool = False,
        queue_max_messages: int = 100_000,
        topic_wait_ms: int = 300_000,
        partitioner: Optional[Callable[..., int]] = None,
        token: Optional[_TokenFunction] = None,
    ) -> None: ...
    def produce(
        self,
        topic: str,
        value: _Bytes = None,
        key: _Bytes = None,
        partition: int = -1,
        callback: Optional[_Callback] = None,
        on_delivery: Optional[_Callback] = None,
        timestamp: int = 0,
        headers: _Headers = None,
    ) -> None: ...
    def produce_batch(
        self,
        topic: str,
        messages: List[Dict[str, Any]],
        partition: int = -1,
        callback: Optional[_Callback] = None,
        on_delivery: Optional[_Callback] = None,
    ) -> int: ...
    def send_many(
        self,
        topic: str,
        values: Iterable[_Bytes],
        keys: Optional[Sequence[_Bytes]] = None,
        *,
        partition: int = -1,
        timestamps: Optional[Sequence[int]] = None,
        headers: Any = None,
        on_delivery: Optional[_Callback] = None,
    ) -> int: ...
    def poll(self, timeout: Optional[float] = -1.0) -> int: ...
    def flush(self, timeout: Optional[float] = -1.0) -> int: ...
    def purge(
        self, in_queue: bool = True, in_flight: bool = True, blocking: bool = True
    ) -> None: ...
    def close(self, timeout: Optional[float] = -1.0) -> bool: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def _metrics(self) -> Dict[str, int]: ...
    def _admin(self, servers: str) -> Admin: ...
    def set_sasl_credentials(self, username: str, password: str) -> None: ...
    def _topics(self) -> List[str]: ...
    def _is_open(self) -> bool: ...

@final
class RecordMetadata:
    topic: str
    partition: int
    offset: Optional[int]
    timestamp_ms: int

@final
class AsyncCore:
    def __new__(
        cls,
        config: Dict[str, str],
        create_future: Callable[[], "asyncio.Future[Any]"],
        signal: int,
        partitioner: Optional[Callable[..., int]] = None,
        *,
        topic_wait_ms: Optional[int] = None,
        on_server: Optional[Callable[[str, Optional[str], int], None]] = None,
        token: Optional[_TokenFunction] = None,
    ) -> Self: ...
    def send(
        self,
        topic: str,
        value: _Bytes = None,
        key: _Bytes = None,
        partition: Optional[int] = None,
        timestamp_ms: Optional[int] = None,
        headers: _Headers = None,
    ) -> "asyncio.Future[RecordMetadata]": ...
    def drain(self) -> int: ...
    def flush_later(self, future: "asyncio.Future[None]", close: bool) -> None: ...
    def admin(self, servers: str) -> Admin: ...
    def set_sasl_credentials(self, username: str, password: str) -> None: ...
    def purge(self, queued: bool, in_flight: bool) -> None: ...
    def abort(self) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...

@final
class Cluster:
    def __new__(
        cls,
        *,
        nodes: int = 1,
        topics: Optional[Dict[str, int]] = None,
        min_insync_replicas: int = 1,
        data_dir: Optional[str] = None,
        auto_create_topics: bool = True,
        tls_certificate: Optional[str] = None,
        tls_key: Optional[str] = None,
        tls_client_ca: Optional[str] = None,
        sasl_mechanisms: Optional[Sequence[str]] = None,
        users: Optional[Dict[str, str]] = None,
        session_lifetime_s: Optional[float] = None,
    ) -> Self: ...
    @property
    def bootstrap_servers(self) -> str: ...
    def stop(self) -> None: ...
    def __enter__(self) -> "Cluster": ...
    def __exit__(
        self,
        kind: Optional[Type[BaseException]] = None,
        raised: Optional[BaseException] = None,
        trace: Optional[TracebackType] = None,
    ) -> None: ...
    def inject(
        self,
        api: str = "Produce",
        *,
        error: Optional[int] = None,
        lose_request: bool = False,
        lose_answer: bool = False,
        disconnect: bool = False,
        delay_s: float = 0.0,
        throttle_s: float = 0.0,
        times: int = 1,
        topic: Optional[str] = None,
    ) -> None: ...
    def inject_parts(self, **parts: Union[str, int]) -> None: ...
    def inject_random(self, seed: int, one_in: int = 20) -> None: ...
    def node(self, id: int, what: str) -> None: ...
    def heal(self) -> None: ...
    def leader(self, topic: str, partition: int) -> Optional[int]: ...
    def wait_until_in_sync(self, timeout_s: float = 10.0) -> bool: ...
    def clear_faults(self) -> None: ...
    def set_user(self, name: str, password: str) -> None: ...
    def log_end_offset(self, topic: str, partition: int) -> Optional[int]: ...
    def records(self, topic: str) -> List[Message]: ...

@final
class Admin:
    def __new__(
        cls,
        servers: str,
        config: Optional[Dict[str, str]] = None,
        token: Optional[_TokenFunction] = None,
    ) -> Self: ...
    def set_sasl_credentials(self, username: str, password: str) -> None: ...
    def describe_cluster(
        self, topics: Optional[List[str]] = None, timeout_s: float = 60.0
    ) -> Dict[str, Any]: ...
    def create_topic(
        self,
        name: str,
        partitions: Optional[int] = None,
        replication: Optional[int] = None,
        config: Optional[Dict[str, str]] = None,
        timeout_s: float = 60.0,
        validate_only: bool = False,
    ) -> None: ...
    def create_partitions(
        self, name: str, count: int, timeout_s: float = 60.0, validate_only: bool = False
    ) -> None: ...
    def describe_configs(
        self, name: str, is_broker: bool = False, timeout_s: float = 60.0
    ) -> List[
        Tuple[str, Optional[str], int, bool, bool, List[Tuple[str, Optional[str], int]]]
    ]: ...
    def alter_configs(
        self,
        name: str,
        is_broker: bool,
        changes: Sequence[Tuple[str, int, Optional[str]]],
        timeout_s: float = 60.0,
        validate_only: bool = False,
    ) -> None: ...
    def delete_topic(self, name: str, timeout_s: float = 60.0) -> None: ...

def _register(
    kafka_error: Any, kafka_exception: Any, delivery_error: Any, send_error: Any
) -> None: ...
def known_settings() -> List[List[str]]: ...
def warnings_of(config: Dict[str, str]) -> List[Tuple[str, str]]: ...
def murmur2(key: bytes, partition_count: int) -> int: ...
def consistent(key: bytes, partition_count: int) -> int: ...
def fnv1a(key: bytes, partition_count: int) -> int: ...
