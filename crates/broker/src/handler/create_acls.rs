//! CreateAcls: key 30, versions 1-3.
//!
//! Behaviour: adds ACLs, which hold from the next request on and are in the file when the answer
//! goes (KIP-140). One that is there already is not there twice. What is wrong with one leaves the
//! others alone.
//! Version notes: 1 patterns (KIP-290), 2 flexible, 3 users.
//! Rights: Alter on the cluster.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_acls::{
    AclCreation, AclCreationResult, CreateAclsRequest, CreateAclsResponse,
};

use super::acls::{Wrong, check_may, invalid};
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::bindings::{Binding, CLUSTER_NAME, code};
use crate::time::Now;

impl Api for CreateAclsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> CreateAclsResponse {
        let refused = || Err((code, code.message().to_owned()));
        answer(self.creations.iter().map(|_| refused()))
    }

    fn set_throttle(response: &mut CreateAclsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<CreateAclsResponse> {
        if let Err(code) = check_may(nodes, call, Operation::Alter) {
            return Reply::Now(self.refuse(call.version, code));
        }
        let bindings: Vec<_> = self.creations.iter().map(read).collect();
        let good = bindings.iter().filter_map(|binding| binding.as_ref().ok().cloned()).collect();
        if let Err(error) = nodes.acls.add(good) {
            tracing::error!(%error, "ACLs not written down");
            return Reply::Now(self.refuse(call.version, ErrorCode::KAFKA_STORAGE_ERROR));
        }
        Reply::Now(answer(bindings.into_iter().map(|binding| binding.map(|_| ()))))
    }
}

fn answer(outcomes: impl Iterator<Item = Result<(), Wrong>>) -> CreateAclsResponse {
    let results = outcomes.map(|outcome| match outcome {
        Ok(()) => AclCreationResult::default(),
        Err((code, message)) => {
            AclCreationResult { error_code: code.0, error_message: Some(message) }
        }
    });
    CreateAclsResponse { results: results.collect(), ..CreateAclsResponse::default() }
}

/// Says why an ACL cannot be.
fn read(creation: &AclCreation) -> Result<Binding, Wrong> {
    let one_of = |what: &str, number: i8, first: i8, last: i8| match number {
        _ if (first..=last).contains(&number) => Ok(()),
        _ => Err(invalid(format!("an ACL cannot have {what} {number}"))),
    };
    one_of("resource type", creation.resource_type, code::TOPIC, code::USER)?;
    one_of("pattern type", creation.resource_pattern_type, code::LITERAL, code::PREFIXED)?;
    one_of("operation", creation.operation, code::ALL, code::LAST_OPERATION)?;
    one_of("permission type", creation.permission_type, code::DENY, code::ALLOW)?;
    let name = &creation.resource_name;
    if creation.resource_type == code::CLUSTER && name != CLUSTER_NAME {
        return Err(invalid(format!("the name of a cluster is {CLUSTER_NAME}, not {name:?}")));
    }
    if name.is_empty() {
        return Err(invalid("the name of the resource is empty"));
    }
    let principal = &creation.principal;
    if !principal.contains(':') {
        return Err(invalid(format!("{principal:?} is no principal, as User:alice is")));
    }
    Ok(Binding {
        resource_type: creation.resource_type,
        pattern_type: creation.resource_pattern_type,
        name: name.clone(),
        principal: principal.clone(),
        host: creation.host.clone(),
        operation: creation.operation,
        permission: creation.permission_type,
    })
}
