"""What programs import from ``confluent_kafka.serializing_producer``."""

from ottla import SerializingProducer as SerializingProducer
