"""``AsyncProducer``: the native interface for asyncio."""

from __future__ import annotations

import asyncio
import os
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

from . import _native, _security, _tokens
from ._native import RecordMetadata
from .errors import ConfigError, DeliveryError, OttlaError
from .serialization import Headers

Bytes = Union[None, str, bytes, bytearray, memoryview]
Partitioner = Callable[[str, Optional[bytes], Optional[bytes], int], int]
Serializer = Callable[[Any], Bytes]


class Compatible(NamedTuple):
    """What ``AIOProducer`` does otherwise."""

    topic_wait_ms: int
    on_server: Callable[[str, Optional[str], int], None]


class AsyncProducer:
    """Sends records from an event loop.

    Settings have Java's or librdkafka's names, with ``_`` for ``.`` as keywords:
    ``AsyncProducer(bootstrap_servers="localhost:9092", linger_ms=20)``. The defaults are the
    library's own: idempotent, ``acks=all``, lz4.

    ::

        async with AsyncProducer(bootstrap_servers="localhost:9092") as producer:
            metadata = await producer.send("user-events", b"signed_in", key=b"amara-1000")
            print(metadata.partition, metadata.offset)

    ``oauth_token``, a function or a coroutine function, gives tokens for OAUTHBEARER as
    ``(token, expiry in seconds since 1970[, principal[, dict of extensions]])``. A function is
    called on another thread, a coroutine runs on the loop.
    """

    _closed = True

    def __init__(
        self,
        config: Optional[Dict[str, Any]] = None,
        *,
        partitioner: Optional[Partitioner] = None,
        key_serializer: Optional[Serializer] = None,
        value_serializer: Optional[Serializer] = None,
        oauth_token: Optional[Callable[[], Any]] = None,
        _compatible: Optional[Compatible] = None,
        **settings: Any,
    ) -> None:
        loop = asyncio.get_running_loop()
        named = {name.replace("_", "."): value for name, value in settings.items()}
        merged = {**(config or {}), **named}
        texts = {name: _text(value) for name, value in merged.items() if value is not None}
        _security.warn(texts, stacklevel=3)
        self._loop = loop
        self._key_serializer = key_serializer
        self._value_serializer = value_serializer
        self._signal, writer = os.pipe()
        os.set_blocking(self._signal, False)
        os.set_blocking(writer, False)
        try:
            self._core = _native.AsyncCore(
                texts,
                loop.create_future,
                writer,
                partitioner,
                topic_wait_ms=_compatible.topic_wait_ms if _compatible else None,
                on_server=_compatible.on_server if _compatible else None,
                token=oauth_token and _tokens.from_loop(loop, oauth_token),
            )
        except _native.ConfigRefused as raised:
            os.close(self._signal)
            raise ConfigError(*raised.args) from None
        self._closed = False
        loop.add_reader(self._signal, self._drain)

    def _drain(self) -> None:
        try:
            os.read(self._signal, 4096)
        except BlockingIOError:
            pass
        self._core.drain()

    def send(
        self,
        topic: str,
        value: Any = None,
        *,
        key: Any = None,
        partition: Optional[int] = None,
        headers: Headers = None,
        timestamp_ms: Optional[int] = None,
    ) -> "asyncio.Future[RecordMetadata]":
        """Sends a record; await the result for where it is.

        Raises :class:`SendError` at once if the record cannot be accepted; the future raises
        :class:`DeliveryError` if it was accepted and not delivered.
        """
        if self._closed:
            raise OttlaError("the producer is closed")
        if self._key_serializer is not None:
            key = self._key_serializer(key)
        if self._value_serializer is not None:
            value = self._value_serializer(value)
        return self._core.send(topic, value, key, partition, timestamp_ms, headers)

    async def send_many(
        self,
        topic: str,
        values: Iterable[Any],
        *,
        keys: Optional[Sequence[Any]] = None,
    ) -> List[Union[RecordMetadata, DeliveryError]]:
        """Sends records and waits for all: what came of each, in their order."""
        each = iter(keys) if keys is not None else None
        futures = [
            self.send(topic, value, key=None if each is None else next(each)) for value in values
        ]
        if futures:
            await asyncio.wait(futures)
        return [_outcome(future) for future in futures]

    def __len__(self) -> int:
        return len(self._core)

    def __bool__(self) -> bool:
        return True

    async def flush(self, timeout: Optional[float] = None) -> None:
        """Sends what there is and waits until all of it has its outcome."""
        await self._when_done(close=False, timeout=timeout)

    def set_sasl_credentials(self, username: str, password: str) -> None:
        """Uses another name and password from the next authentication on: that of the next
        connection, or of the next renewal of a session."""
        self._core.set_sasl_credentials(username, password)

    async def close(self, timeout: Optional[float] = None) -> None:
        """Takes nothing more, waits until everything has its outcome, and ends the producer. What
        has none after ``timeout`` seconds is given up: its futures raise."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._when_done(close=True, timeout=timeout)
        except asyncio.TimeoutError:
            self._core.abort()
            self._core.drain()
        finally:
            self._loop.remove_reader(self._signal)
            os.close(self._signal)

    def _when_done(self, close: bool, timeout: Optional[float]) -> Awaitable[None]:
        future: "asyncio.Future[None]" = self._loop.create_future()
        self._core.flush_later(future, close)
        return asyncio.wait_for(future, timeout)

    def __del__(self) -> None:
        # Its loop is closed, or would still hold it.
        if not self._closed:
            os.close(self._signal)

    async def __aenter__(self) -> "AsyncProducer":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return value.decode()
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


def _outcome(future: "asyncio.Future[RecordMetadata]") -> Union[RecordMetadata, DeliveryError]:
    raised = future.exception()
    if raised is None:
        return future.result()
    if isinstance(raised, DeliveryError):
        return raised
    raise raised
