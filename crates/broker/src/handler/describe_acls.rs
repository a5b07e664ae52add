//! DescribeAcls: key 29, versions 1-3.
//!
//! Behaviour: the ACLs that a filter takes, those about one resource together (KIP-140). Rules of
//! [`Cluster::deny`](crate::Cluster::deny) are no ACLs.
//! Version notes: 1 patterns (KIP-290), 2 flexible, 3 users.
//! Rights: Describe on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_acls::{
    AclDescription, DescribeAclsRequest, DescribeAclsResource, DescribeAclsResponse,
};

use super::acls::{Wrong, check_filter, check_may};
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::bindings::{Binding, Filter};
use crate::time::Now;

impl Api for DescribeAclsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeAclsResponse {
        refused((code, code.message().to_owned()))
    }

    fn set_throttle(response: &mut DescribeAclsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeAclsResponse> {
        if let Err(code) = check_may(nodes, call, Operation::Describe) {
            return Reply::Now(self.refuse(call.version, code));
        }
        let filter = Filter {
            resource_type: self.resource_type_filter,
            pattern_type: self.pattern_type_filter,
            name: self.resource_name_filter,
            principal: self.principal_filter,
            host: self.host_filter,
            operation: self.operation,
            permission: self.permission_type,
        };
        if let Err(wrong) = check_filter(&filter) {
            return Reply::Now(refused(wrong));
        }
        Reply::Now(DescribeAclsResponse {
            resources: by_resource(nodes.acls.find(&filter)),
            ..DescribeAclsResponse::default()
        })
    }
}

fn refused((code, message): Wrong) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: code.0,
        error_message: Some(message),
        ..DescribeAclsResponse::default()
    }
}

/// They are in order of their resources.
fn by_resource(bindings: Vec<Binding>) -> Vec<DescribeAclsResource> {
    let mut resources: Vec<DescribeAclsResource> = Vec::new();
    for it in bindings {
        let acl = AclDescription {
            principal: it.principal,
            host: it.host,
            operation: it.operation,
            permission_type: it.permission,
        };
        let is_same = |last: &&mut DescribeAclsResource| {
            (last.resource_type, last.pattern_type) == (it.resource_type, it.pattern_type)
                && last.resource_name == it.name
        };
        match resources.last_mut().filter(is_same) {
            Some(resource) => resource.acls.push(acl),
            None => resources.push(DescribeAclsResource {
                resource_type: it.resource_type,
                resource_name: it.name,
                pattern_type: it.pattern_type,
                acls: vec![acl],
            }),
        }
    }
    resources
}
