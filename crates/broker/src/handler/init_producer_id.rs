//! InitProducerId: key 22, versions 0-5.
//!
//! Behaviour: an idempotent producer gets an id that nobody has had, with epoch 0, whatever id it
//! had before. A transactional one gets the id of its transactional id with the next epoch, which
//! fences whoever had it before; a transaction that was left open is aborted first, and the
//! producer asks again (CONCURRENT_TRANSACTIONS).
//! Version notes: 3 the producer's present id and epoch (KIP-360), 4 PRODUCER_FENCED.
//! Rights: Write on the transactional id; else IdempotentWrite on the cluster, or Write on some
//! topic (KIP-679).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

use super::{Api, Reply, fenced_code};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const FENCED_VERSION: i16 = 4;

impl Api for InitProducerIdRequest {
    fn coordinated_id(&self) -> Option<&str> {
        self.transactional_id.as_deref()
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> InitProducerIdResponse {
        InitProducerIdResponse {
            error_code: code.0,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        }
    }

    fn set_throttle(response: &mut InitProducerIdResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<InitProducerIdResponse> {
        let identity = match &self.transactional_id {
            Some(id) => begin(&self, id, nodes, call, now),
            None => idempotent(nodes, call),
        };
        Reply::Now(match identity {
            Ok((producer_id, producer_epoch)) => InitProducerIdResponse {
                producer_id,
                producer_epoch,
                ..InitProducerIdResponse::default()
            },
            Err(code) => self.refuse(call.version, fenced_code(code, call, FENCED_VERSION)),
        })
    }
}

fn idempotent(nodes: &mut Nodes, call: &Call) -> Result<(i64, i16), ErrorCode> {
    let may_write = nodes.allows(call, Operation::IdempotentWrite, On::Cluster)
        || nodes.allows_some_topic(call, Operation::Write);
    if !may_write {
        return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    }
    Ok((new_producer_id(&mut nodes.catalog)?, nodes.transactions.first_epoch))
}

fn begin(
    request: &InitProducerIdRequest,
    id: &str,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(i64, i16), ErrorCode> {
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (id, epoch) if id >= 0 && epoch >= 0 => Some((id, epoch)),
        _ => return Err(ErrorCode::INVALID_REQUEST),
    };
    if id.is_empty() {
        return Err(ErrorCode::INVALID_REQUEST);
    }
    if !nodes.allows(call, Operation::Write, On::TransactionalId(id)) {
        return Err(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    let timeout_ms = request.transaction_timeout_ms;
    let most_ms = i32::try_from(nodes.config.transaction_max_timeout.as_millis());
    if timeout_ms <= 0 || timeout_ms > most_ms.unwrap_or(i32::MAX) {
        return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    }
    let Nodes { transactions, catalog, .. } = nodes;
    transactions.begin(id, timeout_ms, expected, || new_producer_id(catalog), now)
}

/// A producer id that nobody has had.
pub(super) fn new_producer_id(catalog: &mut Catalog) -> Result<i64, ErrorCode> {
    catalog.next_producer_id().map_err(|error| {
        tracing::error!(%error, "no producer id");
        // Retriable, unlike a storage error in this place.
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    })
}
