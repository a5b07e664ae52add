"""``SerializingProducer``: a producer of objects."""

from __future__ import annotations

from types import GenericAlias
from typing import Any, Callable, Dict, Optional

from .errors import KeySerializationError, ValueSerializationError
from .producer import Producer
from .serialization import Headers, MessageField, SerializationContext


class SerializingProducer(Producer):
    """A producer whose ``key.serializer`` and ``value.serializer`` turn objects into bytes."""

    # ``SerializingProducer[str, User](…)``: the original's takes the types of keys and values.
    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self, conf: Dict[str, Any]) -> None:
        rest = dict(conf)
        self._key_serializer: Optional[Callable[..., Any]] = rest.pop("key.serializer", None)
        self._value_serializer: Optional[Callable[..., Any]] = rest.pop("value.serializer", None)
        super().__init__(rest)

    def produce(  # type: ignore[override]
        self,
        topic: str,
        key: Any = None,
        value: Any = None,
        partition: int = -1,
        on_delivery: Optional[Callable[..., Any]] = None,
        timestamp: int = 0,
        headers: Headers = None,
    ) -> None:
        """As ``Producer.produce``, of objects; the key comes before the value here."""
        # Serializers may register schemas: not for what cannot be sent.
        self._check_open()
        if not isinstance(topic, str):
            raise TypeError(f"topic must be a str, not {type(topic).__name__}")
        context = SerializationContext(topic, MessageField.KEY, headers)
        if self._key_serializer is not None:
            try:
                key = self._key_serializer(key, context)
            except Exception as raised:
                raise KeySerializationError(raised) from raised
        context.field = MessageField.VALUE
        if self._value_serializer is not None:
            try:
                value = self._value_serializer(value, context)
            except Exception as raised:
                raise ValueSerializationError(raised) from raised
        super().produce(
            topic,
            value,
            key,
            headers=headers,
            partition=partition,
            timestamp=timestamp,
            on_delivery=on_delivery,
        )
