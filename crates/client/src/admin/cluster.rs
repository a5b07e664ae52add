//! The cluster as a whole: its brokers, and its topics with what is wrong with each.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};

use super::{Admin, Operations, RequestError};

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its id, where it has one.
    pub cluster_id: Option<String>,
    /// The broker that changes topics; `None` while there is none.
    pub controller: Option<i32>,
    /// The brokers that are alive, by id.
    pub brokers: Vec<BrokerDescription>,
    /// The topics that were asked for, by name.
    pub topics: Vec<TopicState>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokerDescription {
    /// Its node id.
    pub id: i32,
    /// Its host, as clients are to use it.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its rack.
    pub rack: Option<String>,
}

/// A topic, or why nothing is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub error: Option<ErrorCode>,
    /// Whether the cluster keeps it for itself.
    pub is_internal: bool,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionState>,
    /// What this client may do with it, where the broker tells and the topic was asked for by name.
    pub operations: Option<Operations>,
}

/// A partition as metadata tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionState {
    /// Its number.
    pub partition: i32,
    /// What is wrong with it.
    pub error: Option<ErrorCode>,
    /// Its leader's node id.
    pub leader: Option<i32>,
    /// The nodes that have a copy.
    pub replicas: Vec<i32>,
    /// Those whose copy is up to date.
    pub isr: Vec<i32>,
    /// Those that are down.
    pub offline_replicas: Vec<i32>,
}

impl Admin {
    /// Describes the cluster, with all topics or only these.
    ///
    /// # Errors
    /// When no answer comes. What is wrong with a topic is told with it.
    pub async fn describe_cluster(
        &mut self,
        topics: Option<&[&str]>,
    ) -> Result<ClusterDescription, RequestError> {
        let response = self.brokers.metadata_with_operations(topics).await?;
        let broker = |broker: MetadataResponseBroker| BrokerDescription {
            id: broker.node_id,
            host: broker.host,
            port: broker.port,
            rack: broker.rack,
        };
        let mut brokers: Vec<_> = response.brokers.into_iter().map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        let mut topics: Vec<_> = response.topics.into_iter().filter_map(topic).collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(ClusterDescription {
            cluster_id: response.cluster_id,
            controller: Some(response.controller_id).filter(|id| *id >= 0),
            brokers,
            topics,
        })
    }
}

fn error(code: i16) -> Option<ErrorCode> {
    Some(ErrorCode(code)).filter(|code| !code.is_ok())
}

fn topic(topic: MetadataResponseTopic) -> Option<TopicState> {
    let partition = |partition: MetadataResponsePartition| PartitionState {
        partition: partition.partition_index,
        error: error(partition.error_code),
        leader: Some(partition.leader_id).filter(|id| *id >= 0),
        replicas: partition.replica_nodes,
        isr: partition.isr_nodes,
        offline_replicas: partition.offline_replicas,
    };
    let mut partitions: Vec<_> = topic.partitions.into_iter().map(partition).collect();
    partitions.sort_by_key(|partition| partition.partition);
    Some(TopicState {
        name: topic.name?,
        error: error(topic.error_code),
        is_internal: topic.is_internal,
        partitions,
        operations: Operations::told(topic.topic_authorized_operations),
    })
}
