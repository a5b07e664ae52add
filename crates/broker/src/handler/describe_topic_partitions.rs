//! DescribeTopicPartitions: key 75, version 0.
//!
//! Behaviour: partitions of the topics that are named, or of all, in order of name, so many at a
//! time; where there are more, a cursor says where to go on (KIP-966). The topic of a cursor must
//! be among those that are named. Operations are always told.
//! Left out: eligible leader replicas, of which there are none.
//! Rights: Describe on each topic; one without is refused if it is named, and left out of all.

use std::collections::BTreeSet;

use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponseCursor, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply, operations};
use crate::catalog::{self, Catalog, Topic};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// `max.request.partition.size.limit`: no answer has more partitions.
const MAX_PARTITIONS: i32 = 2000;

impl Api for DescribeTopicPartitionsRequest {
    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        let touches = |topic: &Topic| (0..topic.partition_count()).any(|p| covers(&topic.name, p));
        if self.topics.is_empty() {
            return catalog.sorted().into_iter().any(touches);
        }
        self.topics.iter().any(|wanted| {
            let known = catalog.by_name(&wanted.name);
            known.map_or_else(|| covers(&wanted.name, 0), touches)
        })
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> DescribeTopicPartitionsResponse {
        let topics = self.topics.iter().map(|topic| refused(&topic.name, code));
        DescribeTopicPartitionsResponse {
            topics: topics.collect(),
            ..DescribeTopicPartitionsResponse::default()
        }
    }

    fn set_throttle(response: &mut DescribeTopicPartitionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<DescribeTopicPartitionsResponse> {
        let is_for_all = self.topics.is_empty();
        let named: BTreeSet<&str> = match is_for_all {
            true => nodes.catalog.sorted().into_iter().map(|topic| &*topic.name).collect(),
            false => self.topics.iter().map(|topic| topic.name.as_str()).collect(),
        };
        if let Some(cursor) = &self.cursor {
            let is_named = is_for_all || named.contains(cursor.topic_name.as_str());
            if cursor.partition_index < 0 || !is_named {
                return Reply::Now(self.refuse(call.version, ErrorCode::INVALID_REQUEST));
            }
        }
        let cursor = self.cursor.as_ref();
        let (first_topic, first_partition) =
            cursor.map_or(("", 0), |cursor| (cursor.topic_name.as_str(), cursor.partition_index));
        let may_describe = |name: &&str| nodes.allows(call, Operation::Describe, On::Topic(name));
        let left = named.into_iter().filter(|name| *name >= first_topic);
        let (allowed, denied): (Vec<&str>, Vec<&str>) = left.partition(may_describe);
        let starts = allowed.into_iter().map(|name| match name == first_topic {
            true => (name, first_partition),
            false => (name, 0),
        });
        let limit = self.response_partition_limit.clamp(1, MAX_PARTITIONS);
        let mut response = describe_up_to(limit, starts, nodes, call);
        if !is_for_all {
            // Whether it is there shall not be known.
            let refuse = |name| refused(name, ErrorCode::TOPIC_AUTHORIZATION_FAILED);
            response.topics.extend(denied.into_iter().map(refuse));
        }
        Reply::Now(response)
    }
}

/// Topics, each from a partition on, until there are so many partitions.
fn describe_up_to<'a>(
    limit: i32,
    topics: impl Iterator<Item = (&'a str, i32)>,
    nodes: &Nodes,
    call: &Call,
) -> DescribeTopicPartitionsResponse {
    let mut response = DescribeTopicPartitionsResponse::default();
    let mut left = limit;
    for (name, first) in topics {
        let cursor_at = |partition_index| {
            let topic_name = name.to_owned();
            Some(DescribeTopicPartitionsResponseCursor { topic_name, partition_index })
        };
        if left == 0 {
            response.next_cursor = cursor_at(0);
            break;
        }
        let Some(topic) = nodes.catalog.by_name(name) else {
            response.topics.push(refused(name, unknown(name)));
            continue;
        };
        let end = first.saturating_add(left).min(topic.partition_count());
        let partitions: Vec<_> =
            (first..end).filter_map(|index| describe(topic, index, nodes)).collect();
        left -= partitions.len() as i32;
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.to_owned()),
            topic_id: topic.id,
            partitions,
            topic_authorized_operations: operations::allowed(true, nodes, call, On::Topic(name)),
            ..DescribeTopicPartitionsResponseTopic::default()
        });
        if end < topic.partition_count() {
            response.next_cursor = cursor_at(end);
            break;
        }
    }
    response
}

fn describe(
    topic: &Topic,
    partition_index: i32,
    nodes: &Nodes,
) -> Option<DescribeTopicPartitionsResponsePartition> {
    let place = topic.partitions.get(usize::try_from(partition_index).ok()?)?;
    let is_live = |id: &i32| nodes.node(*id).is_some_and(|node| !node.is_fenced);
    let offline = place.replicas.iter().copied().filter(|id| !is_live(id));
    Some(DescribeTopicPartitionsResponsePartition {
        error_code: 0,
        partition_index,
        leader_id: if is_live(&place.leader) { place.leader } else { -1 },
        leader_epoch: place.leader_epoch,
        replica_nodes: place.replicas.clone(),
        isr_nodes: place.isr.clone(),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: offline.collect(),
    })
}

/// The code for a topic that is not there.
fn unknown(name: &str) -> ErrorCode {
    match catalog::check_name(name) {
        Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
    }
}

fn refused(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.0,
        name: Some(name.to_owned()),
        topic_id: Uuid::ZERO,
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}
