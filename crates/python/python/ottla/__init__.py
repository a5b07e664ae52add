"""A Kafka producer: fast, and exact about what became of every record.

``Producer`` has the surface of ``confluent_kafka.Producer``; ``AsyncProducer`` is the native
interface for asyncio; ``Cluster`` is a broker inside the process, for tests.
"""

from typing import Tuple

from . import _native
from ._async import AsyncProducer
from ._model import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    OFFSET_STORED,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    ThrottleEvent,
    TopicPartition,
    Uuid,
)
from ._native import Cluster, Message, RecordMetadata, consistent, fnv1a, murmur2
from ._serializing import SerializingProducer
from .errors import (
    ConcurrentModificationException,
    ConfigError,
    DeliveryError,
    IllegalStateException,
    KafkaError,
    KafkaException,
    OttlaError,
    SendError,
)
from .producer import Producer

__version__: str = _native.VERSION


def version() -> str:
    """The version of this package."""
    return __version__


def libversion() -> Tuple[str, int]:
    """The version of librdkafka whose behaviour is followed."""
    return ("2.16.0", 0x021000FF)


__all__ = [
    "AsyncProducer",
    "Cluster",
    "ConcurrentModificationException",
    "ConfigError",
    "DeliveryError",
    "IllegalStateException",
    "KafkaError",
    "KafkaException",
    "Message",
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "OFFSET_STORED",
    "OttlaError",
    "Producer",
    "RecordMetadata",
    "SendError",
    "SerializingProducer",
    "TIMESTAMP_CREATE_TIME",
    "TIMESTAMP_LOG_APPEND_TIME",
    "TIMESTAMP_NOT_AVAILABLE",
    "ThrottleEvent",
    "TopicPartition",
    "Uuid",
    "consistent",
    "fnv1a",
    "libversion",
    "murmur2",
    "version",
]
