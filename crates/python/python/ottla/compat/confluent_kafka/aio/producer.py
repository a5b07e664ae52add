"""What programs import from ``confluent_kafka.aio.producer``."""

from ottla.aio import AIOProducer as AIOProducer
