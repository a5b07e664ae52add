//! What this client may do with a topic or with the cluster, where the broker tells (KIP-430).

use std::fmt;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_cluster::DescribeClusterRequest;
use ottla_protocol::messages::metadata::MetadataRequest;

use super::{Admin, RequestError};

/// The first Metadata request that asks for what may be done with topics.
pub(crate) const METADATA_TELLS_FROM: i16 = 8;
/// The last one that asks for what may be done with the cluster.
const METADATA_TELLS_UNTIL: i16 = 10;
/// What a broker answers that was not asked, or does not tell.
const UNTOLD: i32 = i32::MIN;

/// Something that rules may allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Reading records.
    Read,
    /// Writing records.
    Write,
    /// Making topics.
    Create,
    /// Deleting the topic.
    Delete,
    /// Changing the topic or the cluster.
    Alter,
    /// Seeing that it is there, and where.
    Describe,
    /// What brokers do among themselves.
    ClusterAction,
    /// Seeing settings.
    DescribeConfigs,
    /// Changing settings.
    AlterConfigs,
    /// Getting a producer id; since Kafka 2.8 whoever may write to any topic may do so too.
    IdempotentWrite,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Create,
        Self::Delete,
        Self::Alter,
        Self::Describe,
        Self::ClusterAction,
        Self::DescribeConfigs,
        Self::AlterConfigs,
        Self::IdempotentWrite,
    ];

    /// Its number in Kafka's rules, which is its bit in an answer.
    const fn bit(self) -> u32 {
        match self {
            Self::Read => 3,
            Self::Write => 4,
            Self::Create => 5,
            Self::Delete => 6,
            Self::Alter => 7,
            Self::Describe => 8,
            Self::ClusterAction => 9,
            Self::DescribeConfigs => 10,
            Self::AlterConfigs => 11,
            Self::IdempotentWrite => 12,
        }
    }

    /// Kafka's name for it, such as `IdempotentWrite`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Create => "Create",
            Self::Delete => "Delete",
            Self::Alter => "Alter",
            Self::Describe => "Describe",
            Self::ClusterAction => "ClusterAction",
            Self::DescribeConfigs => "DescribeConfigs",
            Self::AlterConfigs => "AlterConfigs",
            Self::IdempotentWrite => "IdempotentWrite",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operations(i32);

impl Operations {
    /// What an answer says; `None` when it says nothing.
    pub(super) fn told(bits: i32) -> Option<Self> {
        (bits != UNTOLD).then_some(Self(bits))
    }

    /// Whether the operation is among them.
    #[must_use]
    pub fn contains(self, operation: Operation) -> bool {
        self.0 & (1 << operation.bit()) != 0
    }

    /// Those that are among them, by Kafka's number.
    pub fn iter(self) -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(move |operation| self.contains(*operation))
    }
}

impl Admin {
    /// What this client may do with the cluster; `None` when the broker does not tell: before
    /// Kafka 2.3, or where this client may not even see the cluster.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn cluster_operations(&mut self) -> Result<Option<Operations>, RequestError> {
        let link = self.brokers.any().await?;
        if link.version_up_to::<DescribeClusterRequest>(i16::MAX).is_ok() {
            let request = DescribeClusterRequest {
                include_cluster_authorized_operations: true,
                ..DescribeClusterRequest::default()
            };
            let answer = link.call(&request).await?;
            let told = Operations::told(answer.cluster_authorized_operations);
            return Ok(told.filter(|_| ErrorCode(answer.error_code).is_ok()));
        }
        let version = link.version_up_to::<MetadataRequest>(METADATA_TELLS_UNTIL)?;
        if version < METADATA_TELLS_FROM {
            return Ok(None);
        }
        let request = MetadataRequest {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: false,
            include_cluster_authorized_operations: true,
            ..MetadataRequest::default()
        };
        let sent = link.send(&request, version).await?;
        let answer = link.receive::<MetadataRequest>(sent).await?;
        Ok(Operations::told(answer.cluster_authorized_operations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_by_kafkas_numbers() {
        let told = Operations::told(1 << 4 | 1 << 8).unwrap();
        assert_eq!(told.iter().collect::<Vec<_>>(), [Operation::Write, Operation::Describe]);
        assert!(told.contains(Operation::Write) && !told.contains(Operation::Read));
    }

    #[test]
    fn what_a_broker_does_not_tell_is_not_taken_for_nothing() {
        assert_eq!(Operations::told(i32::MIN), None);
        assert_eq!(Operations::told(0).map(|none| none.iter().count()), Some(0));
    }
}
