"""``oauth_cb``: the program's own way to tokens."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import _codes, _security
from .errors import KafkaError, KafkaException

#: A token, when it ends in seconds since 1970, whom it is about, what is told beside it.
Token = Tuple[str, float, Optional[str], List[Tuple[str, str]]]

#: How long ``confluent_kafka`` has a constructor wait for the first token, in seconds.
_FIRST_S = 10.0
#: How long a coroutine may take on the program's loop, in seconds.
_COROUTINE_S = 60.0

_EXPECTED = "expected (token, expiry[, principal[, extensions]]) as the result of the function"


class Tokens:
    """Calls the program's function whenever the library wants a token, on its thread."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._first: Optional[Token] = None

    def __call__(self) -> Token:
        with self._lock:
            first, self._first = self._first, None
        return checked(self._function()) if first is None else first

    def wait_for_first(self) -> None:
        """Gets the first token, as ``confluent_kafka``'s constructors do."""
        failures: List[BaseException] = []

        def ask() -> None:
            try:
                first = checked(self._function())
            except BaseException as raised:
                failures.append(raised)
            else:
                with self._lock:
                    self._first = first

        thread = threading.Thread(target=ask, name="ottla-token", daemon=True)
        thread.start()
        thread.join(_FIRST_S)
        text = "OAuth token not set"
        if failures:
            raised = failures[0]
            raise _failed(f"{text}: {type(raised).__name__}: {raised}") from raised
        if thread.is_alive():
            raise _failed(f"{text} within {_FIRST_S:.0f} seconds timeout")


def of_callback(
    callbacks: Dict[str, Callable[..., Any]], native: Dict[str, str]
) -> Optional[Callable[[], Any]]:
    """``oauth_cb`` with the text of ``sasl.oauthbearer.config``, if that is how tokens are had."""
    callback = callbacks.get("oauth_cb")
    if callback is None or not _security.wants_tokens(native):
        return None
    config = native.get("sasl.oauthbearer.config")
    return lambda: callback(config)


def first_of_callback(
    callbacks: Dict[str, Callable[..., Any]], native: Dict[str, str]
) -> Optional[Tokens]:
    """As :func:`of_callback`, with the first token got already."""
    function = of_callback(callbacks, native)
    if function is None:
        return None
    tokens = Tokens(function)
    tokens.wait_for_first()
    return tokens


def from_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> Tokens:
    """Tokens of a function that may be a coroutine's, which is awaited on ``loop``."""

    def call() -> Any:
        told = function()
        if not asyncio.iscoroutine(told):
            return told
        try:
            future = asyncio.run_coroutine_threadsafe(told, loop)
        except RuntimeError:  # The loop is closed.
            told.close()
            raise
        return future.result(_COROUTINE_S)

    return Tokens(call)


def checked(told: Any) -> Token:
    """What the function gave, if it can be a token; no error shows it."""
    if not isinstance(told, tuple) or not 2 <= len(told) <= 4:
        raise TypeError(f"{_EXPECTED}, not {type(told).__name__}")
    value, expires, principal, extensions = (*told, None, None)[:4]
    if not isinstance(value, str):
        raise TypeError(f"{_EXPECTED}: the token must be a str, not {type(value).__name__}")
    if isinstance(expires, bool) or not isinstance(expires, (int, float)):
        raise TypeError(f"{_EXPECTED}: the expiry is in seconds since 1970")
    if principal is not None and not isinstance(principal, str):
        raise TypeError(f"{_EXPECTED}: the principal must be a str")
    pairs = list((extensions or {}).items()) if isinstance(extensions or {}, dict) else None
    if pairs is None or not all(isinstance(text, str) for pair in pairs for text in pair):
        raise TypeError(f"{_EXPECTED}: the extensions must be a dict of str to str")
    if expires <= time.time():
        raise ValueError(
            "the token has expired already: the second value is its end in seconds since 1970"
        )
    return value, float(expires), principal, pairs


def _failed(text: str) -> KafkaException:
    return KafkaException(KafkaError(_codes.CODES["SASL_AUTHENTICATION_FAILED"], text))
