"""Serializers, as ``confluent_kafka.serialization`` has them."""

from __future__ import annotations

import struct
from typing import Any, Dict, List, Optional, Tuple, Union

from .errors import SerializationError as SerializationError

Headers = Union[None, Dict[str, Any], List[Tuple[str, Any]]]


class MessageField:
    """Which part of a message is serialized."""

    NONE = "none"
    KEY = "key"
    VALUE = "value"


class SerializationContext:
    """What a serializer may want to know besides the object."""

    def __init__(self, topic: str, field: str, headers: Headers = None) -> None:
        self.topic = topic
        self.field = field
        self.headers = headers


class Serializer:
    """Turns objects into bytes: a callable ``(obj, ctx) -> bytes``."""

    def __call__(self, obj: Any, ctx: Optional[SerializationContext] = None) -> Optional[bytes]:
        raise NotImplementedError


class Deserializer:
    """Turns bytes into objects: a callable ``(data, ctx) -> object``."""

    def __call__(self, value: Optional[bytes], ctx: Optional[SerializationContext] = None) -> Any:
        raise NotImplementedError


class StringSerializer(Serializer):
    """Text, in UTF-8 unless another codec is named."""

    def __init__(self, codec: str = "utf_8") -> None:
        self.codec = codec

    def __call__(self, obj: Any, ctx: Optional[SerializationContext] = None) -> Optional[bytes]:
        if obj is None:
            return None
        try:
            return bytes(obj.encode(self.codec))
        except (AttributeError, UnicodeEncodeError) as raised:
            raise SerializationError(str(raised)) from raised


class StringDeserializer(Deserializer):
    """Text, in UTF-8 unless another codec is named."""

    def __init__(self, codec: str = "utf_8") -> None:
        self.codec = codec

    def __call__(self, value: Optional[bytes], ctx: Optional[SerializationContext] = None) -> Any:
        if value is None:
            return None
        try:
            return value.decode(self.codec)
        except UnicodeDecodeError as raised:
            raise SerializationError(str(raised)) from raised


def _packed(form: str, obj: Any) -> Optional[bytes]:
    if obj is None:
        return None
    try:
        return struct.pack(form, obj)
    except struct.error as raised:
        raise SerializationError(str(raised)) from raised


def _unpacked(form: str, value: Optional[bytes]) -> Any:
    if value is None:
        return None
    try:
        return struct.unpack(form, value)[0]
    except struct.error as raised:
        raise SerializationError(str(raised)) from raised


class IntegerSerializer(Serializer):
    """32 bits, highest byte first."""

    def __call__(self, obj: Any, ctx: Optional[SerializationContext] = None) -> Optional[bytes]:
        return _packed(">i", obj)


class IntegerDeserializer(Deserializer):
    """32 bits, highest byte first."""

    def __call__(self, value: Optional[bytes], ctx: Optional[SerializationContext] = None) -> Any:
        return _unpacked(">i", value)


class DoubleSerializer(Serializer):
    """IEEE 754 in 64 bits, highest byte first."""

    def __call__(self, obj: Any, ctx: Optional[SerializationContext] = None) -> Optional[bytes]:
        return _packed(">d", obj)


class DoubleDeserializer(Deserializer):
    """IEEE 754 in 64 bits, highest byte first."""

    def __call__(self, value: Optional[bytes], ctx: Optional[SerializationContext] = None) -> Any:
        return _unpacked(">d", value)
