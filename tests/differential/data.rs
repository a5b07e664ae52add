//! Requests that several cases make: batches, Produce, Fetch, ListOffsets.

use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

use super::pair::Both;
use crate::common::Batch;

/// A topic by whatever a version names it by.
#[derive(Clone)]
pub struct Topic {
    pub name: String,
    pub id: Both<Uuid>,
}

impl Topic {
    pub fn unknown(name: String) -> Self {
        let id = Uuid([7; 16]);
        Self { name, id: Both { kafka: id, ours: id } }
    }

    /// Produce of these bytes to a partition.
    pub fn produce(&self, version: i16, partition: i32, bytes: Vec<u8>) -> Both<ProduceRequest> {
        self.produce_as(version, -1, None, &[(partition, Some(bytes))])
    }

    pub fn produce_batch(&self, version: i16, batch: &Batch) -> Both<ProduceRequest> {
        self.produce(version, 0, batch.encode())
    }

    pub fn produce_as(
        &self,
        version: i16,
        acks: i16,
        transactional_id: Option<&str>,
        partitions: &[(i32, Option<Vec<u8>>)],
    ) -> Both<ProduceRequest> {
        let data = |(index, bytes): &(i32, Option<Vec<u8>>)| PartitionProduceData {
            index: *index,
            records: bytes.clone().map(Into::into),
        };
        self.id.map(|id| ProduceRequest {
            transactional_id: transactional_id.map(str::to_owned),
            acks,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: if version < 13 { self.name.clone() } else { String::new() },
                topic_id: if version < 13 { Uuid::ZERO } else { *id },
                partition_data: partitions.iter().map(data).collect(),
            }],
        })
    }

    /// Fetch from an offset of the first partition, without waiting.
    pub fn fetch(&self, version: i16, offset: i64) -> Both<FetchRequest> {
        self.fetch_of(version, 0, |partition| partition.fetch_offset = offset)
    }

    pub fn fetch_of(
        &self,
        version: i16,
        partition: i32,
        change: impl Fn(&mut FetchPartition),
    ) -> Both<FetchRequest> {
        let mut partition =
            FetchPartition { partition, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        change(&mut partition);
        self.id.map(|id| FetchRequest {
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 1 << 20,
            topics: vec![FetchTopic {
                topic: if version < 13 { self.name.clone() } else { String::new() },
                topic_id: if version < 13 { Uuid::ZERO } else { *id },
                partitions: vec![partition.clone()],
            }],
            ..FetchRequest::default()
        })
    }

    /// The ends of two partitions.
    pub fn list_offsets_of_all(&self) -> ListOffsetsRequest {
        self.list_offsets(&[(0, -1), (1, -1)])
    }

    pub fn list_offsets(&self, rows: &[(i32, i64)]) -> ListOffsetsRequest {
        let row = |(partition_index, timestamp): &(i32, i64)| ListOffsetsPartition {
            partition_index: *partition_index,
            timestamp: *timestamp,
            ..ListOffsetsPartition::default()
        };
        ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: self.name.clone(),
                partitions: rows.iter().map(row).collect(),
            }],
            ..ListOffsetsRequest::default()
        }
    }
}
