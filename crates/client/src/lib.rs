//! A producer for Apache Kafka: fast, idempotent by default, and exact about what became of every
//! record.
//!
//! ```no_run
//! use std::time::Duration;
//! use ottla::{Producer, Record};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let producer = Producer::from_properties([("bootstrap.servers", "localhost:9092")])?;
//! let record = Record::new("user-events").key("amara-1000").value("signed_in");
//! let delivery = producer.send(record).await?;
//! println!("at offset {:?}", delivery.await?.offset);
//! producer.close(Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! | | `acks=0` | `acks=1` | `acks=all`, idempotent (the default) |
//! |---|---|---|---|
//! | lost after success? | may be | if the leader dies before replication | never, while `min.insync.replicas` holds |
//! | duplicated? | no | on a retry | never, within the producer's life |
//! | order within a partition | kept | kept | kept, with 5 requests in flight |
//!
//! Every record that `send` accepts gets exactly one outcome: delivered, *not persisted* (sending
//! it again cannot duplicate it) or *maybe persisted* (it was sent and no definite answer came).
//! See [`ProduceError::outcome`].
//!
//! # How it works
//!
//! `send` encodes the record once, straight into its partition's open batch, and hands back a
//! [`Delivery`]: a future that may be awaited, waited for by a thread, or dropped. One I/O thread
//! that belongs to the producer closes, compresses and sends batches, so the futures run on any
//! executor or none. Clones of [`Producer`] share one pipeline.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

pub mod admin;
#[cfg_attr(all(test, ottla_model), path = "models/alarm.rs")]
mod alarm;
mod append;
mod batch;
mod blocking;
mod builder;
mod callbacks;
mod cell;
mod clock;
mod compression;
mod delivery;
mod driver;
mod durability;
mod error;
mod executor;
mod flush;
mod line;
mod mailbox;
mod memory;
mod metrics;
#[cfg(all(test, ottla_model))]
mod models;
pub mod net;
mod producer;
pub mod reader;
mod security;
mod serializer;
mod share;
mod shared;
mod sync;
mod table;
#[cfg_attr(all(test, ottla_model), path = "models/timers.rs")]
mod timers;
#[cfg(feature = "tls")]
mod tls;
mod topic;
mod typed;
mod wire;

pub use batch::{Batch, Settled};
pub use blocking::BlockingProducer;
pub use builder::{ProducerBuilder, ServerEvent};
pub use delivery::{Delivery, RecordMetadata};
pub use error::{FlushError, ProduceError, SendError, TrySendError};
pub use flush::CloseReport;
pub use metrics::Metrics;
pub use ottla_core::config::{self, Acks, ConfigError, ProducerConfig};
pub use ottla_core::error::{ErrorKind, Outcome};
pub use ottla_core::output::Trouble;
pub use ottla_core::partitioner::PartitionerKind;
pub use ottla_core::record::{Header, Record};
pub use ottla_protocol::ErrorCode;
pub use ottla_protocol::record::CompressionType;
pub use producer::{PartitionInfo, Producer};
pub use security::{OauthToken, Security, SecurityBuilder};
#[cfg(feature = "json")]
pub use serializer::Json;
pub use serializer::{BigEndian, Raw, SerializeError, Serializer, Utf8};
#[cfg(feature = "tls")]
pub use tls::{Certificate, TlsSession};
pub use topic::{Partitioner, Topic};
pub use typed::TypedProducer;

/// The examples of the project's README, so that they are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
