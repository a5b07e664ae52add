"""``Producer``: the surface of ``confluent_kafka.Producer``, name for name."""

from __future__ import annotations

import atexit
import json
import logging
import sys
import time
import weakref
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from . import _config, _native, _security, _tokens
from ._model import ThrottleEvent
from ._servers import Servers, logs_to
from .admin import ClusterMetadata, describe
from .errors import KafkaError, KafkaException

_alive: "weakref.WeakSet[Producer]" = weakref.WeakSet()


class Producer(_native.ProducerBase):
    """Sends records. Outcomes are told to callbacks, by :meth:`poll`, :meth:`flush` and
    :meth:`close`.

    ``Producer({"bootstrap.servers": "localhost:9092"})``: settings have the names that librdkafka
    or Java give them, and librdkafka's defaults.
    """

    _has_warned = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = _config.read(_config.merged(args, kwargs))
        self._settings = settings
        self._started_at = time.time()
        self._log = logs_to(settings.logger, settings.native["client.id"])
        self._servers = Servers(settings.callbacks.get("error_cb"), self._log)
        try:
            self._start(
                settings.native,
                on_delivery=settings.on_delivery,
                on_server=self._servers.told if self._wants_server_events() else None,
                on_throttle=self._throttled if "throttle_cb" in settings.callbacks else None,
                on_tick=self._tell_statistics if "stats_cb" in settings.callbacks else None,
                tick_s=settings.statistics_interval_s,
                only_errors=settings.only_errors,
                queue_max_messages=settings.queue_max_messages,
                topic_wait_ms=settings.topic_wait_ms,
                token=_tokens.first_of_callback(settings.callbacks, settings.native),
            )
        except _native.ConfigRefused as raised:
            raise _config.refusal(raised.args, settings.native) from None
        finally:
            settings.native = _security.public(settings.native)
        if settings.debug:
            told = ", ".join(f"{name}={text}" for name, text in sorted(settings.native.items()))
            self._log(logging.DEBUG, "INIT", f"ottla {_native.VERSION} initialized: {told}")
        _alive.add(self)

    def _wants_server_events(self) -> bool:
        wanted = {"error_cb", "stats_cb"} & self._settings.callbacks.keys()
        return bool(wanted) or self._settings.logger is not None

    def _throttled(self, broker: str, node: int, seconds: float) -> None:
        self._settings.callbacks["throttle_cb"](ThrottleEvent(broker, node, seconds))

    def _tell_statistics(self) -> None:
        self._settings.callbacks["stats_cb"](json.dumps(self._statistics()))

    def _statistics(self) -> Dict[str, Any]:
        told = self._metrics()
        now = time.time()
        client = self._settings.native["client.id"]
        return {
            "name": f"{client}#producer-{id(self):x}",
            "client_id": client,
            "type": "producer",
            "ts": time.monotonic_ns() // 1000,
            "time": int(now),
            "age": int((now - self._started_at) * 1_000_000),
            "replyq": 0,
            "msg_cnt": told["queue_length"],
            "msg_size": told["buffer_total_bytes"] - told["buffer_available_bytes"],
            "msg_max": self._settings.queue_max_messages,
            "msg_size_max": told["buffer_total_bytes"],
            "tx": told["requests_sent"],
            "tx_bytes": told["batch_bytes_sent"],
            "txmsgs": told["records_delivered"],
            "txmsg_bytes": told["batch_bytes_sent"],
            "brokers": {server: self._broker(server) for server in sorted(self._servers.known)},
            "topics": {topic: {"topic": topic} for topic in self._topics()},
            "ottla": told,
        }

    def _broker(self, server: str) -> Dict[str, Any]:
        state = "DOWN" if server in self._servers.down else "UP"
        return {"name": server, "nodename": server, "state": state}

    def list_topics(self, topic: Optional[str] = None, timeout: float = -1) -> ClusterMetadata:
        """Brokers, topics and partitions of the cluster; of one topic only, if it is named."""
        servers = self._settings.native["bootstrap.servers"]
        return describe(self._admin(servers), servers, topic, timeout)

    def cluster_id(self, timeout: float = -1) -> Optional[str]:
        """The id that the cluster has given itself."""
        return self.list_topics(timeout=timeout).cluster_id

    def init_transactions(self, timeout: float = -1) -> NoReturn:
        """Transactions are not part of this version."""
        self._no_transactions()

    def begin_transaction(self) -> NoReturn:
        """Transactions are not part of this version."""
        self._no_transactions()

    def send_offsets_to_transaction(
        self, positions: List[Any], group_metadata: object, timeout: float = -1
    ) -> NoReturn:
        """Transactions are not part of this version."""
        self._no_transactions()

    def commit_transaction(self, timeout: float = -1) -> NoReturn:
        """Transactions are not part of this version."""
        self._no_transactions()

    def abort_transaction(self, timeout: float = -1) -> NoReturn:
        """Transactions are not part of this version."""
        self._no_transactions()

    def _check_open(self) -> None:
        if not self._is_open():
            # Says why: closed, never started, or of another process.
            self._metrics()

    def _no_transactions(self) -> NoReturn:
        self._check_open()
        text = "The Transactional API requires transactional.id to be configured"
        raise KafkaException(KafkaError(KafkaError._NOT_CONFIGURED, text))  # type: ignore[attr-defined]

    def __enter__(self) -> "Producer":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __del__(self) -> None:
        # What was accepted is still sent, while the program runs; nobody will be told.
        self._warn_of_what_is_left("a producer is dropped")

    def _warn_of_what_is_left(self, what: str) -> None:
        left = 0 if self._has_warned else len(self)
        self._has_warned = True
        if left > 0:
            print(
                f"ottla: {what} with {left} records not delivered or not reported; "
                "call flush() or close() before that",
                file=sys.stderr,
            )

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("a producer cannot be pickled: make one in each process")


def _warn_of_what_is_left() -> None:
    for producer in list(_alive):
        producer._warn_of_what_is_left("the program ends")


atexit.register(_warn_of_what_is_left)
