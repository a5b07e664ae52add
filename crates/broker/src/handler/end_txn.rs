//! EndTxn: key 26, versions 0-5.
//!
//! Behaviour: the transaction is committed or aborted from the answer on. Readers see it once there
//! are markers in all partitions, which the coordinator goes on with until it is done; meanwhile
//! the producer hears CONCURRENT_TRANSACTIONS.
//! Version notes: 2 PRODUCER_FENCED, 5 the end of a transaction of version 2: the answer carries
//! the epoch of the next (KIP-890).
//! Rights: Write on the transactional id.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};

use super::{Api, Reply, fenced_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::{EPOCH_BUMP_VERSION, Who};

const FENCED_VERSION: i16 = 2;
const NEXT_EPOCH_VERSION: i16 = 5;

impl Api for EndTxnRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.transactional_id)
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> EndTxnResponse {
        EndTxnResponse { error_code: code.0, ..EndTxnResponse::default() }
    }

    fn set_throttle(response: &mut EndTxnResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<EndTxnResponse> {
        let id = &self.transactional_id;
        if id.is_empty() {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_REQUEST));
        }
        if !nodes.allows(call, Operation::Write, On::TransactionalId(id)) {
            let code = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let who = Who { id, producer_id: self.producer_id, epoch: self.producer_epoch };
        let bumps = call.version >= NEXT_EPOCH_VERSION;
        let version = if bumps { EPOCH_BUMP_VERSION } else { 0 };
        let Nodes { transactions, catalog, .. } = &mut *nodes;
        let ended = transactions.end(
            who,
            self.committed,
            version,
            || super::init_producer_id::new_producer_id(catalog),
            now,
        );
        Reply::Now(match ended {
            Ok((producer_id, producer_epoch)) if bumps => {
                EndTxnResponse { producer_id, producer_epoch, ..EndTxnResponse::default() }
            }
            Ok(_) => EndTxnResponse::default(),
            Err(code) => self.refuse(call.version, fenced_code(code, call, FENCED_VERSION)),
        })
    }
}
