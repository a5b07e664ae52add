"""Errors: ``KafkaError`` and ``KafkaException`` as programs written for ``confluent_kafka`` know
them, and the native interface's own tree below ``OttlaError``."""

from __future__ import annotations

import builtins
from typing import Any, Literal, Optional, Tuple, Union

from . import _codes, _native

Outcome = Literal["not_persisted", "maybe_persisted"]


class _Akin(type):
    """``isinstance(error, KafkaError)`` holds for errors of the original ``confluent_kafka``, too,
    where programs use its consumers beside our producer (:func:`make_akin`)."""

    others: Tuple[type, ...] = ()

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or type(instance) in _Akin.others


class KafkaError(metaclass=_Akin):
    """What went wrong, by code. Compares equal to the code and to errors of the same code.

    ``outcome`` says of a record that failed whether it may be in the log: ``"not_persisted"``
    (sending it again cannot duplicate it) or ``"maybe_persisted"``.
    """

    __slots__ = ("_code", "_reason", "_fatal", "_retriable", "_abort", "outcome")

    def __init__(
        self,
        error: int,
        reason: Optional[builtins.str] = None,
        fatal: bool = False,
        retriable: bool = False,
        txn_requires_abort: bool = False,
    ) -> None:
        if isinstance(error, bool) or not isinstance(error, int):
            raise TypeError(f"error must be an int, not {type(error).__name__}")
        self._code = int(error)
        self._reason = reason
        self._fatal = bool(fatal)
        self._retriable = bool(retriable)
        self._abort = bool(txn_requires_abort)
        self.outcome: Optional[Outcome] = None

    def code(self) -> int:
        """The code: the broker's, or one of librdkafka's own below zero."""
        return self._code

    def name(self) -> builtins.str:
        """The code's name, such as ``_MSG_TIMED_OUT``."""
        return _codes.NAMES.get(self._code, f"ERR_{self._code}?")

    def str(self) -> builtins.str:
        """What went wrong, in words."""
        return self._reason if self._reason is not None else _codes.words(self._code)

    def fatal(self) -> bool:
        """Whether the producer cannot go on."""
        return self._fatal

    def retriable(self) -> bool:
        """Whether the same call may succeed later."""
        return self._retriable

    def txn_requires_abort(self) -> bool:
        """Whether the transaction has to be aborted."""
        return self._abort

    def __str__(self) -> builtins.str:
        fatal = "FATAL," if self._fatal else ""
        return f'KafkaError{{{fatal}code={self.name()},val={self._code},str="{self.str()}"}}'

    __repr__ = __str__

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return self._code

    def __eq__(self, other: object) -> bool:
        code = self._compared(other)
        return NotImplemented if code is None else self._code == code

    def __lt__(self, other: object) -> bool:
        code = self._compared(other)
        return NotImplemented if code is None else self._code < code

    def __le__(self, other: object) -> bool:
        code = self._compared(other)
        return NotImplemented if code is None else self._code <= code

    def __gt__(self, other: object) -> bool:
        code = self._compared(other)
        return NotImplemented if code is None else self._code > code

    def __ge__(self, other: object) -> bool:
        code = self._compared(other)
        return NotImplemented if code is None else self._code >= code

    @staticmethod
    def _compared(other: object) -> Optional[int]:
        if isinstance(other, KafkaError):
            return int(other.code())
        return other if isinstance(other, int) else None

    def __reduce__(self) -> Tuple[Any, ...]:
        arguments = (self._code, self._reason, self._fatal, self._retriable, self._abort)
        return (_restored, (arguments, self.outcome))


for _name, _code in _codes.CODES.items():
    setattr(KafkaError, _name, _code)


def _restored(arguments: Tuple[Any, ...], outcome: Optional[Outcome]) -> KafkaError:
    error = KafkaError(*arguments)
    error.outcome = outcome
    return error


