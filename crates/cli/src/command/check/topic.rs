//! The steps at one topic: is it there, can it be written to, with what rules.

use std::collections::BTreeMap;

use ottla::admin::{Operation, Operations, PartitionState, TopicState};
use ottla::{ErrorCode, ProducerConfig};
use serde_json::{Value, json};

use super::durability::{self, Facts};
use super::report::Step;
use crate::exit::Exit;
use crate::talk::count;

/// So many partitions are named in a sentence.
const NAMED_MAX: usize = 8;

/// Settings by name.
pub(super) type Configs = BTreeMap<String, String>;

/// What the cluster tells of a topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) error: Option<ErrorCode>,
    pub(super) partitions: Vec<Partition>,
    pub(super) operations: Option<Operations>,
    /// `None` when they are not told.
    pub(super) configs: Option<Configs>,
}

/// A partition of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Partition {
    pub(super) number: i32,
    pub(super) leader: Option<i32>,
    pub(super) replicas: Vec<i32>,
    pub(super) in_sync: Vec<i32>,
    pub(super) offline: Vec<i32>,
}

impl From<PartitionState> for Partition {
    fn from(state: PartitionState) -> Self {
        Self {
            number: state.partition,
            leader: state.leader,
            replicas: state.replicas,
            in_sync: state.isr,
            offline: state.offline_replicas,
        }
    }
}

impl Topic {
    /// What metadata tells, without the settings.
    pub(super) fn new(state: TopicState) -> Self {
        Self {
            name: state.name,
            error: state.error,
            partitions: state.partitions.into_iter().map(Partition::from).collect(),
            operations: state.operations,
            configs: None,
        }
    }

    /// Whether the cluster has it, as far as this client may know.
    pub(super) fn is_there(&self) -> bool {
        !self.partitions.is_empty()
    }

    fn config(&self, name: &str) -> Option<&str> {
        self.configs.as_ref()?.get(name).map(String::as_str)
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.config(name)?.parse().ok()
    }

    /// What the verdict on durability depends on, of the partition that is worst off.
    fn facts(&self, ours: &ProducerConfig) -> Facts {
        let fewest = |count: fn(&Partition) -> usize| self.partitions.iter().map(count).min();
        Facts {
            acks: ours.acks,
            idempotence: ours.idempotence,
            replicas: fewest(|it| it.replicas.len()).unwrap_or(0),
            in_sync: fewest(|it| it.in_sync.len()),
            min_in_sync: self.number("min.insync.replicas"),
            unclean: self.config("unclean.leader.election.enable").map(|it| it == "true"),
        }
    }
}

/// The steps at a topic that is there.
pub(super) fn steps(
    topic: &Topic,
    cluster: Option<Operations>,
    ours: &ProducerConfig,
) -> Vec<Step> {
    vec![
        Step::ok("topic", &topic.name, count(topic.partitions.len() as u64, "partition"))
            .data(json!({ "exists": true, "partitions": topic.partitions.len() })),
        partitions(topic),
        permissions(topic, cluster, ours),
        size(topic, ours),
        rules(topic),
        durability::verdict(&topic.name, &topic.facts(ours)),
    ]
}

