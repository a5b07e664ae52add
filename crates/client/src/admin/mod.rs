//! Topics: creating, listing, describing, changing and deleting them; the settings of topics and
//! brokers; what a server is, and what this client may do.
//!
//! ```no_run
//! use std::time::Duration;
//! use ottla::admin::{Admin, NewTopic};
//!
//! # async fn run() -> Result<(), ottla::admin::RequestError> {
//! let mut admin = Admin::connect("127.0.0.1:9092", Duration::from_secs(10)).await?;
//! admin.create_topic(&NewTopic::new("user-events").partitions(6)).await?;
//! for topic in admin.list_topics().await? {
//!     println!("{} has {} partitions", topic.name, topic.partition_count);
//! }
//! # Ok(())
//! # }
//! ```

mod cluster;
mod configs;
mod describe;
mod operations;
mod probe;
mod topics;

use std::time::Duration;

pub use crate::wire::{RequestError, RequestErrorKind};
pub use cluster::{BrokerDescription, ClusterDescription, PartitionState, TopicState};
pub use configs::{ConfigChange, ConfigDescription, ConfigResource};
pub use describe::{ConfigEntry, PartitionDescription, TopicDescription};
pub(crate) use operations::METADATA_TELLS_FROM;
pub use operations::{Operation, Operations};
pub use probe::{AddressReport, BrokerVersions, ProbeStep, ServerReport, SessionReport, probe};
pub use topics::{CreatedTopic, NewTopic, TopicListing};

use crate::security::Security;
use crate::wire::Brokers;

/// Asks a cluster about its topics and changes them. It needs a tokio runtime with I/O and time.
///
/// One request is under way at a time; a connection that breaks is made anew when it is next
/// needed.
#[derive(Debug)]
pub struct Admin {
    brokers: Brokers,
}

impl Admin {
    /// Connects to a cluster through any of its servers, given as `host:port[,host:port…]`.
    ///
    /// Servers that refuse or keep silent are tried again until `timeout` has passed. `timeout`
    /// also holds for each later request.
    ///
    /// # Errors
    /// [`RequestErrorKind::Unreachable`] when time is up, and at once
    /// [`RequestErrorKind::WrongService`] when something else than Kafka answers.
    pub async fn connect(bootstrap: &str, timeout: Duration) -> Result<Self, RequestError> {
        Self::connect_with(bootstrap, &Security::default(), timeout, |_| ()).await
    }

    /// As [`Admin::connect`], by TLS and SASL as `security` has it; `on_retry` hears why each round
    /// over the servers failed.
    ///
    /// # Errors
    /// As [`Admin::connect`]; [`RequestErrorKind::Authentication`] at once when a server and this
    /// client do not accept each other.
    pub async fn connect_with(
        bootstrap: &str,
        security: &Security,
        timeout: Duration,
        on_retry: impl FnMut(&RequestError),
    ) -> Result<Self, RequestError> {
        Ok(Self { brokers: Brokers::connect(bootstrap, security, timeout, on_retry).await? })
    }

    /// Makes sure that at least one broker can be reached under the address that the cluster gives
    /// to clients, which may be another than the one connected to.
    ///
    /// # Errors
    /// When none can be reached.
    pub async fn reach_brokers(&mut self) -> Result<(), RequestError> {
        self.brokers.reach_one().await
    }

    /// The server that answered, as it was named.
    #[must_use]
    pub fn server(&self) -> &str {
        self.brokers.server()
    }
}
