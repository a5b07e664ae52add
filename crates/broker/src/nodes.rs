//! The nodes of a cluster and all they know, driven from outside.
//!
//! Neither clock nor socket is read here. `handle_*` tells what the world did, `poll_*` asks
//! what must be done: bytes to send, files to flush, when to call again. One request of a
//! connection is handled at a time; the next is given in once the last is answered, as Kafka does
//! it.
//!
//! Each node has its own folder with its own replicas, and acts on what the controller last told
//! it. The controller is not a node: it is the catalogue and what `controller` does with it.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::fetch::FetchRequest;
use ottla_protocol::{ErrorCode, Message, Reader, RequestHeader, Uuid};

use crate::catalog::Catalog;
use crate::compaction::Compaction;
use crate::config::BrokerConfig;
use crate::data_dir::{
    ACLS, CLIENT_QUOTAS, DataDir, RESOURCE_SETTINGS, SCRAM_CREDENTIALS, TRANSACTIONS,
};
use crate::disk::NodeDisk;
use crate::error::StartError;
use crate::fault::Faults;
use crate::fetch_sessions::{FetchSessions, Use as FetchSessionUse};
use crate::groups::Groups;
use crate::handler::{self, ParkedAdmin, ParkedFetch, ParkedProduce};
use crate::log::{self, Storage, SyncJob, Validator};
use crate::node::{Node, State};
use crate::outgoing::Outgoing;
use crate::peers::{Arrival, Call, ConnectionId, Flow, Peer, Transmit};
use crate::quotas::Quotas;
use crate::request_log::RequestLog;
use crate::resource_settings::ResourceSettings;
use crate::rng::Rng;
use crate::security;
use crate::security::acl::Rules;
use crate::security::bindings::Bindings;
use crate::security::scram_journal::ScramJournal;
use crate::security::session::Session;
use crate::security::users::Users;
use crate::spare_buffers;
use crate::time::Now;
use crate::transactions::Transactions;
use crate::unheard::Unheard;

/// `sasl.server.max.receive.size`: nobody needs more to say who they are.
const MAX_UNKNOWN_REQUEST_BYTES: usize = 512 * 1024;

/// The id of a cluster's first node.
pub(crate) const FIRST_NODE_ID: i32 = 1;

/// A closed segment that should reach the medium.
#[derive(Debug)]
pub(crate) struct PendingSync {
    node: i32,
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

/// All nodes of a cluster, and what they share.
#[derive(Debug)]
pub(crate) struct Nodes {
    pub(crate) config: BrokerConfig,
    /// The first has [`FIRST_NODE_ID`], the others count up from there.
    pub(crate) nodes: Vec<Node>,
    /// Who speaks, and who does not hear it. 0 is the controller.
    pub(crate) cuts: BTreeSet<(i32, i32)>,
    pub(crate) cluster_id: String,
    pub(crate) dir: PathBuf,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) users: Users,
    /// What tools have said of some of them.
    pub(crate) scram: ScramJournal,
    pub(crate) rules: Rules,
    pub(crate) acls: Bindings,
    /// The principal of those who have not said who they are.
    pub(crate) nobody: Arc<str>,
    pub(crate) catalog: Catalog,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) quotas: Quotas,
    /// What brokers, groups and client metrics were given while the cluster runs.
    pub(crate) settings: ResourceSettings,
    pub(crate) faults: Faults,
    pub(crate) seen: RequestLog,
    pub(crate) validator: Validator,
    pub(crate) rng: Rng,
    pub(crate) peers: HashMap<ConnectionId, Peer>,
    pub(crate) fetch_sessions: FetchSessions,
    pub(crate) parked_fetches: HashMap<ConnectionId, ParkedFetch>,
    pub(crate) fetch_deadlines: BTreeSet<(Duration, ConnectionId)>,
    pub(crate) parked_produces: HashMap<ConnectionId, ParkedProduce>,
    pub(crate) produce_deadlines: BTreeSet<(Duration, ConnectionId)>,
    pub(crate) parked_admins: HashMap<ConnectionId, ParkedAdmin>,
    delayed: HashMap<ConnectionId, Transmit>,
    delay_deadlines: BTreeSet<(Duration, ConnectionId)>,
    transmits: VecDeque<Transmit>,
    pub(crate) unheard: Unheard,
    syncs: Vec<PendingSync>,
    next_housekeeping: Duration,
    pub(crate) compaction: Compaction,
    pub(crate) next_lag_check: Duration,
    /// When the controller tries again what could not be written down, on the monotonic clock.
    pub(crate) look_again_at: Option<Duration>,
}

