//! Fetch: key 1, versions 4-18.
//!
//! Behaviour: whole batches from the one that holds the offset on, up to the high watermark, or for
//! readers of what is committed up to the last stable offset, along with what was aborted there; a
//! first batch that is larger than the limits comes all the same (KIP-74). With fewer than
//! `min_bytes` and no error the request waits up to `max_wait_ms` for records. Who has a quota gets
//! no more at once than it allows in ten seconds, and when that is used up nothing (see
//! `throttle`).
//! A follower is read up to the high watermark that it knows of, and where replicas are selected by
//! rack the leader sends consumers to one in theirs.
//! Version notes: 7 sessions (KIP-227), 9 leader epochs (KIP-320), 11 racks and followers that are
//! read (KIP-392), 12 flexible, 13 topic ids (KIP-516), 16 the leader along with an error
//! (KIP-951). Left out: fetches of followers, which go another way (see `replication`).
//! Rights: Read on each topic, also when the answer has waited.

use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchRequest, FetchResponse, FetchTopic,
    FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::answering::finish_fetch_late;
use super::fetch_answer::{FetchAnswer, NO_REPLICA, PartitionAnswer, Records, TopicAnswer};
use super::{Api, Reply, throttle};
use crate::catalog::{Catalog, Topic};
use crate::fault::Action;
use crate::fetch_sessions::Use;
use crate::log::{Located, LogError, LogReader, PartitionLog, ReadError};
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
/// The first version whose request says where a consumer is, and that followers answer (KIP-392).
const FOLLOWER_VERSION: i16 = 11;
/// The first version whose answer names the leader along with an error (KIP-951).
const LEADER_HINT_VERSION: i16 = 16;
/// Shorter records are read along with their answer: to send a file by itself costs more.
const MIN_FILE_BYTES: usize = 16 * 1024;

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
        let refuse = |wanted: &FetchPartition| PartitionData {
            partition_index: wanted.partition,
            error_code: code.0,
            high_watermark: -1,
            records: Some(Bytes::new()),
            ..PartitionData::default()
        };
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
            return Reply::Records(leave(nodes, call, usage, answer, now));
        }
        let missing_bytes = min_bytes - answer.bytes;
        let deadline = now.monotonic + max_wait;
        park(nodes, call, (self, usage), answer.watched, missing_bytes, deadline);
        Reply::Wait
    }
}

/// What a Fetch would be answered at the moment.
struct Answer {
    content: FetchAnswer,
    bytes: u64,
    /// Whether it has what must be told at once: an error, or another replica to read.
    has_news: bool,
    watched: Vec<(Uuid, i32)>,
}

impl Answer {
    fn is_enough(&self, request: &FetchRequest) -> bool {
        self.has_news || self.bytes >= u64::try_from(request.min_bytes).unwrap_or_default()
    }
}

fn read_all(request: &FetchRequest, nodes: &mut Nodes, call: &Call) -> Answer {
    let mut answer =
        Answer { content: FetchAnswer::default(), bytes: 0, has_news: false, watched: Vec::new() };
    let is_committed = request.isolation_level == READ_COMMITTED;
    let rack = if call.version < FOLLOWER_VERSION { "" } else { &*request.rack_id };
    let limit = usize::try_from(request.max_bytes).unwrap_or_default();
    let mut left = limit.min(nodes.config.fetch_max_bytes);
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for wanted in &topic.partitions {
            let at_least_one = answer.bytes == 0;
            let limits = Limits { max_bytes: left, at_least_one, is_committed };
            let (id, data) = read_one(topic, wanted, (limits, rack), nodes, call);
            let size = data.records.length();
            left = left.saturating_sub(size);
            answer.bytes += size as u64;
            answer.has_news |= data.error != ErrorCode::NONE;
            answer.has_news |= data.preferred_read_replica != NO_REPLICA;
            answer.watched.extend(id.map(|id| (id, wanted.partition)));
            partitions.push(data);
        }
        let (topic, topic_id) = (topic.topic.clone(), topic.topic_id);
        answer.content.topics.push(TopicAnswer { topic, topic_id, partitions });
    }
    name_endpoints(nodes, call, &mut answer.content);
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
    (limits, rack): (Limits, &str),
    nodes: &mut Nodes,
    call: &Call,
) -> (Option<Uuid>, PartitionAnswer) {
    let failed = PartitionAnswer::failed;
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
    if let Some(data) = send_elsewhere(nodes, call, id, wanted, rack) {
        return (None, data);
    }
    match readable(nodes, call, id, index) {
        Ok(replica) => (Some(id), read_replica(replica, wanted, limits)),
        Err(code) => (None, name_leader(nodes, call, id, failed(index, code))),
    }
}

/// The replica that is read: the leader's, or for those who know of reading from followers this
/// node's own (KIP-392).
fn readable<'a>(
    nodes: &'a mut Nodes,
    call: &Call,
    topic: Uuid,
    index: i32,
) -> Result<&'a mut Replica, ErrorCode> {
    if call.version < FOLLOWER_VERSION {
        return nodes.leader_mut(call.node, topic, index);
    }
    let otherwise = nodes.not_leader(topic, index);
    nodes.replica_mut(call.node, topic, index).ok_or(otherwise)
}

