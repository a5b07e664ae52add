"""``AIOProducer``, as ``confluent_kafka.aio`` has it: ``await`` gives a future, which gives the
message. Headers and timestamps work, and there is no pool of threads."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, Dict, Optional

from . import _config, _tokens
from ._async import AsyncProducer, Compatible
from ._native import Message, RecordMetadata
from ._servers import Servers, logs_to
from .admin import ClusterMetadata, describe
from .errors import ConfigError, KafkaError, KafkaException, RecordError
from .serialization import Headers


class AIOProducer:
    """A producer for asyncio with ``confluent_kafka``'s interface."""

    def __init__(
        self,
        producer_conf: Dict[str, Any],
        max_workers: int = 4,
        executor: Optional[object] = None,
        batch_size: int = 1000,
        buffer_timeout: float = 1.0,
    ) -> None:
        settings = _config.read(_config.merged((producer_conf,), {}))
        self._servers = settings.native["bootstrap.servers"]
        self._loop = asyncio.get_running_loop()
        error_cb = settings.callbacks.get("error_cb")
        # It holds nothing that leads back to this producer.
        told = Servers(
            error_cb and _on_the_loop(self._loop, error_cb),
            logs_to(settings.logger, settings.native["client.id"]),
        )
        compatible = Compatible(settings.topic_wait_ms, told.told)
        try:
            self._producer = AsyncProducer(
                settings.native,
                oauth_token=_tokens.of_callback(settings.callbacks, settings.native),
                _compatible=compatible,
            )
        except ConfigError as raised:
            raise _config.refusal((raised.key, raised.reason), settings.native) from None

    async def produce(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int = -1,
        on_delivery: Optional[object] = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> "asyncio.Future[Message]":
        """Takes a record; the future gives its message, or raises ``KafkaException``."""
        try:
            sent = self._producer.send(
                topic,
                value,
                key=key,
                partition=None if partition == -1 else partition,
                headers=headers,
                timestamp_ms=timestamp or None,
            )
        except RecordError as raised:
            raise _translated(raised) from raised
        told: "asyncio.Future[Message]" = self._loop.create_future()

        def done(sent: "asyncio.Future[RecordMetadata]") -> None:
            if told.done():
                return
            raised = sent.exception()
            if raised is None:
                told.set_result(_message(sent.result(), value, key, headers))
            elif isinstance(raised, RecordError):
                told.set_exception(_translated(raised))
            else:
                told.set_exception(raised)

        sent.add_done_callback(done)
        return told

    async def poll(self, timeout: float = 0) -> int:
        """Nothing is to be served: futures are told as outcomes come."""
        await asyncio.sleep(0)
        return 0

    async def flush(self, timeout: float = -1) -> int:
        """Waits until everything has its outcome; gives the number of records that have none."""
        try:
            await self._producer.flush(None if timeout < 0 else timeout)
        except asyncio.TimeoutError:
            pass
        return len(self._producer)

    async def purge(
        self, in_queue: bool = True, in_flight: bool = True, blocking: bool = True
    ) -> None:
        """Gives up records; their futures raise."""
        self._producer._core.purge(in_queue, in_flight)
        self._producer._core.drain()

    async def list_topics(
        self, topic: Optional[str] = None, timeout: float = -1
    ) -> ClusterMetadata:
        """As ``Producer.list_topics``."""
        admin = self._producer._core.admin(self._servers)
        return await self._loop.run_in_executor(
            None, describe, admin, self._servers, topic, timeout
        )

    async def set_sasl_credentials(self, username: str, password: str) -> None:
        """As ``Producer.set_sasl_credentials``."""
        self._producer.set_sasl_credentials(username, password)

    async def close(self) -> None:
        """Waits until everything has its outcome, and ends the producer."""
        await self._producer.close()

    def __len__(self) -> int:
        return len(self._producer)

    def __bool__(self) -> bool:
        return True

    async def __aenter__(self) -> "AIOProducer":
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()


def _on_the_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., Any]
) -> Callable[..., Any]:
    """Calls a function, on the loop's thread; what it gives to await is awaited by a task."""
    tasks: "set[asyncio.Task[Any]]" = set()

    def call(*arguments: Any) -> None:
        told = callback(*arguments)
        if asyncio.iscoroutine(told):
            task = loop.create_task(told)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return call


def _message(metadata: RecordMetadata, value: Any, key: Any, headers: Headers) -> Message:
    def as_bytes(given: Any) -> Optional[bytes]:
        return given.encode() if isinstance(given, str) else given

    return Message(
        topic=metadata.topic,
        partition=metadata.partition,
        offset=metadata.offset,
        key=as_bytes(key),
        value=as_bytes(value),
        headers=list(headers.items()) if isinstance(headers, dict) else headers,
        timestamp=(1, metadata.timestamp_ms),
    )


_CODES: Dict[str, str] = {
    "timeout": "_MSG_TIMED_OUT",
    "network": "_TRANSPORT",
    "unknown_topic": "_UNKNOWN_TOPIC",
    "unknown_partition": "_UNKNOWN_PARTITION",
    "authentication": "_AUTHENTICATION",
    "too_large": "MSG_SIZE_TOO_LARGE",
    "invalid_record": "INVALID_RECORD",
    "closed": "_DESTROY",
    "purged": "_PURGE_QUEUE",
}


def _translated(raised: RecordError) -> KafkaException:
    code = raised.code
    if code is None:
        code = getattr(KafkaError, _CODES.get(raised.kind, "_FAIL"))
    error = KafkaError(code, str(raised))
    error.outcome = raised.outcome
    return KafkaException(error)