/// Opens the folders of all nodes, of one at least.
fn open_folders(
    count: i32,
    dir: &Path,
    storage: &Arc<dyn Storage>,
    rng: &mut Rng,
) -> Result<Vec<(DataDir, NodeDisk)>, StartError> {
    let disks: Vec<NodeDisk> = (0..count).map(|_| NodeDisk::new(storage.clone())).collect();
    let mut of_nodes = (FIRST_NODE_ID..).zip(disks);
    let Some((id, disk)) = of_nodes.next() else {
        return Err(StartError::Config("a cluster has one node at least".to_owned()));
    };
    let first = DataDir::open_first(dir, id, rng.next_uuid(), disk.storage())?;
    let cluster_id = first.cluster_id().to_owned();
    let mut folders = vec![(first, disk)];
    for (id, disk) in of_nodes {
        folders.push((DataDir::open_other(dir, id, &cluster_id, disk.storage())?, disk));
    }
    Ok(folders)
}

impl Nodes {
    /// Opens the folders of all nodes and everything in them.
    ///
    /// The first node has the cluster's own folder, the others have folders of their own in it.
    pub(crate) fn open(
        count: i32,
        config: BrokerConfig,
        dir: &Path,
        storage: Arc<dyn Storage>,
        seed: u64,
        now: Now,
    ) -> Result<Self, StartError> {
        let mut rng = Rng::new(seed);
        let folders = open_folders(count, dir, &storage, &mut rng)?;
        let cluster_id = folders[0].0.cluster_id().to_owned();
        let catalog = Catalog::load(dir, storage.clone())?;
        // One that went in order while the others ran on does not speak for them.
        let was_clean = folders.iter().all(|(data, _)| data.was_clean());
        let settings = ResourceSettings::open(dir.join(RESOURCE_SETTINGS), storage.clone())?;
        let groups = Groups::open(dir, &storage, &config, &settings, now)?;
        let transactions = Transactions::open(dir.join(TRANSACTIONS), storage.clone(), now)?;
        let quotas = Quotas::open(dir.join(CLIENT_QUOTAS), storage.clone())?;
        let acls = Bindings::open(dir.join(ACLS), storage.clone())?;
        let scram = ScramJournal::open(dir.join(SCRAM_CREDENTIALS), storage.clone())?;
        let mut nodes = Vec::with_capacity(folders.len());
        for (id, (data, disk)) in (FIRST_NODE_ID..).zip(folders) {
            nodes.push(Node::open(id, data, disk, (&catalog, &settings), config.discards, now)?);
        }
        nodes.iter().try_for_each(|node| node.mark_in_use(&catalog))?;
        let mut cluster = Self {
            nodes,
            cuts: BTreeSet::new(),
            cluster_id,
            dir: dir.to_owned(),
            storage,
            users: Users::default(),
            scram,
            rules: Rules::default(),
            acls,
            nobody: security::ANONYMOUS.into(),
            catalog,
            groups,
            transactions,
            quotas,
            settings,
            faults: Faults::default(),
            seen: RequestLog::new(config.request_log_capacity),
            validator: Validator::default(),
            rng,
            peers: HashMap::new(),
            fetch_sessions: FetchSessions::default(),
            parked_fetches: HashMap::new(),
            fetch_deadlines: BTreeSet::new(),
            parked_produces: HashMap::new(),
            produce_deadlines: BTreeSet::new(),
            parked_admins: HashMap::new(),
            delayed: HashMap::new(),
            delay_deadlines: BTreeSet::new(),
            transmits: VecDeque::new(),
            unheard: Unheard::default(),
            syncs: Vec::new(),
            next_housekeeping: now.monotonic + config.retention_check_interval,
            compaction: Compaction::starting(now.monotonic + config.cleaner_backoff),
            look_again_at: None,
            next_lag_check: now.monotonic + config.replica_lag_time_max / 2,
            config,
        };
        cluster.forget_deleted();
        if !was_clean {
            let fault = |source| StartError::DataDir { path: dir.to_owned(), source };
            cluster.begin_new_epochs().map_err(fault)?;
        }
        cluster.begin_control(now);
        Ok(cluster)
    }

