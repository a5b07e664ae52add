"""What programs import from ``confluent_kafka.aio``."""

from typing import Any

from ottla.aio import AIOProducer as AIOProducer

from ... import _original


def __getattr__(name: str) -> Any:
    theirs = _original.module("aio")
    if not name.startswith("__"):
        if theirs is not None:
            return getattr(theirs, name)
        if name == "AIOConsumer":
            return _original.missing(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
