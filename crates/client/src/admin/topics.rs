//! Creating, listing and deleting topics.

use std::time::Duration;

use ottla_protocol::messages::create_partitions::{CreatePartitionsRequest, CreatePartitionsTopic};
use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use ottla_protocol::messages::delete_topics::{DeleteTopicState, DeleteTopicsRequest};
use ottla_protocol::messages::metadata::MetadataResponseTopic;
use ottla_protocol::{ErrorCode, Request, Uuid};
use tokio::time::{Instant, sleep};

use super::{Admin, RequestError, RequestErrorKind};

/// The wait before asking again whether something has come about.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// From this version on, DeleteTopics lists topics by name or id in one structure.
const DELETE_BY_STATE_FROM: i16 = 6;

/// A topic to create. What is not set, the cluster decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    name: String,
    partitions: Option<i32>,
    replication: Option<i16>,
    configs: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic with the cluster's defaults.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, replication: None, configs: Vec::new() }
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// How many brokers keep each partition.
    #[must_use]
    pub fn replication(mut self, replication: i16) -> Self {
        self.replication = Some(replication);
        self
    }

    /// A setting of the topic, such as `retention.ms`.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }

    fn creatable(&self) -> CreatableTopic {
        let configs = self.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: name.clone(),
            value: Some(value.clone()),
        });
        CreatableTopic {
            name: self.name.clone(),
            num_partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication.unwrap_or(-1),
            configs: configs.collect(),
            ..CreatableTopic::default()
        }
    }
}

/// A topic that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// Its id; zero where the cluster has none.
    pub id: Uuid,
    /// How many partitions it has.
    pub partition_count: usize,
    /// How many brokers keep each partition.
    pub replication: usize,
}

/// A topic in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicListing {
    /// Its name.
    pub name: String,
    /// Its id; zero where the cluster has none.
    pub id: Uuid,
    /// Whether it belongs to the cluster itself.
    pub is_internal: bool,
    /// How many partitions it has.
    pub partition_count: usize,
    /// How many brokers keep its first partition.
    pub replication: usize,
}

impl Admin {
    /// Creates a topic, and waits until its partitions have leaders, so that it can be used.
    ///
    /// # Errors
    /// When the topic exists, its name or a setting is not valid, there are fewer brokers than
    /// replicas, or no answer comes.
    pub async fn create_topic(&mut self, topic: &NewTopic) -> Result<CreatedTopic, RequestError> {
        let request = CreateTopicsRequest {
            topics: vec![topic.creatable()],
            timeout_ms: self.timeout_ms(),
            ..CreateTopicsRequest::default()
        };
        let what = format!("topic {} cannot be created", topic.name);
        let deadline = Instant::now() + self.brokers.timeout();
        loop {
            let response = self.ask_controller(&request).await?;
            let result = response.topics.into_iter().find(|result| result.name == topic.name);
            let result = result.ok_or_else(|| no_answer(&what))?;
            match ErrorCode(result.error_code).ok() {
                Ok(()) => return self.wait_for_topic(&topic.name, deadline).await,
                Err(code) => {
                    let error = RequestError::refused(&what, code, result.error_message.as_deref());
                    self.again(error, deadline).await?;
                }
            }
        }
    }

    /// Asks whether the cluster would create the topic, without doing so.
    ///
    /// # Errors
    /// As [`Admin::create_topic`].
    pub async fn validate_topic(&mut self, topic: &NewTopic) -> Result<(), RequestError> {
        let request = CreateTopicsRequest {
            topics: vec![topic.creatable()],
            timeout_ms: self.timeout_ms(),
            validate_only: true,
        };
        let what = format!("topic {} could not be created", topic.name);
        let response = self.ask_controller(&request).await?;
        let result = response.topics.into_iter().find(|result| result.name == topic.name);
        let result = result.ok_or_else(|| no_answer(&what))?;
        ErrorCode(result.error_code)
            .ok()
            .map_err(|code| RequestError::refused(&what, code, result.error_message.as_deref()))
    }

