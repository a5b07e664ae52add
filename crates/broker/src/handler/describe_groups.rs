//! DescribeGroups: key 15, versions 0-6.
//!
//! Behaviour: state and members of each group; a group without members is Empty as long as it has
//! offsets. Version notes: 3 operations (KIP-430), 4 static members, 6 an unknown group is an error
//! (KIP-1043), before that it is Dead. So is a group of the consumer protocol, which
//! ConsumerGroupDescribe is for.
//! Rights: Describe on each group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};

use super::{Api, Reply, operations};
use crate::groups::{DescribedMember, Group};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const UNKNOWN_IS_ERROR_VERSION: i16 = 6;

impl Api for DescribeGroupsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeGroupsResponse {
        DescribeGroupsResponse {
            groups: self.groups.iter().map(|group_id| refused(group_id, code)).collect(),
            ..DescribeGroupsResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeGroupsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeGroupsResponse> {
        let asked = self.include_authorized_operations;
        let groups = self.groups.iter().map(|group_id| {
            let thing = On::Group(group_id);
            if !nodes.allows(call, Operation::Describe, thing) {
                return refused(group_id, ErrorCode::GROUP_AUTHORIZATION_FAILED);
            }
            if !nodes.coordinates(call, group_id) {
                return refused(group_id, ErrorCode::NOT_COORDINATOR);
            }
            DescribedGroup {
                authorized_operations: operations::allowed(asked, nodes, call, thing),
                ..describe(nodes, group_id, call.version)
            }
        });
        Reply::Now(DescribeGroupsResponse {
            groups: groups.collect(),
            ..DescribeGroupsResponse::default()
        })
    }
}

fn refused(group_id: &str, code: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        error_code: code.0,
        group_id: group_id.to_owned(),
        ..DescribedGroup::default()
    }
}

fn describe(nodes: &Nodes, group_id: &str, version: i16) -> DescribedGroup {
    let described = DescribedGroup { group_id: group_id.to_owned(), ..DescribedGroup::default() };
    let known = nodes.groups.get(group_id);
    if let Some(Group::Classic(group)) = known {
        let members = group.describe_members().into_iter();
        return DescribedGroup {
            group_state: group.state_name().to_owned(),
            protocol_type: group.protocol_type().to_owned(),
            protocol_data: group.protocol().to_owned(),
            members: members.map(|member| describe_member(member, version)).collect(),
            ..described
        };
    }
    if known.is_none() && nodes.groups.offsets.has_group(group_id) {
        return DescribedGroup { group_state: "Empty".to_owned(), ..described };
    }
    let is_error = version >= UNKNOWN_IS_ERROR_VERSION;
    DescribedGroup {
        error_code: if is_error { ErrorCode::GROUP_ID_NOT_FOUND.0 } else { 0 },
        error_message: is_error.then(|| match known {
            Some(_) => format!("group {group_id} is not of the classic protocol"),
            None => format!("there is no group {group_id}"),
        }),
        group_state: "Dead".to_owned(),
        ..described
    }
}

fn describe_member(member: DescribedMember, version: i16) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: member.id,
        group_instance_id: member.instance_id.filter(|_| version >= 4),
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}
