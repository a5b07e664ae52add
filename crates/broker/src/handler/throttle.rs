//! Clients that send or fetch more than their quota: what they are told, and how long they are not
//! heard (KIP-219).
//!
//! An answer leaves at once and says how long to wait, and the connection is not read for as long.
//! A Produce is counted with all its bytes, whatever became of it. A Fetch is counted with its
//! records; if they are too many it is answered without any, as if it had not come.

use std::time::Duration;

use ottla_protocol::messages::fetch::FetchRequest;

use super::fetch_answer::FetchAnswer;
use crate::fetch_sessions::Use;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::quotas::{Client, Limit, Quotas};
use crate::time::Now;

/// Takes note of how long a client has to wait, once what it has sent is dealt with.
pub(super) fn charge_produce(nodes: &mut Nodes, call: &Call, now: Now) {
    let wait = with_client(nodes, call, |quotas, client| {
        quotas.charge(Limit::Produce, client, call.size_bytes, now.monotonic)
    });
    note(nodes, call, wait);
}

/// Asks for no more than a client may have at once.
pub(super) fn limit_fetch(nodes: &mut Nodes, call: &Call, request: &mut FetchRequest) {
    let most = with_client(nodes, call, |quotas, client| quotas.most_at_once(Limit::Fetch, client));
    if let Some(most) = most {
        request.max_bytes = request.max_bytes.min(most);
        request.min_bytes = request.min_bytes.min(request.max_bytes);
    }
}

/// Gives an answer with so many bytes of records to its session, or another one without records
/// when these are too many.
pub(super) fn leave_fetch(
    nodes: &mut Nodes,
    call: &Call,
    usage: Use,
    (mut answer, bytes): (FetchAnswer, u64),
    now: Now,
) -> FetchAnswer {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let wait = with_client(nodes, call, |quotas, client| {
        let wait = quotas.charge(Limit::Fetch, client, bytes, now.monotonic)?;
        quotas.refund(Limit::Fetch, client, bytes, now.monotonic);
        Some(wait)
    });
    note(nodes, call, wait);
    if wait.is_none() {
        nodes.fetch_sessions.leave(usage, &mut answer);
        return answer;
    }
    let session_id = nodes.fetch_sessions.leave_empty(usage);
    FetchAnswer { session_id, ..FetchAnswer::default() }
}

/// How long the client has to wait by its quota, of which note was taken before.
pub(super) fn take(nodes: &mut Nodes, call: &Call) -> Option<Duration> {
    nodes.peers.get_mut(&call.connection)?.throttle.take()
}

/// Takes note of a wait, for the answer; of none nothing need be noted.
fn note(nodes: &mut Nodes, call: &Call, wait: Option<Duration>) {
    if wait.is_some()
        && let Some(peer) = nodes.peers.get_mut(&call.connection)
    {
        peer.throttle = wait;
    }
}

fn with_client<T>(
    nodes: &mut Nodes,
    call: &Call,
    work: impl FnOnce(&mut Quotas, Client<'_>) -> Option<T>,
) -> Option<T> {
    if nodes.quotas.is_empty() {
        return None;
    }
    let principal = nodes.principal(call).clone();
    let user = principal.strip_prefix("User:").unwrap_or(&principal);
    let client_id = call.client_id.as_deref().unwrap_or_default();
    work(&mut nodes.quotas, Client { node: call.node, user, client_id })
}
