//! What a client may do with a thing, as the bits that some answers carry (KIP-430).

use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;

/// What a request says when nobody asked for the operations.
const NOT_ASKED: i32 = i32::MIN;

const TOPIC: &[Operation] = &[
    Operation::Read,
    Operation::Write,
    Operation::Create,
    Operation::Delete,
    Operation::Alter,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];
const GROUP: &[Operation] = &[
    Operation::Read,
    Operation::Delete,
    Operation::Describe,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
];
const CLUSTER: &[Operation] = &[
    Operation::Create,
    Operation::Alter,
    Operation::Describe,
    Operation::ClusterAction,
    Operation::DescribeConfigs,
    Operation::AlterConfigs,
    Operation::IdempotentWrite,
];

/// The bits of what is allowed of all that the kind of thing knows. Who may not describe the
/// cluster is told that it may do nothing, as Kafka does it.
pub(super) fn allowed(asked: bool, nodes: &Nodes, call: &Call, thing: On<'_>) -> i32 {
    if !asked {
        return NOT_ASKED;
    }
    let all = match thing {
        On::Topic(_) => TOPIC,
        On::Group(_) => GROUP,
        On::Cluster if !nodes.allows(call, Operation::Describe, thing) => &[],
        On::Cluster => CLUSTER,
        On::TransactionalId(_) => &[],
    };
    let allowed = all.iter().filter(|operation| nodes.allows(call, **operation, thing));
    allowed.fold(0, |bits, operation| bits | operation.bit())
}