    /// Removes the notes of deleted topics, once no node can have anything of them.
    pub(crate) fn forget_deleted(&mut self) {
        if self.nodes.iter().all(|node| node.state != State::Down)
            && let Err(error) = self.catalog.forget_deleted()
        {
            tracing::warn!(%error, "notes of deleted topics are left");
        }
    }

    /// A client has connected.
    pub(crate) fn handle_connected(&mut self, connection: ConnectionId, arrival: Arrival) {
        let known = self.node(arrival.node).and_then(|node| node.listeners.get(arrival.listener));
        let sasl = known.and_then(|known| known.sasl.clone());
        let principal = arrival.certificate_name.as_deref().map(security::principal_of);
        let peer = Peer {
            node: arrival.node,
            listener: arrival.listener,
            local: arrival.local,
            remote: arrival.remote,
            principal: principal.unwrap_or_else(|| self.nobody.clone()),
            session: sasl.map(|sasl| Box::new(Session::new(sasl))),
            is_deaf: false,
            is_mute: false,
            throttle: None,
            swapped: Vec::new(),
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
        self.unpark_produce(connection);
        self.parked_admins.remove(&connection);
        self.delayed.remove(&connection);
    }

    /// A whole request has come in. An answer that is ready is written at the end of `out`.
    pub(crate) fn handle_request(
        &mut self,
        connection: ConnectionId,
        frame: &Bytes,
        now: Now,
        out: &mut Outgoing,
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
            node: peer.node,
            connection,
            api: header.api_key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            size_bytes: frame.len(),
            fault: None,
        };
        let flow = handler::dispatch(self, call, &mut reader, now, out);
        self.finish_transactions(now);
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
        while let Some(&(deadline, connection)) = self.produce_deadlines.first() {
            if deadline > now.monotonic {
                break;
            }
            handler::settle_produce(self, connection, now, true);
        }
        while let Some(&(deadline, connection)) = self.delay_deadlines.first() {
            if deadline > now.monotonic {
                break;
            }
            self.delay_deadlines.pop_first();
            self.transmits.extend(self.delayed.remove(&connection));
        }
        self.serve_unheard(now);
        self.control(now);
        self.replicate(now);
        handler::settle_admins(self, now);
        self.transactions.handle_timeout(now);
        self.finish_transactions(now);
        self.groups.handle_timeout(now);
        self.answer_group_members(now);
        if now.monotonic >= self.next_housekeeping {
            self.next_housekeeping = now.monotonic + self.config.retention_check_interval;
            self.keep_house(now);
        }
        self.compact(now);
    }

