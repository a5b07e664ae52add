//! Settings of brokers that were given while the cluster runs, and what they do.
//!
//! What a broker was given itself holds before what all brokers were given, and that before what
//! the cluster was started with.

use std::str::FromStr;
use std::time::Duration;

use ottla_protocol::{ErrorCode, Uuid};

use crate::broker_settings::{self, BROKER_SETTINGS, Change, OF_EACH_NODE};
use crate::idle_settings;
use crate::log::LogConfig;
use crate::nodes::Nodes;
use crate::resource_settings::{Owner, ResourceSettings};
use crate::topic_config::{self, Overrides};

/// The name of all brokers together.
pub(crate) const ALL_BROKERS: &str = "";

/// Says why settings cannot be given to a broker, or to all of them.
///
/// # Errors
/// Kafka's code, and the reason in words.
pub(crate) fn check(broker: &str, settings: &Overrides) -> Result<(), (ErrorCode, String)> {
    let idle = |message| (ErrorCode::INVALID_CONFIG, message);
    let fixed = |name: &str| {
        let message = format!("{name} cannot change while the broker runs");
        Err((ErrorCode::INVALID_REQUEST, message))
    };
    for (name, value) in settings {
        let Some(setting) = broker_settings::find(name) else {
            if OF_EACH_NODE.contains(&name.as_str()) {
                return fixed(name);
            }
            return Err(idle(match idle_settings::is_idle(name) {
                true => format!("{name} has no effect on this broker"),
                false => format!("a broker has no setting {name}"),
            }));
        };
        match setting.change {
            Change::Never => return fixed(name),
            Change::OfTopicsOfAll(_) if broker != ALL_BROKERS => {
                let message = format!("{name} can only be given to all brokers together");
                return Err(idle(message));
            }
            _ => {}
        }
        setting.check(value).map_err(|reason| (ErrorCode::INVALID_REQUEST, reason))?;
    }
    Ok(())
}

impl ResourceSettings {
    /// What a broker was given for a setting, itself or with all others.
    fn given(&self, broker: i32, setting: &str) -> Option<&str> {
        let own = self.value(Owner::Broker, &broker.to_string(), setting);
        own.or_else(|| self.value(Owner::Broker, ALL_BROKERS, setting))
    }

    /// What the logs of a topic with these settings go by on a node.
    pub(crate) fn log_config(&self, node: i32, overrides: &Overrides) -> LogConfig {
        if self.names(Owner::Broker).next().is_none() {
            return topic_config::log_config(overrides);
        }
        let mut all = overrides.clone();
        for setting in BROKER_SETTINGS {
            if let Some(topic) = setting.change.of_topics()
                && !all.contains_key(topic)
                && let Some(value) = self.given(node, setting.name)
            {
                all.insert(topic.to_owned(), value.to_owned());
            }
        }
        topic_config::log_config(&all)
    }
}

impl Nodes {
    fn given_to_all<T: FromStr>(&self, setting: &str) -> Option<T> {
        self.settings.value(Owner::Broker, ALL_BROKERS, setting)?.trim().parse().ok()
    }

    fn given_to<T: FromStr>(&self, node: i32, setting: &str) -> Option<T> {
        self.settings.given(node, setting)?.trim().parse().ok()
    }

    /// How many replicas a topic that does not say wants in sync.
    pub(crate) fn default_min_insync_replicas(&self) -> i32 {
        let given = self.given_to_all("min.insync.replicas");
        given.unwrap_or(self.config.min_insync_replicas)
    }

    /// Whether a replica that is not in sync may lead in a topic that does not say.
    pub(crate) fn default_unclean_leader_election(&self) -> bool {
        let given = self.given_to_all("unclean.leader.election.enable");
        given.unwrap_or(self.config.unclean_leader_election)
    }

    /// After how long a node forgets an idle producer.
    pub(crate) fn producer_id_expiration(&self, node: i32) -> Duration {
        let given = self.given_to(node, "producer.id.expiration.ms");
        given.map_or(self.config.producer_id_expiration, Duration::from_millis)
    }

    /// How long the cleaner of logs rests when there is nothing to do. It is one for all nodes, so
    /// the shortest rest of theirs counts.
    pub(crate) fn cleaner_backoff(&self) -> Duration {
        let of_node = |id| {
            let given = self.given_to(id, "log.cleaner.backoff.ms");
            given.map_or(self.config.cleaner_backoff, Duration::from_millis)
        };
        let shortest = self.nodes.iter().map(|node| of_node(node.id)).min();
        shortest.unwrap_or(self.config.cleaner_backoff)
    }

    /// How many connections a node takes.
    pub(crate) fn max_connections(&self, node: i32) -> usize {
        self.given_to(node, "max.connections").unwrap_or(self.config.max_connections)
    }

    /// Has the logs of a topic, or of all topics, go by settings that have just changed.
    pub(crate) fn configure_logs(&mut self, topic: Option<Uuid>) {
        self.compaction.look_at_once();
        let topics =
            self.catalog.sorted().into_iter().filter(|it| topic.is_none_or(|id| it.id == id));
        let ids = self.node_ids();
        let configs = topics.flat_map(|topic| {
            ids.iter()
                .map(|node| (*node, topic.id, self.settings.log_config(*node, &topic.overrides)))
        });
        for (node, topic, config) in configs.collect::<Vec<_>>() {
            if let Some(node) = self.node_mut(node) {
                for replica in node.partitions.of_topic_mut(topic) {
                    replica.log.set_config(config.clone());
                }
            }
        }
    }
}
