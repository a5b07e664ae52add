"""From a ``confluent_kafka`` configuration to the library's settings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Tuple

from . import _native, _security
from .errors import KafkaError, KafkaException

#: What librdkafka does where nothing is set.
_COMPATIBLE_DEFAULTS: Dict[str, str] = {
    "acks": "all",
    "batch.size": "1000000",
    "client.id": "rdkafka",
    "compression.type": "none",
    "delivery.timeout.ms": "300000",
    "enable.idempotence": "false",
    "linger.ms": "5",
    "max.in.flight.requests.per.connection": "1000000",
    "max.request.size": "1000000",
    "partitioner": "consistent_random",
    "buffer.memory": str(1 << 30),
    "socket.connection.setup.timeout.ms": "30000",
}

#: Other names of settings that have a default here.
_ALIASES: Dict[str, str] = {
    "request.required.acks": "acks",
    "compression.codec": "compression.type",
    "message.timeout.ms": "delivery.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "message.max.bytes": "max.request.size",
    "queue.buffering.max.kbytes": "buffer.memory",
    "metadata.broker.list": "bootstrap.servers",
    "message.send.max.retries": "retries",
}

#: Settings of librdkafka that have nothing to change here.
_WITHOUT_EFFECT: FrozenSet[str] = frozenset(
    """
    api.version.fallback.ms broker.address.ttl builtin.features enabled_events
    internal.termination.signal
    log.queue opaque open_cb plugin.library.paths produce.offset.report
    queuing.strategy socket.blocking.max.ms socket.max.fails test.mock.broker.rtt
    topic.blacklist topic.metadata.refresh.fast.cnt metadata.recovery.strategy
    ssl.engine.id closesocket_cb connect_cb socket_cb resolve_cb client.software.name
    client.software.version sasl.oauthbearer.metadata.authentication.type
    """.split()
)

#: Settings of consumers: a producer warns and goes on, as librdkafka's does.
_OF_CONSUMERS: FrozenSet[str] = frozenset(
    """
    group.id group.instance.id partition.assignment.strategy session.timeout.ms
    heartbeat.interval.ms group.protocol.type group.protocol group.remote.assignor
    coordinator.query.interval.ms max.poll.interval.ms enable.auto.commit auto.commit.interval.ms
    enable.auto.offset.store queued.min.messages queued.max.messages.kbytes fetch.wait.max.ms
    fetch.queue.backoff.ms fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes
    fetch.min.bytes fetch.error.backoff.ms offset.store.method isolation.level consume_cb
    rebalance_cb offset_commit_cb enable.partition.eof check.crcs auto.offset.reset
    auto.commit.enable consume.callback.max.messages
    """.split()
)

_CALLBACKS: Tuple[str, ...] = ("error_cb", "stats_cb", "throttle_cb", "oauth_cb")

#: The producer fails to find it, and says so, when nothing else was given to connect to.
_NOWHERE = "no-bootstrap-servers-configured.invalid:9092"

#: All names of each setting, by each of them.
_NAMES: Dict[str, List[str]] = {
    name: names for names in _native.known_settings() for name in names
}


@dataclass
class Settings:
    """What the constructor was given, sorted."""

    #: Passwords are among them until the producer is started.
    native: Dict[str, str] = field(default_factory=dict, repr=False)
    callbacks: Dict[str, Callable[..., Any]] = field(default_factory=dict)
    on_delivery: Optional[Callable[..., Any]] = None
    logger: Optional[Any] = None
    only_errors: bool = False
    debug: str = ""
    queue_max_messages: int = 100_000
    statistics_interval_s: float = 0.0

    @property
    def topic_wait_ms(self) -> int:
        """How long a record may wait for its topic to become known."""
        text = self.native["delivery.timeout.ms"]
        return int(text) if text.isdecimal() else 0  # The library says what is wrong.


def refused(text: str) -> KafkaException:
    """The exception for a setting that cannot be."""
    return KafkaException(KafkaError(KafkaError._INVALID_ARG, text))  # type: ignore[attr-defined]


def merged(args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> Dict[str, Any]:
    """The constructor's dict and keywords as one."""
    if len(args) > 1:
        raise TypeError("expected tuple containing single dict")
    if args and not isinstance(args[0], dict):
        raise TypeError("expected configuration dict")
    if not args and not kwargs:
        raise TypeError("expected configuration dict")
    config: Dict[str, Any] = dict(args[0]) if args else {}
    config.update(kwargs)
    of_topics = config.pop("default.topic.config", None)
    if of_topics is not None:
        if not isinstance(of_topics, dict):
            raise TypeError("expected default.topic.config to be a dict")
        config.update(of_topics)
    return config


def read(config: Dict[str, Any]) -> Settings:
    """Sorts a configuration; raises what ``confluent_kafka`` raises."""
    settings = Settings()
    rest: Dict[str, str] = {}
    for key, value in config.items():
        if not isinstance(key, str):
            raise TypeError(f"expected configuration property name as a str, not {key!r}")
        if key in _CALLBACKS:
            _take_callback(settings, key, value)
        elif key in ("on_delivery", "dr_cb", "dr_msg_cb"):
            if value is not None and not callable(value):
                raise refused(f"{key} requires a callable object")
            settings.on_delivery = value
        elif key == "logger":
            settings.logger = value
        elif value is not None:
            rest[key] = _text(key, value)
    _take_numbers(settings, rest)
    settings.native = _native_settings(rest)
    _security.warn(settings.native, stacklevel=4)
    return settings


