//! Creating, growing, configuring and deleting topics: the catalogue and the logs together.

use ottla_protocol::{ErrorCode, Uuid};

use crate::assignment::assign;
use crate::catalog;
use crate::controller::CONTROLLER;
use crate::handler;
use crate::node::State;
use crate::nodes::Nodes;
use crate::placement::Placement;
use crate::time::Now;
use crate::topic_config::{self, Overrides};

/// More partitions than this in one request are a mistake.
const MAX_PARTITIONS: i32 = 10_000;

/// How many partitions and replicas a topic is to have, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The nodes are left to the controller; so is the number of replicas when it is `None`.
    Numbers { partitions: i32, replication_factor: Option<i32> },
    /// The replicas of each partition, the preferred leader first.
    Replicas(Vec<Vec<i32>>),
}

/// Why something cannot be done with a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
}

impl TopicError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// Somebody may not do this.
    pub(crate) fn unauthorized() -> Self {
        let code = ErrorCode::TOPIC_AUTHORIZATION_FAILED;
        Self::new(code, code.message())
    }

    fn storage(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "topic not changed");
        Self::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string())
    }

    fn unknown(name: &str) -> Self {
        let message = format!("there is no topic {name}");
        Self::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
    }
}

impl Nodes {
    /// Says why a topic cannot be created.
    pub(crate) fn check_new_topic(
        &self,
        name: &str,
        overrides: &Overrides,
    ) -> Result<(), TopicError> {
        catalog::check_name(name)
            .map_err(|reason| TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, reason))?;
        if self.catalog.by_name(name).is_some() {
            let message = format!("there is a topic {name} already");
            return Err(TopicError::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        if let Some(other) = self.catalog.colliding(name) {
            let message =
                format!("topic name {name} collides with {}, see '.' and '_'", other.name);
            return Err(TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
        }
        topic_config::check(overrides)
            .map_err(|reason| TopicError::new(ErrorCode::INVALID_CONFIG, reason))
    }

    /// Creates a topic. Its logs are there before the catalogue names it.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        layout: &Layout,
        overrides: Overrides,
        now: Now,
    ) -> Result<Uuid, TopicError> {
        self.check_new_topic(name, &overrides)?;
        let places = self.lay_out(layout, 0)?;
        let partitions = places.len();
        let id = self.rng.next_uuid();
        self.create_logs(name, id, 0, &places, &overrides, now)?;
        if let Err(error) = self.catalog.create(name, id, places, overrides) {
            self.remove_logs(name, id, 0);
            return Err(TopicError::storage(error));
        }
        self.tell_of_partitions(id, 0, partitions, now);
        tracing::info!(topic = name, partitions, %id, "topic created");
        Ok(id)
    }

    /// Finds nodes for partitions from number `first` on.
    pub(crate) fn lay_out(
        &mut self,
        layout: &Layout,
        first: i32,
    ) -> Result<Vec<Placement>, TopicError> {
        let live: Vec<i32> = self.ready_nodes().collect();
        let all = match layout {
            Layout::Replicas(all) => {
                self.check_replicas(all)?;
                all.clone()
            }
            Layout::Numbers { partitions, replication_factor } => {
                check_partition_count(*partitions)?;
                let factor = replication_factor.unwrap_or(self.config.default_replication_factor);
                let count = usize::try_from(factor).unwrap_or_default();
                let away: Vec<i32> = self.away_nodes().collect();
                let brokers = live.len() + away.len();
                if count == 0 || count > brokers || live.is_empty() {
                    let message = format!(
                        "replication factor {factor} cannot be had: {brokers} brokers are \
                         registered, {} of them are there",
                        live.len()
                    );
                    let code = ErrorCode::INVALID_REPLICATION_FACTOR;
                    return Err(TopicError::new(code, message));
                }
                let start = match first {
                    0 => self.rng.next_u64() as usize % live.len(),
                    // Goes on where the partitions before left off, near enough.
                    first => usize::try_from(first).unwrap_or_default() % live.len(),
                };
                let partitions = usize::try_from(*partitions).unwrap_or_default();
                let present = count.min(live.len());
                let rack_of = |id| self.config.rack_of(id);
                let mut all = assign(&live, present, partitions, start, rack_of);
                for (index, replicas) in all.iter_mut().enumerate() {
                    replicas.extend(away.iter().cycle().skip(index).take(count - present));
                }
                all
            }
        };
        let place = |replicas: Vec<i32>| {
            let isr: Vec<i32> = replicas.iter().copied().filter(|id| live.contains(id)).collect();
            let leader = isr.first().copied().unwrap_or(-1);
            Placement { isr, leader, ..Placement::new(replicas) }
        };
        Ok(all.into_iter().map(place).collect())
    }

    fn check_replicas(&self, all: &[Vec<i32>]) -> Result<(), TopicError> {
        let refuse =
            |message: String| Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        let factor = all.first().map_or(0, Vec::len);
        for replicas in all {
            self.check_brokers(replicas)?;
            if replicas.len() != factor {
                return refuse("partitions must not differ in their number of replicas".to_owned());
            }
            if !self.ready_nodes().any(|id| replicas.contains(&id)) {
                return refuse(format!("none of the brokers {replicas:?} is there"));
            }
        }
        Ok(())
    }

    /// Says why a partition cannot have its replicas there.
    pub(crate) fn check_brokers(&self, replicas: &[i32]) -> Result<(), TopicError> {
        let refuse =
            |message: String| Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
        let mut once = replicas.to_vec();
        once.sort_unstable();
        once.dedup();
        if replicas.is_empty() || once.len() < replicas.len() {
            return refuse(format!("{replicas:?} is not a list of different brokers"));
        }
        match replicas.iter().find(|id| self.node(**id).is_none()) {
            Some(id) => refuse(format!("there is no broker {id}")),
            None => Ok(()),
        }
    }

    fn create_logs(
        &mut self,
        name: &str,
        id: Uuid,
        first: i32,
        places: &[Placement],
        overrides: &Overrides,
        now: Now,
    ) -> Result<(), TopicError> {
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.state == State::Down {
                continue;
            }
            let is_here: Vec<bool> =
                places.iter().map(|place| place.replicas.contains(&node.id)).collect();
            let config = self.settings.log_config(node.id, overrides);
            let created = node.partitions.create(name, id, first, &is_here, &config, now.unix_ms);
            if let Err(error) = created {
                self.nodes[..index].iter_mut().for_each(|n| n.partitions.uncreate(name, id, first));
                return Err(TopicError::storage(error));
            }
        }
        Ok(())
    }

