//! A producer with a transactional id, and what readers see of its transactions.

use std::time::SystemTime;

use super::Batch;
use super::client::{Client, fetch_request, produce_request};
use ottla_broker::{Cluster, ErrorCode};
use ottla_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use ottla_protocol::messages::end_txn::EndTxnRequest;
use ottla_protocol::messages::fetch::{FetchRequest, FetchResponse, PartitionData};
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    OffsetFetchResponsePartitions,
};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::record::validate_batch;

pub const TOPIC: &str = "t";
pub const ID: &str = "tx";
pub const GROUP: &str = "g";
pub const MINUTE_MS: i32 = 60_000;

/// The version of transactions that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

pub use Version::{One, Two};

/// Markers have the time of the broker, and records much older than that are in other segments.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a time after 1970").as_millis() as i64
}

/// A producer with a transactional id, without any logic of its own.
pub struct Producer {
    pub client: Client,
    pub version: Version,
    pub id: i64,
    pub epoch: i16,
    /// The next sequence in each of four partitions.
    pub sequences: [i32; 4],
}

pub fn init(client: &mut Client, timeout_ms: i32, known: (i64, i16)) -> InitProducerIdResponse {
    let request = InitProducerIdRequest {
        transactional_id: Some(ID.to_owned()),
        transaction_timeout_ms: timeout_ms,
        producer_id: known.0,
        producer_epoch: known.1,
    };
    // What is left of another transaction is aborted first.
    let busy = ErrorCode::CONCURRENT_TRANSACTIONS.0;
    loop {
        let answer = client.call(5, &request);
        if answer.error_code != busy {
            return answer;
        }
    }
}

pub fn code(code: i16) -> ErrorCode {
    ErrorCode(code)
}

impl Producer {
    pub fn begin(client: Client, version: Version, timeout_ms: i32) -> Self {
        let mut client = client;
        let answer = init(&mut client, timeout_ms, (-1, -1));
        assert_eq!(code(answer.error_code), ErrorCode::NONE);
        let (id, epoch) = (answer.producer_id, answer.producer_epoch);
        Self { client, version, id, epoch, sequences: [0; 4] }
    }

    pub fn new(cluster: &Cluster, version: Version) -> Self {
        Self::begin(Client::connect(cluster), version, MINUTE_MS)
    }

    pub fn add(&mut self, partition: i32) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: ID.to_owned(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: TOPIC.to_owned(),
                partitions: vec![partition],
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.client.call(3, &request);
        let partition = &answer.results_by_topic_v3_and_below[0].results_by_partition[0];
        code(partition.partition_error_code)
    }

    pub fn write(&mut self, partition: i32, count: usize) -> ErrorCode {
        let version = if self.version == Two { 12 } else { 11 };
        let sequence = self.sequences[partition as usize];
        let batch = Batch {
            transactional: true,
            ..Batch::numbered(count).idempotent(self.id, self.epoch, sequence).at(unix_ms())
        };
        let mut request = produce_request(-1, TOPIC, partition, batch.encode());
        request.transactional_id = Some(ID.to_owned());
        let answer = self.client.call(version, &request);
        let answer = code(answer.responses[0].partition_responses[0].error_code);
        if answer == ErrorCode::NONE {
            self.sequences[partition as usize] += count as i32;
        }
        answer
    }

    /// Writes as a client of its version does.
    pub fn send(&mut self, partition: i32, count: usize) {
        if self.version == One {
            assert_eq!(self.add(partition), ErrorCode::NONE);
        }
        assert_eq!(self.write(partition, count), ErrorCode::NONE);
    }

