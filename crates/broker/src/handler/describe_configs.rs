//! DescribeConfigs: key 32, versions 1-4.
//!
//! Behaviour: every setting of a topic with where its value comes from; of the broker those that it
//! has. Version notes: 1 sources and synonyms (KIP-226), 3 types and documentation (KIP-569).
//! Left out: other kinds of resource.
//! Rights: DescribeConfigs on each topic, or on the cluster for the broker.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::{Api, Reply};
use crate::broker_settings::BROKER_SETTINGS;
use crate::catalog;
use crate::config::BrokerConfig;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::{Overrides, SETTINGS};

pub(super) const RESOURCE_TOPIC: i8 = 2;
pub(super) const RESOURCE_BROKER: i8 = 4;

pub(super) const SOURCE_TOPIC: i8 = 1;
const SOURCE_STATIC_BROKER: i8 = 4;
pub(super) const SOURCE_DEFAULT: i8 = 5;

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
    let allows = |thing| nodes.allows(call, Operation::DescribeConfigs, thing);
    let mut configs = match wanted.resource_type {
        RESOURCE_TOPIC if !allows(On::Topic(&wanted.resource_name)) => {
            return Err(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
        }
        RESOURCE_BROKER if !allows(On::Cluster) => {
            return Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
        }
        RESOURCE_TOPIC => {
            if catalog::check_name(&wanted.resource_name).is_err() {
                return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
            }
            let topic = nodes.catalog.by_name(&wanted.resource_name);
            let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            topic_configs(&topic.overrides, &nodes.config)
        }
        RESOURCE_BROKER => match wanted.resource_name.as_str() {
            "" => Vec::new(),
            name if name.parse().is_ok_and(|id| nodes.node(id).is_some()) => {
                broker_configs(&nodes.config)
            }
            _ => return Err(ErrorCode::INVALID_REQUEST),
        },
        _ => return Err(ErrorCode::INVALID_REQUEST),
    };
    // An empty list asks for all settings, as null does: librdkafka sends it that way.
    if let Some(keys) = wanted.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        configs.retain(|config| keys.contains(&config.name));
    }
    Ok(configs)
}

fn topic_configs(
    overrides: &Overrides,
    broker: &BrokerConfig,
) -> Vec<DescribeConfigsResourceResult> {
    let configs = SETTINGS.iter().map(|setting| {
        let given = overrides.get(setting.name);
        let of_broker = broker.for_topics(setting.name).filter(|value| value != setting.default);
        let (value, source) = match (given, &of_broker) {
            (Some(given), _) => (given.as_str(), SOURCE_TOPIC),
            (None, Some(value)) => (value.as_str(), SOURCE_STATIC_BROKER),
            (None, None) => (setting.default, SOURCE_DEFAULT),
        };
        let default = synonym(setting.name, setting.default, SOURCE_DEFAULT);
        let of_broker = of_broker.as_ref();
        let of_broker = of_broker.map(|value| synonym(setting.name, value, SOURCE_STATIC_BROKER));
        let own = given.map(|value| synonym(setting.name, value, SOURCE_TOPIC));
        DescribeConfigsResourceResult {
            name: setting.name.to_owned(),
            value: Some(value.to_owned()),
            read_only: false,
            config_source: source,
            is_sensitive: false,
            synonyms: own.into_iter().chain(of_broker).chain([default]).collect(),
            config_type: setting.kind as i8,
            documentation: Some(setting.documentation.to_owned()),
        }
    });
    configs.collect()
}

fn synonym(name: &str, value: &str, source: i8) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym { name: name.to_owned(), value: Some(value.to_owned()), source }
}

fn broker_configs(config: &BrokerConfig) -> Vec<DescribeConfigsResourceResult> {
    let configs = BROKER_SETTINGS.iter().map(|setting| {
        let value = (setting.value)(config);
        DescribeConfigsResourceResult {
            name: setting.name.to_owned(),
            synonyms: vec![synonym(setting.name, &value, SOURCE_STATIC_BROKER)],
            value: Some(value),
            read_only: true,
            config_source: SOURCE_STATIC_BROKER,
            is_sensitive: false,
            config_type: setting.kind as i8,
            documentation: Some(setting.documentation.to_owned()),
        }
    });
    configs.collect()
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
