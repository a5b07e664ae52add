//! ConsumerGroupHeartbeat: key 68, versions 0-1.
//!
//! Behaviour: how a member of a group of the consumer protocol (KIP-848) joins, says what it wants
//! and what it has, hears what it is to have, and leaves. Topics that come, go or grow are seen at
//! the next heartbeat.
//! Version notes: 1 a regular expression for topics, and members make up their ids (KIP-1082).
//! Left out: a group with members of the classic protocol cannot be joined (Kafka can migrate it),
//! racks. Regular expressions are those of an engine for ASCII, which
//! lacks `\p{…}` of RE2's.
//! Rights: Read on the group, Describe on each topic.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_protocol::messages::consumer_group_heartbeat::{
    Assignment, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatResponseTopicPartitions,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply};
use crate::catalog::Catalog;
use crate::features::GROUP_VERSION;
use crate::group_settings;
use crate::groups::{Heartbeat, HeartbeatAnswer, Partitions, Refusal, Topics};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::resource_settings::Owner;
use crate::security::Operation;
use crate::security::acl::{On, Rules};
use crate::security::bindings::{Bindings, Who};
use crate::time::Now;

impl Api for ConsumerGroupHeartbeatRequest {
    fn coordinated_id(&self) -> Option<&str> {
        Some(&self.group_id)
    }

    fn refuse(&self, _version: i16, code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
        refused(Refusal::new(code, code.message()))
    }

    fn set_throttle(response: &mut ConsumerGroupHeartbeatResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(
        self,
        nodes: &mut Nodes,
        call: &Call,
        now: Now,
    ) -> Reply<ConsumerGroupHeartbeatResponse> {
        if nodes.feature_level(&GROUP_VERSION) == 0 {
            return Reply::Now(self.refuse(call.version, ErrorCode::UNSUPPORTED_VERSION));
        }
        if !nodes.allows(call, Operation::Read, On::Group(&self.group_id)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::GROUP_AUTHORIZATION_FAILED));
        }
        let names = self.subscribed_topic_names.iter().flatten();
        let mut names = names.map(|name| On::Topic(name));
        if !names.all(|topic| nodes.allows(call, Operation::Describe, topic)) {
            return Reply::Now(self.refuse(call.version, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        }
        if self.group_id.trim().is_empty() {
            let refusal = Refusal::new(ErrorCode::INVALID_REQUEST, "the group id is blank");
            return Reply::Now(refused(refusal));
        }
        let group_id = self.group_id.clone();
        let settings = nodes.settings.of(Owner::Group, &group_id);
        let (interval, session) = group_settings::timeouts(settings, &nodes.config);
        let request = heartbeat(self, nodes, call);
        if let Err(refusal) = request.check(call.version) {
            return Reply::Now(refused(refusal));
        }
        let topics = Visible { catalog: &nodes.catalog, rules: &nodes.rules, acls: &nodes.acls };
        let new_id = || nodes.rng.next_uuid().to_string();
        let answer =
            nodes.groups.consumer_heartbeat(&group_id, request, session, new_id, &topics, now);
        Reply::Now(match answer {
            Ok(answer) => accepted(answer, interval),
            Err(refusal) => refused(refusal),
        })
    }
}

/// The topics that there are, for those who may see them.
struct Visible<'a> {
    catalog: &'a Catalog,
    rules: &'a Rules,
    acls: &'a Bindings,
}

impl Topics for Visible<'_> {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        self.catalog.by_name(name).map(|topic| (topic.id, topic.partition_count()))
    }

    fn matching(&self, principal: &str, is_wanted: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        let topics = self.catalog.sorted().into_iter().map(|topic| &*topic.name);
        let who = Who { principal, host: None };
        let is_visible = |name: &str| {
            self.rules.allows(principal, Operation::Describe, On::Topic(name))
                && self.acls.allows(who, Operation::Describe, On::Topic(name))
        };
        topics.filter(|name| is_wanted(name) && is_visible(name)).map(str::to_owned).collect()
    }
}

fn heartbeat(request: ConsumerGroupHeartbeatRequest, nodes: &Nodes, call: &Call) -> Heartbeat {
    let owned = request.topic_partitions.map(|topics| {
        let partitions = topics.into_iter().flat_map(|topic| {
            topic.partitions.into_iter().map(move |partition| (topic.topic_id, partition))
        });
        partitions.collect()
    });
    Heartbeat {
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        client_id: call.client_id.clone().unwrap_or_default(),
        client_host: nodes.client_host(call),
        principal: nodes.principal(call).clone(),
        // -1 says that it has not changed.
        rebalance_timeout: u64::try_from(request.rebalance_timeout_ms)
            .ok()
            .map(Duration::from_millis),
        topic_names: request.subscribed_topic_names,
        topic_regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned,
    }
}

fn accepted(answer: HeartbeatAnswer, interval: Duration) -> ConsumerGroupHeartbeatResponse {
    // Who has left need not come again.
    let interval = if answer.member_epoch < 0 { Duration::ZERO } else { interval };
    ConsumerGroupHeartbeatResponse {
        member_id: Some(answer.member_id),
        member_epoch: answer.member_epoch,
        heartbeat_interval_ms: i32::try_from(interval.as_millis()).unwrap_or(i32::MAX),
        assignment: answer.assignment.map(|partitions| assignment(&partitions)),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

fn assignment(partitions: &Partitions) -> Assignment {
    let mut topics: Vec<ConsumerGroupHeartbeatResponseTopicPartitions> = Vec::new();
    for &(topic_id, partition) in partitions {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
            _ => topics.push(ConsumerGroupHeartbeatResponseTopicPartitions {
                topic_id,
                partitions: vec![partition],
            }),
        }
    }
    Assignment { topic_partitions: topics }
}

fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: refusal.code.0,
        error_message: Some(refusal.message),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
