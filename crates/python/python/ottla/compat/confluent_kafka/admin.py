"""What producing programs import from ``confluent_kafka.admin``, where the original is not there."""

from ottla.admin import *  # noqa: F403
