//! What has settings, and what the APIs that change settings have in common.

use ottla_protocol::ErrorCode;

use crate::broker_settings;
use crate::catalog;
use crate::client_metrics;
use crate::dynamic_settings::{self, ALL_BROKERS};
use crate::group_settings;
use crate::nodes::Nodes;
use crate::peers::Call;
use crate::resource_settings::Owner;
use crate::security::Operation;
use crate::security::acl::On;
use crate::time::Now;
use crate::topic_config::{self, Kind, Overrides};
use crate::topics::TopicError;

/// What has settings, with Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    pub(super) const ALL: [Self; 5] =
        [Self::Topic, Self::Broker, Self::BrokerLogger, Self::ClientMetrics, Self::Group];

    pub(super) fn of(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as i8 == number)
    }

    /// Says why a client may not do something with the settings of one of this type.
    pub(super) fn check_may(
        self,
        nodes: &Nodes,
        call: &Call,
        operation: Operation,
        name: &str,
    ) -> Result<(), ErrorCode> {
        let (thing, code) = match self {
            Self::Topic => (On::Topic(name), ErrorCode::TOPIC_AUTHORIZATION_FAILED),
            Self::Group => (On::Group(name), ErrorCode::GROUP_AUTHORIZATION_FAILED),
            Self::Broker | Self::BrokerLogger | Self::ClientMetrics => {
                (On::Cluster, ErrorCode::CLUSTER_AUTHORIZATION_FAILED)
            }
        };
        if nodes.allows(call, operation, thing) { Ok(()) } else { Err(code) }
    }
}

/// Something that settings can be given to, by somebody who may do so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Topic(&'a str),
    Other(Owner, &'a str),
}

/// A request that cannot be meant so.
pub(super) fn invalid_request(message: impl Into<String>) -> TopicError {
    TopicError::new(ErrorCode::INVALID_REQUEST, message)
}

/// Finds what a request wants to give settings to.
pub(super) fn target<'a>(
    nodes: &Nodes,
    call: &Call,
    number: i8,
    name: &'a str,
) -> Result<Target<'a>, TopicError> {
    let Some(resource_type) = ResourceType::of(number) else {
        return Err(invalid_request(format!("nothing of type {number} has settings")));
    };
    resource_type
        .check_may(nodes, call, Operation::AlterConfigs, name)
        .map_err(|code| TopicError::new(code, code.message()))?;
    match resource_type {
        ResourceType::Topic => check_topic(nodes, name).map(|()| Target::Topic(name)),
        ResourceType::Broker if name == ALL_BROKERS => Ok(Target::Other(Owner::Broker, name)),
        ResourceType::Broker => {
            check_broker(nodes, name).map(|()| Target::Other(Owner::Broker, name))
        }
        ResourceType::BrokerLogger => {
            check_broker(nodes, name)?;
            let message = "this broker has no loggers whose levels could change";
            Err(TopicError::new(ErrorCode::INVALID_CONFIG, message))
        }
        ResourceType::ClientMetrics if name.is_empty() => {
            Err(invalid_request("a subscription of client metrics has a name"))
        }
        ResourceType::ClientMetrics => Ok(Target::Other(Owner::ClientMetrics, name)),
        ResourceType::Group if name.is_empty() => {
            Err(invalid_request("the settings of all groups cannot be changed"))
        }
        ResourceType::Group => Ok(Target::Other(Owner::Group, name)),
    }
}

fn check_topic(nodes: &Nodes, name: &str) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(invalid_request("the settings of all topics cannot be changed"));
    }
    if let Err(reason) = catalog::check_name(name) {
        return Err(TopicError::new(ErrorCode::INVALID_TOPIC_EXCEPTION, reason));
    }
    match nodes.catalog.by_name(name) {
        Some(_) => Ok(()),
        None => {
            let message = format!("there is no topic {name}");
            Err(TopicError::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message))
        }
    }
}

fn check_broker(nodes: &Nodes, name: &str) -> Result<(), TopicError> {
    match is_broker(nodes, name) {
        true => Ok(()),
        false => Err(invalid_request(format!("there is no broker {name:?}"))),
    }
}

/// Whether there is a node with this id, written as ids are.
pub(super) fn is_broker(nodes: &Nodes, name: &str) -> bool {
    nodes.node_ids().into_iter().any(|id| id.to_string() == name)
}

impl Target<'_> {
    /// What it has of its own.
    pub(super) fn present(self, nodes: &Nodes) -> Overrides {
        let present = match self {
            Self::Topic(name) => nodes.catalog.by_name(name).map(|topic| &topic.overrides),
            Self::Other(owner, name) => nodes.settings.of(owner, name),
        };
        present.cloned().unwrap_or_default()
    }

    /// Whether a setting is a list that can be added to, and what it is when nobody says anything.
    /// `None`: there is no such setting.
    pub(super) fn setting(self, name: &str) -> Option<(bool, &'static str)> {
        let of_topic = |name: &str| topic_config::find(name).map(|it| (it.kind, it.default));
        let (kind, default) = match self {
            Self::Topic(_) => of_topic(name)?,
            Self::Other(Owner::Broker, _) => {
                let setting = broker_settings::find(name)?;
                setting.change.of_topics().and_then(of_topic).unwrap_or((setting.kind, ""))
            }
            // No group has lists, and those of subscriptions are only given whole, as in Kafka.
            Self::Other(Owner::ClientMetrics | Owner::Group, _) => (Kind::String, ""),
        };
        Some((kind == Kind::List, default))
    }

    /// Gives it these settings instead of those that it has, after checking them.
    pub(super) fn give(
        self,
        nodes: &mut Nodes,
        settings: Overrides,
        validate_only: bool,
        now: Now,
    ) -> Result<(), TopicError> {
        let wrong = |reason| TopicError::new(ErrorCode::INVALID_CONFIG, reason);
        let coded = |(code, reason)| TopicError::new(code, reason);
        match self {
            Self::Topic(_) => topic_config::check(&settings).map_err(wrong),
            Self::Other(Owner::Broker, name) => {
                dynamic_settings::check(name, &settings).map_err(coded)
            }
            Self::Other(Owner::ClientMetrics, _) => client_metrics::check(&settings).map_err(coded),
            Self::Other(Owner::Group, _) => {
                group_settings::check(&settings, &nodes.config).map_err(wrong)
            }
        }?;
        match self {
            _ if validate_only => Ok(()),
            Self::Topic(name) => {
                nodes.configure_topic(name, settings)?;
                // One that may lead now need not wait.
                nodes.look_again_soon(now);
                Ok(())
            }
            Self::Other(owner, name) => {
                nodes.settings.set(owner, name, settings).map_err(|error| {
                    tracing::error!(%error, ?owner, name, "settings not written down");
                    TopicError::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string())
                })?;
                if owner == Owner::Broker {
                    nodes.configure_logs(None);
                    nodes.look_again_soon(now);
                }
                Ok(())
            }
        }
    }
}
