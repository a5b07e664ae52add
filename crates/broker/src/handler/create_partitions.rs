//! CreatePartitions: key 37, versions 0-3.
//!
//! Behaviour: gives a topic the number of partitions that is asked for, which must be more than it
//! has. An assignment names the replicas of the new ones.
//! Rights: Alter on each topic.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

use super::counted::counted;
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
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

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<CreatePartitionsResponse> {
        let mut counts = counted(self.topics.iter().map(|topic| topic.name.as_str()));
        let mut results = Vec::new();
        for topic in &self.topics {
            let outcome = match counts.remove(topic.name.as_str()) {
                None => continue, // It was answered where it was named first.
                Some(1) => grow(topic, self.validate_only, nodes, call, now),
                Some(_) => {
                    let message = "the topic is named more than once";
                    Err(TopicError::new(ErrorCode::INVALID_REQUEST, message))
                }
            };
            results.push(result(&topic.name, outcome));
        }
        Reply::Now(CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() })
    }
}

fn grow(
    topic: &CreatePartitionsTopic,
    validate_only: bool,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Result<(), TopicError> {
    if !nodes.allows(call, Operation::Alter, On::Topic(&topic.name)) {
        return Err(TopicError::unauthorized());
    }
    let assignments = topic.assignments.as_ref();
    let replicas =
        assignments.map(|all| all.iter().map(|one| one.broker_ids.clone()).collect::<Vec<_>>());
    if validate_only {
        return nodes.lay_out_growth(&topic.name, topic.count, replicas).map(|_| ());
    }
    nodes.grow_topic(&topic.name, topic.count, replicas, now)
}

fn result(name: &str, outcome: Result<(), TopicError>) -> CreatePartitionsTopicResult {
    let error = outcome.err();
    CreatePartitionsTopicResult {
        name: name.to_owned(),
        error_code: error.as_ref().map_or(0, |error| error.code.0),
        error_message: error.map(|error| error.message),
    }
}
