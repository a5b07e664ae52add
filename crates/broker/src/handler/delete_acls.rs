//! DeleteAcls: key 31, versions 1-3.
//!
//! Behaviour: removes the ACLs that any of the filters takes, and tells for each filter which they
//! were (KIP-140). What is wrong with one filter leaves the others alone.
//! Version notes: 1 patterns (KIP-290), 2 flexible, 3 users.
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_acls::{
    DeleteAclsFilter, DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsRequest,
    DeleteAclsResponse,
};

use super::acls::{Wrong, check_filter, check_may};
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::bindings::{Binding, Filter};
use crate::time::Now;

impl Api for DeleteAclsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DeleteAclsResponse {
        let refused = || Err((code, code.message().to_owned()));
        answer(self.filters.iter().map(|_| refused()))
    }

    fn set_throttle(response: &mut DeleteAclsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DeleteAclsResponse> {
        if let Err(code) = check_may(nodes, call, Operation::Alter) {
            return Reply::Now(self.refuse(call.version, code));
        }
        let find = |filter| {
            let filter = read(filter);
            check_filter(&filter).map(|()| nodes.acls.find(&filter))
        };
        let found: Vec<_> = self.filters.iter().map(find).collect();
        let all = found.iter().flatten().flatten().cloned().collect();
        if let Err(error) = nodes.acls.remove(all) {
            tracing::error!(%error, "ACLs not removed");
            return Reply::Now(self.refuse(call.version, ErrorCode::KAFKA_STORAGE_ERROR));
        }
        Reply::Now(answer(found.into_iter()))
    }
}

fn read(filter: &DeleteAclsFilter) -> Filter {
    Filter {
        resource_type: filter.resource_type_filter,
        pattern_type: filter.pattern_type_filter,
        name: filter.resource_name_filter.clone(),
        principal: filter.principal_filter.clone(),
        host: filter.host_filter.clone(),
        operation: filter.operation,
        permission: filter.permission_type,
    }
}

fn answer(found: impl Iterator<Item = Result<Vec<Binding>, Wrong>>) -> DeleteAclsResponse {
    let results = found.map(|found| match found {
        Ok(bindings) => DeleteAclsFilterResult {
            matching_acls: bindings.into_iter().map(matching).collect(),
            error_message: None,
            ..DeleteAclsFilterResult::default()
        },
        Err((code, message)) => DeleteAclsFilterResult {
            error_code: code.0,
            error_message: Some(message),
            ..DeleteAclsFilterResult::default()
        },
    });
    DeleteAclsResponse { filter_results: results.collect(), ..DeleteAclsResponse::default() }
}

fn matching(binding: Binding) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl {
        resource_type: binding.resource_type,
        resource_name: binding.name,
        pattern_type: binding.pattern_type,
        principal: binding.principal,
        host: binding.host,
        operation: binding.operation,
        permission_type: binding.permission,
        error_message: None,
        ..DeleteAclsMatchingAcl::default()
    }
}