def _take_callback(settings: Settings, key: str, value: Any) -> None:
    if value is None:
        return
    if not callable(value):
        kind = ValueError if key == "throttle_cb" else TypeError
        raise kind(f"expected {key} property as a callable function")
    settings.callbacks[key] = value


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        try:
            return value.decode()
        except UnicodeDecodeError:
            # Neither the value nor a part of it, and not by way of the first exception either.
            pass
        raise refused(f'Configuration property "{key}" is no text in UTF-8')
    text = str(value)
    return text.lower() if text in ("True", "False") else text


def _take_numbers(settings: Settings, rest: Dict[str, str]) -> None:
    only_errors = rest.pop("delivery.report.only.error", "false")
    settings.only_errors = only_errors.lower() in ("true", "1", "t")
    settings.debug = rest.pop("debug", "")
    most = rest.pop("queue.buffering.max.messages", None)
    if most is not None:
        count = _whole("queue.buffering.max.messages", most, 0, 2**31 - 1)
        settings.queue_max_messages = count or 2**62
    every = rest.pop("statistics.interval.ms", None)
    if every is not None:
        settings.statistics_interval_s = _whole("statistics.interval.ms", every, 0, 86_400_000) / 1000


def _whole(key: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise refused(f'Invalid value for configuration property "{key}": {text}') from None
    if not least <= number <= most:
        raise refused(
            f'Configuration property "{key}" value {number} is outside allowed range {least}..{most}'
        )
    return number


def _native_settings(rest: Dict[str, str]) -> Dict[str, str]:
    native: Dict[str, str] = {}
    for key, text in rest.items():
        if key in _OF_CONSUMERS:
            warnings.warn(
                f"Configuration property {key} is a consumer property and is ignored by a producer",
                RuntimeWarning,
                stacklevel=4,
            )
        elif key.endswith("_cb"):
            raise refused(f'Property "{key}" cannot be set by configuration')
        elif key == _security.METADATA_SERVICE and text != "none":
            raise refused(f'"{key}" {text} is not possible: fetch such tokens by oauth_cb')
        elif key in _WITHOUT_EFFECT:
            continue
        elif key not in _NAMES:
            raise refused(f'No such configuration property: "{key}"')
        else:
            native[_ALIASES.get(key, key)] = text
    _security.leave_out_unused(native)
    _say_as_the_library_does(native, rest)
    idempotent = native.get("enable.idempotence", "false").lower() in ("true", "1", "t")
    for key, text in _COMPATIBLE_DEFAULTS.items():
        if idempotent and key == "max.in.flight.requests.per.connection":
            text = "5"
        native.setdefault(key, text)
    protocol = _security.protocol_of(native)
    native["bootstrap.servers"] = servers(native.get("bootstrap.servers", _NOWHERE), protocol)
    _fit_timeouts(native, rest)
    return native


def _say_as_the_library_does(native: Dict[str, str], rest: Dict[str, str]) -> None:
    if "queue.buffering.max.kbytes" in rest and "buffer.memory" not in rest:
        kib = _whole("queue.buffering.max.kbytes", rest["queue.buffering.max.kbytes"], 1, 2**31 - 1)
        native["buffer.memory"] = str(max(kib, 64) << 10)
    if native.get("delivery.timeout.ms") == "0":
        # For ever, in librdkafka's words.
        native["delivery.timeout.ms"] = "86400000"
    if native.get("compression.type") == "inherit":
        del native["compression.type"]


def servers(text: str, protocol: str) -> str:
    """A list of servers as the library reads it: librdkafka's takes ``SASL_SSL://`` in front, and
    the port is 9092 where none is given."""

    def one(server: str) -> str:
        try:
            server = _security.without_protocol(server.strip(), protocol)
        except ValueError as raised:
            raise refused(f'Invalid value for configuration property "bootstrap.servers": {raised}')
        has_port = server.rpartition(":")[2].isdigit() and not server.endswith("]")
        return server if has_port or not server or ":" in server.strip("[]") else f"{server}:9092"

    return ",".join(one(server) for server in text.split(","))


def _fit_timeouts(native: Dict[str, str], rest: Dict[str, str]) -> None:
    """The library wants time for one request within the time for a record; librdkafka cuts the
    request's time instead."""
    native.setdefault("max.block.ms", native["delivery.timeout.ms"])
    names = ("request.timeout.ms", "socket.timeout.ms")
    requests = [native[name] for name in names if name in native] or ["30000"]
    try:
        record_ms, linger_ms = int(native["delivery.timeout.ms"]), float(native["linger.ms"])
        request_ms = min(int(request) for request in requests)
    except ValueError:
        return  # The library says what is wrong.
    if record_ms <= linger_ms:
        raise refused("`message.timeout.ms` must be greater than `linger.ms`")
    for name in names:
        native.pop(name, None)
    native["request.timeout.ms"] = str(max(1, min(request_ms, int(record_ms - linger_ms))))


def refusal(told: Tuple[Any, ...], native: Dict[str, str]) -> KafkaException:
    """What the library refuses, as ``confluent_kafka`` would say it, by the name that it was given
    with."""
    key, reason = told
    if key not in native:
        key = next((name for name in _NAMES.get(key, ()) if name in native), key)
    value = native.get(key, "")
    if value and not _security.is_secret(key):
        reason = f"{value} ({reason})"
    return refused(f'Invalid value for configuration property "{key}": {reason}')
