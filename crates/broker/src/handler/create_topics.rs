//! CreateTopics: key 19, versions 2-7.
//!
//! Behaviour: each topic on its own, so one that is refused does not stop the others. With
//! `validate_only` everything is checked and nothing is done.
//! Version notes: 4 defaults for partitions and replication factor (KIP-464), 5 the settings come
//! back (KIP-525), 7 topic ids.
//! Left out: replicas on other nodes: an assignment may only name this one.
//! Rights: Create on the cluster, or on each topic.

use std::collections::HashMap;

use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::describe_configs::{SOURCE_DEFAULT, SOURCE_TOPIC};
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::node::{Call, Node};
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::{Overrides, SETTINGS};
use crate::topics::TopicError;

/// What a request says when it leaves a number to the broker.
const DEFAULT: i32 = -1;

impl Api for CreateTopicsRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| covers(&topic.name, 0))
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> CreateTopicsResponse {
        let refuse =
            |topic: &CreatableTopic| refused(&topic.name, TopicError::new(code, code.message()));
        CreateTopicsResponse {
            topics: self.topics.iter().map(refuse).collect(),
            ..CreateTopicsResponse::default()
        }
    }

    fn set_throttle(response: &mut CreateTopicsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, node: &mut Node, call: &Call, now: Now) -> Reply<CreateTopicsResponse> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for topic in &self.topics {
            *counts.entry(&topic.name).or_default() += 1;
        }
        let mut topics: Vec<CreatableTopicResult> = Vec::with_capacity(counts.len());
        for topic in &self.topics {
            if counts.get(topic.name.as_str()).is_some_and(|count| *count > 1) {
                if topics.iter().all(|result| result.name != topic.name) {
                    let message = "the request names this topic more than once";
                    let error = TopicError::new(ErrorCode::INVALID_REQUEST, message);
                    topics.push(refused(&topic.name, error));
                }
                continue;
            }
            topics.push(match create(topic, self.validate_only, node, call, now) {
                Ok(created) => created.result(topic, call.version),
                Err(error) => refused(&topic.name, error),
            });
        }
        Reply::Now(CreateTopicsResponse { topics, ..CreateTopicsResponse::default() })
    }
}

/// A topic that has been created, or would have been.
struct Created {
    id: Uuid,
    partitions: i32,
    overrides: Overrides,
}

fn create(
    topic: &CreatableTopic,
    validate_only: bool,
    node: &mut Node,
    call: &Call,
    now: Now,
) -> Result<Created, TopicError> {
    // As in Kafka, either is enough.
    let may_create = |thing| node.allows(call, Operation::Create, thing);
    if !may_create(On::Cluster) && !may_create(On::Topic(&topic.name)) {
        return Err(TopicError::unauthorized());
    }
    let partitions = match topic.assignments.is_empty() {
        true if topic.num_partitions == DEFAULT => node.config.default_partitions,
        true => topic.num_partitions,
        false => check_assignments(topic, node.id)?,
    };
    let overrides = overrides(topic)?;
    node.check_new_topic(&topic.name, partitions, &overrides)?;
    let factor = i32::from(topic.replication_factor);
    if factor != DEFAULT && factor != 1 {
        let message = format!("replication factor {factor}, but there is 1 broker");
        return Err(TopicError::new(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    let id = match validate_only {
        true => Uuid::ZERO,
        false => node.create_topic(&topic.name, partitions, overrides.clone(), now)?,
    };
    Ok(Created { id, partitions, overrides })
}

/// The number of partitions in an assignment of replicas, which must all be on this node.
fn check_assignments(topic: &CreatableTopic, node_id: i32) -> Result<i32, TopicError> {
    let refuse = |code, message: String| Err(TopicError::new(code, message));
    if topic.num_partitions != DEFAULT || topic.replication_factor != DEFAULT as i16 {
        let message = "with an assignment, both partitions and replication factor must be -1";
        return refuse(ErrorCode::INVALID_REQUEST, message.to_owned());
    }
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|a| a.partition_index).collect();
    indexes.sort_unstable();
    if !indexes.iter().copied().eq(0..indexes.len() as i32) {
        let message = "the assignment must name each partition from 0 on once";
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message.to_owned());
    }
    if topic.assignments.iter().any(|assignment| assignment.broker_ids != [node_id]) {
        let message =
            format!("each partition must have one replica, on the only broker, {node_id}");
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message);
    }
    Ok(indexes.len() as i32)
}

fn overrides(topic: &CreatableTopic) -> Result<Overrides, TopicError> {
    let mut overrides = Overrides::new();
    for config in &topic.configs {
        let Some(value) = &config.value else {
            let message = format!("{} has no value", config.name);
            return Err(TopicError::new(ErrorCode::INVALID_CONFIG, message));
        };
        overrides.insert(config.name.clone(), value.clone());
    }
    Ok(overrides)
}

impl Created {
    fn result(self, topic: &CreatableTopic, version: i16) -> CreatableTopicResult {
        let configs = SETTINGS.iter().map(|setting| {
            let given = self.overrides.get(setting.name);
            CreatableTopicConfigs {
                name: setting.name.to_owned(),
                value: Some(given.map_or(setting.default, String::as_str).to_owned()),
                read_only: false,
                config_source: if given.is_some() { SOURCE_TOPIC } else { SOURCE_DEFAULT },
                is_sensitive: false,
            }
        });
        CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: self.id,
            num_partitions: self.partitions,
            replication_factor: 1,
            configs: (version >= 5).then(|| configs.collect()),
            ..CreatableTopicResult::default()
        }
    }
}

fn refused(name: &str, error: TopicError) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.to_owned(),
        error_code: error.code.0,
        error_message: Some(error.message),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}
