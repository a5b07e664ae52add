//! IncrementalAlterConfigs: key 44, versions 0-1.
//!
//! Behaviour: settings of a topic, a broker, a group or a subscription of client metrics are set,
//! removed, or (lists) added to and taken from, one by one (KIP-339). They are in the file when the
//! answer goes. To remove what is not set is fine.
//! Left out: settings that would have no effect, which are refused; levels of loggers.
//! Rights: AlterConfigs on each topic or group, on the cluster for the rest.

use std::collections::HashSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::config_resources::{Target, invalid_request, target};
use super::counted::counted;
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::time::Now;
use crate::topic_config::Overrides;
use crate::topics::TopicError;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

impl Api for IncrementalAlterConfigsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> IncrementalAlterConfigsResponse {
        let refuse = |resource: &AlterConfigsResource| {
            result(resource, Err(TopicError::new(code, code.message())))
        };
        IncrementalAlterConfigsResponse {
            responses: self.resources.iter().map(refuse).collect(),
            ..IncrementalAlterConfigsResponse::default()
        }
    }

    fn set_throttle(response: &mut IncrementalAlterConfigsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        now: Now,
    ) -> Reply<IncrementalAlterConfigsResponse> {
        let named = self.resources.iter().map(|it| (it.resource_type, it.resource_name.as_str()));
        let counts = counted(named);
        let mut responses = Vec::new();
        for it in &self.resources {
            let outcome = match counts.get(&(it.resource_type, it.resource_name.as_str())) {
                Some(2..) => Err(invalid_request("it is named more than once".to_owned())),
                _ => change(it, self.validate_only, nodes, call, now),
            };
            responses.push(result(it, outcome));
        }
        Reply::Now(IncrementalAlterConfigsResponse {
            responses,
            ..IncrementalAlterConfigsResponse::default()
        })
    }
}

fn change(
    resource: &AlterConfigsResource,
    validate_only: bool,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(), TopicError> {
    let target = target(nodes, call, resource.resource_type, &resource.resource_name)?;
    let mut overrides = target.present(nodes);
    let mut seen = HashSet::new();
    for config in &resource.configs {
        if !seen.insert(&config.name) {
            return Err(invalid_request(format!("{} is named more than once", config.name)));
        }
        apply(config, target, &mut overrides)?;
    }
    target.give(nodes, overrides, validate_only, now)
}

fn apply(
    config: &AlterableConfig,
    target: Target<'_>,
    overrides: &mut Overrides,
) -> Result<(), TopicError> {
    let invalid = |message: String| Err(TopicError::new(ErrorCode::INVALID_CONFIG, message));
    let name = &config.name;
    if config.config_operation == DELETE {
        overrides.remove(name);
        return Ok(());
    }
    let Some(value) = &config.value else {
        return Err(invalid_request(format!("{name} has no value")));
    };
    // What is not known is refused with the rest that is wrong, in the words of its kind.
    let (is_list, default) = target.setting(name).unwrap_or((false, ""));
    let present = overrides.get(name).map_or(default, String::as_str);
    let mut parts: Vec<&str> = present.split(',').filter(|part| !part.is_empty()).collect();
    let changed = match config.config_operation {
        SET => value.clone(),
        APPEND if is_list => {
            for part in value.split(',') {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            parts.join(",")
        }
        SUBTRACT if is_list => {
            parts.retain(|part| !value.split(',').any(|gone| gone == *part));
            parts.join(",")
        }
        APPEND | SUBTRACT => {
            return invalid(format!("{name} is not a list that parts are added to or taken from"));
        }
        other => {
            return Err(invalid_request(format!("operation {other} is not known")));
        }
    };
    overrides.insert(name.clone(), changed);
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
