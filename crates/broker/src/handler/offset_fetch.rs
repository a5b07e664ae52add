//! OffsetFetch: key 9, versions 1-10.
//!
//! Behaviour: what a group has committed for the partitions asked for, -1 where that is nothing;
//! without a list, all of it.
//! Version notes: 2 null means all, 5 leader epochs, 7 only stable offsets (KIP-447: while the end
//! of a transaction may change one, UNSTABLE_OFFSET_COMMIT), 8 several groups, 9 members of the
//! consumer protocol say their epoch (KIP-848), 10 topic ids.
//! Rights: Describe on the group, and on each topic.

use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

const SEVERAL_GROUPS_VERSION: i16 = 8;
const TOPIC_ID_VERSION: i16 = 10;

impl Api for OffsetFetchRequest {
    fn coordinated_id(&self) -> Option<&str> {
        match self.groups.as_slice() {
            [] => Some(&self.group_id),
            // A client asks for several at once only when they have one coordinator.
            [first, ..] => Some(&first.group_id),
        }
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> OffsetFetchResponse {
        if version < SEVERAL_GROUPS_VERSION {
            return OffsetFetchResponse {
                error_code: if version >= 2 { code.0 } else { 0 },
                ..OffsetFetchResponse::default()
            };
        }
        let refuse = |group: &OffsetFetchRequestGroup| OffsetFetchResponseGroup {
            group_id: group.group_id.clone(),
            error_code: code.0,
            ..OffsetFetchResponseGroup::default()
        };
        OffsetFetchResponse {
            groups: self.groups.iter().map(refuse).collect(),
            ..OffsetFetchResponse::default()
        }
    }

    fn set_throttle(response: &mut OffsetFetchResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, _now: Now) -> Reply<OffsetFetchResponse> {
        let is_stable = self.require_stable;
        if call.version >= SEVERAL_GROUPS_VERSION {
            let groups = self.groups.iter().map(|group| {
                let checked = match may_know(nodes, call, &group.group_id) {
                    true => check_member(nodes, group),
                    false => Err(ErrorCode::GROUP_AUTHORIZATION_FAILED),
                };
                OffsetFetchResponseGroup {
                    group_id: group.group_id.clone(),
                    topics: checked
                        .map_or_else(|_| Vec::new(), |()| fetch(nodes, group, is_stable, call)),
                    error_code: checked.err().map_or(0, |code| code.0),
                }
            });
            return Reply::Now(OffsetFetchResponse {
                groups: groups.collect(),
                ..OffsetFetchResponse::default()
            });
        }
        if !may_know(nodes, call, &self.group_id) {
            let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
            return Reply::Now(self.refuse(call.version, code));
        }
        let topics = self.topics.map(|topics| {
            let topics = topics.into_iter().map(|topic| OffsetFetchRequestTopics {
                name: topic.name,
                topic_id: Uuid::ZERO,
                partition_indexes: topic.partition_indexes,
            });
            topics.collect()
        });
        let group =
            OffsetFetchRequestGroup { group_id: self.group_id, topics, ..Default::default() };
        let topics = fetch(nodes, &group, is_stable, call).into_iter().map(single_group_topic);
        Reply::Now(OffsetFetchResponse {
            topics: topics.collect(),
            ..OffsetFetchResponse::default()
        })
    }
}

fn may_know(nodes: &Nodes, call: &Call, group_id: &str) -> bool {
    nodes.allows(call, Operation::Describe, On::Group(group_id))
}

fn check_member(nodes: &Nodes, group: &OffsetFetchRequestGroup) -> Result<(), ErrorCode> {
    nodes.groups.check_fetch(&group.group_id, group.member_id.as_deref(), group.member_epoch)
}

fn fetch(
    nodes: &Nodes,
    group: &OffsetFetchRequestGroup,
    is_stable: bool,
    call: &Call,
) -> Vec<OffsetFetchResponseTopics> {
    let mut topics = match &group.topics {
        Some(topics) => {
            topics.iter().map(|wanted| fetch_topic(nodes, group, wanted, call)).collect()
        }
        None => fetch_everything(nodes, &group.group_id, call),
    };
    if is_stable {
        topics.iter_mut().for_each(|topic| hide_unstable(nodes, &group.group_id, topic));
    }
    topics
}

/// Puts an error in the place of offsets that the end of a transaction may change.
fn hide_unstable(nodes: &Nodes, group_id: &str, topic: &mut OffsetFetchResponseTopics) {
    let name = match topic.name.as_str() {
        "" => nodes.catalog.by_id(topic.topic_id).map_or("", |topic| &topic.name),
        name => name,
    };
    for partition in topic.partitions.iter_mut().filter(|partition| partition.error_code == 0) {
        let index = partition.partition_index;
        if nodes.transactions.has_pending_offset(group_id, name, index) {
            *partition = OffsetFetchResponsePartitions {
                error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT.0,
                ..nothing_committed(index)
            };
        }
    }
}

fn fetch_topic(
    nodes: &Nodes,
    group: &OffsetFetchRequestGroup,
    wanted: &OffsetFetchRequestTopics,
    call: &Call,
) -> OffsetFetchResponseTopics {
    let name = match call.version {
        TOPIC_ID_VERSION.. => nodes.catalog.by_id(wanted.topic_id).map(|topic| &*topic.name),
        _ => Some(wanted.name.as_str()),
    };
    let partitions = wanted.partition_indexes.iter().map(|&partition| {
        let Some(name) = name else {
            return OffsetFetchResponsePartitions {
                error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
                ..nothing_committed(partition)
            };
        };
        if !nodes.allows(call, Operation::Describe, On::Topic(name)) {
            return OffsetFetchResponsePartitions {
                error_code: ErrorCode::TOPIC_AUTHORIZATION_FAILED.0,
                ..nothing_committed(partition)
            };
        }
        match nodes.groups.offsets.get(&group.group_id, name, partition) {
            Some(committed) => OffsetFetchResponsePartitions {
                partition_index: partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(committed.metadata.clone()),
                error_code: 0,
            },
            None => nothing_committed(partition),
        }
    });
    OffsetFetchResponseTopics {
        name: wanted.name.clone(),
        topic_id: wanted.topic_id,
        partitions: partitions.collect(),
    }
}

fn fetch_everything(nodes: &Nodes, group_id: &str, call: &Call) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for (name, partition, committed) in nodes.groups.offsets.of_group(group_id) {
        if !nodes.allows(call, Operation::Describe, On::Topic(name)) {
            continue;
        }
        if topics.last().is_none_or(|topic| topic.name != name) {
            let topic_id = nodes.catalog.by_name(name).map_or(Uuid::ZERO, |topic| topic.id);
            let name = name.to_owned();
            topics.push(OffsetFetchResponseTopics { name, topic_id, partitions: Vec::new() });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(OffsetFetchResponsePartitions {
                partition_index: partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(committed.metadata.clone()),
                error_code: 0,
            });
        }
    }
    // A topic without id cannot be named where ids are the names.
    topics.retain(|topic| call.version < TOPIC_ID_VERSION || !topic.topic_id.is_zero());
    topics
}

fn nothing_committed(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: 0,
    }
}

fn single_group_topic(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    });
    OffsetFetchResponseTopic { name: topic.name, partitions: partitions.collect() }
}
