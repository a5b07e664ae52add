//! One broker: everything it knows, driven from outside.
//!
//! The node reads no clock and no socket. `handle_*` tells it what the world did, `poll_*` asks
//! what must be done: bytes to send, files to flush, when to call again. One request of a
//! connection is handled at a time; the next is given in once the last is answered, as Kafka does
//! it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::{ApiKey, Message, Reader, RequestHeader, Uuid};

use crate::catalog::Catalog;
use crate::config::BrokerConfig;
use crate::data_dir::{DataDir, GROUP_OFFSETS};
use crate::error::StartError;
use crate::fault::{Fault, Faults};
use crate::groups::Groups;
use crate::handler::{self, fetch::ParkedFetch};
use crate::log::{Storage, SyncJob, Validator};
use crate::partitions::Partitions;
use crate::request_log::RequestLog;
use crate::rng::Rng;
use crate::security::acl::{On, Rules};
use crate::security::session::Session;
use crate::security::users::Users;
use crate::security::{self, Operation, Sasl};
use crate::time::Now;

/// `sasl.server.max.receive.size`: nobody needs more to say who they are.
const MAX_UNKNOWN_REQUEST_BYTES: usize = 512 * 1024;

/// A connection, by the order in which it was accepted.
pub(crate) type ConnectionId = u64;

/// What belongs to a request beside its body.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) connection: ConnectionId,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<String>,
    pub(crate) fault: Option<Fault>,
}

/// The two ends of a connection, who is at the other, and what faults have made of it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// By its place among the node's.
    pub(crate) listener: usize,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// Who the client is, as `User:name`.
    pub(crate) principal: Arc<str>,
    /// Where it stands with SASL, if its listener asks for that.
    pub(crate) session: Option<Box<Session>>,
    /// Requests are no longer heard.
    pub(crate) is_deaf: bool,
    /// Answers are no longer said.
    pub(crate) is_mute: bool,
}

/// A client that has connected, as the door knows it.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// By its place among the node's.
    pub(crate) listener: usize,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    /// The name in its certificate.
    pub(crate) certificate_name: Option<String>,
}

/// What the node knows of a listener.
#[derive(Debug)]
pub(crate) struct NodeListener {
    /// `None`: each client is told the address that it connected to.
    pub(crate) advertised: Option<Advertised>,
    /// `None`: nobody is asked who they are.
    pub(crate) sasl: Option<Arc<Sasl>>,
}

/// What the driver does with a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The answer, if there is one, has been written; the next request may come.
    Continue,
    /// The answer comes by [`Node::poll_transmit`]; until then no further request.
    Wait,
    /// Like `Continue`, but the connection is not read for so long.
    Pause(Duration),
    /// The connection is closed, once what was written has left.
    Close,
}

/// An answer that did not come at once.
#[derive(Debug)]
pub(crate) struct Transmit {
    pub(crate) connection: ConnectionId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) flow: Flow,
}

/// A closed segment that should reach the medium.
#[derive(Debug)]
pub(crate) struct PendingSync {
    topic: Uuid,
    partition: i32,
    job: SyncJob,
}

impl PendingSync {
    /// Waits for the medium; not to be called on the broker's own thread.
    pub(crate) fn run(&self) -> std::io::Result<()> {
        self.job.run()
    }
}

/// How other brokers and clients find this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advertised {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// One broker.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) config: BrokerConfig,
    pub(crate) listeners: Vec<NodeListener>,
    pub(crate) users: Users,
    pub(crate) rules: Rules,
    /// The principal of those who have not said who they are.
    nobody: Arc<str>,
    pub(crate) data: DataDir,
    pub(crate) catalog: Catalog,
    pub(crate) partitions: Partitions,
    pub(crate) groups: Groups,
    pub(crate) faults: Faults,
    pub(crate) seen: RequestLog,
    pub(crate) validator: Validator,
    pub(crate) rng: Rng,
    pub(crate) peers: HashMap<ConnectionId, Peer>,
    pub(crate) parked_fetches: HashMap<ConnectionId, ParkedFetch>,
    pub(crate) fetch_deadlines: BTreeSet<(Duration, ConnectionId)>,
    delayed: HashMap<ConnectionId, Transmit>,
    delay_deadlines: BTreeSet<(Duration, ConnectionId)>,
    transmits: VecDeque<Transmit>,
    syncs: Vec<PendingSync>,
    next_housekeeping: Duration,
}

