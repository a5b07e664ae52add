//! Settings of topics and brokers: describing and changing them.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use ottla_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use super::topics::no_answer;
use super::{Admin, RequestError, RequestErrorKind};
use crate::wire::Link;

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic, by its name.
    Topic(String),
    /// A broker, by its node id.
    Broker(i32),
}

impl ConfigResource {
    /// The number that the protocol gives the kind.
    const fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
        }
    }

    fn what(&self) -> String {
        match self {
            Self::Topic(name) => format!("the settings of topic {name}"),
            Self::Broker(id) => format!("the settings of broker {id}"),
        }
    }
}

/// A setting as a cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigDescription {
    /// Its name, such as `retention.ms`.
    pub name: String,
    /// Its value; `None` when it has none, or is secret.
    pub value: Option<String>,
    /// Where the value comes from, by the number of `ConfigSource` in Kafka's protocol: 1 the
    /// topic, 2 the broker at run time, 3 all brokers at run time, 4 the broker's file, 5 Kafka's
    /// default.
    pub source: i8,
    /// Whether it cannot be changed.
    pub is_read_only: bool,
    /// Whether its value is kept secret.
    pub is_sensitive: bool,
    /// Values that would hold without this one, the nearest first: name, value, source.
    pub synonyms: Vec<(String, Option<String>, i8)>,
}

/// One change of a setting (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigChange {
    /// It has this value from now on.
    Set(String),
    /// It has the value that holds without one of its own.
    Delete,
    /// These are added to its list, separated by commas.
    Append(String),
    /// These are taken out of its list, separated by commas.
    Subtract(String),
}

impl Admin {
    /// Describes the settings of a topic or a broker, by name.
    ///
    /// # Errors
    /// When there is no such topic or broker, or no answer comes.
    pub async fn describe_configs(
        &mut self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigDescription>, RequestError> {
        let name = resource.name();
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.code(),
                resource_name: name.clone(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            ..DescribeConfigsRequest::default()
        };
        let what = format!("{} cannot be read", resource.what());
        let response = self.broker_of(resource).await?.call(&request).await?;
        let result = response.results.into_iter().find(|result| result.resource_name == name);
        let result = result.ok_or_else(|| no_answer(&what))?;
        ErrorCode(result.error_code)
            .ok()
            .map_err(|code| RequestError::refused(&what, code, result.error_message.as_deref()))?;
        let mut configs: Vec<_> = result.configs.into_iter().map(described).collect();
        configs.sort_by(|left: &ConfigDescription, right| left.name.cmp(&right.name));
        Ok(configs)
    }

    /// Changes settings of a topic or a broker, all of them or none. With `validate_only` the
    /// cluster only says whether it would.
    ///
    /// # Errors
    /// When there is no such topic or broker, a name or a value is not valid, or no answer comes.
    pub async fn alter_configs(
        &mut self,
        resource: &ConfigResource,
        changes: &[(String, ConfigChange)],
        validate_only: bool,
    ) -> Result<(), RequestError> {
        let name = resource.name();
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.code(),
                resource_name: name.clone(),
                configs: changes.iter().map(|(name, change)| alterable(name, change)).collect(),
            }],
            validate_only,
        };
        let what = format!("{} cannot be changed", resource.what());
        let response = self.broker_of(resource).await?.call(&request).await?;
        let result = response.responses.into_iter().find(|result| result.resource_name == name);
        let result = result.ok_or_else(|| no_answer(&what))?;
        ErrorCode(result.error_code)
            .ok()
            .map_err(|code| RequestError::refused(&what, code, result.error_message.as_deref()))
    }

    /// Settings of a broker are known to it alone; those of topics to every broker.
    async fn broker_of(&mut self, resource: &ConfigResource) -> Result<&mut Link, RequestError> {
        let ConfigResource::Broker(id) = resource else { return self.brokers.any().await };
        self.brokers.metadata(Some(&[])).await?;
        self.brokers.link(*id).await.map_err(|error| match error.kind() {
            RequestErrorKind::Unreachable => {
                RequestError::unreachable(format!("broker {id} cannot be reached: {error}"))
            }
            _ => error,
        })
    }
}

fn described(config: DescribeConfigsResourceResult) -> ConfigDescription {
    let synonyms = config.synonyms.into_iter();
    ConfigDescription {
        name: config.name,
        value: config.value,
        source: config.config_source,
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.map(|other| (other.name, other.value, other.source)).collect(),
    }
}

fn alterable(name: &str, change: &ConfigChange) -> AlterableConfig {
    let (config_operation, value) = match change {
        ConfigChange::Set(value) => (0, Some(value)),
        ConfigChange::Delete => (1, None),
        ConfigChange::Append(values) => (2, Some(values)),
        ConfigChange::Subtract(values) => (3, Some(values)),
    };
    AlterableConfig { name: name.to_owned(), config_operation, value: value.cloned() }
}
