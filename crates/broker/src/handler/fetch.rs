//! Fetch: key 1, versions 4-18.
//!
//! Behaviour: whole batches from the one that holds the offset on, up to the high watermark, or for
//! readers of what is committed up to the last stable offset, along with what was aborted there; a
//! first batch that is larger than the limits comes all the same (KIP-74). With fewer than
//! `min_bytes` and no error the request waits up to `max_wait_ms` for records. Who has a quota gets
//! no more at once than it allows in ten seconds, and when that is used up nothing (see
//! `throttle`).
//! Version notes: 7 sessions (KIP-227), 9 leader epochs (KIP-320), 12 flexible, 13 topic ids
//! (KIP-516), 16 the leader along with an error (KIP-951). Left out: fetches of followers, which go
//! another way (see `replication`).
//! Rights: Read on each topic, also when the answer has waited.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply, finish_late, throttle};
use crate::catalog::{Catalog, Topic};
use crate::fault::Action;
use crate::fetch_sessions::Use;
use crate::log::{LogError, PartitionLog, ReadError};
use crate::mutant::{self, Mutant};
use crate::nodes::Nodes;
use crate::peers::{Call, ConnectionId};
use crate::replica::Replica;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const READ_COMMITTED: i8 = 1;
const TOPIC_ID_VERSION: i16 = 13;
const SESSION_VERSION: i16 = 7;
/// The first version whose answer names the leader along with an error (KIP-951).
const LEADER_HINT_VERSION: i16 = 16;

/// A Fetch that waits for records.
#[derive(Debug)]
pub(crate) struct ParkedFetch {
    pub(crate) call: Call,
    request: FetchRequest,
    /// Which session it belongs to.
    usage: Use,
    /// On the monotonic clock.
    pub(crate) deadline: Duration,
    /// The partitions that an append to wakes it.
    pub(crate) watched: Vec<(Uuid, i32)>,
    /// How many bytes are still to come before it is answered.
    missing_bytes: u64,
}

impl Api for FetchRequest {
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| {
            let name = match topic.topic.as_str() {
                "" => catalog.by_id(topic.topic_id).map_or("", |topic| &topic.name),
                name => name,
            };
            topic.partitions.iter().any(|partition| covers(name, partition.partition))
        })
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> FetchResponse {
        if version >= SESSION_VERSION {
            return FetchResponse { error_code: code.0, ..FetchResponse::default() };
        }
        let refuse = |wanted: &FetchPartition| failed(wanted.partition, code);
        let responses = self.topics.iter().map(|topic| FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(refuse).collect(),
        });
        FetchResponse { responses: responses.collect(), ..FetchResponse::default() }
    }

    fn set_throttle(response: &mut FetchResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(mut self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<FetchResponse> {
        let usage = match call.version {
            SESSION_VERSION.. => nodes.enter_fetch_session(&mut self, call, now),
            _ => Ok(Use::None),
        };
        let usage = match usage {
            Ok(usage) => usage,
            Err(code) => return Reply::Now(self.refuse(call.version, code)),
        };
        throttle::limit_fetch(nodes, call, &mut self);
        let answer = read_all(&self, nodes, call);
        let min_bytes = u64::try_from(self.min_bytes).unwrap_or_default();
        let max_wait = Duration::from_millis(u64::try_from(self.max_wait_ms).unwrap_or_default());
        if answer.is_enough(&self) || max_wait.is_zero() || answer.watched.is_empty() {
            return Reply::Now(leave(nodes, call, usage, answer, now));
        }
        let missing_bytes = min_bytes - answer.bytes;
        let deadline = now.monotonic + max_wait;
        park(nodes, call, (self, usage), answer.watched, missing_bytes, deadline);
        Reply::Wait
    }
}

/// What a Fetch would be answered at the moment.
struct Answer {
    response: FetchResponse,
    bytes: u64,
    has_error: bool,
    watched: Vec<(Uuid, i32)>,
}

impl Answer {
    fn is_enough(&self, request: &FetchRequest) -> bool {
        self.has_error || self.bytes >= u64::try_from(request.min_bytes).unwrap_or_default()
    }
}

fn read_all(request: &FetchRequest, nodes: &mut Nodes, call: &Call) -> Answer {
    let mut answer = Answer {
        response: FetchResponse::default(),
        bytes: 0,
        has_error: false,
        watched: Vec::new(),
    };
    let is_committed = request.isolation_level == READ_COMMITTED;
    let limit = usize::try_from(request.max_bytes).unwrap_or_default();
    let mut left = limit.min(nodes.config.fetch_max_bytes);
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let at_least_one = answer.bytes == 0;
            let limits = Limits { max_bytes: left, at_least_one, is_committed };
            let (id, data) = read_one(topic, wanted, limits, nodes, call);
            let size = data.records.as_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(size);
            answer.bytes += size as u64;
            answer.has_error |= data.error_code != 0;
            answer.watched.extend(id.map(|id| (id, wanted.partition)));
            partitions.push(data);
        }
        answer.response.responses.push(FetchableTopicResponse {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions,
        });
    }
    name_endpoints(nodes, call, &mut answer.response);
    answer
}

