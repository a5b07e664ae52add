//! Asking the leaders of a topic's partitions for offsets.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::metadata::MetadataResponsePartition;
use tokio::time::sleep;

use super::brokers::Brokers;
use super::error::RequestError;

/// Stands for the first offset that a partition holds.
pub(crate) const EARLIEST: i64 = -2;
/// Stands for the offset that the next record will get.
pub(crate) const LATEST: i64 = -1;

/// Partitions whose leader is only just becoming one are asked again, so often and with this wait.
const ATTEMPTS: usize = 20;
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// The offset that each partition gives for `timestamp`: [`EARLIEST`], [`LATEST`], or that of the
/// first record at or after a time. A partition without a leader has an error for an answer.
///
/// # Errors
/// When a leader cannot be asked.
pub(crate) async fn list_offsets(
    brokers: &mut Brokers,
    topic: &str,
    partitions: &[MetadataResponsePartition],
    timestamp: i64,
) -> Result<HashMap<i32, Result<i64, ErrorCode>>, RequestError> {
    let mut offsets = HashMap::new();
    for attempt in 1..=ATTEMPTS {
        let open = partitions.iter().filter(|partition| {
            matches!(offsets.get(&partition.partition_index), None | Some(Err(_)))
        });
        let open: Vec<&MetadataResponsePartition> = open.collect();
        ask_leaders(brokers, topic, &open, timestamp, &mut offsets).await?;
        let retriable = |offset: &Result<i64, ErrorCode>| {
            matches!(offset, Err(code)
            if code.is_retriable() && *code != ErrorCode::LEADER_NOT_AVAILABLE)
        };
        if attempt == ATTEMPTS || !offsets.values().any(retriable) {
            break;
        }
        sleep(RETRY_WAIT).await;
    }
    Ok(offsets)
}

async fn ask_leaders(
    brokers: &mut Brokers,
    topic: &str,
    partitions: &[&MetadataResponsePartition],
    timestamp: i64,
    offsets: &mut HashMap<i32, Result<i64, ErrorCode>>,
) -> Result<(), RequestError> {
    let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for partition in partitions {
        let partition_index = partition.partition_index;
        if partition.leader_id < 0 {
            offsets.insert(partition_index, Err(ErrorCode::LEADER_NOT_AVAILABLE));
            continue;
        }
        by_leader.entry(partition.leader_id).or_default().push(ListOffsetsPartition {
            partition_index,
            timestamp,
            ..ListOffsetsPartition::default()
        });
    }
    for (leader, partitions) in by_leader {
        let topics = vec![ListOffsetsTopic { name: topic.to_owned(), partitions }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let response = brokers.link(leader).await?.call(&request).await?;
        let answers = response.topics.into_iter().filter(|answer| answer.name == topic);
        for answer in answers.flat_map(|answer| answer.partitions) {
            let offset = ErrorCode(answer.error_code).ok().map(|()| answer.offset);
            offsets.insert(answer.partition_index, offset);
        }
    }
    Ok(())
}
