//! Fetch sessions (KIP-227): what a consumer fetches is remembered, so that it need name only what
//! changes, and is told only what is new.
//!
//! A client that keeps no session is served as well; the new consumer of Java needs them: it asks a
//! broker for nothing while an answer of it names partitions that it has not looked at yet, and
//! without a session every answer names all of them.

use std::collections::HashMap;
use std::time::Duration;

use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchTopic};
use ottla_protocol::{ErrorCode, Uuid};

use crate::handler::{FetchAnswer, NO_REPLICA, PartitionAnswer, TopicAnswer};

/// `max.incremental.fetch.session.cache.slots`, of all nodes together.
const MAX_SESSIONS: usize = 1000;

/// `min.incremental.fetch.session.eviction.ms`: one that was used since is not given up.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// Partitions that one session may have. Who wants more is served without.
const MAX_PARTITIONS: usize = 10_000;

const FINAL_EPOCH: i32 = -1;
const INITIAL_EPOCH: i32 = 0;

/// How an answer is to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Without a session, whole.
    None,
    /// Whole, as the first of a session.
    Full(i32),
    /// Only what is new to the session.
    Incremental(i32),
}

/// The sessions of all nodes.
#[derive(Debug, Default)]
pub(crate) struct FetchSessions {
    by_id: HashMap<i32, Session>,
}

#[derive(Debug)]
struct Session {
    node: i32,
    /// Of the request that must come next.
    epoch: i32,
    /// On the monotonic clock.
    used_at: Duration,
    /// In the order in which they are read; one that has given records goes to the end.
    partitions: Vec<Cached>,
}

/// A partition of a session, and what was last told of it.
#[derive(Clone, Debug)]
struct Cached {
    topic: String,
    topic_id: Uuid,
    wanted: FetchPartition,
    high_watermark: i64,
    last_stable_offset: i64,
    log_start_offset: i64,
}

impl Cached {
    fn new(topic: &FetchTopic, wanted: &FetchPartition) -> Self {
        Self {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            wanted: wanted.clone(),
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
        }
    }

    fn is(&self, topic: &str, topic_id: Uuid, partition: i32) -> bool {
        self.topic == topic && self.topic_id == topic_id && self.wanted.partition == partition
    }

    /// Takes note of an answer. Says whether there is anything in it that was not told before.
    fn learn(&mut self, data: &PartitionAnswer) -> bool {
        if data.error != ErrorCode::NONE || data.preferred_read_replica != NO_REPLICA {
            // It is told again, whatever comes next.
            self.high_watermark = -1;
            return true;
        }
        let told = (self.high_watermark, self.last_stable_offset, self.log_start_offset);
        let now = (data.high_watermark, data.last_stable_offset, data.log_start_offset);
        (self.high_watermark, self.last_stable_offset, self.log_start_offset) = now;
        data.records.length() > 0 || told != now
    }
}

impl FetchSessions {
    /// Finds or makes the session of a request, and puts everything into the request that is to be
    /// read.
    ///
    /// # Errors
    /// When there is no such session, or this is not its next request.
    pub(crate) fn enter(
        &mut self,
        request: &mut FetchRequest,
        node: i32,
        new_id: impl FnOnce() -> i32,
        now: Duration,
    ) -> Result<Use, ErrorCode> {
        match request.session_epoch {
            FINAL_EPOCH => {
                self.end(request.session_id, node);
                Ok(Use::None)
            }
            INITIAL_EPOCH => {
                self.end(request.session_id, node);
                Ok(self.begin(request, node, new_id, now))
            }
            epoch => {
                let id = request.session_id;
                let session = self.by_id.get_mut(&id).filter(|session| session.node == node);
                let session = session.ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
                if session.epoch != epoch {
                    return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
                }
                session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
                session.used_at = now;
                session.update(request);
                request.topics = session.topics();
                Ok(Use::Incremental(id))
            }
        }
    }

    fn end(&mut self, id: i32, node: i32) {
        if self.by_id.get(&id).is_some_and(|session| session.node == node) {
            self.by_id.remove(&id);
        }
    }

    /// Forgets the sessions of a node that has gone down.
    pub(crate) fn forget_node(&mut self, node: i32) {
        self.by_id.retain(|_, session| session.node != node);
    }

