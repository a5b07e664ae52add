//! One connection.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use ottla_protocol::frame::FrameReader;
use ottla_protocol::{ApiKey, EncodeError, Request, VersionRange, encode_request};

use super::links::Target;
use super::{Auth, HANDSHAKE_FRAME_MAX_BYTES};
use crate::metadata::TopicIndex;
use crate::output::ConnectionId;
use crate::time::Instant;

/// Two line ends. A server that waits for the end of a line of text, as HTTP servers do, answers
/// the first request at once instead of never, and is recognized by what it says.
pub(crate) const FIRST_CORRELATION_ID: i32 = i32::from_be_bytes(*b"\r\n\r\n");

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// The driver is opening it.
    Connecting,
    /// It is open; what the broker speaks has been asked.
    Negotiating,
    /// It is being settled who we are; no other request may be sent.
    Authenticating,
    /// Requests may be sent.
    Ready,
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The versions that the broker speaks.
    ApiVersions,
    /// The cluster's layout.
    Metadata,
    /// A producer id.
    InitProducerId,
    /// The mechanism by which we say who we are.
    SaslHandshake,
    /// A message of that mechanism.
    SaslAuthenticate,
    /// What a topic is set to.
    TopicSettings(TopicIndex),
    /// Batches; the number names the request in the sender's books.
    Produce(u64),
}

/// A request that is owed an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentRequest {
    /// The number that the answer will carry.
    pub correlation_id: i32,
    /// The version it was written in.
    pub version: i16,
    /// When the connection is given up for want of an answer.
    pub deadline: Instant,
    /// What it was for.
    pub sent: Sent,
}

/// A connection and its pipeline.
pub(crate) struct Link {
    /// Its name.
    pub id: ConnectionId,
    /// What it leads to.
    pub target: Target,
    /// `host:port`.
    pub server: String,
    /// How far it is.
    pub state: LinkState,
    /// Cuts what arrives into frames.
    pub frames: FrameReader,
    /// Requests that are owed an answer, oldest first.
    pub unanswered: VecDeque<SentRequest>,
    /// When it was begun, or its session's renewal was. Bytes that drip in make neither younger.
    pub opened: Instant,
    /// When something was last sent or received.
    pub last_used: Instant,
    /// Bytes have arrived on it.
    pub heard: bool,
    /// It has not been ready yet.
    pub is_new: bool,
    /// A request that is not about the connection itself was answered.
    pub served: bool,
    /// Who we are to the broker.
    pub auth: Auth,
    /// How long answers have taken lately, the slow ones above all.
    pub answer_time: Duration,
    versions: BTreeMap<ApiKey, VersionRange>,
    next_correlation_id: i32,
}

impl Link {
    /// A connection that is being opened.
    #[must_use]
    pub(crate) fn new(id: ConnectionId, target: Target, server: String, now: Instant) -> Self {
        Self {
            id,
            target,
            server,
            state: LinkState::Connecting,
            frames: FrameReader::new(HANDSHAKE_FRAME_MAX_BYTES),
            unanswered: VecDeque::new(),
            opened: now,
            last_used: now,
            heard: false,
            is_new: true,
            served: false,
            auth: Auth::default(),
            answer_time: Duration::ZERO,
            versions: BTreeMap::new(),
            next_correlation_id: FIRST_CORRELATION_ID,
        }
    }

    /// Takes the broker's version table.
    pub(crate) fn set_versions(
        &mut self,
        versions: impl IntoIterator<Item = (ApiKey, VersionRange)>,
    ) {
        self.versions = versions.into_iter().collect();
    }

    /// The version to speak with this broker, at most `highest`.
    #[must_use]
    pub(crate) fn version(&self, api: ApiKey, highest: i16) -> Option<i16> {
        let ours = api.versions()?;
        let ours = VersionRange { min: ours.min, max: ours.max.min(highest) };
        ours.negotiate(*self.versions.get(&api)?)
    }

    /// What the broker said it speaks of `api`.
    #[must_use]
    pub(crate) fn offered(&self, api: ApiKey) -> Option<VersionRange> {
        self.versions.get(&api).copied()
    }

    /// An answer came after this time. One that is slower than before counts at once, and is
    /// forgotten little by little.
    pub(crate) fn answered_after(&mut self, time: Duration) {
        self.answer_time = time.max(self.answer_time - self.answer_time / 16);
    }

    /// Takes the next correlation id and books a request under it.
    pub(crate) fn book(
        &mut self,
        version: i16,
        sent: Sent,
        now: Instant,
        deadline: Instant,
    ) -> i32 {
        let is_about_us = matches!(sent, Sent::SaslHandshake | Sent::SaslAuthenticate);
        self.auth.is_used |= !is_about_us;
        let correlation_id = self.take_correlation_id();
        self.last_used = now;
        self.unanswered.push_back(SentRequest { correlation_id, version, deadline, sent });
        correlation_id
    }

    /// The next correlation id, for a request that will have no answer.
    pub(crate) fn next_correlation_id(&mut self) -> i32 {
        self.auth.is_used = true;
        self.take_correlation_id()
    }

    fn take_correlation_id(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1) & i32::MAX;
        id
    }

    /// Writes a request and books it.
    pub(crate) fn request<R: Request>(
        &mut self,
        request: &R,
        (version, sent): (i16, Sent),
        client_id: &str,
        (now, deadline): (Instant, Instant),
    ) -> Result<Vec<u8>, EncodeError> {
        let mut frame = Vec::new();
        let correlation_id = self.book(version, sent, now, deadline);
        encode_request(request, version, correlation_id, Some(client_id), &mut frame)?;
        Ok(frame)
    }
}
