//! The answer to a Fetch, written without its records: they go from their files to the socket.
//!
//! The fields are those of the generated `FetchResponse`, which a test holds it against.

use bytes::Bytes;
use ottla_protocol::messages::fetch::{AbortedTransaction, LeaderIdAndEpoch, NodeEndpoint};
use ottla_protocol::{EncodeError, ErrorCode, Uuid, response_header_is_flexible, write};

use crate::log::FileSpan;
use crate::outgoing::Outgoing;
use crate::peers::Call;

/// Answers to the partitions of a request.
#[derive(Debug, Default)]
pub(crate) struct FetchAnswer {
    pub(crate) session_id: i32,
    pub(crate) topics: Vec<TopicAnswer>,
    /// The addresses of leaders that are named.
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Default)]
pub(crate) struct TopicAnswer {
    pub(crate) topic: String,
    pub(crate) topic_id: Uuid,
    pub(crate) partitions: Vec<PartitionAnswer>,
}

#[derive(Debug)]
pub(crate) struct PartitionAnswer {
    pub(crate) partition: i32,
    pub(crate) error: ErrorCode,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable_offset: i64,
    pub(crate) log_start_offset: i64,
    /// Named along with an error.
    pub(crate) current_leader: Option<LeaderIdAndEpoch>,
    /// Where else to read (KIP-392), in versions that tell it; or [`NO_REPLICA`].
    pub(crate) preferred_read_replica: i32,
    pub(crate) aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub(crate) records: Records,
}

/// Whole batches, here or in a file.
#[derive(Clone, Debug)]
pub(crate) enum Records {
    Here(Bytes),
    InFile(FileSpan),
}

impl Records {
    /// In bytes.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::InFile(span) => span.length(),
        }
    }
}

impl PartitionAnswer {
    /// No records, for this reason.
    pub(crate) fn failed(partition: i32, error: ErrorCode) -> Self {
        Self {
            partition,
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            current_leader: None,
            preferred_read_replica: NO_REPLICA,
            aborted_transactions: Some(Vec::new()),
            records: Records::Here(Bytes::new()),
        }
    }

    fn encode(&self, out: &mut Outgoing, version: i16) -> Result<(), EncodeError> {
        let flexible = version >= 12;
        let bytes = &mut out.bytes;
        write::i32(bytes, self.partition);
        write::i16(bytes, self.error.0);
        write::i64(bytes, self.high_watermark);
        write::i64(bytes, self.last_stable_offset);
        if version >= 5 {
            write::i64(bytes, self.log_start_offset);
        }
        let aborted = self.aborted_transactions.as_deref();
        write::nullable_array(bytes, aborted, flexible, "aborted_transactions", |bytes, it| {
            write::i64(bytes, it.producer_id);
            write::i64(bytes, it.first_offset);
            end_of_struct(bytes, flexible);
            Ok(())
        })?;
        if version >= 11 {
            write::i32(bytes, self.preferred_read_replica);
        }
        write::array_len(bytes, self.records.length(), flexible, "records")?;
        match &self.records {
            Records::Here(records) => bytes.extend_from_slice(records),
            Records::InFile(span) => out.push_span(span.clone()),
        }
        if flexible {
            self.encode_tagged_fields(&mut out.bytes)?;
        }
        Ok(())
    }

    fn encode_tagged_fields(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        let Some(leader) = &self.current_leader else {
            write::no_tagged_fields(bytes);
            return Ok(());
        };
        write::unsigned_varint(bytes, 1);
        write::tagged_field(bytes, CURRENT_LEADER_TAG, "current_leader", |bytes| {
            write::i32(bytes, leader.leader_id);
            write::i32(bytes, leader.leader_epoch);
            write::no_tagged_fields(bytes);
            Ok(())
        })
    }
}

/// A consumer is to read where it is.
pub(crate) const NO_REPLICA: i32 = -1;

const CURRENT_LEADER_TAG: u32 = 1;
const NODE_ENDPOINTS_TAG: u32 = 0;

