//! ListGroups: key 16, versions 0-5.
//!
//! Behaviour: every group, those with nothing but offsets included.
//! Version notes: 4 states (KIP-518), 5 types (KIP-848).
//! Rights: Describe on the cluster; without it, groups with Describe of their own are listed.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};

use super::{Api, Reply, one_error_code};
use crate::groups::{Group, Kind};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

impl Api for ListGroupsRequest {
    one_error_code!(ListGroupsResponse);

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<ListGroupsResponse> {
        let passes = |filter: &[String], value: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let may_know_all = nodes.allows(call, Operation::Describe, On::Cluster);
        let mut groups = Vec::new();
        for group_id in nodes.groups.ids() {
            if !nodes.coordinates(call, group_id) {
                continue;
            }
            if !may_know_all && !nodes.allows(call, Operation::Describe, On::Group(group_id)) {
                continue;
            }
            let group = nodes.groups.get(group_id);
            let state = group.map_or("Empty", Group::state_name);
            let kind = group.map_or(Kind::Classic, Group::kind).name();
            if passes(&self.states_filter, state) && passes(&self.types_filter, kind) {
                groups.push(ListedGroup {
                    group_id: group_id.to_owned(),
                    protocol_type: group.map_or("", Group::protocol_type).to_owned(),
                    group_state: if call.version >= 4 { state } else { "" }.to_owned(),
                    group_type: if call.version >= 5 { kind } else { "" }.to_owned(),
                });
            }
        }
        Reply::Now(ListGroupsResponse { groups, ..ListGroupsResponse::default() })
    }
}
