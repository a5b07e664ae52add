//! OffsetDelete: key 47, version 0 (KIP-496).
//!
//! Behaviour: what a group has committed for single partitions goes, unless a member reads the
//! topic. Members that are no consumers hold everything.
//! Rights: Delete on the group, Read on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

use super::{Api, Reply, one_error_code};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for OffsetDeleteRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    one_error_code!(OffsetDeleteResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<OffsetDeleteResponse> {
        let group_id = self.group_id.as_str();
        let refuse = |code| Reply::Now(self.refuse(call.version, code));
        if !nodes.allows(call, Operation::Delete, On::Group(group_id)) {
            return refuse(ErrorCode::GROUP_AUTHORIZATION_FAILED);
        }
        if group_id.is_empty() {
            return refuse(ErrorCode::INVALID_GROUP_ID);
        }
        if let Err(code) = nodes.groups.check_delete_offsets(group_id) {
            return refuse(code);
        }
        let mut doomed = Vec::new();
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                let checked = check(nodes, call, group_id, &topic.name, index);
                if checked.is_ok() {
                    doomed.push((topic.name.clone(), index));
                }
                OffsetDeleteResponsePartition {
                    partition_index: index,
                    error_code: checked.err().map_or(0, |code| code.0),
                }
            });
            OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: partitions.collect() }
        });
        let topics = topics.collect();
        match nodes.groups.delete_offsets(group_id, doomed) {
            Ok(()) => {
                Reply::Now(OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() })
            }
            Err(code) => refuse(code),
        }
    }
}

fn check(
    nodes: &Nodes,
    call: &Call,
    group_id: &str,
    topic: &str,
    partition: i32,
) -> Result<(), ErrorCode> {
    if !nodes.allows(call, Operation::Read, On::Topic(topic)) {
        return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    let known = nodes.catalog.by_name(topic);
    if !known.is_some_and(|known| known.has_partition(partition)) {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    if nodes.groups.is_subscribed_to(group_id, topic) {
        return Err(ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
    }
    Ok(())
}
