"""The original ``confluent_kafka``, where it is installed: consumers come from there."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Dict, Optional

from ottla.errors import make_akin

NAME = "confluent_kafka"
_WANTED = ("admin", "aio", "error", "serialization")
_modules: Dict[str, ModuleType] = {}


def _load() -> Optional[ModuleType]:
    try:
        package = importlib.import_module(NAME)
        # While the name means the original.
        _modules.update((name, importlib.import_module(f"{NAME}.{name}")) for name in _WANTED)
        # Its error classes are needed; its extension may not load here.
        serialization = _modules["serialization"].SerializationError
        make_akin(package.cimpl.KafkaError, package.cimpl.KafkaException, serialization)
    except (ImportError, AttributeError):
        _modules.clear()
        return None
    return package


package = _load()


def module(name: str) -> Optional[ModuleType]:
    """A module of the original, such as ``admin``."""
    return _modules.get(name)


def missing(name: str) -> type:
    """Stands for a class that is not ours, where the original is not installed: it can be
    imported, and says so when it is used."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise NotImplementedError(
            f"ottla has no {name}: it is a producer. Install confluent-kafka beside it, and "
            f"{name} comes from there."
        )

    return type(name, (), {"__init__": refuse, "__doc__": f"{name}: not part of ottla."})