    fn begin(
        &mut self,
        request: &FetchRequest,
        node: i32,
        new_id: impl FnOnce() -> i32,
        now: Duration,
    ) -> Use {
        let all = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |wanted| Cached::new(topic, wanted))
        });
        let partitions: Vec<Cached> = all.take(MAX_PARTITIONS + 1).collect();
        // One without partitions would never have an answer.
        if partitions.is_empty() || partitions.len() > MAX_PARTITIONS || !self.has_room(now) {
            return Use::None;
        }
        let id = new_id();
        let session = Session { node, epoch: INITIAL_EPOCH + 1, used_at: now, partitions };
        if id <= 0 || self.by_id.contains_key(&id) {
            return Use::None;
        }
        self.by_id.insert(id, session);
        Use::Full(id)
    }

    /// Makes room for a session, if there is one that has not been used for long.
    fn has_room(&mut self, now: Duration) -> bool {
        if self.by_id.len() < MAX_SESSIONS {
            return true;
        }
        let oldest = self.by_id.iter().min_by_key(|(_, session)| session.used_at);
        match oldest.map(|(id, session)| (*id, session.used_at)) {
            Some((id, used_at)) if used_at + EVICTION_AGE <= now => {
                self.by_id.remove(&id);
                true
            }
            _ => false,
        }
    }

    /// For an answer that tells nothing: the id that it has. What would be the first answer of a
    /// session begins none, since clients take it for no answer (KIP-219).
    pub(crate) fn leave_empty(&mut self, usage: Use) -> i32 {
        match usage {
            Use::None => 0,
            Use::Full(id) => {
                self.by_id.remove(&id);
                0
            }
            Use::Incremental(id) => id,
        }
    }

    /// Makes an answer one of its session: with its id, and without what was told before.
    pub(crate) fn leave(&mut self, usage: Use, answer: &mut FetchAnswer) {
        let (id, is_whole) = match usage {
            Use::None => return,
            Use::Full(id) => (id, true),
            Use::Incremental(id) => (id, false),
        };
        // It may have been given up while the request waited. Then the next one is refused.
        answer.session_id = id;
        let Some(session) = self.by_id.get_mut(&id) else {
            return;
        };
        for topic in &mut answer.topics {
            let (name, topic_id) = (std::mem::take(&mut topic.topic), topic.topic_id);
            topic.partitions.retain(|data| session.learn(&name, topic_id, data) || is_whole);
            topic.topic = name;
        }
        answer.topics.retain(|topic| !topic.partitions.is_empty());
        merge_topics(&mut answer.topics);
    }
}

impl Session {
    /// Takes partitions in, changes those that are named again, and lets go of others.
    fn update(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten_topics_data {
            self.partitions.retain(|cached| {
                !topic
                    .partitions
                    .iter()
                    .any(|partition| cached.is(&topic.topic, topic.topic_id, *partition))
            });
        }
        for topic in &request.topics {
            for wanted in &topic.partitions {
                let has_room = self.partitions.len() < MAX_PARTITIONS;
                let known = self
                    .partitions
                    .iter_mut()
                    .find(|cached| cached.is(&topic.topic, topic.topic_id, wanted.partition));
                match known {
                    Some(cached) => cached.wanted = wanted.clone(),
                    None if has_room => {
                        self.partitions.push(Cached::new(topic, wanted));
                    }
                    None => {}
                }
            }
        }
    }

    /// Everything that is to be read.
    fn topics(&self) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for cached in &self.partitions {
            let is_same = |topic: &&mut FetchTopic| {
                topic.topic == cached.topic && topic.topic_id == cached.topic_id
            };
            match topics.last_mut().filter(is_same) {
                Some(topic) => topic.partitions.push(cached.wanted.clone()),
                None => topics.push(FetchTopic {
                    topic: cached.topic.clone(),
                    topic_id: cached.topic_id,
                    partitions: vec![cached.wanted.clone()],
                }),
            }
        }
        topics
    }

    fn learn(&mut self, topic: &str, topic_id: Uuid, data: &PartitionAnswer) -> bool {
        let partition = data.partition;
        let is_it = |cached: &Cached| cached.is(topic, topic_id, partition);
        let Some(place) = self.partitions.iter().position(is_it) else {
            return true;
        };
        let is_new = self.partitions[place].learn(data);
        if data.records.length() > 0 {
            // The others come first next time.
            let cached = self.partitions.remove(place);
            self.partitions.push(cached);
        }
        is_new
    }
}

