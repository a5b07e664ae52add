//! Creating, growing, configuring and deleting topics: the catalogue and the logs together.

use ottla_protocol::{ErrorCode, Uuid};

use crate::catalog;
use crate::node::Node;
use crate::time::Now;
use crate::topic_config::{self, Overrides, TopicConfig};

/// More partitions than this in one request are a mistake.
const MAX_PARTITIONS: i32 = 10_000;

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

impl Node {
    /// Says why a topic cannot be created.
    pub(crate) fn check_new_topic(
        &self,
        name: &str,
        partitions: i32,
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
        check_partition_count(partitions)?;
        topic_config::check(overrides)
            .map_err(|reason| TopicError::new(ErrorCode::INVALID_CONFIG, reason))
    }

    /// Creates a topic. Its logs are there before the catalogue names it.
    pub(crate) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        overrides: Overrides,
        now: Now,
    ) -> Result<Uuid, TopicError> {
        self.check_new_topic(name, partitions, &overrides)?;
        let id = self.rng.next_uuid();
        let config = TopicConfig::of(&overrides).log;
        self.partitions
            .create(name, id, 0..partitions, &config, now.unix_ms)
            .map_err(TopicError::storage)?;
        if let Err(error) = self.catalog.create(name, id, partitions, overrides) {
            self.partitions.uncreate(name, id, 0);
            return Err(TopicError::storage(error));
        }
        tracing::info!(topic = name, partitions, %id, "topic created");
        Ok(id)
    }

    /// Sees to it that a topic is there and has so many partitions at least.
    pub(crate) fn ensure_topic(
        &mut self,
        name: &str,
        partitions: i32,
        overrides: Overrides,
        now: Now,
    ) -> Result<(), TopicError> {
        match self.catalog.by_name(name).map(|topic| topic.partition_count()) {
            None => self.create_topic(name, partitions, overrides, now).map(|_| ()),
            Some(present) if present < partitions => self.grow_topic(name, partitions, now),
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

    /// Adds partitions to a topic.
    pub(crate) fn grow_topic(
        &mut self,
        name: &str,
        count: i32,
        now: Now,
    ) -> Result<(), TopicError> {
        self.check_growth(name, count)?;
        let topic = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?;
        let (id, present) = (topic.id, topic.partition_count());
        let config = topic.config.log.clone();
        self.partitions
            .create(name, id, present..count, &config, now.unix_ms)
            .map_err(TopicError::storage)?;
        if let Err(error) = self.catalog.grow(name, count) {
            self.partitions.uncreate(name, id, present);
            return Err(TopicError::storage(error));
        }
        Ok(())
    }

    /// Gives a topic other settings.
    pub(crate) fn configure_topic(
        &mut self,
        name: &str,
        overrides: Overrides,
    ) -> Result<(), TopicError> {
        self.catalog.configure(name, overrides).map_err(TopicError::storage)?;
        if let Some(topic) = self.catalog.by_name(name) {
            for partition in self.partitions.of_topic_mut(topic.id) {
                partition.log.set_config(topic.config.log.clone());
            }
        }
        Ok(())
    }

    /// Deletes a topic with its logs and the offsets that groups have committed for it.
    pub(crate) fn delete_topic(&mut self, name: &str, now: Now) -> Result<(), TopicError> {
        let id = self.catalog.by_name(name).ok_or_else(|| TopicError::unknown(name))?.id;
        self.catalog.remove(name).map_err(TopicError::storage)?;
        let (waiters, removed) = self.partitions.delete(name, id);
        for connection in waiters {
            self.complete_fetch(connection, now);
        }
        self.groups.forget_topic(name);
        // What could not be removed now is removed at the next start: the catalogue still notes it.
        let forgotten = removed.and_then(|()| self.catalog.forget_deleted());
        if let Err(error) = forgotten {
            tracing::warn!(topic = name, %error, "files of a deleted topic are left");
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
