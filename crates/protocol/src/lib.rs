//! Kafka's wire protocol: bytes to typed messages and record batches, and back.
//!
//! - [`messages`]: requests and responses, generated from the schemas that Kafka's client library
//!   carries, one module for each API.
//! - [`record`]: record batches, version 2, written by hand because all the speed is there.
//! - [`frame`]: cutting a stream into frames, and saying so when the peer speaks something else.
//! - [`encode_request`], [`decode_response`] and their counterparts for brokers put headers
//!   round bodies.
//!
//! What a peer says about lengths is checked against the bytes that are there before anything
//! is allocated, and nothing a peer sends can cause a panic. No input or output happens here and
//! no clock is read.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod api_key;
mod error;
mod error_code;
pub mod frame;
mod header;
mod message;
pub mod messages;
mod reader;
pub mod record;
mod uuid;
mod version;
pub mod write;

pub use api_key::ApiKey;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use error_code::ErrorCode;
pub use header::{
    LENGTH_PREFIX_SIZE, RequestHeader, correlation_id, decode_response, encode_request,
    encode_request_header, encode_response, response_header_is_flexible,
};
pub use message::{Message, Request};
pub use reader::Reader;
pub use uuid::Uuid;
pub use version::VersionRange;
