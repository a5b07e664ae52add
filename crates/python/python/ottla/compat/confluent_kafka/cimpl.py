"""What programs import from ``confluent_kafka.cimpl``."""

from ottla import *  # noqa: F403
from ottla.admin import NewTopic as NewTopic