/// Puts the partitions of one topic together again.
fn merge_topics(topics: &mut Vec<TopicAnswer>) {
    let mut merged: Vec<TopicAnswer> = Vec::with_capacity(topics.len());
    for topic in topics.drain(..) {
        let is_same = |other: &&mut TopicAnswer| {
            other.topic == topic.topic && other.topic_id == topic.topic_id
        };
        match merged.iter_mut().find(is_same) {
            Some(other) => other.partitions.extend(topic.partitions),
            None => merged.push(topic),
        }
    }
    *topics = merged;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::handler::Records;

    const NODE: i32 = 1;

    fn request(id: i32, epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
        let wanted = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic: "t".to_owned(),
            partitions: partitions.iter().map(wanted).collect(),
            ..FetchTopic::default()
        };
        let topics = if partitions.is_empty() { Vec::new() } else { vec![topic] };
        FetchRequest { session_id: id, session_epoch: epoch, topics, ..FetchRequest::default() }
    }

    fn answer(request: &FetchRequest, high_watermark: i64, records: &'static [u8]) -> FetchAnswer {
        let records = Records::Here(Bytes::from_static(records));
        let partition = |wanted: &FetchPartition| PartitionAnswer {
            high_watermark,
            records: records.clone(),
            ..PartitionAnswer::failed(wanted.partition, ErrorCode::NONE)
        };
        let topics = request.topics.iter().map(|topic| TopicAnswer {
            topic: topic.topic.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(partition).collect(),
        });
        FetchAnswer { topics: topics.collect(), ..FetchAnswer::default() }
    }

    fn told(answer: &FetchAnswer) -> Vec<i32> {
        let all = answer.topics.iter().flat_map(|topic| &topic.partitions);
        all.map(|data| data.partition).collect()
    }

    #[test]
    fn only_what_is_new_is_told_once_a_session_has_begun() {
        let mut sessions = FetchSessions::default();
        let mut first = request(0, 0, &[(0, 0), (1, 0)]);
        let usage = sessions.enter(&mut first, NODE, || 7, Duration::ZERO).unwrap();
        assert_eq!(usage, Use::Full(7));
        let mut response = answer(&first, 5, b"");
        sessions.leave(usage, &mut response);
        assert_eq!((response.session_id, told(&response)), (7, vec![0, 1]));

        let mut second = request(7, 1, &[]);
        let usage = sessions.enter(&mut second, NODE, || 8, Duration::ZERO).unwrap();
        assert_eq!(usage, Use::Incremental(7));
        assert_eq!(second.topics[0].partitions.len(), 2);
        let mut response = answer(&second, 5, b"");
        sessions.leave(usage, &mut response);
        assert_eq!(told(&response), [0; 0]);
        for (high_watermark, records, expected) in
            [(6, &b""[..], vec![0, 1]), (6, b"records", vec![0, 1]), (6, b"", vec![])]
        {
            let mut response = answer(&second, high_watermark, records);
            sessions.leave(usage, &mut response);
            assert_eq!(told(&response), expected);
        }
    }

    #[test]
    fn partitions_come_move_and_go() {
        let mut sessions = FetchSessions::default();
        let mut first = request(0, 0, &[(0, 0), (1, 0)]);
        sessions.enter(&mut first, NODE, || 7, Duration::ZERO).unwrap();
        let mut second = request(7, 1, &[(1, 50), (2, 0)]);
        second.forgotten_topics_data = vec![ottla_protocol::messages::fetch::ForgottenTopic {
            topic: "t".to_owned(),
            partitions: vec![0],
            ..Default::default()
        }];
        sessions.enter(&mut second, NODE, || 8, Duration::ZERO).unwrap();
        let read: Vec<(i32, i64)> = second.topics[0]
            .partitions
            .iter()
            .map(|wanted| (wanted.partition, wanted.fetch_offset))
            .collect();
        assert_eq!(read, [(1, 50), (2, 0)]);
    }

    #[test]
    fn what_is_not_the_next_request_of_a_session_is_refused() {
        let mut sessions = FetchSessions::default();
        let mut first = request(0, 0, &[(0, 0)]);
        sessions.enter(&mut first, NODE, || 7, Duration::ZERO).unwrap();
        let refused = |sessions: &mut FetchSessions, id, epoch, node| {
            sessions.enter(&mut request(id, epoch, &[]), node, || 9, Duration::ZERO).unwrap_err()
        };
        let unknown = ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        assert_eq!(refused(&mut sessions, 8, 1, NODE), unknown);
        assert_eq!(refused(&mut sessions, 7, 1, NODE + 1), unknown);
        let wrong = ErrorCode::INVALID_FETCH_SESSION_EPOCH;
        assert_eq!(refused(&mut sessions, 7, 2, NODE), wrong);
        // The end of it.
        let usage = sessions.enter(&mut request(7, -1, &[]), NODE, || 9, Duration::ZERO);
        assert_eq!(usage, Ok(Use::None));
        assert_eq!(refused(&mut sessions, 7, 1, NODE), unknown);
    }

    #[test]
    fn one_that_gave_records_is_read_after_the_others() {
        let mut sessions = FetchSessions::default();
        let mut first = request(0, 0, &[(0, 0), (1, 0)]);
        let usage = sessions.enter(&mut first, NODE, || 7, Duration::ZERO).unwrap();
        let mut response = answer(&request(0, 0, &[(0, 0)]), 5, b"records");
        sessions.leave(usage, &mut response);
        let mut second = request(7, 1, &[]);
        sessions.enter(&mut second, NODE, || 8, Duration::ZERO).unwrap();
        let order: Vec<i32> =
            second.topics[0].partitions.iter().map(|wanted| wanted.partition).collect();
        assert_eq!(order, [1, 0]);
    }

    #[test]
    fn with_all_places_taken_the_one_that_was_idle_for_long_goes() {
        let mut sessions = FetchSessions::default();
        for id in 1..=MAX_SESSIONS as i32 {
            let used = Duration::from_millis(id as u64);
            sessions.enter(&mut request(0, 0, &[(0, 0)]), NODE, || id, used).unwrap();
        }
        let mut late = |at: Duration, id: i32| {
            sessions.enter(&mut request(0, 0, &[(0, 0)]), NODE, || id, at).unwrap()
        };
        assert_eq!(late(Duration::from_secs(60), 5000), Use::None);
        assert_eq!(late(EVICTION_AGE + Duration::from_millis(1), 5000), Use::Full(5000));
    }
}
