//! Metadata: key 3, versions 0-13.
//!
//! Behaviour: brokers, and topics by name, by id (from version 12 on), or all. A name that nobody
//! knows creates the topic when both the broker and the request allow it; the answer then already
//! has its leaders.
//! Version notes: 0 an empty list means all topics, from 1 on null does; 4 the request says whether
//! topics may be created; 8-10 operations on the cluster (KIP-430); 10 topic ids; 13 an error for
//! the whole. Left out: racks.
//! Rights: Describe on each topic; a topic without is refused by name and left out of all. Create
//! on the cluster or the topic, for one that comes into being. Operations that are asked for are
//! told.

use ottla_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::{Api, Reply, operations};
use crate::catalog::{self, Catalog, Topic};
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::Overrides;
use crate::topics::Layout;

/// From here on an answer may do without a name.
const NULL_NAME_VERSION: i16 = 12;

impl Api for MetadataRequest {
    const FAULTS_BY_PARTITION: bool = true;

    fn touches(&self, catalog: &Catalog, covers: &dyn Fn(&str, i32) -> bool) -> bool {
        let touches = |topic: &Topic| (0..topic.partition_count()).any(|p| covers(&topic.name, p));
        match &self.topics {
            Some(topics) => topics.iter().any(|wanted| match name_of(wanted) {
                Some(name) => catalog.by_name(name).map_or_else(|| covers(name, 0), &touches),
                None => catalog.by_id(wanted.topic_id).is_some_and(touches),
            }),
            None => catalog.sorted().into_iter().any(touches),
        }
    }

    fn refuse(&self, version: i16, code: ErrorCode) -> MetadataResponse {
        let refuse = |wanted: &MetadataRequestTopic| MetadataResponseTopic {
            error_code: code.0,
            name: wanted.name.clone(),
            topic_id: wanted.topic_id,
            ..MetadataResponseTopic::default()
        };
        MetadataResponse {
            topics: self.topics.iter().flatten().map(refuse).collect(),
            error_code: if version >= 13 { code.0 } else { 0 },
            ..MetadataResponse::default()
        }
    }

    fn set_throttle(response: &mut MetadataResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }

    fn handle(self, nodes: &mut Nodes, call: &Call, now: Now) -> Reply<MetadataResponse> {
        let mut topics = match &self.topics {
            Some(topics) if call.version > 0 || !topics.is_empty() => {
                describe_wanted(topics, self.allow_auto_topic_creation, nodes, call, now)
            }
            _ => describe_all(nodes, call),
        };
        apply_fault(&mut topics, call);
        for topic in &mut topics {
            let asked = self.include_topic_authorized_operations && topic.error_code == 0;
            let thing = On::Topic(topic.name.as_deref().unwrap_or_default());
            topic.topic_authorized_operations = operations::allowed(asked, nodes, call, thing);
        }
        let asked = self.include_cluster_authorized_operations;
        let brokers = nodes.live_nodes().map(|node_id| {
            let address = nodes.address_for(call.connection, node_id);
            let port = i32::from(address.port);
            let rack = nodes.config.rack_of(node_id).map(str::to_owned);
            MetadataResponseBroker { node_id, host: address.host, port, rack }
        });
        let brokers = brokers.collect();
        Reply::Now(MetadataResponse {
            brokers,
            cluster_id: Some(nodes.cluster_id.clone()),
            controller_id: nodes.controller_id(),
            topics,
            cluster_authorized_operations: operations::allowed(asked, nodes, call, On::Cluster),
            ..MetadataResponse::default()
        })
    }
}

/// The name that a topic is asked for by; `None` if it is its id, which goes before a name: Java's
/// admin client sends an empty one along.
fn name_of(wanted: &MetadataRequestTopic) -> Option<&str> {
    wanted.name.as_deref().filter(|_| wanted.topic_id == Uuid::ZERO)
}

