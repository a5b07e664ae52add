//! Connections to brokers: which exist, how far they are, what they owe an answer to.
//!
//! ```text
//!            handle_connected          ApiVersions answered
//! Connecting ───────────────► Negotiating ──────┬────────► Ready ◄─┐
//!     │                            │        SASL │            │    │ session renewed
//!     │                            │             └► Authenticating ◄┘
//!     │                            │                          │
//!     └──────────── handle_disconnected, a bad frame, a timeout ──► gone; back-off of its target
//! ```

mod auth;
mod link;
mod links;

pub(crate) use auth::{Auth, Stage};
pub(crate) use link::{Link, LinkState, Sent, SentRequest};
pub(crate) use links::{End, Links, Reach, Target};

/// The largest answer that is read before a peer has shown that it speaks Kafka.
pub(crate) const HANDSHAKE_FRAME_MAX_BYTES: usize = 512 << 10;