    pub fn end(&mut self, committed: bool) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: ID.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = self.client.call(if self.version == Two { 5 } else { 4 }, &request);
        if self.version == Two && answer.error_code == 0 {
            if self.epoch != answer.producer_epoch {
                self.sequences = [0; 4];
            }
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
        }
        code(answer.error_code)
    }

    pub fn commit(&mut self) {
        assert_eq!(self.end(true), ErrorCode::NONE);
    }

    pub fn abort(&mut self) {
        assert_eq!(self.end(false), ErrorCode::NONE);
    }

    pub fn commit_offset(&mut self, offset: i64) -> ErrorCode {
        if self.version == One {
            let request = AddOffsetsToTxnRequest {
                transactional_id: ID.to_owned(),
                producer_id: self.id,
                producer_epoch: self.epoch,
                group_id: GROUP.to_owned(),
            };
            assert_eq!(self.client.call(3, &request).error_code, 0);
        }
        self.commit_offset_only(offset)
    }

    pub fn commit_offset_only(&mut self, offset: i64) -> ErrorCode {
        let request = TxnOffsetCommitRequest {
            transactional_id: ID.to_owned(),
            group_id: GROUP.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: TOPIC.to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: 0,
                    committed_offset: offset,
                    ..TxnOffsetCommitRequestPartition::default()
                }],
            }],
            ..TxnOffsetCommitRequest::default()
        };
        let answer = self.client.call(if self.version == Two { 5 } else { 3 }, &request);
        code(answer.topics[0].partitions[0].error_code)
    }
}

pub fn committed_request(partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest { isolation_level: 1, ..fetch_request(TOPIC, partition, offset, max_wait_ms) }
}

pub fn only(response: FetchResponse) -> PartitionData {
    response.responses.into_iter().next().unwrap().partitions.into_iter().next().unwrap()
}

/// Offsets of records that are not markers.
pub fn offsets(data: &PartitionData) -> Vec<i64> {
    assert_eq!(code(data.error_code), ErrorCode::NONE);
    let mut rest = &data.records.as_ref().unwrap()[..];
    let mut offsets = Vec::new();
    while !rest.is_empty() {
        let header = validate_batch(rest).unwrap();
        if !header.is_control() {
            offsets.extend(header.base_offset..=header.last_offset());
        }
        rest = &rest[header.size_bytes().unwrap()..];
    }
    offsets
}

/// The offsets that a reader of committed records sees, and those of one who sees everything.
pub fn read(client: &mut Client, partition: i32) -> (Vec<i64>, Vec<i64>) {
    let data = only(client.call(11, &committed_request(partition, 0, 0)));
    let aborted = data.aborted_transactions.clone().unwrap();
    let mut seen = Vec::new();
    let mut rest = &data.records.as_ref().unwrap()[..];
    let mut open: Vec<i64> = Vec::new();
    while !rest.is_empty() {
        let header = validate_batch(rest).unwrap();
        let begun = aborted.iter().filter(|it| it.first_offset == header.base_offset);
        open.extend(begun.map(|it| it.producer_id));
        if header.is_control() {
            open.retain(|id| *id != header.producer_id);
        } else if !(header.is_transactional() && open.contains(&header.producer_id)) {
            seen.extend(header.base_offset..=header.last_offset());
        }
        rest = &rest[header.size_bytes().unwrap()..];
    }
    let all = only(client.call(11, &fetch_request(TOPIC, partition, 0, 0)));
    assert_eq!(all.aborted_transactions, None);
    (seen, offsets(&all))
}

pub fn last_offset(client: &mut Client, isolation_level: i8) -> i64 {
    let partitions =
        vec![ListOffsetsPartition { partition_index: 0, current_leader_epoch: -1, timestamp: -1 }];
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic { name: TOPIC.to_owned(), partitions }],
        ..ListOffsetsRequest::default()
    };
    client.call(5, &request).topics[0].partitions[0].offset
}

pub fn group_offset(client: &mut Client, require_stable: bool) -> OffsetFetchResponsePartitions {
    let topic = OffsetFetchRequestTopics {
        name: TOPIC.to_owned(),
        partition_indexes: vec![0],
        ..OffsetFetchRequestTopics::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.to_owned(),
        topics: Some(vec![topic]),
        ..OffsetFetchRequestGroup::default()
    };
    let request =
        OffsetFetchRequest { groups: vec![group], require_stable, ..OffsetFetchRequest::default() };
    client.call(8, &request).groups[0].topics[0].partitions[0].clone()
}

pub fn cluster() -> Cluster {
    Cluster::builder().topic(TOPIC, 2).start().unwrap()
}
