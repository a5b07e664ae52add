//! CreatePartitions: key 37, versions 0-3.
//!
//! Behaviour: gives a topic the number of partitions that is asked for, which must be more than it
//! has. Left out: replicas on other nodes: an assignment may only name this one.
//! Rights: Alter on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::node::{Call, Node};
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topics::TopicError;

impl Api for CreatePartitionsRequest {
    fn touches(&self, _catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.topics.iter().any(|topic| covers(&topic.name, 0))
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> CreatePartitionsResponse {
        let refuse = |topic: &CreatePartitionsTopic| {
            result(&topic.name, Err(TopicError::new(code, code.message())))
        };
        CreatePartitionsResponse {
            results: self.topics.iter().map(refuse).collect(),
            ..CreatePartitionsResponse::default()
        }
    }

    fn set_throttle(response: &mut CreatePartitionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, node: &mut Node, call: &Call, now: Now) -> Reply<CreatePartitionsResponse> {
        let results = self
            .topics
            .iter()
            .map(|topic| result(&topic.name, grow(topic, self.validate_only, node, call, now)));
        Reply::Now(CreatePartitionsResponse {
            results: results.collect(),
            ..CreatePartitionsResponse::default()
        })
    }
}

fn grow(
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    node: &mut Node,
    call: &Call,
    now: Now,
) -> Result<(), TopicError> {
    if !node.allows(call, Operation::Alter, On::Topic(&topic.name)) {
        return Err(TopicError::unauthorized());
    }
    node.check_growth(&topic.name, topic.count)?;
    if let Some(assignments) = &topic.assignments {
        let present = node.catalog.by_name(&topic.name).map_or(0, |topic| topic.partition_count());
        let is_whole = assignments.len() as i32 == topic.count - present;
        if !is_whole || assignments.iter().any(|a| a.broker_ids != [node.id]) {
            let message = format!(
                "each new partition must have one replica, on the only broker, {}",
                node.id
            );
            return Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        }
    }
    if validate_only { Ok(()) } else { node.grow_topic(&topic.name, topic.count, now) }
}

fn result(name: &str, outcome: Result<(), TopicError>) -> CreatePartitionsTopicResult {
    let error = outcome.err();
    CreatePartitionsTopicResult {
        name: name.to_owned(),
        error_code: error.as_ref().map_or(0, |error| error.code.0),
        error_message: error.map(|error| error.message),
    }
}
