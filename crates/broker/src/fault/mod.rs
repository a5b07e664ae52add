//! Faults by script: what goes wrong with which request, and how often.

mod random;
mod spoiling;
mod waiting;
mod words;

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ApiKey, ErrorCode};

pub use random::RandomFaults;
pub(crate) use waiting::Faults;
pub use words::NotAFault;

/// Something that goes wrong with the next matching request.
///
/// A fault names an API and, if need be, a topic and a partition; it then applies to a request
/// that touches them, and an error to those partitions only. Without further words it happens once.
/// Several faults wait in the order in which they were injected; a request meets the first that
/// matches.
///
/// An answer that is lost is lost for good: the protocol answers the requests of one connection in
/// order, so after [`Fault::drop_request`] nothing more is heard on that connection, and after
/// [`Fault::drop_response`] nothing more is said on it, as when a network loses one direction.
///
/// # Examples
/// ```
/// use ottla_broker::{ApiKey, ErrorCode, Fault};
/// use std::time::Duration;
///
/// let twice = Fault::on(ApiKey::PRODUCE).topic("t").partition(0).times(2)
///     .error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
/// let slow = Fault::on(ApiKey::METADATA).always().delay(Duration::from_millis(50));
/// # let _ = (twice, slow);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a fault does nothing until it is injected"]
pub struct Fault {
    api: Option<ApiKey>,
    topic: Option<String>,
    partition: Option<i32>,
    client_id: Option<String>,
    node: Option<i32>,
    skip: u32,
    times: Option<u32>,
    pub(crate) action: Action,
    pub(crate) delay: Option<Duration>,
    pub(crate) throttle: Option<Duration>,
    /// Goes out in place of the answer.
    pub(crate) answer: Option<Arc<[u8]>>,
    /// So many bytes of the answer leave, and then the connection closes.
    pub(crate) cut_after_bytes: Option<usize>,
    /// So many bits of the answer are wrong.
    pub(crate) flipped_bits: u32,
    is_malformed: bool,
    repeats_answer: bool,
    /// The answer leaves behind the connection's next.
    pub(crate) swaps_answer: bool,
    /// A copy of the request is served so much later.
    pub(crate) serve_again: Option<Duration>,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) session_lifetime_ms: Option<i64>,
}

/// Changes what a mechanism of SASL says.
#[derive(Clone)]
pub(crate) struct Rewrite(Arc<RewriteFn>);

type RewriteFn = dyn Fn(&[u8]) -> Vec<u8> + Send + Sync;

impl Rewrite {
    pub(crate) fn apply(&self, message: &[u8]) -> Vec<u8> {
        (self.0)(message)
    }
}

impl std::fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rewrite")
    }
}

/// What happens to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// It is served as usual.
    Serve,
    /// It is never seen, nor anything after it.
    DropRequest,
    /// It is served, and neither its answer nor any later one leaves.
    DropResponse,
    /// It is answered with this error and not served.
    Error(ErrorCode),
    /// It is served, and answered with this error.
    ErrorAfterApply(ErrorCode),
    /// The connection closes before it is served.
    Disconnect,
    /// It is served, and the connection closes instead of an answer.
    DisconnectAfterApply,
}

impl Action {
    /// The error that stands in for serving the request.
    pub(crate) fn error_instead(self) -> Option<ErrorCode> {
        match self {
            Self::Error(code) => Some(code),
            _ => None,
        }
    }

    /// The error that the client gets, served or not.
    pub(crate) fn error(self) -> Option<ErrorCode> {
        match self {
            Self::Error(code) | Self::ErrorAfterApply(code) => Some(code),
            _ => None,
        }
    }

    /// The error that stands in for the real answer, after serving.
    pub(crate) fn error_after(self) -> Option<ErrorCode> {
        match self {
            Self::ErrorAfterApply(code) => Some(code),
            _ => None,
        }
    }
}

impl Fault {
    /// A fault of requests of one API. It does nothing until it is told what.
    pub fn on(api: ApiKey) -> Self {
        Self { api: Some(api), ..Self::on_any() }
    }

    /// A fault of any request, whatever its API.
    pub fn on_any() -> Self {
        Self {
            api: None,
            topic: None,
            partition: None,
            client_id: None,
            node: None,
            skip: 0,
            times: Some(1),
            action: Action::Serve,
            delay: None,
            throttle: None,
            answer: None,
            cut_after_bytes: None,
            flipped_bits: 0,
            is_malformed: false,
            repeats_answer: false,
            swaps_answer: false,
            serve_again: None,
            rewrite: None,
            session_lifetime_ms: None,
        }
    }

    /// Only requests that touch this topic.
    pub fn topic(self, name: impl Into<String>) -> Self {
        Self { topic: Some(name.into()), ..self }
    }

    /// Only requests that touch this partition.
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Only requests of clients of this name.
    pub fn client_id(self, client_id: impl Into<String>) -> Self {
        Self { client_id: Some(client_id.into()), ..self }
    }

    /// Only requests that come to this node.
    pub fn node(self, node: i32) -> Self {
        Self { node: Some(node), ..self }
    }

    /// Lets so many matching requests pass first. Default 0.
    pub fn after(self, requests: u32) -> Self {
        Self { skip: requests, ..self }
    }