/// The steps at a topic that is not there, or may not be seen. `defaults` are the broker's, of
/// which there are so many.
pub(super) fn missing(
    topic: &Topic,
    (brokers, defaults): (usize, Option<&Configs>),
    ours: &ProducerConfig,
) -> Vec<Step> {
    let name = &topic.name;
    let data = json!({ "exists": false, "partitions": 0 });
    if topic.error == Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED) {
        let seen = "the cluster does not let this client see it [TOPIC_AUTHORIZATION_FAILED]";
        let cure = "allow its principal to Write and Describe the topic: kafka-acls.sh --add \
                    --producer";
        let data = json!({ "exists": Value::Null, "partitions": 0 });
        return vec![Step::failed("topic", name, seen, Exit::SomeFailed).cure(cure).data(data)];
    }
    let replication = if brokers < 3 { "" } else { " --replication 3" };
    let create = format!("create it: ottla topic create {name} --partitions N{replication}");
    let told = |setting: &str| defaults.and_then(|it| it.get(setting)).map(String::as_str);
    let unknown = topic.error.unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    if unknown != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
        let seen = format!("{} [{}]", unknown.message(), unknown.name());
        return vec![Step::failed("topic", name, seen, Exit::SomeFailed).data(data)];
    }
    let refused = match (told("auto.create.topics.enable"), ours.allow_auto_create_topics) {
        (Some("true"), true) => None,
        (Some("true"), false) => Some("allow.auto.create.topics=false here"),
        (Some(_), _) => Some("the cluster creates no topics unasked"),
        (None, _) => Some("whether the cluster would create it is not told"),
    };
    if let Some(why) = refused {
        let step =
            Step::failed("topic", name, format!("it does not exist; {why}"), Exit::SomeFailed);
        return vec![step.cure(create).data(data)];
    }
    let number = |setting: &str| told(setting).and_then(|it| it.parse::<usize>().ok());
    let shape = (number("num.partitions"), number("default.replication.factor"));
    let (partitions, replicas) = (shape.0.unwrap_or(1), shape.1.unwrap_or(1));
    let seen = format!(
        "it does not exist; the first record would have the cluster create it, with {} and {}",
        count(partitions as u64, "partition"),
        count(replicas as u64, "replica"),
    );
    let facts = Facts {
        acks: ours.acks,
        idempotence: ours.idempotence,
        replicas,
        in_sync: None,
        min_in_sync: number("min.insync.replicas").or(Some(1)),
        unclean: told("unclean.leader.election.enable").map(|it| it == "true"),
    };
    let would = json!({ "partitions": partitions, "replicas": replicas });
    let data = json!({ "exists": false, "partitions": 0, "would_be_created": would });
    vec![
        Step::warning("topic", name, seen).cure(create).data(data),
        durability::verdict(name, &facts),
    ]
}

/// Who leads, and who is in sync.
fn partitions(topic: &Topic) -> Step {
    let all = &topic.partitions;
    let those = |test: &dyn Fn(&Partition) -> bool| -> Vec<i32> {
        all.iter().filter(|it| test(it)).map(|it| it.number).collect()
    };
    let least = topic.number("min.insync.replicas").unwrap_or(1);
    let leaderless = those(&|it| it.leader.is_none());
    let behind = those(&|it| it.in_sync.len() < it.replicas.len());
    let below = those(&|it| it.in_sync.len() < least.min(it.replicas.len()));
    let offline = those(&|it| !it.offline.is_empty());
    let rows = all.iter().map(|it| {
        json!({
            "partition": it.number,
            "leader": it.leader,
            "replicas": it.replicas,
            "isr": it.in_sync,
            "offline_replicas": it.offline,
        })
    });
    let data = json!({
        "partitions": rows.collect::<Value>(),
        "leaderless": leaderless,
        "under_replicated": behind,
        "under_min_isr": below,
        "offline": offline,
    });
    let name = &topic.name;
    let step = if !leaderless.is_empty() {
        let seen = format!("nobody leads {}: records for it wait", named(&leaderless));
        Step::failed("partitions", name, seen, Exit::SomeFailed)
            .cure("bring back a broker that has a replica in sync")
    } else if !below.is_empty() {
        let seen = format!(
            "too few replicas of {} are in sync for min.insync.replicas={least}: records for it \
             are refused with acks=all",
            named(&below)
        );
        Step::failed("partitions", name, seen, Exit::SomeFailed)
            .cure("bring back the brokers of the other replicas")
    } else if !behind.is_empty() || !offline.is_empty() {
        let away = if offline.is_empty() { &behind } else { &offline };
        let why = if offline.is_empty() { "not in sync" } else { "offline" };
        Step::warning("partitions", name, format!("replicas of {} are {why}", named(away)))
            .cure("see why these brokers are down or slow")
    } else {
        let replicas = all.iter().map(|it| it.replicas.len()).min().unwrap_or(0);
        let seen = format!("all led, {} each, all in sync", count(replicas as u64, "replica"));
        Step::ok("partitions", name, seen)
    };
    step.data(data)
}