impl Node {
    /// Opens the folder and everything in it.
    pub(crate) fn open(
        id: i32,
        config: BrokerConfig,
        dir: &std::path::Path,
        storage: Arc<dyn Storage>,
        seed: u64,
        now: Now,
    ) -> Result<Self, StartError> {
        let mut rng = Rng::new(seed);
        let data = DataDir::open(dir, id, rng.next_uuid(), storage.clone())?;
        let mut catalog = Catalog::load(dir, storage.clone())?;
        let fault = |source| StartError::DataDir { path: dir.to_owned(), source };
        if !data.was_clean() {
            catalog.bump_leader_epochs().map_err(fault)?;
        }
        let partitions = Partitions::open(&data, &catalog, config.discards, now.unix_ms)?;
        catalog.forget_deleted().map_err(fault)?;
        let groups = Groups::open(dir.join(GROUP_OFFSETS), storage, &config)?;
        data.mark_in_use()?;
        Ok(Self {
            id,
            listeners: Vec::new(),
            users: Users::default(),
            rules: Rules::default(),
            nobody: security::ANONYMOUS.into(),
            data,
            catalog,
            partitions,
            groups,
            faults: Faults::default(),
            seen: RequestLog::new(config.request_log_capacity),
            validator: Validator::default(),
            rng,
            peers: HashMap::new(),
            parked_fetches: HashMap::new(),
            fetch_deadlines: BTreeSet::new(),
            delayed: HashMap::new(),
            delay_deadlines: BTreeSet::new(),
            transmits: VecDeque::new(),
            syncs: Vec::new(),
            next_housekeeping: now.monotonic + config.retention_check_interval,
            config,
        })
    }

    /// A client has connected.
    pub(crate) fn handle_connected(&mut self, connection: ConnectionId, arrival: Arrival) {
        let sasl = self.listeners.get(arrival.listener).and_then(|known| known.sasl.clone());
        let principal = arrival.certificate_name.as_deref().map(security::principal_of);
        let peer = Peer {
            listener: arrival.listener,
            local: arrival.local,
            remote: arrival.remote,
            principal: principal.unwrap_or_else(|| self.nobody.clone()),
            session: sasl.map(|sasl| Box::new(Session::new(sasl))),
            is_deaf: false,
            is_mute: false,
        };
        self.peers.insert(connection, peer);
    }

    /// The largest request in bytes that may come on a connection. It changes once: when the client
    /// is known.
    pub(crate) fn max_request_bytes(&self, connection: ConnectionId) -> usize {
        let session = self.peers.get(&connection).and_then(|peer| peer.session.as_ref());
        match session {
            Some(session) if !session.is_known() => {
                self.config.max_request_bytes.min(MAX_UNKNOWN_REQUEST_BYTES)
            }
            _ => self.config.max_request_bytes,
        }
    }

    /// A client is gone; what it waited for is not waited for any more.
    pub(crate) fn handle_disconnected(&mut self, connection: ConnectionId) {
        self.peers.remove(&connection);
        self.unpark_fetch(connection);
        self.delayed.remove(&connection);
    }

    /// A whole request has come in. An answer that is ready is written at the end of `out`.
    pub(crate) fn handle_request(
        &mut self,
        connection: ConnectionId,
        frame: &Bytes,
        now: Now,
        out: &mut Vec<u8>,
    ) -> Flow {
        let peer = match self.peers.get_mut(&connection) {
            Some(peer) if peer.is_deaf => return Flow::Continue,
            Some(peer) => peer,
            None => return Flow::Close,
        };
        let mut reader = Reader::new(frame);
        let header = match RequestHeader::decode(&mut reader) {
            Ok(header) => header,
            Err(error) => {
                tracing::warn!(connection, %error, "not a request, connection closed");
                return Flow::Close;
            }
        };
        if let Some(session) = &mut peer.session {
            let (api, version) = (header.api_key, header.api_version);
            if let Err(reason) = session.admit(api, version, ApiVersionsRequest::VERSIONS, now) {
                let remote = peer.remote;
                tracing::warn!(connection, %remote, reason, "connection closed");
                return Flow::Close;
            }
        }
        let call = Call {
            connection,
            api: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            fault: None,
        };
        let flow = handler::dispatch(self, call, &mut reader, now, out);
        self.answer_group_members(now);
        flow
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some(&(deadline, connection)) = self.fetch_deadlines.first() {
            if deadline > now.monotonic {
                break;
            }
            self.complete_fetch(connection, now);
        }
        while let Some(&(deadline, connection)) = self.delay_deadlines.first() {
            if deadline > now.monotonic {
                break;
            }
            self.delay_deadlines.pop_first();
            self.transmits.extend(self.delayed.remove(&connection));
        }
        self.groups.handle_timeout(now);
        self.answer_group_members(now);
        if now.monotonic >= self.next_housekeeping {
            self.next_housekeeping = now.monotonic + self.config.retention_check_interval;
            self.keep_house(now);
        }
    }

    /// A file that [`Node::poll_sync`] gave out has reached the medium.
    pub(crate) fn handle_synced(&mut self, synced: &PendingSync) {
        if let Some(partition) = self.partitions.get_mut(synced.topic, synced.partition) {
            partition.log.handle_synced(&synced.job);
            self.write_checkpoints();
        }
    }

    /// The next answer that was waited for.
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next file to flush, away from the broker's thread.
    pub(crate) fn poll_sync(&mut self) -> Option<PendingSync> {
        self.syncs.pop()
    }

    /// When [`Node::handle_timeout`] must be called next, on the monotonic clock.
    pub(crate) fn poll_timeout(&self) -> Duration {
        let fetch = self.fetch_deadlines.first().map(|(deadline, _)| *deadline);
        let delay = self.delay_deadlines.first().map(|(deadline, _)| *deadline);
        let group = self.groups.next_timeout();
        let next = [fetch, delay, group].into_iter().flatten().min();
        next.map_or(self.next_housekeeping, |next| next.min(self.next_housekeeping))
    }