fn describe_wanted(
    topics: &[MetadataRequestTopic],
    may_create: bool,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> Vec<MetadataResponseTopic> {
    let mut described: Vec<MetadataResponseTopic> = Vec::with_capacity(topics.len());
    let mut seen = std::collections::HashSet::new();
    for wanted in topics {
        let name = name_of(wanted);
        let is_new = match name {
            Some(name) => seen.insert(name.to_owned()),
            None => seen.insert(wanted.topic_id.to_string()),
        };
        if is_new {
            described.push(match name {
                Some(name) => describe_by_name(name, may_create, nodes, call, now),
                None => describe_by_id(wanted.topic_id, nodes, call),
            });
        }
    }
    described
}

/// All that the client may know of.
fn describe_all(nodes: &Nodes, call: &Call) -> Vec<MetadataResponseTopic> {
    let all = nodes.catalog.sorted().into_iter();
    let may_know = |topic: &&Topic| nodes.allows(call, Operation::Describe, On::Topic(&topic.name));
    all.filter(may_know).map(|topic| describe(topic, nodes)).collect()
}

fn describe_by_id(id: Uuid, nodes: &Nodes, call: &Call) -> MetadataResponseTopic {
    match nodes.catalog.by_id(id) {
        Some(topic) if !nodes.allows(call, Operation::Describe, On::Topic(&topic.name)) => {
            MetadataResponseTopic {
                error_code: ErrorCode::TOPIC_AUTHORIZATION_FAILED.0,
                topic_id: id,
                ..MetadataResponseTopic::default()
            }
        }
        Some(topic) => describe(topic, nodes),
        None => MetadataResponseTopic {
            error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
            name: (call.version < NULL_NAME_VERSION).then(String::new),
            topic_id: id,
            ..MetadataResponseTopic::default()
        },
    }
}

fn describe_by_name(
    name: &str,
    may_create: bool,
    nodes: &mut Nodes,
    call: &Call,
    now: Now,
) -> MetadataResponseTopic {
    let failed = |code: ErrorCode| MetadataResponseTopic {
        error_code: code.0,
        name: Some(name.to_owned()),
        ..MetadataResponseTopic::default()
    };
    // Before it is looked for: not even whether it is there shall be known.
    if !nodes.allows(call, Operation::Describe, On::Topic(name)) {
        return failed(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    if let Some(topic) = nodes.catalog.by_name(name) {
        return describe(topic, nodes);
    }
    if catalog::check_name(name).is_err() {
        return failed(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    if !(may_create && nodes.config.auto_create_topics) {
        return failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    let may_create = |thing| nodes.allows(call, Operation::Create, thing);
    if !may_create(On::Cluster) && !may_create(On::Topic(name)) {
        return failed(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    }
    let partitions = nodes.config.default_partitions;
    let layout = Layout::Numbers { partitions, replication_factor: None };
    match nodes.create_topic(name, &layout, Overrides::new(), now) {
        Ok(_) => match nodes.catalog.by_name(name) {
            Some(topic) => describe(topic, nodes),
            None => failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        },
        Err(error) => failed(error.code),
    }
}

fn describe(topic: &Topic, nodes: &Nodes) -> MetadataResponseTopic {
    let live: Vec<i32> = nodes.live_nodes().collect();
    let partitions = (0..).zip(&topic.partitions).map(|(partition_index, place)| {
        let is_led = live.contains(&place.leader);
        MetadataResponsePartition {
            error_code: if is_led { 0 } else { ErrorCode::LEADER_NOT_AVAILABLE.0 },
            partition_index,
            leader_id: if is_led { place.leader } else { -1 },
            leader_epoch: place.leader_epoch,
            replica_nodes: place.replicas.clone(),
            isr_nodes: place.isr.clone(),
            offline_replicas: place
                .replicas
                .iter()
                .copied()
                .filter(|id| !live.contains(id))
                .collect(),
        }
    });
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.to_string()),
        topic_id: topic.id,
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

/// Puts the error of a fault where it belongs: into a partition when it names one, otherwise into
/// the topic.
fn apply_fault(topics: &mut [MetadataResponseTopic], call: &Call) {
    let Some(fault) = &call.fault else {
        return;
    };
    let Some(code) = fault.action.error() else {
        return;
    };
    for topic in topics {
        let name = topic.name.clone().unwrap_or_default();
        let count = topic.partitions.len() as i32;
        if (-1..count.max(1)).all(|index| fault.covers(&name, index)) {
            topic.error_code = code.0;
            topic.partitions.clear();
            continue;
        }
        for partition in &mut topic.partitions {
            if fault.covers(&name, partition.partition_index) {
                partition.error_code = code.0;
                partition.leader_id = -1;
            }
        }
    }
}