/// `partition 3`, or `partitions 1, 2, 3 …`.
fn named(partitions: &[i32]) -> String {
    let shown: Vec<String> = partitions.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = if partitions.len() > NAMED_MAX { " …" } else { "" };
    let noun = if partitions.len() == 1 { "partition" } else { "partitions" };
    format!("{noun} {}{more}", shown.join(", "))
}

/// What this client may do.
fn permissions(topic: &Topic, cluster: Option<Operations>, ours: &ProducerConfig) -> Step {
    let names = |told: Option<Operations>| -> Option<Vec<&str>> {
        told.map(|told| told.iter().map(Operation::name).collect())
    };
    let data = json!({ "topic": names(topic.operations), "cluster": names(cluster) });
    let Some(told) = topic.operations else {
        let why = "the broker does not tell what this client may do (Kafka before 2.3)";
        return Step::skipped("permissions", &topic.name, why).data(data);
    };
    if !told.contains(Operation::Write) {
        let seen = "this client may not write to it";
        let step = Step::failed("permissions", &topic.name, seen, Exit::SomeFailed);
        let cure = format!(
            "allow its principal to: kafka-acls.sh --add --producer --topic {}",
            topic.name
        );
        return step.cure(cure).data(data);
    }
    // Since Kafka 2.8 whoever may write to a topic gets a producer id.
    let may = cluster.is_some_and(|it| it.contains(Operation::IdempotentWrite));
    let idempotent = match (ours.idempotence, may) {
        (true, true) => ", and idempotently",
        (true, false) => "; IdempotentWrite on the cluster is only needed before Kafka 2.8",
        (false, _) => "",
    };
    let seen = format!("this client may write{idempotent}");
    Step::ok("permissions", &topic.name, seen).data(data)
}

/// The largest record that both sides take.
fn size(topic: &Topic, ours: &ProducerConfig) -> Step {
    let ours = ours.max_request_size_bytes;
    let data = json!({
        "max_message_bytes": topic.number("max.message.bytes"),
        "max_request_size": ours,
    });
    let step = match topic.number("max.message.bytes") {
        None => untold("size", topic),
        Some(theirs) if theirs < ours => {
            let seen = format!(
                "max.message.bytes={theirs} of the topic is less than max.request.size={ours}: a \
                 batch between the two is refused, divided and sent again, and a record fails"
            );
            let cure = format!(
                "set max.request.size={theirs}, or raise max.message.bytes of the topic to {ours}"
            );
            Step::warning("size", &topic.name, seen).cure(cure)
        }
        Some(theirs) => {
            let seen = format!(
                "records up to {ours} bytes (max.request.size); the topic takes \
                 batches up to {theirs}"
            );
            Step::ok("size", &topic.name, seen)
        }
    };
    step.data(data)
}

/// Rules of the topic that records may fall foul of.
fn rules(topic: &Topic) -> Step {
    let timestamp = topic.config("message.timestamp.type");
    let cleanup = topic.config("cleanup.policy");
    let data = json!({ "message_timestamp_type": timestamp, "cleanup_policy": cleanup });
    let Some(cleanup) = cleanup else { return untold("rules", topic).data(data) };
    let mut seen = format!("cleanup.policy={cleanup}");
    if cleanup.split(',').any(|policy| policy.trim() == "compact") {
        seen.push_str(": records without a key are refused, and of those with one the last stays");
    }
    if timestamp == Some("LogAppendTime") {
        seen.push_str("; message.timestamp.type=LogAppendTime: the broker's time replaces ours");
    }
    Step::ok("rules", &topic.name, seen).data(data)
}

fn untold(step: &'static str, topic: &Topic) -> Step {
    Step::skipped(step, &topic.name, "the cluster does not tell the topic's settings")
        .cure("allow this client to DescribeConfigs on the topic")
}

#[cfg(test)]
mod tests;
