//! Settings of topics, brokers, groups and client metrics, as a tool asks for and changes them.

use super::client::Client;
use ottla_broker::{Cluster, ErrorCode};
use ottla_protocol::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource as ReplaceResource, AlterableConfig as Replacement,
};
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResult,
};
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use ottla_protocol::messages::list_config_resources::ListConfigResourcesRequest;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const LOGGER: i8 = 8;
pub const METRICS: i8 = 16;
pub const GROUP: i8 = 32;

pub const SET: i8 = 0;
pub const DELETE: i8 = 1;
pub const APPEND: i8 = 2;

pub const SESSION: &str = "consumer.session.timeout.ms";
pub const INTERVAL: &str = "consumer.heartbeat.interval.ms";

pub const OK: ErrorCode = ErrorCode::NONE;
pub const INVALID_CONFIG: ErrorCode = ErrorCode::INVALID_CONFIG;
pub const INVALID_REQUEST: ErrorCode = ErrorCode::INVALID_REQUEST;

pub fn request(
    (kind, name): (i8, &str),
    rows: &[(&str, i8, Option<&str>)],
) -> IncrementalAlterConfigsRequest {
    let configs = rows.iter().map(|(name, operation, value)| AlterableConfig {
        name: (*name).to_owned(),
        config_operation: *operation,
        value: value.map(str::to_owned),
    });
    IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    }
}

pub fn change(client: &mut Client, of: (i8, &str), rows: &[(&str, i8, Option<&str>)]) -> ErrorCode {
    let answer = client.call(1, &request(of, rows)).responses.remove(0);
    assert_eq!(answer.error_message.is_some(), answer.error_code != 0);
    // What is wrong with one setting is told by its name.
    if ErrorCode(answer.error_code) == INVALID_CONFIG && rows.len() == 1 && of.0 != LOGGER {
        let message = answer.error_message.unwrap_or_default();
        assert!(message.contains(rows[0].0), "{message}");
    }
    ErrorCode(answer.error_code)
}

pub fn set(client: &mut Client, of: (i8, &str), name: &str, value: &str) -> ErrorCode {
    change(client, of, &[(name, SET, Some(value))])
}

pub fn delete(client: &mut Client, of: (i8, &str), name: &str) -> ErrorCode {
    change(client, of, &[(name, DELETE, None)])
}

pub fn replace(client: &mut Client, (kind, name): (i8, &str), rows: &[(&str, &str)]) -> ErrorCode {
    let configs = rows.iter().map(|(name, value)| Replacement {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    });
    let request = AlterConfigsRequest {
        resources: vec![ReplaceResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configs: configs.collect(),
        }],
        validate_only: false,
    };
    ErrorCode(client.call(2, &request).responses[0].error_code)
}

pub fn ask(client: &mut Client, of: (i8, &str)) -> DescribeConfigsResult {
    ask_in(client, of, 4)
}

/// As [`ask`], in a version of the request.
pub fn ask_in(
    client: &mut Client,
    (kind, name): (i8, &str),
    version: i16,
) -> DescribeConfigsResult {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.to_owned(),
            configuration_keys: None,
        }],
        include_synonyms: true,
        include_documentation: version >= 3,
    };
    client.call(version, &request).results.remove(0)
}

pub fn code(client: &mut Client, of: (i8, &str)) -> ErrorCode {
    let answer = ask(client, of);
    assert!(answer.error_code == 0 || answer.configs.is_empty());
    ErrorCode(answer.error_code)
}

pub fn row(client: &mut Client, of: (i8, &str), name: &str) -> DescribeConfigsResourceResult {
    let answer = ask(client, of);
    assert_eq!(answer.error_code, 0);
    answer.configs.into_iter().find(|row| row.name == name).expect("the setting")
}

/// The value and all that would hold without it, each with its name and its source.
pub fn told(client: &mut Client, of: (i8, &str), name: &str) -> String {
    let row = row(client, of, name);
    let first = row.synonyms.first();
    assert!(first.is_none_or(|first| first.source == row.config_source));
    let synonyms = row
        .synonyms
        .iter()
        .map(|it| format!("{}={}@{}", it.name, it.value.as_deref().unwrap_or_default(), it.source));
    let value = format!("{}@{}", row.value.unwrap_or_default(), row.config_source);
    [value].into_iter().chain(synonyms).collect::<Vec<_>>().join(" ")
}

pub fn listed(client: &mut Client, kinds: &[i8]) -> Vec<(i8, String)> {
    let request = ListConfigResourcesRequest { resource_types: kinds.to_vec() };
    let answer = client.call(1, &request);
    assert_eq!(answer.error_code, 0);
    let all = answer.config_resources.into_iter();
    all.map(|it| (it.resource_type, it.resource_name)).collect()
}

pub fn one() -> (Cluster, Client) {
    let cluster = Cluster::builder().topic("t", 1).start().unwrap();
    let client = Client::connect(&cluster);
    (cluster, client)
}
