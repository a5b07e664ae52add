//! Faults by script: what goes wrong with which request, and how often.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ApiKey, ErrorCode};

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
    skip: u32,
    times: Option<u32>,
    pub(crate) action: Action,
    pub(crate) delay: Option<Duration>,
    pub(crate) throttle: Option<Duration>,
    /// Goes out in place of the answer.
    pub(crate) answer: Option<Arc<[u8]>>,
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
            skip: 0,
            times: Some(1),
            action: Action::Serve,
            delay: None,
            throttle: None,
            answer: None,
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

/// The faults that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    waiting: VecDeque<Fault>,
}

impl Faults {
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.waiting.push_back(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// How many faults still wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The fault that a request meets. `touches` says whether the request touches a partition that
    /// the given predicate takes; it is only asked where the fault is for a part.
    pub(crate) fn meet(
        &mut self,
        api: ApiKey,
        client_id: Option<&str>,
        touches: impl Fn(&dyn Fn(&str, i32) -> bool) -> bool,
    ) -> Option<Fault> {
        let matches = |fault: &Fault| {
            fault.api.is_none_or(|wanted| wanted == api)
                && (fault.client_id.is_none() || fault.client_id.as_deref() == client_id)
                && (!fault.is_for_a_part() || touches(&|topic, part| fault.covers(topic, part)))
        };
        for index in 0..self.waiting.len() {
            let fault = &mut self.waiting[index];
            if !matches(fault) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            let met = fault.clone();
            match &mut fault.times {
                Some(0 | 1) => {
                    self.waiting.remove(index);
                }
                Some(times) => *times -= 1,
                None => {}
            }
            return (met.times != Some(0)).then_some(met);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(faults: &mut Faults, api: ApiKey, touched: &[(&str, i32)]) -> Option<Action> {
        let touches = |covers: &dyn Fn(&str, i32) -> bool| {
            touched.iter().any(|(topic, partition)| covers(topic, *partition))
        };
        faults.meet(api, Some("client"), touches).map(|fault| fault.action)
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.inject(Fault::on(ApiKey::PRODUCE).after(1).times(2).disconnect());
        assert_eq!(meets(&mut faults, ApiKey::FETCH, &[]), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), Some(Action::Disconnect));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), Some(Action::Disconnect));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[]), None);
        assert_eq!(faults.len(), 0);
    }

    #[test]
    fn faults_come_in_order_and_only_to_what_they_name() {
        let mut faults = Faults::default();
        faults.inject(Fault::on(ApiKey::PRODUCE).topic("t").partition(1).drop_request());
        faults.inject(Fault::on(ApiKey::PRODUCE).drop_response());
        faults.inject(Fault::on_any().client_id("other").disconnect());
        let touched = [("t", 0), ("u", 1)];
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &touched), Some(Action::DropResponse));
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &touched), None);
        assert_eq!(meets(&mut faults, ApiKey::PRODUCE, &[("t", 1)]), Some(Action::DropRequest));
        assert_eq!(faults.len(), 1);
    }

    #[test]
    fn a_standing_fault_stays_until_it_is_cleared() {
        let mut faults = Faults::default();
        faults.inject(Fault::on_any().always().error(ErrorCode::REQUEST_TIMED_OUT));
        for _ in 0..3 {
            let action = meets(&mut faults, ApiKey::METADATA, &[]);
            assert_eq!(action, Some(Action::Error(ErrorCode::REQUEST_TIMED_OUT)));
        }
        faults.clear();
        assert_eq!(meets(&mut faults, ApiKey::METADATA, &[]), None);
    }
}
