//! ConsumerGroupDescribe: key 69, versions 0-1.
//!
//! Behaviour: epochs and members of groups of the consumer protocol (KIP-848), with what each
//! member has and is to have. Version notes: 1 the protocol of each member (KIP-1099).
//! Rights: Describe on each group, and on each topic that a member names or has.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};

use super::{Api, Reply, operations};
use crate::features::GROUP_VERSION;
use crate::groups::{ConsumerGroup, DescribedConsumer, Group, Partitions, Refusal};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;

/// A member that speaks the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

impl Api for ConsumerGroupDescribeRequest {
    fn refuse(&self, _version: i16, code: ErrorCode) -> ConsumerGroupDescribeResponse {
        let refuse = |id: &String| refused(id, Refusal::new(code, code.message()));
        ConsumerGroupDescribeResponse {
            groups: self.group_ids.iter().map(refuse).collect(),
            ..ConsumerGroupDescribeResponse::default()
        }
    }

    fn set_throttle(response: &mut ConsumerGroupDescribeResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        _now: Now,
    ) -> Reply<ConsumerGroupDescribeResponse> {
        if nodes.feature_level(&GROUP_VERSION) == 0 {
            return Reply::Now(self.refuse(call.version, ErrorCode::UNSUPPORTED_VERSION));
        }
        let asked = self.include_authorized_operations;
        let groups = self.group_ids.iter().map(|group_id| {
            let thing = On::Group(group_id);
            if !nodes.allows(call, Operation::Describe, thing) {
                let code = ErrorCode::GROUP_AUTHORIZATION_FAILED;
                return refused(group_id, Refusal::new(code, code.message()));
            }
            if !nodes.coordinates(call, group_id) {
                let code = ErrorCode::NOT_COORDINATOR;
                return refused(group_id, Refusal::new(code, code.message()));
            }
            match describe(nodes, group_id, call) {
                Ok(group) => DescribedGroup {
                    authorized_operations: operations::allowed(asked, nodes, call, thing),
                    ..group
                },
                Err(refusal) => refused(group_id, refusal),
            }
        });
        Reply::Now(ConsumerGroupDescribeResponse {
            groups: groups.collect(),
            ..ConsumerGroupDescribeResponse::default()
        })
    }
}

fn refused(group_id: &str, refusal: Refusal) -> DescribedGroup {
    DescribedGroup {
        error_code: refusal.code.0,
        error_message: Some(refusal.message),
        group_id: group_id.to_owned(),
        ..DescribedGroup::default()
    }
}

fn describe(nodes: &Nodes, group_id: &str, call: &Call) -> Result<DescribedGroup, Refusal> {
    if group_id.is_empty() {
        let code = ErrorCode::INVALID_GROUP_ID;
        return Err(Refusal::new(code, code.message()));
    }
    let known = nodes.groups.get(group_id);
    let Some((known, Group::Consumer(group))) = known.map(|known| (known, known)) else {
        return Err(nodes.groups.no_consumer_group(group_id));
    };
    let (group_epoch, assignment_epoch) = group.epochs();
    Ok(DescribedGroup {
        group_id: group_id.to_owned(),
        group_state: known.state_name().to_owned(),
        group_epoch,
        assignment_epoch,
        assignor_name: group.assignor_name().to_owned(),
        members: describe_members(nodes, group, call)?,
        ..DescribedGroup::default()
    })
}

fn describe_members(
    nodes: &Nodes,
    group: &ConsumerGroup,
    call: &Call,
) -> Result<Vec<Member>, Refusal> {
    let members: Vec<Member> =
        group.describe_members().into_iter().map(|member| describe_member(member, nodes)).collect();
    let is_visible = |name: &str| nodes.allows(call, Operation::Describe, On::Topic(name));
    let names = members.iter().flat_map(|member| {
        let assigned = member.assignment.topic_partitions.iter();
        let target = member.target_assignment.topic_partitions.iter();
        let names = assigned.chain(target).map(|topic| &topic.topic_name);
        names.chain(&member.subscribed_topic_names)
    });
    if names.into_iter().all(|name| is_visible(name)) {
        return Ok(members);
    }
    let message = "the group has topics that may not be described";
    Err(Refusal::new(ErrorCode::TOPIC_AUTHORIZATION_FAILED, message))
}

fn describe_member(member: DescribedConsumer, nodes: &Nodes) -> Member {
    Member {
        member_id: member.id,
        instance_id: member.instance_id,
        rack_id: member.rack_id,
        member_epoch: member.epoch,
        client_id: member.client_id,
        client_host: member.client_host,
        subscribed_topic_names: member.topic_names,
        subscribed_topic_regex: Some(member.topic_regex.unwrap_or_default()),
        assignment: assignment(&member.assigned, nodes),
        target_assignment: assignment(&member.target, nodes),
        member_type: CONSUMER_MEMBER,
    }
}

/// Partitions by topic; topics that are no more have no name, and are left out.
fn assignment(partitions: &Partitions, nodes: &Nodes) -> Assignment {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for &(topic_id, partition) in partitions {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
            _ => {
                if let Some(topic) = nodes.catalog.by_id(topic_id) {
                    topics.push(TopicPartitions {
                        topic_id,
                        topic_name: topic.name.to_string(),
                        partitions: vec![partition],
                    });
                }
            }
        }
    }
    Assignment { topic_partitions: topics }
}
