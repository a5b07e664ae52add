//! How answers are written: at once or later, as they are or as a fault wants them.

use std::io;
use std::time::Duration;

use ottla_protocol::{EncodeError, encode_response};

use super::Api;
use super::fetch_answer::FetchAnswer;
use crate::fault::{Action, Fault};
use crate::nodes::Nodes;
use crate::outgoing::Outgoing;
use crate::peers::{Call, Flow, Transmit};
use crate::rng::Rng;
use crate::time::Now;

/// Writes an answer, unless a fault has other plans for it.
pub(super) fn finish<R: Api>(
    nodes: &mut Nodes,
    call: &Call,
    response: R::Response,
    now: Now,
    out: &mut Outgoing,
) -> Flow {
    finish_as::<R>(nodes, call, response, now, out, None)
}

/// Writes an answer; one that is the last word leaves so much later, and ends the connection.
pub(super) fn finish_as<R: Api>(
    nodes: &mut Nodes,
    call: &Call,
    mut response: R::Response,
    now: Now,
    out: &mut Outgoing,
    last_word_after: Option<Duration>,
) -> Flow {
    let (api, version, correlation_id) = (call.api, call.version, call.correlation_id);
    finish_with(nodes, call, now, out, last_word_after, |throttle_ms, out| {
        if let Some(throttle_ms) = throttle_ms {
            R::set_throttle(&mut response, throttle_ms);
        }
        encode_response(api, version, correlation_id, &response, &mut out.bytes)
    })
}

/// Has an answer written by `encode`, which is told for how long the client has to wait.
fn finish_with(
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
    out: &mut Outgoing,
    last_word_after: Option<Duration>,
    encode: impl FnOnce(Option<i32>, &mut Outgoing) -> Result<(), EncodeError>,
) -> Flow {
    let fault = call.fault.as_ref();
    match fault.map(|fault| fault.action) {
        Some(Action::DisconnectAfterApply) => return Flow::Close,
        Some(Action::DropResponse) => {
            if let Some(peer) = nodes.peers.get_mut(&call.connection) {
                peer.is_mute = true;
            }
        }
        _ => {}
    }
    let peer = nodes.peers.get_mut(&call.connection);
    let Some(peer) = peer.filter(|peer| !peer.is_mute) else {
        return Flow::Continue;
    };
    let throttle = fault.and_then(|fault| fault.throttle).max(peer.throttle.take());
    let mut swapped = std::mem::take(&mut peer.swapped);
    let throttle_ms =
        throttle.map(|throttle| i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX));
    let flow = match last_word_after {
        Some(_) => Flow::Close,
        None => throttle.map_or(Flow::Continue, Flow::Pause),
    };
    let delay = fault.and_then(|fault| fault.delay).or(last_word_after);
    let mut late = Outgoing::default();
    let target = if delay.is_some() { &mut late } else { out };
    let from = target.bytes.len();
    if let Some(bytes) = fault.and_then(|fault| fault.answer.as_ref()) {
        target.bytes.extend_from_slice(bytes);
    } else if let Err(error) = encode(throttle_ms, target) {
        tracing::error!(api = %call.api, version = call.version, %error, "answer not written");
        return Flow::Close;
    }
    let Ok(is_cut) = fault.map_or(Ok(false), |fault| spoil(fault, target, from, &mut nodes.rng))
    else {
        return Flow::Close;
    };
    let flow = if is_cut { Flow::Close } else { flow };
    if fault.is_some_and(|fault| fault.swaps_answer) {
        swapped.extend(target.bytes.drain(from..));
        if let Some(peer) = nodes.peers.get_mut(&call.connection) {
            peer.swapped = swapped;
        }
    } else {
        target.bytes.append(&mut swapped);
    }
    match delay {
        None => flow,
        Some(delay) => {
            let transmit = Transmit { connection: call.connection, out: late, flow };
            nodes.delay(transmit, now.monotonic + delay);
            Flow::Wait
        }
    }
}

/// Does to an answer what a fault says. Says whether it was cut.
fn spoil(fault: &Fault, out: &mut Outgoing, from: usize, rng: &mut Rng) -> io::Result<bool> {
    out.gather(from).inspect_err(|error| tracing::error!(%error, "records cannot be read"))?;
    Ok(fault.spoil(&mut out.bytes, from, rng))
}

/// Sends an answer that had to wait.
pub(super) fn finish_late<R: Api>(nodes: &mut Nodes, call: &Call, response: R::Response, now: Now) {
    let mut out = Outgoing::default();
    let flow = finish::<R>(nodes, call, response, now, &mut out);
    send_late(nodes, call, out, flow);
}

fn send_late(nodes: &mut Nodes, call: &Call, out: Outgoing, flow: Flow) {
    if flow != Flow::Wait {
        nodes.transmit(Transmit { connection: call.connection, out, flow });
    }
}

/// Writes the answer to a Fetch, unless a fault has other plans for it.
pub(super) fn finish_fetch(
    nodes: &mut Nodes,
    call: &Call,
    answer: &FetchAnswer,
    now: Now,
    out: &mut Outgoing,
) -> Flow {
    finish_with(nodes, call, now, out, None, |throttle_ms, out| {
        answer.encode(call, throttle_ms.unwrap_or_default(), out)
    })
}

/// Sends the answer to a Fetch that had to wait.
pub(super) fn finish_fetch_late(nodes: &mut Nodes, call: &Call, answer: &FetchAnswer, now: Now) {
    let mut out = Outgoing::default();
    let flow = finish_fetch(nodes, call, answer, now, &mut out);
    send_late(nodes, call, out, flow);
}
