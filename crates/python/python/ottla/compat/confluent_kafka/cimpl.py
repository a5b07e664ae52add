"""What programs import from ``confluent_kafka.cimpl``."""

from typing import Any

from ottla import *  # noqa: F403
from ottla.admin import NewPartitions as NewPartitions
from ottla.admin import NewTopic as NewTopic

from .. import _original

if _original.package is not None:
    _theirs = _original.package.cimpl
    for _name in ("NewPartitions", "NewTopic", "TopicPartition", "Uuid"):
        globals()[_name] = getattr(_theirs, _name)


def __getattr__(name: str) -> Any:
    if name.startswith("__") or _original.package is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_original.package.cimpl, name)