/// The answer that sends a consumer to a replica in its rack, if it is to read there.
fn send_elsewhere(
    nodes: &mut Nodes,
    call: &Call,
    topic: Uuid,
    wanted: &FetchPartition,
    rack: &str,
) -> Option<PartitionAnswer> {
    let (index, offset) = (wanted.partition, wanted.fetch_offset);
    let preferred_read_replica = nodes.nearest_replica(call.node, topic, index, rack, offset)?;
    let leader = nodes.replica_mut(call.node, topic, index)?;
    if let Err(code) = check_leader_epoch(wanted.current_leader_epoch, leader.leader_epoch) {
        return Some(PartitionAnswer::failed(index, code));
    }
    let high_watermark = leader.high_watermark();
    Some(PartitionAnswer {
        high_watermark,
        last_stable_offset: leader.log.last_stable_offset(high_watermark),
        log_start_offset: leader.log.log_start_offset(),
        preferred_read_replica,
        ..PartitionAnswer::failed(index, ErrorCode::NONE)
    })
}

/// Tells along with NOT_LEADER_OR_FOLLOWER who leads, where that is known (KIP-951).
fn name_leader(
    nodes: &Nodes,
    call: &Call,
    topic: Uuid,
    mut data: PartitionAnswer,
) -> PartitionAnswer {
    let place = nodes.catalog.placement(topic, data.partition);
    if data.error == ErrorCode::NOT_LEADER_OR_FOLLOWER
        && call.version >= LEADER_HINT_VERSION
        && let Some(place) = place.filter(|place| place.leader != call.node)
    {
        let (leader_id, leader_epoch) = (place.leader, place.leader_epoch);
        data.current_leader = Some(LeaderIdAndEpoch { leader_id, leader_epoch });
    }
    data
}

/// The addresses of leaders that an answer names.
fn name_endpoints(nodes: &Nodes, call: &Call, answer: &mut FetchAnswer) {
    let mut leaders: Vec<i32> = Vec::new();
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    for leader in partitions.filter_map(|partition| partition.current_leader.as_ref()) {
        if !leaders.contains(&leader.leader_id) {
            leaders.push(leader.leader_id);
        }
    }
    let endpoint = |node_id: i32| {
        let address = nodes.address_for(call.connection, node_id);
        let rack = nodes.config.rack_of(node_id).map(str::to_owned);
        NodeEndpoint { node_id, host: address.host, port: i32::from(address.port), rack }
    };
    answer.node_endpoints = leaders.into_iter().map(endpoint).collect();
}

fn read_replica(replica: &mut Replica, wanted: &FetchPartition, limits: Limits) -> PartitionAnswer {
    let index = wanted.partition;
    if let Err(code) = check_leader_epoch(wanted.current_leader_epoch, replica.leader_epoch) {
        return PartitionAnswer::failed(index, code);
    }
    let high_watermark = replica.high_watermark();
    let last_stable_offset = replica.log.last_stable_offset(high_watermark);
    let up_to = match limits.is_committed {
        _ if mutant::is_on(Mutant::ReadsAhead) => i64::MAX,
        true => last_stable_offset,
        false => high_watermark,
    };
    match read_log(&mut replica.log, wanted.fetch_offset, up_to, limits) {
        Ok((records, aborted_transactions)) => PartitionAnswer {
            partition: index,
            error: ErrorCode::NONE,
            high_watermark,
            last_stable_offset,
            log_start_offset: replica.log.log_start_offset(),
            current_leader: None,
            preferred_read_replica: NO_REPLICA,
            aborted_transactions,
            records,
        },
        Err(ReadError::OutOfRange { .. }) => {
            PartitionAnswer::failed(index, ErrorCode::OFFSET_OUT_OF_RANGE)
        }
        Err(ReadError::Log(error)) => {
            tracing::error!(partition = index, %error, "log cannot be read");
            PartitionAnswer::failed(index, log_error_code(&error))
        }
    }
}

/// The records from an offset on, and for readers of what is committed the aborted transactions
/// among them.
fn read_log(
    log: &mut PartitionLog,
    from: i64,
    up_to: i64,
    limits: Limits,
) -> Result<(Records, Option<Vec<AbortedTransaction>>), ReadError> {
    let Limits { max_bytes, at_least_one, is_committed } = limits;
    let Some(located) = log.locate(LogReader::Consumer, from, up_to, max_bytes, at_least_one)?
    else {
        return Ok((Records::Here(Bytes::new()), is_committed.then(Vec::new)));
    };
    let Located { span, next_offset } = located;
    let aborted = match is_committed {
        true => Some(aborted(log, from, next_offset)?),
        false => None,
    };
    let records = match span.length() {
        MIN_FILE_BYTES.. => Records::InFile(span),
        _ => Records::Here(span.read().map_err(|error| LogError::io(log.dir(), error))?),
    };
    Ok((records, aborted))
}

fn aborted(log: &PartitionLog, from: i64, end: i64) -> Result<Vec<AbortedTransaction>, LogError> {
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
        let answer = leave(nodes, &call, usage, answer, now);
        finish_fetch_late(nodes, &call, &answer, now);
    } else {
        park(nodes, &call, (request, usage), watched, missing_bytes, deadline);
    }
}

/// Answers a Fetch that has waited long enough.
pub(crate) fn complete(nodes: &mut Nodes, parked: ParkedFetch, now: Now) {
    let ParkedFetch { call, request, usage, .. } = parked;
    let answer = read_all(&request, nodes, &call);
    let answer = leave(nodes, &call, usage, answer, now);
    finish_fetch_late(nodes, &call, &answer, now);
}

fn leave(nodes: &mut Nodes, call: &Call, usage: Use, answer: Answer, now: Now) -> FetchAnswer {
    throttle::leave_fetch(nodes, call, usage, (answer.content, answer.bytes), now)
}
