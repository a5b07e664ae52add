//! Describing a topic.

use ottla_protocol::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Admin, RequestError, RequestErrorKind};
use crate::wire::{EARLIEST, LATEST, list_offsets};

/// The resource type of a topic in DescribeConfigs.
const TOPIC_RESOURCE: i8 = 2;
/// The source of a setting that was made for this topic.
const FROM_TOPIC: i8 = 1;

/// Everything about a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; zero where the cluster has none.
    pub id: Uuid,
    /// Whether it belongs to the cluster itself.
    pub is_internal: bool,
    /// Its partitions by number.
    pub partitions: Vec<PartitionDescription>,
    /// The settings that were made for this topic; `None` when the broker does not tell.
    pub configs: Option<Vec<ConfigEntry>>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number.
    pub partition: i32,
    /// The node id of its leader, `None` when it has none.
    pub leader: Option<i32>,
    /// The version of its leadership, -1 where the cluster does not say.
    pub leader_epoch: i32,
    /// Node ids of the brokers that keep it.
    pub replicas: Vec<i32>,
    /// Those of them that are in sync.
    pub isr: Vec<i32>,
    /// Those of them that are offline.
    pub offline_replicas: Vec<i32>,
    /// The first offset that it holds, `None` when its leader does not answer.
    pub earliest_offset: Option<i64>,
    /// The offset that the next record will get, `None` when its leader does not answer.
    pub latest_offset: Option<i64>,
}

/// A setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its name, such as `retention.ms`.
    pub name: String,
    /// Its value, `None` when it is secret.
    pub value: Option<String>,
}

impl Admin {
    /// Describes a topic: its partitions with leaders, replicas and offsets, and its settings.
    ///
    /// # Errors
    /// When there is no such topic, or no answer comes.
    pub async fn describe_topic(&mut self, name: &str) -> Result<TopicDescription, RequestError> {
        let mut topic = self.topic_metadata(name).await?;
        topic.partitions.sort_by_key(|partition| partition.partition_index);
        let brokers = &mut self.brokers;
        let earliest = list_offsets(brokers, name, &topic.partitions, EARLIEST).await?;
        let latest = list_offsets(brokers, name, &topic.partitions, LATEST).await?;
        let partitions = topic.partitions.into_iter().map(|partition| {
            let index = partition.partition_index;
            let offset = |offsets: &std::collections::HashMap<_, Result<i64, ErrorCode>>| {
                offsets.get(&index).copied().and_then(Result::ok)
            };
            PartitionDescription {
                partition: index,
                leader: Some(partition.leader_id).filter(|leader| *leader >= 0),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes,
                isr: partition.isr_nodes,
                offline_replicas: partition.offline_replicas,
                earliest_offset: offset(&earliest),
                latest_offset: offset(&latest),
            }
        });
        Ok(TopicDescription {
            name: name.to_owned(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions: partitions.collect(),
            configs: self.topic_configs(name).await?,
        })
    }

    /// The settings made for a topic; `None` when the broker cannot or may not tell.
    async fn topic_configs(
        &mut self,
        name: &str,
    ) -> Result<Option<Vec<ConfigEntry>>, RequestError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: TOPIC_RESOURCE,
                resource_name: name.to_owned(),
                configuration_keys: None,
            }],
            ..DescribeConfigsRequest::default()
        };
        let response = match self.brokers.any().await?.call(&request).await {
            Ok(response) => response,
            Err(error) if error.kind() == RequestErrorKind::Unsupported => return Ok(None),
            Err(error) => return Err(error),
        };
        let result = response.results.into_iter().find(|result| result.resource_name == name);
        let Some(result) = result.filter(|result| ErrorCode(result.error_code).is_ok()) else {
            return Ok(None);
        };
        let own = result.configs.into_iter().filter(|config| config.config_source == FROM_TOPIC);
        let entry =
            |config: ottla_protocol::messages::describe_configs::DescribeConfigsResourceResult| {
                ConfigEntry { name: config.name, value: config.value }
            };
        let mut configs: Vec<ConfigEntry> = own.map(entry).collect();
        configs.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(Some(configs))
    }
}
