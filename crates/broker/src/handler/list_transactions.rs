//! ListTransactions: key 66, versions 0-2.
//!
//! Behaviour: the transactional ids that this node coordinates, each with its producer and where
//! its transaction stands (KIP-664). Filters go by state, producer id, age and id; a state that
//! nobody knows is said to be unknown, and nothing is in it.
//! Version notes: 1 age of the transaction (KIP-994), 2 a regular expression for the whole id
//! (KIP-1152). Left out: what the crate `regex-lite` does not know, of expressions.
//! Rights: Describe on each transactional id; those without are left out.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState,
};

use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::pattern::Pattern;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::transactions::{State, Transaction};

/// States of Kafka's that no transaction has here.
const NEVER_SEEN: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl Api for ListTransactionsRequest {
    one_error_code!(ListTransactionsResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<ListTransactionsResponse> {
        let pattern = self.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
        let Ok(pattern) = pattern.map(Pattern::new).transpose() else {
            return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_REGULAR_EXPRESSION));
        };
        let is_known = |name: &str| State::of_name(name).is_some() || NEVER_SEEN.contains(&name);
        let unknown = self.state_filters.iter().filter(|name| !is_known(name));
        let unknown_state_filters = unknown.cloned().collect();
        let passes = |id: &str, it: &Transaction| {
            let (states, producers) = (&self.state_filters, &self.producer_id_filters);
            let age_ms = now.unix_ms.saturating_sub(it.begun_ms().unwrap_or(-1));
            (producers.is_empty() || producers.contains(&it.producer_id))
                && (states.is_empty() || states.iter().any(|name| *name == it.state.name()))
                && (self.duration_filter < 0 || age_ms > self.duration_filter)
                && pattern.as_ref().is_none_or(|pattern| pattern.matches(id))
        };
        let may_know = |id: &str| {
            nodes.coordinates(call, id)
                && nodes.allows(call, Operation::Describe, On::TransactionalId(id))
        };
        let found = nodes.transactions.iter().filter(|(id, it)| passes(id, it) && may_know(id));
        let transaction_states = found.map(|(id, it)| TransactionState {
            transactional_id: id.to_owned(),
            producer_id: it.producer_id,
            transaction_state: it.state.name().to_owned(),
        });
        Reply::Now(ListTransactionsResponse {
            transaction_states: transaction_states.collect(),
            unknown_state_filters,
            ..ListTransactionsResponse::default()
        })
    }
}
