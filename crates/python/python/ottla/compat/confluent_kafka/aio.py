"""What producing programs import from ``confluent_kafka.aio``."""

from ottla.aio import AIOProducer as AIOProducer
