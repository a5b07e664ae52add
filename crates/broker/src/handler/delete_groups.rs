//! DeleteGroups: key 42, versions 0-2.
//!
//! Behaviour: a group without members goes, with what it has committed.
//! Rights: Delete on each group.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for DeleteGroupsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DeleteGroupsResponse {
        answer(self, |_| code)
    }

    fn set_throttle(response: &mut DeleteGroupsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DeleteGroupsResponse> {
        Reply::Now(answer(&self, |group_id| match group_id {
            "" => ErrorCode::INVALID_GROUP_ID,
            _ if !nodes.allows(call, Operation::Delete, On::Group(group_id)) => {
                ErrorCode::GROUP_AUTHORIZATION_FAILED
            }
            _ if !nodes.coordinates(call, group_id) => ErrorCode::NOT_COORDINATOR,
            _ => nodes.groups.delete(group_id).err().unwrap_or(ErrorCode::NONE),
        }))
    }
}

fn answer(
    request: &DeleteGroupsRequest,
    mut delete: impl FnMut(&str) -> ErrorCode,
) -> DeleteGroupsResponse {
    let results = request.groups_names.iter().map(|group_id| DeletableGroupResult {
        group_id: group_id.clone(),
        error_code: delete(group_id).0,
    });
    DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() }
}