class KafkaException(Exception):
    """Raised with a ``KafkaError`` as its first argument."""

    # Nothing of its own: the original's exception can then be made a subclass (make_akin).
    __slots__ = ()


def make_akin(error: type, exception: type, serialization: type) -> None:
    """Makes the original's error and exceptions known, so that ``isinstance(…, KafkaError)`` and
    ``except KafkaException`` mean those, too, and ``except SerializationError``, which is the
    original's then, means what our producer raises."""
    if error not in _Akin.others:
        _Akin.others += (error,)
        exception.__bases__ = (KafkaException,)
        for raised in (KeySerializationError, ValueSerializationError):
            raised.__bases__ += (serialization,)


class _RecordException(KafkaException):
    def __init__(
        self,
        kafka_error: KafkaError,
        exception: Optional[BaseException] = None,
        kafka_message: Optional[object] = None,
    ) -> None:
        super().__init__(kafka_error)
        self.exception = exception
        self.kafka_message = kafka_message

    @property
    def code(self) -> int:
        """The error's code."""
        return int(self.args[0].code())

    @property
    def name(self) -> str:
        """The error's name."""
        return str(self.args[0].name())


class SerializationError(KafkaException):
    """An object cannot be turned into bytes, or bytes into an object."""


class ConsumeError(_RecordException):
    """A message could not be consumed."""


class ProduceError(_RecordException):
    """A message could not be produced."""


class KeySerializationError(ProduceError, SerializationError):
    """A serializer failed with a key."""

    def __init__(self, exception: Optional[BaseException] = None) -> None:
        error = KafkaError(_codes.CODES["_KEY_SERIALIZATION"], str(exception))
        super().__init__(error, exception)


class ValueSerializationError(ProduceError, SerializationError):
    """A serializer failed with a value."""

    def __init__(self, exception: Optional[BaseException] = None) -> None:
        error = KafkaError(_codes.CODES["_VALUE_SERIALIZATION"], str(exception))
        super().__init__(error, exception)


class KeyDeserializationError(ConsumeError, SerializationError):
    """A deserializer failed with a key."""

    def __init__(
        self,
        exception: Optional[BaseException] = None,
        kafka_message: Optional[object] = None,
    ) -> None:
        error = KafkaError(_codes.CODES["_KEY_DESERIALIZATION"], str(exception))
        super().__init__(error, exception, kafka_message)


class ValueDeserializationError(ConsumeError, SerializationError):
    """A deserializer failed with a value."""

    def __init__(
        self,
        exception: Optional[BaseException] = None,
        kafka_message: Optional[object] = None,
    ) -> None:
        error = KafkaError(_codes.CODES["_VALUE_DESERIALIZATION"], str(exception))
        super().__init__(error, exception, kafka_message)


class IllegalStateException(Exception):
    """A call that does not fit the state of the object."""


class ConcurrentModificationException(RuntimeError):
    """An object was used by two threads that must not."""


class OttlaError(Exception):
    """Any error of the native interface."""


class ConfigError(OttlaError, ValueError):
    """A setting is unknown, out of range, or in contradiction to another."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


class RecordError(OttlaError):
    """A record is not in the log, or may not be. ``outcome`` says which."""

    def __init__(
        self,
        message: str,
        kind: str = "refused",
        outcome: Outcome = "not_persisted",
        code: Optional[int] = None,
        attempts: int = 0,
        broker: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.outcome: Outcome = outcome
        self.code = code
        self.attempts = attempts
        self.broker = broker

    @property
    def is_safe_to_resend(self) -> bool:
        """Whether sending the record again cannot duplicate it."""
        return self.outcome == "not_persisted"


class SendError(RecordError):
    """The record was not accepted; nothing was sent."""


class DeliveryError(RecordError):
    """The record was accepted, and not delivered."""


KafkaCode = Union[int, KafkaError]

_native._register(KafkaError, KafkaException, DeliveryError, SendError)
