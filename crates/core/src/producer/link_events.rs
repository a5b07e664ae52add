//! What happens to connections.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;

use bytes::Bytes;
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::init_producer_id::InitProducerIdRequest;
use ottla_protocol::messages::metadata::MetadataRequest;
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::{
    ApiKey, DecodeError, ErrorCode, VersionRange, correlation_id, decode_response,
};

use super::Producer;
use super::auth_events::Bad;
use crate::accumulator::Queues;
use crate::connection::{End, Link, LinkState, Sent, SentRequest, Target};
use crate::error::{ErrorKind, Failure};
use crate::host::Host;
use crate::output::{ConnectionId, Event};
use crate::rng::backoff;
use crate::sender::Identity;
use crate::time::Instant;

/// The newest ApiVersions request; its response has the same header in every version.
const API_VERSIONS_NEWEST: i16 = 3;

impl<H: Host> Producer<H> {
    /// A connection is open.
    pub fn handle_connected(&mut self, id: ConnectionId, now: Instant) {
        if let Some(link) = self.links.get_mut(id) {
            link.state = LinkState::Negotiating;
            self.ask_versions(id, API_VERSIONS_NEWEST, now);
        }
    }

    /// A connection could not be opened, or is closed. `why` goes into the errors of those who
    /// wait.
    pub fn handle_disconnected<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        why: &str,
        queues: &mut Q,
        now: Instant,
    ) {
        let Some(link) = self.links.get(id) else { return };
        let quiet = link.state == LinkState::Ready && link.unanswered.is_empty();
        let why = format!("{why}{}", self.hint(link));
        // A server that closes an idle connection did nothing wrong.
        let end = if quiet { End::Quiet } else { End::Failed };
        self.connection_gone(id, &why, end, queues, now);
    }

    /// A connection came to nothing because one side did not accept the other: its certificate,
    /// its host name. It is tried again as others are; but where no server was ever reached, those
    /// who wait for a topic are told at once.
    pub fn handle_refused<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        why: &str,
        queues: &mut Q,
        now: Instant,
    ) {
        self.connection_gone(id, why, End::Distrusted, queues, now);
    }

    /// What the end of a connection at this point usually means.
    fn hint(&self, link: &Link) -> &'static str {
        let protocol = self.config.security.protocol;
        match link.state {
            LinkState::Negotiating if link.heard => "",
            LinkState::Negotiating if protocol.uses_tls() => {
                "; a server that is not Kafka, or that wants a client certificate, does this"
            }
            LinkState::Negotiating => {
                "; a server that expects TLS (security.protocol=SSL or SASL_SSL), or that is not \
                 Kafka, does this"
            }
            LinkState::Authenticating => {
                "; it was during authentication: a broker that refuses credentials may do this"
            }
            LinkState::Ready if !link.served && !protocol.uses_sasl() => {
                if protocol.uses_tls() {
                    "; a listener that asks for SASL (security.protocol=SASL_SSL) does this"
                } else {
                    "; a listener that asks for SASL (security.protocol=SASL_PLAINTEXT) does this"
                }
            }
            LinkState::Connecting | LinkState::Ready => "",
        }
    }

    /// Bytes arrived.
    pub fn handle_bytes<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        bytes: &[u8],
        queues: &mut Q,
        now: Instant,
    ) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.last_used = now;
        link.heard = true;
        link.frames.push(bytes);
        loop {
            let Some(link) = self.links.get_mut(id) else { return };
            let result = match link.frames.next() {
                Ok(None) => return,
                Ok(Some(frame)) => self.handle_frame(id, frame, queues, now),
                Err(error) => Err(error.to_string().into()),
            };
            if let Err(bad) = result {
                self.disconnects.push_back(id);
                self.connection_gone(id, &bad.why, bad.end, queues, now);
                return;
            }
        }
    }

    /// A connection is gone, whoever ended it.
    pub(super) fn connection_gone<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        why: &str,
        end: End,
        queues: &mut Q,
        now: Instant,
    ) {
        let backoffs = self.reconnect_backoff();
        let Some(link) = self.links.remove(id, end, backoffs, &mut self.rng, now) else {
            return;
        };
        let label = self.label(link.target, &link.server);
        let retry = self.retry_backoff();
        for request in &link.unanswered {
            match request.sent {
                Sent::Metadata => self.refresh.lost(retry, &mut self.rng, now),
                Sent::InitProducerId => self.identity_refused(now),
                Sent::ApiVersions
                | Sent::SaslHandshake
                | Sent::SaslAuthenticate
                | Sent::TopicSettings(_)
                | Sent::Produce(_) => {}
            }
        }
        self.transmits.retain(|transmit| transmit.connection != id);
        self.authentications.retain(|step| step.connection != id);
        let (sender, mut cx) = self.split(queues, now);
        sender.handle_connection_lost(id, why, &label, &mut cx);
        if end != End::Quiet {
            // The broker may be down: its partitions may have other leaders by now.
            if let Target::Node(node) = link.target {
                self.refresh.need();
                self.sender.set_trouble(node, Some(why));
            }
            self.unreachable(&link.server, why, end);
        }
        if end.is_refusal() {
            self.fail_fast(why, &label);
        }
    }

    /// Where every server refuses us from the start, waiting helps nobody.
    fn fail_fast(&mut self, why: &str, label: &Arc<str>) {
        let mut servers = (0..self.config.bootstrap_servers.len()).map(Target::Bootstrap);
        if self.connections_made > 0 || !servers.all(|server| self.links.is_refused(server)) {
            return;
        }
        let mut failure = Failure::unsent(ErrorKind::Authentication, why);
        failure.broker = Some(Arc::clone(label));
        let failure = Arc::new(failure);
        for topic in self.cluster.give_up_wanted() {
            let failure = Arc::clone(&failure);
            self.events.push_back(Event::TopicFailed { topic, failure });
        }
        self.refresh.give_up();
    }

    fn handle_frame<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        queues: &mut Q,
        now: Instant,
    ) -> Result<(), Bad> {
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        let found = correlation_id(&frame)
            .ok_or_else(|| "an answer too short for a correlation id".to_string())?;
        let Some(request) = link.unanswered.pop_front() else {
            return Err(format!("an answer nobody asked for (correlation id {found})").into());
        };
        if request.correlation_id != found {
            link.unanswered.push_front(request);
            let expected = request.correlation_id;
            return Err(format!("answer {found} came where {expected} was due").into());
        }
        let broken = |error: DecodeError| format!("an answer that cannot be read: {error}");
        let result = match request.sent {
            Sent::ApiVersions => self.handle_versions(id, frame, request, now),
            Sent::SaslHandshake => return self.handle_sasl_handshake(id, frame, request, now),
            Sent::SaslAuthenticate => {
                return self.handle_sasl_authenticate(id, frame, request, now);
            }
            Sent::Metadata => self.handle_metadata(frame, request, queues, now).map_err(|error| {
                let retry = self.retry_backoff();
                self.refresh.lost(retry, &mut self.rng, now);
                broken(error)
            }),
            Sent::InitProducerId => {
                self.handle_identity(frame, request, queues, now).map_err(|error| {
                    self.identity_refused(now);
                    broken(error)
                })
            }
            Sent::TopicSettings(index) => {
                self.handle_settings(index, frame, request).map_err(broken)
            }
            Sent::Produce(serial) => {
                self.handle_produce(id, serial, frame, request, queues, now).map_err(|error| {
                    // Whatever the answer was, it is gone: put the request back so that the end of
                    // the connection settles its batches as unanswered.
                    if let Some(link) = self.links.get_mut(id) {
                        link.unanswered.push_front(request);
                    }
                    broken(error)
                })
            }
        };
        if request.sent != Sent::ApiVersions
            && let Some(link) = self.links.get_mut(id)
        {
            link.served = true;
            let asked = request.deadline.saturating_since(Instant::ZERO);
            let asked = asked.saturating_sub(self.config.request_timeout);
            let now = now.saturating_since(Instant::ZERO);
            link.answered_after(now.saturating_sub(asked));
        }
        result.map_err(Into::into)
    }

    fn ask_versions(&mut self, id: ConnectionId, version: i16, now: Instant) {
        let request = ApiVersionsRequest {
            client_software_name: "ottla".to_string(),
            client_software_version: env!("CARGO_PKG_VERSION").to_string(),
        };
        let deadline = now + self.config.request_timeout.min(self.config.connection_setup_timeout);
        let Some(link) = self.links.get_mut(id) else { return };
        let sent = (version, Sent::ApiVersions);
        if let Ok(frame) = link.request(&request, sent, &self.config.client_id, (now, deadline)) {
            self.control_frame(id, frame);
        }
    }

    fn handle_versions(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        request: SentRequest,
        now: Instant,
    ) -> Result<(), String> {
        // A broker that does not know our version says so in version 0, whatever was asked.
        let refused = frame.get(4..6) == Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
        if refused && request.version > 0 {
            self.ask_versions(id, 0, now);
            return Ok(());
        }
        let (_, answer) = decode_response::<ApiVersionsRequest>(frame, request.version)
            .map_err(|error| format!("an answer that is not Kafka's: {error}"))?;
        ErrorCode(answer.error_code).ok().map_err(|code| {
            format!("the broker refused the handshake: {} [{}]", code.message(), code.name())
        })?;
        let Some(link) = self.links.get_mut(id) else { return Ok(()) };
        link.set_versions(offers(&answer));
        Self::check_offer(link)?;
        if self.config.security.protocol.uses_sasl() {
            link.state = LinkState::Authenticating;
            self.begin_authentication(id, now);
        } else {
            self.link_ready(id);
        }
        Ok(())
    }

    /// A connection can be used.
    pub(super) fn link_ready(&mut self, id: ConnectionId) {
        let Some(link) = self.links.get_mut(id) else { return };
        link.state = LinkState::Ready;
        link.is_new = false;
        link.frames.set_max_bytes(self.config.max_response_size_bytes);
        let (target, server) = (link.target, link.server.clone());
        self.links.succeeded(target);
        self.connections_made += 1;
        self.events.push_back(Event::ServerReachable { server });
        if let Target::Node(node) = target {
            self.sender.set_trouble(node, None);
            self.drop_idle_bootstrap();
        }
    }

    /// Once a broker is reached under its own name, a bootstrap connection has done its work.
    fn drop_idle_bootstrap(&mut self) {
        let done = |link: &&Link| {
            matches!(link.target, Target::Bootstrap(_))
                && link.unanswered.is_empty()
                && link.state == LinkState::Ready
        };
        let ids: alloc::vec::Vec<ConnectionId> =
            self.links.iter().filter(done).map(|link| link.id).collect();
        for id in ids {
            if self.transmits.iter().all(|transmit| transmit.connection != id) {
                self.disconnects.push_back(id);
                self.links.remove(
                    id,
                    End::Quiet,
                    self.reconnect_backoff(),
                    &mut self.rng,
                    Instant::ZERO,
                );
            }
        }
    }

    fn handle_metadata<Q: Queues<H>>(
        &mut self,
        frame: Bytes,
        request: SentRequest,
        queues: &mut Q,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let (_, answer) = decode_response::<MetadataRequest>(frame, request.version)?;
        if ErrorCode(answer.error_code) == ErrorCode::REBOOTSTRAP_REQUIRED {
            self.refresh.lost(self.retry_backoff(), &mut self.rng, now);
            self.start_again(queues, now);
            return Ok(());
        }
        let (changes, complete) =
            self.cluster.apply(&answer, self.config.metadata_propagation, now);
        let (retry, age) = (self.retry_backoff(), self.config.metadata_max_age);
        self.refresh.answered(complete, retry, age, &mut self.rng, now);
        self.take_changes(changes, queues, now);
        Ok(())
    }

    /// The brokers that we know are not the ones to ask any more (KIP-1102).
    fn start_again<Q: Queues<H>>(&mut self, queues: &mut Q, now: Instant) {
        self.cluster.forget_nodes();
        let ids: alloc::vec::Vec<ConnectionId> = self.links.iter().map(|link| link.id).collect();
        for id in ids {
            self.disconnects.push_back(id);
            let why = "the cluster asks its clients to begin again with the bootstrap servers";
            self.connection_gone(id, why, End::Quiet, queues, now);
        }
    }

    fn handle_identity<Q: Queues<H>>(
        &mut self,
        frame: Bytes,
        request: SentRequest,
        queues: &mut Q,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let (_, answer) = decode_response::<InitProducerIdRequest>(frame, request.version)?;
        let code = ErrorCode(answer.error_code);
        if code.is_ok() && answer.producer_id >= 0 && answer.producer_epoch >= 0 {
            let identity =
                Identity { producer_id: answer.producer_id, producer_epoch: answer.producer_epoch };
            self.sender.identity_granted(identity);
            return Ok(());
        }
        self.identity_refused(now);
        let (sender, mut cx) = self.split(queues, now);
        sender.identity_error(code, &mut cx);
        Ok(())
    }

    pub(super) fn identity_refused(&mut self, now: Instant) {
        let (base, max) = self.retry_backoff();
        let rng = &mut self.rng;
        self.sender.sequencer().refused(|failures| now + backoff(rng, base, max, failures));
    }

    fn handle_produce<Q: Queues<H>>(
        &mut self,
        id: ConnectionId,
        serial: u64,
        frame: Bytes,
        request: SentRequest,
        queues: &mut Q,
        now: Instant,
    ) -> Result<(), DecodeError> {
        let (_, answer) = decode_response::<ProduceRequest>(frame, request.version)?;
        let Some(link) = self.links.get(id) else { return Ok(()) };
        let label = self.label(link.target, &link.server);
        let (sender, mut cx) = self.split(queues, now);
        let hints = sender.handle_answer(serial, &answer, &label, &mut cx);
        for (key, hint) in hints {
            let changes = self.cluster.apply_hint(key, &hint);
            self.take_changes(changes, queues, now);
        }
        Ok(())
    }
}

fn offers(answer: &ApiVersionsResponse) -> impl Iterator<Item = (ApiKey, VersionRange)> {
    answer.api_keys.iter().map(|api| {
        (ApiKey(api.api_key), VersionRange { min: api.min_version, max: api.max_version })
    })
}
