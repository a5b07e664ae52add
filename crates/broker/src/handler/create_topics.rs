//! CreateTopics: key 19, versions 2-7.
//!
//! Behaviour: each topic on its own, so one that is refused does not stop the others. With
//! `validate_only` everything is checked and nothing is done.
//! Version notes: 4 defaults for partitions and replication factor (KIP-464), 5 the settings come
//! back (KIP-525), 7 topic ids.
//! Rights: Create on the cluster, or on each topic.

use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::config_rows;
use super::counted::counted;
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::Overrides;
use crate::topics::{Layout, TopicError};

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

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<CreateTopicsResponse> {
        let mut counts = counted(self.topics.iter().map(|topic| topic.name.as_str()));
        let mut topics: Vec<CreatableTopicResult> = Vec::with_capacity(counts.len());
        for topic in &self.topics {
            let created = match counts.remove(topic.name.as_str()) {
                None => continue, // It was answered where it was named first.
                Some(1) => create(topic, self.validate_only, nodes, call, now),
                Some(_) => {
                    let message = "the request names this topic more than once";
                    Err(TopicError::new(ErrorCode::INVALID_REQUEST, message))
                }
            };
            topics.push(match created {
                Ok(created) => created.result(topic, nodes, call),
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
    replication_factor: i16,
    overrides: Overrides,
}

fn create(
    topic: &CreatableTopic,
    validate_only: bool,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<Created, TopicError> {
    // As in Kafka, either is enough.
    let may_create = |thing| nodes.allows(call, Operation::Create, thing);
    if !may_create(On::Cluster) && !may_create(On::Topic(&topic.name)) {
        return Err(TopicError::unauthorized());
    }
    let given = |number: i32| (number != DEFAULT).then_some(number);
    let layout = match topic.assignments.is_empty() {
        true => Layout::Numbers {
            partitions: given(topic.num_partitions).unwrap_or(nodes.config.default_partitions),
            replication_factor: given(i32::from(topic.replication_factor)),
        },
        false => Layout::Replicas(assigned(topic)?),
    };
    let overrides = overrides(topic)?;
    nodes.check_new_topic(&topic.name, &overrides)?;
    let places = nodes.lay_out(&layout, 0)?;
    let id = match validate_only {
        true => Uuid::ZERO,
        false => nodes.create_topic(&topic.name, &layout, overrides.clone(), now)?,
    };
    let replication_factor = places.first().map_or(0, |place| place.replicas.len()) as i16;
    Ok(Created { id, partitions: places.len() as i32, replication_factor, overrides })
}

/// The replicas of each partition, in order, as an assignment has them.
fn assigned(topic: &CreatableTopic) -> Result<Vec<Vec<i32>>, TopicError> {
    let refuse = |code, message: String| Err(TopicError::new(code, message));
    if topic.num_partitions != DEFAULT || topic.replication_factor != DEFAULT as i16 {
        let message = "with an assignment, both partitions and replication factor must be -1";
        return refuse(ErrorCode::INVALID_REQUEST, message.to_owned());
    }
    let mut assignments: Vec<_> = topic.assignments.iter().collect();
    assignments.sort_by_key(|assignment| assignment.partition_index);
    if !assignments.iter().map(|a| a.partition_index).eq(0..assignments.len() as i32) {
        let message = "the assignment must name each partition from 0 on once";
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message.to_owned());
    }
    Ok(assignments.into_iter().map(|assignment| assignment.broker_ids.clone()).collect())
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
    fn result(self, topic: &CreatableTopic, nodes: &Nodes, call: &Call) -> CreatableTopicResult {
        let rows = config_rows::of_topic(&self.overrides, nodes, call.node).into_iter();
        let configs = rows.map(|row| CreatableTopicConfigs {
            name: row.name,
            value: row.value,
            read_only: row.read_only,
            config_source: row.config_source,
            is_sensitive: row.is_sensitive,
        });
        CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: self.id,
            num_partitions: self.partitions,
            replication_factor: self.replication_factor,
            error_message: None,
            configs: (call.version >= 5).then(|| configs.collect()),
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
