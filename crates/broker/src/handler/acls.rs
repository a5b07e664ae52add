//! What the three APIs of ACLs have in common.

use ottla_protocol::ErrorCode;

use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::security::bindings::{Filter, code};

/// What is wrong with an ACL or a filter.
pub(super) type Wrong = (ErrorCode, String);

pub(super) fn invalid(message: impl Into<String>) -> Wrong {
    (ErrorCode::INVALID_REQUEST, message.into())
}

/// Who may change ACLs may change everything.
pub(super) fn check_may(nodes: &Nodes, call: &Call, operation: Operation) -> Result<(), ErrorCode> {
    match nodes.allows(call, operation, On::Cluster) {
        true => Ok(()),
        false => Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
    }
}

/// Says why a filter cannot be.
pub(super) fn check_filter(filter: &Filter) -> Result<(), Wrong> {
    let number = |what: &str, number: i8, last: i8| match number {
        code::ANY.. if number <= last => Ok(()),
        _ => Err(invalid(format!("there is no {what} {number}"))),
    };
    number("resource type", filter.resource_type, code::USER)?;
    number("pattern type", filter.pattern_type, code::PREFIXED)?;
    number("operation", filter.operation, code::LAST_OPERATION)?;
    number("permission type", filter.permission, code::ALLOW)
}
