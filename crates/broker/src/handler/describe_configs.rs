//! DescribeConfigs: key 32, versions 1-4.
//!
//! Behaviour: every setting of a topic, a group or a subscription of client metrics with where its
//! value comes from; of a broker those that it has, and of the broker without a name what all of
//! them were given while they run. Loggers are none.
//! Version notes: 1 sources and synonyms (KIP-226), 3 types and documentation (KIP-569).
//! Rights: DescribeConfigs on each topic or group, on the cluster for the rest.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult,
};

use super::config_resources::{ResourceType, is_broker};
use super::config_rows;
use super::{Api, Reply};
use crate::catalog;
use crate::dynamic_settings::ALL_BROKERS;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::time::Now;

impl Api for DescribeConfigsRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeConfigsResponse {
        let refuse = |wanted: &DescribeConfigsResource| result(wanted, Err(code));
        DescribeConfigsResponse {
            results: self.resources.iter().map(refuse).collect(),
            ..DescribeConfigsResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeConfigsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<DescribeConfigsResponse> {
        let results = self.resources.iter().map(|wanted| {
            let described = describe(wanted, nodes, call).map(|mut configs| {
                for config in &mut configs {
                    if !self.include_synonyms {
                        config.synonyms.clear();
                    }
                    if !self.include_documentation {
                        config.documentation = None;
                    }
                }
                configs
            });
            result(wanted, described)
        });
        Reply::Now(DescribeConfigsResponse {
            results: results.collect(),
            ..DescribeConfigsResponse::default()
        })
    }
}

fn describe(
    wanted: &DescribeConfigsResource,
    nodes: &Nodes,
    call: &Call,
) -> Result<Vec<DescribeConfigsResourceResult>, ErrorCode> {
    let name = wanted.resource_name.as_str();
    let resource_type = ResourceType::of(wanted.resource_type).ok_or(ErrorCode::INVALID_REQUEST)?;
    resource_type.check_may(nodes, call, Operation::DescribeConfigs, name)?;
    let mut configs = match resource_type {
        ResourceType::Topic => {
            if catalog::check_name(name).is_err() {
                return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
            }
            let topic = nodes.catalog.by_name(name);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            config_rows::of_topic(&topic.overrides, nodes, call.node)
        }
        ResourceType::Broker if name == ALL_BROKERS => config_rows::of_all_brokers(nodes),
        ResourceType::Broker if is_broker(nodes, name) => {
            config_rows::of_broker(nodes, name.parse().unwrap_or_default())
        }
        // Nobody can ask for the levels of what it logs.
        ResourceType::BrokerLogger if is_broker(nodes, name) => Vec::new(),
        ResourceType::ClientMetrics if !name.is_empty() => {
            config_rows::of_client_metrics(nodes, name)
        }
        ResourceType::Group if !name.is_empty() => config_rows::of_group(nodes, name),
        _ => return Err(ErrorCode::INVALID_REQUEST),
    };
    // An empty list asks for all settings, as null does: librdkafka sends it that way.
    if let Some(keys) = wanted.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        configs.retain(|config| keys.contains(&config.name));
    }
    Ok(configs)
}

fn result(
    wanted: &DescribeConfigsResource,
    described: Result<Vec<DescribeConfigsResourceResult>, ErrorCode>,
) -> DescribeConfigsResult {
    let code = described.as_ref().err().copied();
    DescribeConfigsResult {
        error_code: code.map_or(0, |code| code.0),
        // Without an error it is empty in Kafka, and not null.
        error_message: Some(code.map_or_else(String::new, |code| code.message().to_owned())),
        resource_type: wanted.resource_type,
        resource_name: wanted.resource_name.clone(),
        configs: described.unwrap_or_default(),
    }
}
