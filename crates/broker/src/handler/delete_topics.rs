//! DeleteTopics: key 20, versions 1-6.
//!
//! Behaviour: by name, and from version 6 on by id too. The topic's files are gone when the answer
//! comes. Version notes: 5 error messages, 6 topic ids.
//! Rights: Delete on each topic, or on the cluster; one that is given by id and may not be
//! described has no name.

use ottla_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::counted::counted;
use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topics::TopicError;

impl Api for DeleteTopicsRequest {
    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        self.wanted().any(|wanted| match &wanted.name {
            Some(name) => covers(name, 0),
            None => catalog.by_id(wanted.topic_id).is_some_and(|topic| covers(&topic.name, 0)),
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> DeleteTopicsResponse {
        let refuse = |wanted: DeleteTopicState| {
            let error = TopicError::new(code, code.message());
            result(wanted.name, wanted.topic_id, Err(error))
        };
        DeleteTopicsResponse {
            responses: self.wanted().map(refuse).collect(),
            ..DeleteTopicsResponse::default()
        }
    }

    fn set_throttle(response: &mut DeleteTopicsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<DeleteTopicsResponse> {
        let mut counts = counted(self.wanted().map(|wanted| (wanted.name, wanted.topic_id)));
        let mut responses = Vec::new();
        for wanted in self.wanted() {
            match counts.remove(&(wanted.name.clone(), wanted.topic_id)) {
                None => {} // It was answered where it was named first.
                Some(1) => responses.push(delete(wanted, nodes, call, now)),
                Some(_) => {
                    let message = "the topic is named more than once";
                    let error = TopicError::new(ErrorCode::INVALID_REQUEST, message);
                    responses.push(result(wanted.name, wanted.topic_id, Err(error)));
                }
            }
        }
        // Before there can be a topic of the same name: that one begins at 0.
        nodes.write_checkpoints();
        Reply::Now(DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
    }
}

/// The topics that a request means, in whatever way its version names them.
trait Wanted {
    fn wanted(&self) -> impl Iterator<Item = DeleteTopicState>;
}

impl Wanted for DeleteTopicsRequest {
    fn wanted(&self) -> impl Iterator<Item = DeleteTopicState> {
        let by_name = self
            .topic_names
            .iter()
            .map(|name| DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::ZERO });
        by_name.chain(self.topics.iter().cloned())
    }
}

fn delete(
    wanted: DeleteTopicState,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> DeletableTopicResult {
    let found = match &wanted.name {
        Some(_) if !wanted.topic_id.is_zero() => {
            let message = "a topic is named by its name or by its id, not by both";
            let error = TopicError::new(ErrorCode::INVALID_REQUEST, message);
            return result(wanted.name, wanted.topic_id, Err(error));
        }
        Some(name) => nodes.catalog.by_name(name),
        None if wanted.topic_id.is_zero() => {
            let message = "a topic is named by its name or by its id";
            let error = TopicError::new(ErrorCode::INVALID_REQUEST, message);
            return result(None, wanted.topic_id, Err(error));
        }
        None => nodes.catalog.by_id(wanted.topic_id),
    };
    let name = found.map(|topic| &*topic.name).or(wanted.name.as_deref());
    let allows = |operation| name.is_none_or(|name| nodes.allows(call, operation, On::Topic(name)));
    let may_delete = name.is_none_or(|name| {
        nodes.allows_either(call, Operation::Delete, On::Topic(name), On::Cluster)
    });
    if !may_delete {
        // Who gave an id and may not know the name is not told.
        let name = name.filter(|_| wanted.name.is_some() || allows(Operation::Describe));
        let name = name.map(str::to_owned);
        return result(name, wanted.topic_id, Err(TopicError::unauthorized()));
    }
    let Some(topic) = found else {
        let code = match wanted.name {
            Some(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            None => ErrorCode::UNKNOWN_TOPIC_ID,
        };
        let error = TopicError::new(code, "there is no such topic");
        return result(wanted.name, wanted.topic_id, Err(error));
    };
    let (name, id) = (topic.name.to_string(), topic.id);
    let outcome = nodes.delete_topic(&name, now);
    result(Some(name), id, outcome)
}

fn result(
    name: Option<String>,
    topic_id: Uuid,
    outcome: Result<(), TopicError>,
) -> DeletableTopicResult {
    let error = outcome.err();
    DeletableTopicResult {
        name,
        topic_id,
        error_code: error.as_ref().map_or(0, |error| error.code.0),
        error_message: error.map(|error| error.message),
    }
}
