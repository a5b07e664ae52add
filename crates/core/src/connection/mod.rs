//! Connections to brokers: which exist, how far they are, what they owe an answer to.
//!
//! ```text
//!            handle_connected          ApiVersions answered
//! Connecting ───────────────► Negotiating ───────────────► Ready
//!     │                            │                          │
//!     └──────────── handle_disconnected, a bad frame, a timeout ──► gone; back-off of its target
//! ```

mod link;
mod links;

pub(crate) use link::{Link, LinkState, Sent, SentRequest};
pub(crate) use links::{Links, Reach, Target};

/// The largest answer that is read before a peer has shown that it speaks Kafka.
pub(crate) const HANDSHAKE_FRAME_MAX_BYTES: usize = 512 << 10;
