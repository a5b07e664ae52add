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
use crate::catalog;
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
            let name = &resource.resource_name;
            let kind = resource.resource_type;
            let outcome = check_is_topic(nodes, call, kind, name)
                .and_then(|()| overrides(resource))
                .and_then(|overrides| alter(nodes, name, overrides, self.validate_only));
            result(resource, outcome)
        });
        Reply::Now(AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        })
    }
}

/// What a topic is to have of its own.
fn overrides(resource: &AlterConfigsResource) -> Result<Overrides, TopicError> {
    let mut overrides = Overrides::new();
    for config in &resource.configs {
        let name = &config.name;
        let Some(value) = &config.value else {
            return Err(invalid_request(format!("{name} has no value")));
        };
        if overrides.insert(name.clone(), value.clone()).is_some() {
            return Err(invalid_request(format!("{name} is named more than once")));
        }
    }
    Ok(overrides)
}

/// A request that cannot be meant so.
pub(super) fn invalid_request(message: String) -> TopicError {
    TopicError::new(ErrorCode::INVALID_REQUEST, message)
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
    if name.is_empty() {
        return Err(invalid_request("the settings of all topics cannot be changed".to_owned()));
    }
    if let Err(reason) = catalog::check_name(name) {
        return Err(TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, reason));
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
