"""What programs import from ``confluent_kafka.error``."""

from ottla import Message as Message
from ottla.errors import ConsumeError as ConsumeError
from ottla.errors import KafkaError as KafkaError
from ottla.errors import KafkaException as KafkaException
from ottla.errors import KeyDeserializationError as KeyDeserializationError
from ottla.errors import KeySerializationError as KeySerializationError
from ottla.errors import ProduceError as ProduceError
from ottla.errors import SerializationError as SerializationError
from ottla.errors import ValueDeserializationError as ValueDeserializationError
from ottla.errors import ValueSerializationError as ValueSerializationError

from .. import _original

_theirs = _original.module("error")
if _theirs is not None:
    # Raised by consumers only, and by serializers, which are the original's, too.
    for _name in (
        "ConsumeError",
        "KeyDeserializationError",
        "SerializationError",
        "ValueDeserializationError",
    ):
        globals()[_name] = getattr(_theirs, _name)
