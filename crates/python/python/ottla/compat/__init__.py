"""Runs programs that were written for ``confluent_kafka``.

``python -m ottla.compat script.py`` runs a script unchanged, ``python -m ottla.compat -m module`` a
module. In a program of your own, ``import ottla.compat.confluent_kafka as confluent_kafka`` will do,
or :func:`install`.
"""

from __future__ import annotations

import importlib
import sys

from . import _original

_OURS = "ottla.compat.confluent_kafka"
_MODULES = ("", ".admin", ".aio", ".cimpl", ".error", ".serialization", ".serializing_producer")


def install() -> None:
    """From now on ``import confluent_kafka`` means this package. What it has not (consumers, the
    Schema Registry's clients and serializers) comes from the original, where that is installed."""
    ours = importlib.import_module(_OURS)
    for name in _MODULES:
        sys.modules[_original.NAME + name] = importlib.import_module(_OURS + name)
    if _original.package is not None:
        for folder in _original.package.__path__:
            if folder not in ours.__path__:
                ours.__path__.append(folder)