impl FetchAnswer {
    /// Writes the whole frame.
    ///
    /// # Errors
    /// When something is too long for its field. Nothing is written then.
    pub(super) fn encode(
        &self,
        call: &Call,
        throttle_ms: i32,
        out: &mut Outgoing,
    ) -> Result<(), EncodeError> {
        let (start, start_length) = (out.bytes.len(), out.length());
        write::i32(&mut out.bytes, 0);
        let written = self.encode_content(call, throttle_ms, out).and_then(|()| {
            let length = out.length() - start_length - size_of::<i32>();
            let (api, version) = (call.api, call.version);
            i32::try_from(length).map_err(|_| EncodeError::FrameTooLarge { api, version, length })
        });
        match written {
            Ok(length) => {
                let prefix = start..start + size_of::<i32>();
                out.bytes[prefix].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    fn encode_content(
        &self,
        call: &Call,
        throttle_ms: i32,
        out: &mut Outgoing,
    ) -> Result<(), EncodeError> {
        let version = call.version;
        let flexible = version >= 12;
        let bytes = &mut out.bytes;
        write::i32(bytes, call.correlation_id);
        if response_header_is_flexible(call.api, version) {
            write::no_tagged_fields(bytes);
        }
        write::i32(bytes, throttle_ms);
        if version >= 7 {
            write::i16(bytes, ErrorCode::NONE.0);
            write::i32(bytes, self.session_id);
        }
        write::array_len(bytes, self.topics.len(), flexible, "responses")?;
        for topic in &self.topics {
            let bytes = &mut out.bytes;
            match version {
                ..=12 => write::string(bytes, &topic.topic, flexible, "topic")?,
                13.. => write::uuid(bytes, topic.topic_id),
            }
            write::array_len(bytes, topic.partitions.len(), flexible, "partitions")?;
            for partition in &topic.partitions {
                partition.encode(out, version)?;
            }
            end_of_struct(&mut out.bytes, flexible);
        }
        match version {
            16.. => self.encode_endpoints(&mut out.bytes),
            _ => {
                end_of_struct(&mut out.bytes, flexible);
                Ok(())
            }
        }
    }

    fn encode_endpoints(&self, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.node_endpoints.is_empty() {
            write::no_tagged_fields(bytes);
            return Ok(());
        }
        write::unsigned_varint(bytes, 1);
        write::tagged_field(bytes, NODE_ENDPOINTS_TAG, "node_endpoints", |bytes| {
            write::array(bytes, &self.node_endpoints, true, "node_endpoints", |bytes, node| {
                write::i32(bytes, node.node_id);
                write::string(bytes, &node.host, true, "host")?;
                write::i32(bytes, node.port);
                write::nullable_string(bytes, node.rack.as_deref(), true, "rack")?;
                write::no_tagged_fields(bytes);
                Ok(())
            })
        })
    }
}

/// No tagged fields, in versions that could have some.
fn end_of_struct(bytes: &mut Vec<u8>, flexible: bool) {
    if flexible {
        write::no_tagged_fields(bytes);
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::fetch::{
        FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
    };
    use ottla_protocol::{ApiKey, Message, VersionRange, encode_response};

    use super::*;
    use crate::log::{DiskStorage, Storage};

    const THROTTLE_MS: i32 = 17;

    fn call(version: i16) -> Call {
        Call {
            node: 1,
            connection: 1,
            api: ApiKey::FETCH,
            version,
            correlation_id: 99,
            client_id: None,
            size_bytes: 0,
            fault: None,
        }
    }

    /// Partitions with records here and in a file, with aborted transactions and with an error.
    fn answer(version: i16, span: FileSpan) -> FetchAnswer {
        let whole = PartitionAnswer {
            high_watermark: 5,
            last_stable_offset: 4,
            log_start_offset: 3,
            ..PartitionAnswer::failed(0, ErrorCode::NONE)
        };
        let aborted = AbortedTransaction { producer_id: 8, first_offset: 2 };
        let leader = LeaderIdAndEpoch { leader_id: 2, leader_epoch: 6 };
        let partitions = vec![
            PartitionAnswer { records: Records::InFile(span), ..whole },
            PartitionAnswer {
                partition: 1,
                aborted_transactions: Some(vec![aborted]),
                records: Records::Here(Bytes::from_static(b"here")),
                ..PartitionAnswer::failed(1, ErrorCode::NONE)
            },
            PartitionAnswer {
                aborted_transactions: None,
                preferred_read_replica: if version >= 11 { 3 } else { NO_REPLICA },
                ..whole_of(2)
            },
            PartitionAnswer {
                current_leader: (version >= 16).then_some(leader),
                ..PartitionAnswer::failed(3, ErrorCode::NOT_LEADER_OR_FOLLOWER)
            },
        ];
        let topic = TopicAnswer { topic: "t".to_owned(), topic_id: Uuid([7; 16]), partitions };
        let host = "h".to_owned();
        let endpoint = NodeEndpoint { node_id: 2, host, port: 9, rack: Some("r".to_owned()) };
        FetchAnswer {
            session_id: if version >= 7 { 12 } else { 0 },
            topics: vec![topic, TopicAnswer::default()],
            node_endpoints: if version >= 16 { vec![endpoint] } else { Vec::new() },
        }
    }

    fn whole_of(partition: i32) -> PartitionAnswer {
        PartitionAnswer::failed(partition, ErrorCode::NONE)
    }

    /// The same as the generated message.
    fn generated(answer: &FetchAnswer) -> FetchResponse {
        let partition = |data: &PartitionAnswer| PartitionData {
            partition_index: data.partition,
            error_code: data.error.0,
            high_watermark: data.high_watermark,
            last_stable_offset: data.last_stable_offset,
            log_start_offset: data.log_start_offset,
            current_leader: data.current_leader.clone().unwrap_or_default(),
            preferred_read_replica: data.preferred_read_replica,
            aborted_transactions: data.aborted_transactions.clone(),
            records: Some(match &data.records {
                Records::Here(bytes) => bytes.clone(),
                Records::InFile(span) => span.read().unwrap(),
            }),
            ..PartitionData::default()
        };
        let topics = answer.topics.iter().map(|topic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(partition).collect(),
        });
        FetchResponse {
            throttle_time_ms: THROTTLE_MS,
            session_id: answer.session_id,
            responses: topics.collect(),
            node_endpoints: answer.node_endpoints.clone(),
            ..FetchResponse::default()
        }
    }

    #[test]
    fn in_every_version_an_answer_is_what_the_generated_message_writes() {
        let dir = tempfile::tempdir().unwrap();
        let file = DiskStorage { is_durable: false }.open(&dir.path().join("log")).unwrap();
        file.append(&[b"records in a file"]).unwrap();
        let VersionRange { min, max } = FetchRequest::VERSIONS;
        for version in min..=max {
            let answer = answer(version, FileSpan::new(file.clone(), 8, 4));
            let mut expected = b"before".to_vec();
            let message = generated(&answer);
            encode_response(ApiKey::FETCH, version, 99, &message, &mut expected).unwrap();
            let mut out = Outgoing::default();
            out.bytes.extend(b"before");
            answer.encode(&call(version), THROTTLE_MS, &mut out).unwrap();
            assert_eq!(out.length(), expected.len(), "version {version}");
            out.gather(0).unwrap();
            assert_eq!(out.bytes, expected, "version {version}");
        }
    }

    #[test]
    fn an_answer_that_no_length_can_tell_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let file = DiskStorage { is_durable: false }.open(&dir.path().join("log")).unwrap();
        let half = FileSpan::new(file, 0, 1 << 30);
        let partition =
            |index| PartitionAnswer { records: Records::InFile(half.clone()), ..whole_of(index) };
        let partitions = (0..2).map(partition).collect();
        let topics = vec![TopicAnswer { partitions, ..TopicAnswer::default() }];
        let answer = FetchAnswer { topics, ..FetchAnswer::default() };
        let mut out = Outgoing::default();
        out.bytes.extend(b"before");
        let error = answer.encode(&call(16), 0, &mut out).unwrap_err();
        assert!(matches!(error, EncodeError::FrameTooLarge { .. }), "{error}");
        assert_eq!((&out.bytes[..], out.length()), (&b"before"[..], 6));
    }
}
