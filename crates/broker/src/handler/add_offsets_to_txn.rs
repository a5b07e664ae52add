//! AddOffsetsToTxn: key 25, versions 0-4.
//!
//! Behaviour: a producer says that its transaction is going to commit offsets of a group. Clients
//! with transactions of version 2 need not: their TxnOffsetCommit says it (KIP-890).
//! Version notes: 2 PRODUCER_FENCED, 4 TRANSACTION_ABORTABLE.
//! Rights: Write on the transactional id, Read on the group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};

use super::{Api, Reply, fenced_code, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::Who;

const FENCED_VERSION: i16 = 2;

impl Api for AddOffsetsToTxnRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.transactional_id)
    }

    one_error_code!(AddOffsetsToTxnResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<AddOffsetsToTxnResponse> {
        let id = &self.transactional_id;
        let code = if id.is_empty() {
            ErrorCode::INVALID_REQUEST
        } else if !nodes.allows(call, Operation::Write, On::TransactionalId(id)) {
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        } else if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            ErrorCode::GROUP_AUTHORIZATION_FAILED
        } else if self.group_id.is_empty() {
            ErrorCode::INVALID_GROUP_ID
        } else {
            let who = Who { id, producer_id: self.producer_id, epoch: self.producer_epoch };
            let added = nodes.transactions.add_group(who, 0, &self.group_id, now);
            added.err().map_or(ErrorCode::NONE, |code| fenced_code(code, call, FENCED_VERSION))
        };
        Reply::Now(self.refuse(call.version, code))
    }
}