    fn remove_logs(&mut self, name: &str, id: Uuid, first: i32) {
        self.nodes.iter_mut().for_each(|node| node.partitions.uncreate(name, id, first));
    }

    fn tell_of_partitions(&mut self, id: Uuid, first: i32, count: usize, now: Now) {
        for partition in (first..).take(count) {
            for node in self.node_ids() {
                if self.can_reach(CONTROLLER, node) {
                    self.tell(node, id, partition, now);
                }
            }
        }
    }

    /// Sees to it that a topic is there and has so many partitions at least.
    pub(crate) fn ensure_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: Option<i32>,
        overrides: Overrides,
        now: Now,
    ) -> Result<(), TopicError> {
        match self.catalog.by_name(name).map(|topic| topic.partition_count()) {
            None => {
                let layout = Layout::Numbers { partitions, replication_factor };
                self.create_topic(name, &layout, overrides, now).map(|_| ())
            }
            Some(present) if present < partitions => self.grow_topic(name, partitions, None, now),
            Some(_) => Ok(()),
        }
    }

    /// Says why a topic cannot have so many partitions.
    pub(crate) fn check_growth(&self, name: &str, count: i32) -> Result<(), TopicError> {
        let topic = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?;
        let present = topic.partition_count();
        if count <= present {
            let message = format!("{name} has {present} partitions, {count} are not more");
            return Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        check_partition_count(count)
    }

    /// Where the partitions will be that a topic is to have more. They get as many replicas as
    /// those that are there.
    pub(crate) fn lay_out_growth(
        &mut self,
        name: &str,
        count: i32,
        replicas: Option<Vec<Vec<i32>>>,
    ) -> Result<Vec<Placement>, TopicError> {
        self.check_growth(name, count)?;
        let topic = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?;
        let present = topic.partition_count();
        let factor = topic.partitions.first().map_or(1, |place| place.replicas.len());
        let more = count - present;
        let layout = match replicas {
            None => {
                let replication_factor = i32::try_from(factor).ok();
                Layout::Numbers { partitions: more, replication_factor }
            }
            Some(all) if all.len() as i32 != more => {
                let message = format!("{more} partitions are new, {} have replicas", all.len());
                return Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            Some(all) if all.iter().any(|replicas| replicas.len() != factor) => {
                let message = format!("the partitions of {name} have {factor} replicas each");
                return Err(TopicError::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
            }
            Some(all) => Layout::Replicas(all),
        };
        self.lay_out(&layout, present)
    }

    /// Adds partitions to a topic.
    pub(crate) fn grow_topic(
        &mut self,
        name: &str,
        count: i32,
        replicas: Option<Vec<Vec<i32>>>,
        now: Now,
    ) -> Result<(), TopicError> {
        let places = self.lay_out_growth(name, count, replicas)?;
        let topic = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?;
        let (id, present, overrides) = (topic.id, topic.partition_count(), topic.overrides.clone());
        self.create_logs(name, id, present, &places, &overrides, now)?;
        let more = places.len();
        if let Err(error) = self.catalog.grow(name, places) {
            self.remove_logs(name, id, present);
            return Err(TopicError::storage(error));
        }
        self.tell_of_partitions(id, present, more, now);
        Ok(())
    }

    /// Gives a topic other settings.
    pub(crate) fn configure_topic(
        &mut self,
        name: &str,
        overrides: Overrides,
    ) -> Result<(), TopicError> {
        self.catalog.configure(name, overrides).map_err(TopicError::storage)?;
        self.configure_logs(self.catalog.by_name(name).map(|topic| topic.id));
        Ok(())
    }

    /// Deletes a topic with its logs and the offsets that groups have committed for it. The
    /// checkpoints still speak of it; see [`Nodes::write_checkpoints`].
    pub(crate) fn delete_topic(&mut self, name: &str, now: Now) -> Result<(), TopicError> {
        let id = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?.id;
        self.catalog.remove(name).map_err(TopicError::storage)?;
        let mut all_removed = true;
        for index in 0..self.nodes.len() {
            let (waiters, removed) = self.nodes[index].partitions.delete(name, id);
            if let Err(error) = removed {
                tracing::warn!(topic = name, %error, "files of a deleted topic are left");
                all_removed = false;
            }
            for connection in waiters {
                self.complete_fetch(connection, now);
                handler::settle_produce(self, connection, now, false);
            }
        }
        self.groups.forget_topic(name);
        // What could not be removed now is removed at the next start: the catalogue still notes it.
        if all_removed {
            self.forget_deleted();
        }
        tracing::info!(topic = name, %id, "topic deleted");
        Ok(())
    }
}

fn check_partition_count(count: i32) -> Result<(), TopicError> {
    let message = match count {
        1..=MAX_PARTITIONS => return Ok(()),
        ..1 => format!("a topic cannot have {count} partitions"),
        _ => format!("{count} partitions are more than the {MAX_PARTITIONS} that a topic may have"),
    };
    Err(TopicError::new(ErrorCode::INVALID_PARTITIONS, message))
}
