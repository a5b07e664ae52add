"""The names that programs import from ``confluent_kafka``.

The producer's side is ours. Consumers, ``AdminClient`` and what goes with them come from the original,
where that is installed; without it, ``AdminClient`` is ours and the rest says so when it is used.
"""

import sys
from typing import Any

from ottla import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    OFFSET_STORED,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    ConcurrentModificationException,
    IllegalStateException,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    SerializingProducer,
    ThrottleEvent,
    TopicPartition,
    Uuid,
    consistent,
    fnv1a,
    libversion,
    murmur2,
)
from ottla._model import IsolationLevel, Node, TopicCollection, TopicPartitionInfo

from .. import _original

__version__ = "2.16.1"

#: Not ours, with or without the original.
_BORROWED = (
    "AcknowledgeType",
    "Consumer",
    "ConsumerGroupState",
    "ConsumerGroupTopicPartitions",
    "ConsumerGroupType",
    "DeserializingConsumer",
    "DeserializingShareConsumer",
    "ElectionType",
    "Messages",
    "ShareConsumer",
)

#: Ours, unless the original is there: its consumers take no other than its own.
_SHARED = ("IsolationLevel", "Node", "TopicCollection", "TopicPartition", "TopicPartitionInfo", "Uuid")

#: Modules that are the original's as a whole, where it is there.
_MODULES = ("admin", "serialization")

if _original.package is not None:
    for _name in _SHARED:
        globals()[_name] = getattr(_original.package, _name)
    for _name in _MODULES:
        _module = _original.module(_name)
        if _module is not None:
            sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _module


def version() -> str:
    """The version of ``confluent_kafka`` whose surface this is."""
    return __version__


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    if _original.package is not None:
        return getattr(_original.package, name)
    if name in _BORROWED:
        return globals().setdefault(name, _original.missing(name))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AcknowledgeType",
    "ConcurrentModificationException",
    "Consumer",
    "ConsumerGroupState",
    "ConsumerGroupTopicPartitions",
    "ConsumerGroupType",
    "DeserializingConsumer",
    "DeserializingShareConsumer",
    "ElectionType",
    "IllegalStateException",
    "IsolationLevel",
    "KafkaError",
    "KafkaException",
    "Message",
    "Messages",
    "Node",
    "OFFSET_BEGINNING",
    "OFFSET_END",
    "OFFSET_INVALID",
    "OFFSET_STORED",
    "Producer",
    "SerializingProducer",
    "ShareConsumer",
    "TIMESTAMP_CREATE_TIME",
    "TIMESTAMP_LOG_APPEND_TIME",
    "TIMESTAMP_NOT_AVAILABLE",
    "ThrottleEvent",
    "TopicCollection",
    "TopicPartition",
    "TopicPartitionInfo",
    "Uuid",
    "admin",
    "aio",
    "consistent",
    "fnv1a",
    "libversion",
    "murmur2",
    "version",
]

from . import admin as admin  # noqa: E402
from . import aio as aio  # noqa: E402
from . import cimpl as cimpl  # noqa: E402
from . import error as error  # noqa: E402
from . import serialization as serialization  # noqa: E402