    /// A file that [`Nodes::poll_sync`] gave out has reached the medium.
    pub(crate) fn handle_synced(&mut self, synced: &PendingSync) {
        if let Some(replica) = self.replica_mut(synced.node, synced.topic, synced.partition) {
            replica.log.handle_synced(&synced.job);
            if let Some(node) = self.node(synced.node) {
                node.write_checkpoints(&self.catalog);
            }
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

    /// When [`Nodes::handle_timeout`] must be called next, on the monotonic clock.
    pub(crate) fn poll_timeout(&self) -> Duration {
        let fetch = self.fetch_deadlines.first().map(|(deadline, _)| *deadline);
        let delay = self.delay_deadlines.first().map(|(deadline, _)| *deadline);
        let produce = self.produce_deadlines.first().map(|(deadline, _)| *deadline);
        let admin = self.parked_admins.values().map(|parked| parked.deadline).min();
        let group = self.groups.next_timeout();
        let control = self.next_control();
        let replication = self.next_replication();
        let transaction = self.transactions.next_timeout();
        let unheard = self.unheard.next_timeout();
        let all = [fetch, produce, admin, delay, group, control, replication, transaction, unheard];
        let next = all.into_iter().flatten().min();
        let chores = self.next_housekeeping.min(self.compaction.next());
        next.map_or(chores, |next| next.min(chores))
    }

    /// Brings everything onto the medium and marks the folders as properly closed. The first one
    /// last: it speaks for all.
    pub(crate) fn close(&mut self) {
        let is_durable = self.config.is_durable;
        for sync in std::mem::take(&mut self.syncs) {
            if let Err(error) = sync.run() {
                // Without the marker the next start looks at what may not be on the medium.
                return tracing::error!(%error, "segment not flushed, folders not closed");
            }
        }
        for node in self.nodes.iter_mut().rev() {
            node.close(&self.catalog, is_durable);
        }
    }

    /// Has every node make note of where its logs stand.
    pub(crate) fn write_checkpoints(&self) {
        for node in &self.nodes {
            node.write_checkpoints(&self.catalog);
        }
    }

    /// Removes what is too old, and makes note of where the logs stand.
    fn keep_house(&mut self, now: Now) {
        // In case nobody reads any more.
        log::read_buffer::release();
        spare_buffers::release();
        let idle_ms = self.config.transactional_id_expiration.as_millis() as i64;
        self.transactions.expire(now.unix_ms.saturating_sub(idle_ms));
        let ids = self.node_ids().into_iter();
        let idle = ids.map(|id| self.producer_id_expiration(id)).collect::<Vec<_>>();
        for (node, idle) in self.nodes.iter_mut().zip(idle) {
            let idle_ms = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
            for replica in node.partitions.iter_mut() {
                replica.log.expire_producers(now.unix_ms.saturating_sub(idle_ms));
                // Only what every in-sync replica has may go.
                if replica.high_watermark() < replica.log.log_end_offset() {
                    continue;
                }
                let removed = replica.log.apply_retention(now.unix_ms);
                if let Err(error) = removed {
                    tracing::error!(%error, "old segments not removed");
                }
            }
        }
        self.write_checkpoints();
    }

    /// Takes note of segments that a partition has just closed.
    pub(crate) fn queue_syncs(&mut self, node: i32, topic: Uuid, partition: i32) {
        let Some(found) = self.replica_mut(node, topic, partition) else {
            return;
        };
        let jobs = found.log.take_sync_jobs();
        if self.config.is_durable {
            let syncs = jobs.into_iter().map(|job| PendingSync { node, topic, partition, job });
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

    /// Finds or makes the session of a Fetch, and completes the request by what it remembers.
    pub(crate) fn enter_fetch_session(
        &mut self,
        request: &mut FetchRequest,
        call: &Call,
        now: Now,
    ) -> Result<FetchSessionUse, ErrorCode> {
        let Self { fetch_sessions, rng, .. } = self;
        let new_id = || (rng.next_u64() & 0x7fff_ffff) as i32;
        fetch_sessions.enter(request, call.node, new_id, now.monotonic)
    }

    fn answer_group_members(&mut self, now: Now) {
        while let Some(answer) = self.groups.poll_answer() {
            handler::answer_group_member(self, answer, now);
        }
    }
}
