"""What producing programs import from ``confluent_kafka.admin``."""

from ottla.admin import AdminClient as AdminClient
from ottla.admin import BrokerMetadata as BrokerMetadata
from ottla.admin import ClusterMetadata as ClusterMetadata
from ottla.admin import NewTopic as NewTopic
from ottla.admin import PartitionMetadata as PartitionMetadata
from ottla.admin import TopicMetadata as TopicMetadata
