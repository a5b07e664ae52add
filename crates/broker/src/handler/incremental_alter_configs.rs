//! IncrementalAlterConfigs: key 44, versions 0-1.
//!
//! Behaviour: settings of a topic are set, removed, or (lists) added to and taken from, one by one
//! (KIP-339). Left out: settings of the broker, which are fixed at start.
//! Rights: AlterConfigs on each topic.

use std::collections::HashSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::alter_configs::{alter, check_is_topic, invalid_request};
use super::counted::counted;
use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::time::Now;
use crate::topic_config::{self, Kind, Overrides};
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
        _now: Now,
    ) -> Reply<IncrementalAlterConfigsResponse> {
        let named = self.resources.iter().map(|it| (it.resource_type, it.resource_name.as_str()));
        let counts = counted(named);
        let mut responses = Vec::new();
        for it in &self.resources {
            let outcome = match counts.get(&(it.resource_type, it.resource_name.as_str())) {
                Some(2..) => Err(invalid_request("it is named more than once".to_owned())),
                _ => change(it, self.validate_only, nodes, call),
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
) -> Result<(), TopicError> {
    let name = &resource.resource_name;
    check_is_topic(nodes, call, resource.resource_type, name)?;
    let present = nodes.catalog.by_name(name).map(|topic| topic.overrides.clone());
    let mut overrides = present.unwrap_or_default();
    let mut seen = HashSet::new();
    for config in &resource.configs {
        if !seen.insert(&config.name) {
            return Err(invalid_request(format!("{} is named more than once", config.name)));
        }
        apply(config, &mut overrides)?;
    }
    alter(nodes, name, overrides, validate_only)
}

fn apply(config: &AlterableConfig, overrides: &mut Overrides) -> Result<(), TopicError> {
    let invalid = |message: String| Err(TopicError::new(ErrorCode::INVALID_CONFIG, message));
    let name = &config.name;
    if config.config_operation == DELETE {
        overrides.remove(name);
        return Ok(());
    }
    let Some(value) = &config.value else {
        return Err(invalid_request(format!("{name} has no value")));
    };
    let Some(setting) = topic_config::find(name) else {
        return invalid(format!("a topic has no setting {name}"));
    };
    let is_list = setting.kind == Kind::List;
    let present = overrides.get(name).map_or(setting.default, String::as_str);
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
        APPEND | SUBTRACT => return invalid(format!("{name} is not a list")),
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
