//! AlterConfigs: key 33, versions 0-2.
//!
//! Behaviour: the settings of a topic are *replaced* by those given; what is not named falls back
//! to its default. Left out: settings of the broker, which are fixed at start.
//! Rights: AlterConfigs on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::describe_configs::RESOURCE_TOPIC;
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::{self, Overrides};
use crate::topics::TopicError;

impl Api for AlterConfigsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> AlterConfigsResponse {
        let refuse = |resource: &AlterConfigsResource| {
            result(resource, Err(TopicError::new(code, code.message())))
        };
        AlterConfigsResponse {
            responses: self.resources.iter().map(refuse).collect(),
            ..AlterConfigsResponse::default()
        }
    }

    fn set_throttle(response: &mut AlterConfigsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<AlterConfigsResponse> {
        let responses = self.resources.iter().map(|resource| {
            let mut overrides = Overrides::new();
            let configs = resource.configs.iter();
            overrides.extend(configs.filter_map(|c| Some((c.name.clone(), c.value.clone()?))));
            let name = &resource.resource_name;
            let kind = resource.resource_type;
            let outcome = check_is_topic(nodes, call, kind, name)
                .and_then(|()| alter(nodes, name, overrides, self.validate_only));
            result(resource, outcome)
        });
        Reply::Now(AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        })
    }
}

/// Gives a topic the settings, after checking them.
pub(super) fn alter(
    nodes: &mut Nodes,
    name: &str,
    overrides: Overrides,
    validate_only: bool,
) -> Result<(), TopicError> {
    topic_config::check(&overrides)
        .map_err(|reason| TopicError::new(ErrorCode::INVALID_CONFIG, reason))?;
    if validate_only { Ok(()) } else { nodes.configure_topic(name, overrides) }
}

/// Only topics can be configured while the broker runs, by those who may.
pub(super) fn check_is_topic(
    nodes: &Nodes,
    call: &Call,
    resource_type: i8,
    name: &str,
) -> Result<(), TopicError> {
    if resource_type != RESOURCE_TOPIC {
        let message = "only the settings of topics can be changed";
        return Err(TopicError::new(ErrorCode::INVALID_REQUEST, message));
    }
    if !nodes.allows(call, Operation::AlterConfigs, On::Topic(name)) {
        return Err(TopicError::unauthorized());
    }
    if nodes.catalog.by_name(name).is_none() {
        let message = format!("there is no topic {name}");
        return Err(TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message));
    }
    Ok(())
}

fn result(
    resource: &AlterConfigsResource,
    outcome: Result<(), TopicError>,
) -> AlterConfigsResourceResponse {
    let error = outcome.err();
    AlterConfigsResourceResponse {
        error_code: error.as_ref().map_or(0, |error| error.code.0),
        error_message: error.map(|error| error.message),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
    }
}
