//! Requests that are not about records: the cluster's layout and our producer id.

use core::time::Duration;

use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla_protocol::{ApiKey, ErrorCode, Request};

use super::Producer;
use crate::accumulator::Queues;
use crate::connection::{Link, LinkState, Reach, Sent, Target};
use crate::host::Host;
use crate::output::ConnectionId;
use crate::time::Instant;

/// A connection that takes longer than this to come about is given company by the next server.
const IMPATIENCE: Duration = Duration::from_secs(1);

impl<H: Host> Producer<H> {
    pub(super) fn pursue_metadata(&mut self, now: Instant) {
        if !self.refresh.is_due(now) {
            return;
        }
        let Some(id) = self.control_link(now) else { return };
        let topics: alloc::vec::Vec<MetadataRequestTopic> = self
            .cluster
            .topics()
            .map(|(_, topic)| {
                let name = Some(alloc::string::String::from(&*topic.name));
                MetadataRequestTopic { name, ..Default::default() }
            })
            .collect();
        let request = MetadataRequest {
            topics: Some(topics),
            allow_auto_topic_creation: self.config.allow_auto_create_topics,
            ..Default::default()
        };
        if self.ask(id, &request, Sent::Metadata, now) {
            self.refresh.sent();
        }
    }

    pub(super) fn pursue_identity<Q: Queues<H>>(&mut self, queues: &mut Q, now: Instant) {
        let due = self.sender.sequencer().not_before().is_some_and(|at| at <= now);
        if !due || !self.sender.wants_identity() {
            return;
        }
        let Some(id) = self.control_link(now) else { return };
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            ..Default::default()
        };
        if self.ask(id, &request, Sent::InitProducerId, now) {
            self.sender.sequencer().asked();
        } else {
            self.identity_refused(now);
            let (sender, mut cx) = self.split(queues, now);
            sender.identity_error(ErrorCode::UNSUPPORTED_VERSION, &mut cx);
        }
    }

    /// Sends a request in the newest version that both sides speak.
    pub(super) fn ask<R: Request>(
        &mut self,
        id: ConnectionId,
        request: &R,
        sent: Sent,
        now: Instant,
    ) -> bool {
        let deadline = now + self.config.request_timeout;
        let Some(link) = self.links.get_mut(id) else { return false };
        // InitProducerId 6 is not stable; what we generate stops before it.
        let Some(version) = link.version(R::API_KEY, i16::MAX) else { return false };
        let Ok(frame) =
            link.request(request, (version, sent), &self.config.client_id, (now, deadline))
        else {
            return false;
        };
        self.control_frame(id, frame);
        true
    }

    /// A ready connection to any broker, the least busy one; otherwise one is begun.
    fn control_link(&mut self, now: Instant) -> Option<ConnectionId> {
        let ready = |link: &&Link| link.state == LinkState::Ready;
        // A broker that metadata named is preferred to a bootstrap server.
        let rank =
            |link: &&Link| (matches!(link.target, Target::Bootstrap(_)), link.unanswered.len());
        if let Some(link) = self.links.iter().filter(ready).min_by_key(rank) {
            return Some(link.id);
        }
        let impatient = |link: &Link| link.opened + IMPATIENCE <= now;
        if self.links.iter().all(impatient)
            && let Some((target, server)) = self.next_candidate(now)
        {
            let connect = self.links.open(target, &server, now);
            self.connects.push_back(connect);
        }
        None
    }

    /// The next server to try: brokers we know, then the bootstrap servers, each in turn.
    fn next_candidate(&mut self, now: Instant) -> Option<(Target, alloc::string::String)> {
        let open = |target: Target| self.links.reach(target, now) == Reach::Open;
        let known = self.cluster.nodes().find(|(id, _)| open(Target::Node(*id)));
        if let Some((id, node)) = known {
            return Some((Target::Node(id), node.server.clone()));
        }
        let count = self.config.bootstrap_servers.len();
        for step in 0..count {
            let number = (self.next_bootstrap + step) % count;
            if open(Target::Bootstrap(number)) {
                self.next_bootstrap = (number + 1) % count;
                return Some((
                    Target::Bootstrap(number),
                    self.config.bootstrap_servers[number].clone(),
                ));
            }
        }
        None
    }

    /// When something that waits for a connection or a back-off can go on.
    pub(super) fn next_connect_at(&self, now: Instant) -> Option<Instant> {
        let nodes = self.sender.busy_nodes().filter_map(|node| {
            match self.links.reach(Target::Node(node), now) {
                Reach::NotBefore(at) => Some(at),
                _ => None,
            }
        });
        let identity =
            if self.sender.wants_identity() { self.sender.identity_not_before() } else { None };
        let control = self.refresh.due_at().into_iter().chain(identity).min();
        let control = control.map(|at| self.control_at(at.max(now), now));
        nodes.chain(control).min()
    }

    /// The earliest time, not before `at`, at which a control request has a way out.
    fn control_at(&self, at: Instant, now: Instant) -> Instant {
        if self.links.iter().any(|link| link.state == LinkState::Ready) {
            return at;
        }
        let pending = self.links.iter().map(|link| link.opened + IMPATIENCE).max();
        let bootstrap = (0..self.config.bootstrap_servers.len()).map(Target::Bootstrap);
        let nodes = self.cluster.nodes().map(|(id, _)| Target::Node(id));
        let free = nodes
            .chain(bootstrap)
            .filter_map(|target| match self.links.reach(target, now) {
                Reach::NotBefore(until) => Some(until),
                Reach::Open => Some(now),
                Reach::Ready(_) | Reach::Pending => None,
            })
            .min();
        // With every server being tried at this moment, their answers or deadlines wake us.
        free.map_or(Instant::MAX, |free| at.max(free).max(pending.unwrap_or(now)))
    }

    /// Whether a broker offers what this producer cannot do without.
    pub(super) fn check_offer(link: &Link) -> Result<(), alloc::string::String> {
        for api in [ApiKey::METADATA, ApiKey::PRODUCE] {
            if link.version(api, i16::MAX).is_none() {
                let (ours, theirs) = (api.versions(), link.offered(api));
                return Err(alloc::format!(
                    "the broker offers {api} in versions {theirs:?}, this client speaks {ours:?}: it is too old or too new"
                ));
            }
        }
        Ok(())
    }
}
