//! AlterConfigs: key 33, versions 0-2.
//!
//! Behaviour: the settings of a topic, a broker, a group or a subscription of client metrics are
//! *replaced* by those given; what is not named falls back to its default. They are in the file
//! when the answer goes.
//! Left out: settings that would have no effect, which are refused; levels of loggers.
//! Rights: AlterConfigs on each topic or group, on the cluster for the rest.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

use super::config_resources::{invalid_request, target};
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::time::Now;
use crate::topic_config::Overrides;
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

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<AlterConfigsResponse> {
        let responses = self.resources.iter().map(|resource| {
            let found = target(nodes, call, resource.resource_type, &resource.resource_name);
            let outcome = found.and_then(|target| {
                target.give(nodes, overrides(resource)?, self.validate_only, now)
            });
            result(resource, outcome)
        });
        Reply::Now(AlterConfigsResponse {
            responses: responses.collect(),
            ..AlterConfigsResponse::default()
        })
    }
}

/// What something is to have of its own.
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