    /// Happens to so many requests. Default 1.
    pub fn times(self, requests: u32) -> Self {
        Self { times: Some(requests), ..self }
    }

    /// Happens to every matching request until the faults are cleared.
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }

    /// The request is lost: it is not served, and this connection is heard no more.
    pub fn drop_request(self) -> Self {
        Self { action: Action::DropRequest, ..self }
    }

    /// The answer is lost: the request is served, and this connection is answered no more.
    pub fn drop_response(self) -> Self {
        Self { action: Action::DropResponse, ..self }
    }

    /// The request is answered with an error and not served.
    pub fn error(self, code: ErrorCode) -> Self {
        Self { action: Action::Error(code), ..self }
    }

    /// The request is served and answered with an error all the same.
    pub fn error_after_apply(self, code: ErrorCode) -> Self {
        Self { action: Action::ErrorAfterApply(code), ..self }
    }

    /// The connection closes; the request is not served.
    pub fn disconnect(self) -> Self {
        Self { action: Action::Disconnect, ..self }
    }

    /// The request is served, and the connection closes in place of an answer.
    pub fn disconnect_after_apply(self) -> Self {
        Self { action: Action::DisconnectAfterApply, ..self }
    }

    /// The answer, of whatever kind, comes so much later; the connection's next request waits for
    /// it.
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay: Some(delay), ..self }
    }

    /// The answer orders the client to wait, and the connection is not read for as long.
    pub fn throttle(self, throttle: Duration) -> Self {
        Self { throttle: Some(throttle), ..self }
    }

    /// The request is served, and these bytes go out in place of the answer, as they are: a length,
    /// if there shall be one, is part of them.
    pub fn answer_with(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { answer: Some(bytes.into().into()), ..self }
    }

    /// The request is served, and only so many bytes of the answer leave, its length included; then
    /// the connection closes.
    pub fn cut_answer(self, after_bytes: usize) -> Self {
        Self { cut_after_bytes: Some(after_bytes), ..self }
    }

    /// The request is served, and so many bits of the answer, behind its length, are wrong. Which
    /// ones they are is a matter of [`ClusterBuilder::seed`](crate::ClusterBuilder::seed).
    pub fn flip_bits(self, bits: u32) -> Self {
        Self { flipped_bits: bits, ..self }
    }

    /// The request is served, and the answer is one that no broker gives: lengths that cannot be,
    /// bytes too many or too few. In which way is a matter of
    /// [`ClusterBuilder::seed`](crate::ClusterBuilder::seed).
    pub fn malformed_answer(self) -> Self {
        Self { is_malformed: true, ..self }
    }

    /// The answer leaves twice.
    pub fn repeat_answer(self) -> Self {
        Self { repeats_answer: true, ..self }
    }

    /// The answer changes places with the next one of its connection: it leaves behind that, or
    /// never.
    pub fn swap_answer(self) -> Self {
        Self { swaps_answer: true, ..self }
    }

    /// A copy of the request is served so much later, whatever becomes of the request itself, and
    /// nobody hears of it: a network has kept it for a while. With [`Fault::error`] the client is
    /// told of a failure that is none in the end, with [`Fault::disconnect`] it may have sent the
    /// same again by another connection before.
    ///
    /// # Examples
    /// ```
    /// use ottla_broker::{ApiKey, Fault};
    /// use std::time::Duration;
    ///
    /// // What was given up arrives after all.
    /// let late = Fault::on(ApiKey::PRODUCE).disconnect().serve_again(Duration::from_millis(300));
    /// // A network that delivers twice.
    /// let twice = Fault::on(ApiKey::PRODUCE).serve_again(Duration::ZERO);
    /// # let _ = (late, twice);
    /// ```
    pub fn serve_again(self, after: Duration) -> Self {
        Self { serve_again: Some(after), ..self }
    }

    /// What the mechanism of SASL says in answer to a SaslAuthenticate is changed on its way out.
    /// The broker itself goes on as if it had said what it should have.
    ///
    /// # Examples
    /// ```
    /// use ottla_broker::{ApiKey, Fault};
    ///
    /// // A server that does not know the password has nothing better.
    /// let proof = |_: &[u8]| b"v=AAAA".to_vec();
    /// let fault = Fault::on(ApiKey::SASL_AUTHENTICATE).after(1).rewrite_token(proof);
    /// # let _ = fault;
    /// ```
    pub fn rewrite_token(self, rewrite: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { rewrite: Some(Rewrite(Arc::new(rewrite))), ..self }
    }

    /// The answer to a SaslAuthenticate that lets the client in promises a session of so many
    /// milliseconds, whatever it is in truth.
    pub fn session_lifetime_ms(self, lifetime_ms: i64) -> Self {
        Self { session_lifetime_ms: Some(lifetime_ms), ..self }
    }

    /// Whether the fault speaks of this partition.
    pub(crate) fn covers(&self, topic: &str, partition: i32) -> bool {
        self.topic.as_deref().is_none_or(|name| name == topic)
            && self.partition.is_none_or(|wanted| wanted == partition)
    }

    fn is_for_a_part(&self) -> bool {
        self.topic.is_some() || self.partition.is_some()
    }
}