    /// Gives a topic more partitions: `count` in all. Records with a key may go to another
    /// partition from then on. With `validate_only` the cluster only says whether it would.
    ///
    /// # Errors
    /// When there is no such topic, it has as many already, or no answer comes.
    pub async fn create_partitions(
        &mut self,
        name: &str,
        count: i32,
        validate_only: bool,
    ) -> Result<(), RequestError> {
        let topic = CreatePartitionsTopic { name: name.to_owned(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: self.timeout_ms(),
            validate_only,
        };
        let what = format!("topic {name} cannot be given {count} partitions");
        let deadline = Instant::now() + self.brokers.timeout();
        loop {
            let response = self.ask_controller(&request).await?;
            let result = response.results.into_iter().find(|result| result.name == name);
            let result = result.ok_or_else(|| no_answer(&what))?;
            match ErrorCode(result.error_code).ok() {
                Ok(()) => return Ok(()),
                Err(code) => {
                    let error = RequestError::refused(&what, code, result.error_message.as_deref());
                    if error.kind() == RequestErrorKind::UnknownTopic {
                        return Err(error);
                    }
                    self.again(error, deadline).await?;
                }
            }
        }
    }

    /// Waits until a topic that was created can be used.
    async fn wait_for_topic(
        &mut self,
        name: &str,
        deadline: Instant,
    ) -> Result<CreatedTopic, RequestError> {
        loop {
            let topic = self.topic_metadata(name).await;
            match topic {
                Ok(topic) if topic.partitions.iter().all(|part| part.leader_id >= 0) => {
                    return Ok(CreatedTopic {
                        name: name.to_owned(),
                        id: topic.topic_id,
                        partition_count: topic.partitions.len(),
                        replication: replication(&topic),
                    });
                }
                Ok(_) if Instant::now() < deadline => sleep(POLL_WAIT).await,
                Ok(_) => {
                    return Err(RequestError::unreachable(format!(
                        "topic {name} was created, but not all of its partitions have a leader yet"
                    )));
                }
                Err(error) => self.again(error, deadline).await?,
            }
        }
    }

    /// Lists the topics of the cluster by name.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn list_topics(&mut self) -> Result<Vec<TopicListing>, RequestError> {
        let response = self.brokers.metadata(None).await?;
        let listing = |topic: MetadataResponseTopic| {
            let replication = replication(&topic);
            Some(TopicListing {
                name: topic.name?,
                id: topic.topic_id,
                is_internal: topic.is_internal,
                partition_count: topic.partitions.len(),
                replication,
            })
        };
        let mut topics: Vec<TopicListing> =
            response.topics.into_iter().filter_map(listing).collect();
        topics.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(topics)
    }

    /// Deletes a topic and its records, and waits until the cluster no longer shows it.
    ///
    /// # Errors
    /// When there is no such topic, deleting is not allowed, or no answer comes.
    pub async fn delete_topic(&mut self, name: &str) -> Result<(), RequestError> {
        let what = format!("topic {name} cannot be deleted");
        let deadline = Instant::now() + self.brokers.timeout();
        loop {
            let link = self.brokers.controller().await?;
            let version = link.version_up_to::<DeleteTopicsRequest>(i16::MAX)?;
            let mut request = DeleteTopicsRequest {
                timeout_ms: i32::try_from(self.brokers.timeout().as_millis()).unwrap_or(i32::MAX),
                ..DeleteTopicsRequest::default()
            };
            if version < DELETE_BY_STATE_FROM {
                request.topic_names.push(name.to_owned());
            } else {
                let name = Some(name.to_owned());
                request.topics.push(DeleteTopicState { name, ..DeleteTopicState::default() });
            }
            let response = self.ask_controller(&request).await?;
            let results = response.responses.into_iter();
            let result = results.into_iter().find(|result| result.name.as_deref() == Some(name));
            let result = result.ok_or_else(|| no_answer(&what))?;
            match ErrorCode(result.error_code).ok() {
                Ok(()) => break,
                Err(code) => {
                    let error = RequestError::refused(&what, code, result.error_message.as_deref());
                    if error.kind() == RequestErrorKind::UnknownTopic {
                        return Err(error);
                    }
                    self.again(error, deadline).await?;
                }
            }
        }
        while Instant::now() < deadline && self.topic_metadata(name).await.is_ok() {
            sleep(POLL_WAIT).await;
        }
        Ok(())
    }

    /// What the cluster says of one topic.
    pub(super) async fn topic_metadata(
        &mut self,
        name: &str,
    ) -> Result<MetadataResponseTopic, RequestError> {
        let response = self.brokers.metadata(Some(&[name])).await?;
        let what = format!("topic {name} cannot be had from {}", self.brokers.server());
        let found = response.topics.into_iter().find(|topic| topic.name.as_deref() == Some(name));
        let topic = found.ok_or_else(|| no_answer(&what))?;
        match ErrorCode(topic.error_code) {
            // The topic is there; single partitions may lack a leader.
            code if code.is_ok() || code == ErrorCode::LEADER_NOT_AVAILABLE => Ok(topic),
            code => Err(RequestError::refused(&what, code, None)),
        }
    }

    async fn ask_controller<R: Request>(
        &mut self,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        self.brokers.controller().await?.call(request).await
    }

    /// Waits a moment and learns anew who the controller is, when asking again may help.
    async fn again(&mut self, error: RequestError, deadline: Instant) -> Result<(), RequestError> {
        if !error.is_retriable() || Instant::now() + POLL_WAIT >= deadline {
            return Err(error);
        }
        sleep(POLL_WAIT).await;
        self.brokers.metadata(Some(&[])).await.map(drop)
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.brokers.timeout().as_millis()).unwrap_or(i32::MAX)
    }
}

fn replication(topic: &MetadataResponseTopic) -> usize {
    topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len())
}

pub(super) fn no_answer(what: &str) -> RequestError {
    RequestError::new(
        RequestErrorKind::Garbled,
        format!("{what}: the broker's answer leaves it out"),
    )
}
