//! Request and response over one connection, one at a time: what administration and reading need.
//!
//! The producer does not come this way. Its connections are pipelined and driven by the sans-IO
//! core; here a few questions are asked and answered, and the errors matter more than the speed:
//! each names the server, and says so when the server is not a Kafka broker at all.

mod authenticate;
mod brokers;
mod error;
mod link;
mod offsets;
mod probe;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

pub(crate) use brokers::Brokers;
pub use error::{RequestError, RequestErrorKind};
pub(crate) use link::{Link, Sent, seconds};
pub(crate) use offsets::{EARLIEST, LATEST, list_offsets};
