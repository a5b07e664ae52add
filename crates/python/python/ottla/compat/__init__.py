"""Runs programs that were written for ``confluent_kafka``.

``python -m ottla.compat script.py`` runs a script unchanged. In a program of your own,
``import ottla.compat.confluent_kafka as confluent_kafka`` will do, or :func:`install`.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Optional

_MODULES = ("", ".admin", ".aio", ".cimpl", ".error", ".serialization", ".serializing_producer")
_OURS = "ottla.compat.confluent_kafka"


def install() -> None:
    """From now on ``import confluent_kafka`` means this package. What it has not (the Schema
    Registry's clients and serializers, say) comes from the original, where that is installed."""
    original = _original_folder()
    ours = importlib.import_module(_OURS)
    if original is not None and str(original) not in ours.__path__:
        ours.__path__.append(str(original))
    for name in _MODULES:
        sys.modules["confluent_kafka" + name] = importlib.import_module(_OURS + name)


def _original_folder() -> Optional[Path]:
    if "confluent_kafka" in sys.modules:
        folder = Path(str(sys.modules["confluent_kafka"].__file__)).parent
        return None if folder == Path(__file__).parent / "confluent_kafka" else folder
    found = importlib.util.find_spec("confluent_kafka")
    return Path(found.origin).parent if found is not None and found.origin else None