/// How much of a partition may come.
#[derive(Clone, Copy)]
struct Limits {
    max_bytes: usize,
    /// Whether a first batch may have more bytes.
    at_least_one: bool,
    /// Whether what is not known to be committed stays out.
    is_committed: bool,
}

/// What there is of one partition, and the id of its topic when both are known.
fn read_one(
    topic: &FetchTopic,
    wanted: &FetchPartition,
    limits: Limits,
    nodes: &mut Nodes,
    call: &Call,
) -> (Option<Uuid>, PartitionData) {
    let index = wanted.partition;
    let by_id = call.version >= TOPIC_ID_VERSION;
    let may_read = |name: &str| nodes.allows(call, Operation::Read, On::Topic(name));
    if !by_id && !may_read(&topic.topic) {
        return (None, failed(index, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    }
    let found = match by_id {
        true => nodes.catalog.by_id(topic.topic_id),
        false => nodes.catalog.by_name(&topic.topic),
    };
    let Some(Topic { id, name, .. }) = found else {
        let unknown = match by_id {
            true => ErrorCode::UNKNOWN_TOPIC_ID,
            false => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        };
        return (None, failed(index, unknown));
    };
    if by_id && !may_read(name) {
        return (None, failed(index, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    }
    let fault = call.fault.as_ref().filter(|fault| fault.covers(name, index));
    let action = fault.map(|fault| fault.action);
    if let Some(code) = action.and_then(Action::error) {
        return (None, failed(index, code));
    }
    let id = *id;
    let own_limit = usize::try_from(wanted.partition_max_bytes).unwrap_or_default();
    let limits = Limits { max_bytes: own_limit.min(limits.max_bytes), ..limits };
    match nodes.leader_mut(call.node, id, index) {
        Ok(replica) => (Some(id), read_replica(replica, wanted, limits)),
        Err(code) => (None, name_leader(nodes, call, id, failed(index, code))),
    }
}

/// Tells along with NOT_LEADER_OR_FOLLOWER who leads, where that is known (KIP-951).
fn name_leader(nodes: &Nodes, call: &Call, topic: Uuid, mut data: PartitionData) -> PartitionData {
    let place = nodes.catalog.placement(topic, data.partition_index);
    if data.error_code == ErrorCode::NOT_LEADER_OR_FOLLOWER.0
        && call.version >= LEADER_HINT_VERSION
        && let Some(place) = place.filter(|place| place.leader != call.node)
    {
        data.current_leader =
            LeaderIdAndEpoch { leader_id: place.leader, leader_epoch: place.leader_epoch };
    }
    data
}

/// The addresses of leaders that an answer names.
fn name_endpoints(nodes: &Nodes, call: &Call, response: &mut FetchResponse) {
    let mut leaders: Vec<i32> = Vec::new();
    for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
        let leader = partition.current_leader.leader_id;
        if leader != -1 && !leaders.contains(&leader) {
            leaders.push(leader);
        }
    }
    let endpoint = |node_id: i32| {
        let address = nodes.address_for(call.connection, node_id);
        NodeEndpoint { node_id, host: address.host, port: i32::from(address.port), rack: None }
    };
    response.node_endpoints = leaders.into_iter().map(endpoint).collect();
}

fn read_replica(partition: &mut Replica, wanted: &FetchPartition, limits: Limits) -> PartitionData {
    let index = wanted.partition;
    if let Err(code) = check_leader_epoch(wanted.current_leader_epoch, partition.leader_epoch) {
        return failed(index, code);
    }
    let high_watermark = partition.high_watermark();
    let last_stable_offset = partition.log.last_stable_offset(high_watermark);
    let up_to = match limits.is_committed {
        _ if mutant::is_on(Mutant::ReadsAhead) => i64::MAX,
        true => last_stable_offset,
        false => high_watermark,
    };
    let (from, Limits { max_bytes, at_least_one, .. }) = (wanted.fetch_offset, limits);
    let read = partition.log.read(from, up_to, max_bytes, at_least_one);
    let read = read.and_then(|records| {
        let aborted = match limits.is_committed {
            true => Some(aborted(&partition.log, from, &records)?),
            false => None,
        };
        Ok((records, aborted))
    });
    match read {
        Ok((records, aborted_transactions)) => PartitionData {
            partition_index: index,
            high_watermark,
            last_stable_offset,
            log_start_offset: partition.log.log_start_offset(),
            aborted_transactions,
            records: Some(records),
            ..PartitionData::default()
        },
        Err(ReadError::OutOfRange { .. }) => failed(index, ErrorCode::OFFSET_OUT_OF_RANGE),
        Err(ReadError::Log(error)) => {
            tracing::error!(partition = index, %error, "log cannot be read");
            failed(index, log_error_code(&error))
        }
    }
}

/// The aborted transactions among the records from an offset on.
fn aborted(
    log: &PartitionLog,
    from: i64,
    records: &[u8],
) -> Result<Vec<AbortedTransaction>, LogError> {
    let mut end = from;
    let mut rest = records;
    while let Ok(header) = BatchHeader::read(rest) {
        end = header.last_offset() + 1;
        rest = header.size_bytes().and_then(|size| rest.get(size..)).unwrap_or_default();
    }
    if end == from {
        return Ok(Vec::new());
    }
    let found = log.aborted_transactions(from, end)?.into_iter();
    Ok(found
        .map(|it| AbortedTransaction { producer_id: it.producer_id, first_offset: it.first_offset })
        .collect())
}

/// What a client is told of a log that cannot be read.
pub(super) fn log_error_code(error: &LogError) -> ErrorCode {
    match error {
        LogError::Corrupt { .. } | LogError::Mismatch { .. } => ErrorCode::CORRUPT_MESSAGE,
        LogError::Io { .. } => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}

/// Whether client and broker mean the same leadership of a partition (KIP-320); -1 asks for no
/// check.
pub(super) fn check_leader_epoch(asked: i32, present: i32) -> Result<(), ErrorCode> {
    match asked {
        -1 => Ok(()),
        _ if asked < present => Err(ErrorCode::FENCED_LEADER_EPOCH),
        _ if asked > present => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
        _ => Ok(()),
    }
}

fn failed(index: i32, code: ErrorCode) -> PartitionData {
    PartitionData {
        partition_index: index,
        error_code: code.0,
        high_watermark: -1,
        records: Some(Bytes::new()),
        ..PartitionData::default()
    }
}

fn park(
    nodes: &mut Nodes,
    call: &Call,
    (request, usage): (FetchRequest, Use),
    watched: Vec<(Uuid, i32)>,
    missing_bytes: u64,
    deadline: Duration,
) {
    let connection = call.connection;
    for &(topic, index) in &watched {
        if let Some(replica) = nodes.replica_mut(call.node, topic, index)
            && !replica.fetch_waiters.contains(&connection)
        {
            replica.fetch_waiters.push(connection);
        }
    }
    nodes.fetch_deadlines.insert((deadline, connection));
    let call = call.clone();
    let parked = ParkedFetch { call, request, usage, deadline, watched, missing_bytes };
    nodes.parked_fetches.insert(connection, parked);
}

/// Tells those who wait for a partition that so many bytes more can be read of it.
pub(crate) fn wake(nodes: &mut Nodes, id: i32, topic: Uuid, index: i32, bytes: usize, now: Now) {
    let waiters: Vec<ConnectionId> = match nodes.replica(id, topic, index) {
        Some(replica) if !replica.fetch_waiters.is_empty() => replica.fetch_waiters.clone(),
        _ => return,
    };
    for connection in waiters {
        let Some(parked) = nodes.parked_fetches.get_mut(&connection) else {
            continue;
        };
        if parked.request.isolation_level == READ_COMMITTED || bytes == 0 {
            // What came in may not be for its eyes yet, and what ended a transaction shows more
            // than came in. Without a count, some of what came in before can be seen now.
            wake_to_look(nodes, connection, now);
            continue;
        }
        parked.missing_bytes = parked.missing_bytes.saturating_sub(bytes as u64);
        if parked.missing_bytes == 0 {
            nodes.complete_fetch(connection, now);
        }
    }
}

fn wake_to_look(nodes: &mut Nodes, connection: ConnectionId, now: Now) {
    let Some(parked) = nodes.unpark_fetch(connection) else {
        return;
    };
    let ParkedFetch { call, request, usage, deadline, watched, missing_bytes } = parked;
    let answer = read_all(&request, nodes, &call);
    if answer.is_enough(&request) {
        let response = leave(nodes, &call, usage, answer, now);
        finish_late::<FetchRequest>(nodes, &call, response, now);
    } else {
        park(nodes, &call, (request, usage), watched, missing_bytes, deadline);
    }
}

/// Answers a Fetch that has waited long enough.
pub(crate) fn complete(nodes: &mut Nodes, parked: ParkedFetch, now: Now) {
    let ParkedFetch { call, request, usage, .. } = parked;
    let answer = read_all(&request, nodes, &call);
    let response = leave(nodes, &call, usage, answer, now);
    finish_late::<FetchRequest>(nodes, &call, response, now);
}

fn leave(nodes: &mut Nodes, call: &Call, usage: Use, answer: Answer, now: Now) -> FetchResponse {
    throttle::leave_fetch(nodes, call, usage, (answer.response, answer.bytes), now)
}