    /// Brings everything onto the medium and marks the folder as properly closed.
    pub(crate) fn close(&mut self) {
        let sync = self.config.is_durable;
        let mut is_whole = true;
        for partition in self.partitions.iter_mut() {
            if let Err(error) = partition.log.close(sync) {
                tracing::error!(%error, "log not closed");
                is_whole = false;
            }
        }
        is_whole &= self.write_checkpoints();
        // Without the marker the next start reads the logs through, which is right after a failure.
        if is_whole && let Err(error) = self.data.mark_clean() {
            tracing::error!(%error, "clean shutdown not marked");
        }
    }

    /// Writes the offsets that a start after a kill wants to know.
    pub(crate) fn write_checkpoints(&self) -> bool {
        let mut recovery_points = Vec::new();
        let mut high_watermarks = Vec::new();
        let mut log_starts = Vec::new();
        for topic in self.catalog.sorted() {
            for (index, partition) in self.partitions.of_topic(topic.id).iter().enumerate() {
                let (name, index) = (&*topic.name, index as i32);
                recovery_points.push((name, index, partition.log.recovery_point()));
                high_watermarks.push((name, index, partition.high_watermark()));
                if partition.log.log_start_offset() > 0 {
                    log_starts.push((name, index, partition.log.log_start_offset()));
                }
            }
        }
        let written = self
            .data
            .write_recovery_points(&recovery_points)
            .and_then(|()| self.data.write_high_watermarks(&high_watermarks))
            .and_then(|()| self.data.write_log_starts(&log_starts));
        written.inspect_err(|error| tracing::error!(%error, "checkpoints not written")).is_ok()
    }

    /// Removes what is too old, and makes note of where the logs stand.
    fn keep_house(&mut self, now: Now) {
        let idle_ms = self.config.producer_id_expiration.as_millis() as i64;
        for partition in self.partitions.iter_mut() {
            partition.log.expire_producers(now.unix_ms.saturating_sub(idle_ms));
            if let Err(error) = partition.log.apply_retention(now.unix_ms) {
                tracing::error!(%error, "old segments not removed");
            }
        }
        self.write_checkpoints();
    }

    /// Takes note of segments that a partition has just closed.
    pub(crate) fn queue_syncs(&mut self, topic: Uuid, partition: i32) {
        let Some(found) = self.partitions.get_mut(topic, partition) else {
            return;
        };
        let jobs = found.log.take_sync_jobs();
        if self.config.is_durable {
            let syncs = jobs.into_iter().map(|job| PendingSync { topic, partition, job });
            self.syncs.extend(syncs);
        }
    }

    /// Lets an answer leave later than now.
    pub(crate) fn delay(&mut self, transmit: Transmit, until: Duration) {
        self.delay_deadlines.insert((until, transmit.connection));
        self.delayed.insert(transmit.connection, transmit);
    }

    pub(crate) fn transmit(&mut self, transmit: Transmit) {
        self.transmits.push_back(transmit);
    }

    /// Takes a waiting Fetch out of all lists.
    pub(crate) fn unpark_fetch(&mut self, connection: ConnectionId) -> Option<ParkedFetch> {
        let parked = self.parked_fetches.remove(&connection)?;
        self.fetch_deadlines.remove(&(parked.deadline, connection));
        for &(topic, partition) in &parked.watched {
            if let Some(partition) = self.partitions.get_mut(topic, partition) {
                partition.waiters.retain(|waiter| *waiter != connection);
            }
        }
        Some(parked)
    }

    /// Answers a waiting Fetch with what is there now.
    pub(crate) fn complete_fetch(&mut self, connection: ConnectionId, now: Now) {
        if let Some(parked) = self.unpark_fetch(connection) {
            handler::fetch::complete(self, parked, now);
        }
    }

    fn answer_group_members(&mut self, now: Now) {
        while let Some(answer) = self.groups.poll_answer() {
            handler::answer_group_member(self, answer, now);
        }
    }

    /// Whether who is behind a request may do this.
    pub(crate) fn allows(&self, call: &Call, operation: Operation, thing: On<'_>) -> bool {
        self.rules.is_empty() || self.rules.allows(self.principal(call), operation, thing)
    }

    /// Who is behind a request.
    pub(crate) fn principal(&self, call: &Call) -> &Arc<str> {
        self.peers.get(&call.connection).map_or(&self.nobody, |peer| &peer.principal)
    }

    /// Where clients find this node, seen from one connection.
    pub(crate) fn address_for(&self, connection: ConnectionId) -> Advertised {
        let Some(peer) = self.peers.get(&connection) else {
            return Advertised { host: String::new(), port: 0 };
        };
        let listener = self.listeners.get(peer.listener);
        listener.and_then(|listener| listener.advertised.clone()).unwrap_or_else(|| Advertised {
            host: peer.local.ip().to_canonical().to_string(),
            port: peer.local.port(),
        })
    }
}
