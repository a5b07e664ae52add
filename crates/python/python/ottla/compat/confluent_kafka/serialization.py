"""What programs import from ``confluent_kafka.serialization``."""

from ottla.serialization import *  # noqa: F403
from ottla.serialization import SerializationError as SerializationError
