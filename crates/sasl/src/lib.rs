//! The client's half of the SASL mechanisms that Kafka brokers speak. Bytes in, bytes out.
//!
//! A [`Mechanism`] is asked for its first message and then told each answer of the broker, until
//! it says that the exchange is [complete](Step::Complete). Who calls it moves the bytes; nonces
//! and the time are arguments, so that the same calls give the same bytes.
//!
//! | Mechanism | Type | By |
//! |---|---|---|
//! | `PLAIN` | [`Plain`] | RFC 4616 |
//! | `SCRAM-SHA-256`, `SCRAM-SHA-512` | [`Scram`] | RFC 5802, RFC 7677, KIP-84; KIP-48 for delegation tokens |
//! | `OAUTHBEARER` | [`OauthBearer`] | RFC 7628, KIP-255, KIP-342 |
//! | `AWS_MSK_IAM` | [`AwsMskIam`] | AWS Signature Version 4 |
//!
//! ```
//! use ottla_sasl::{Mechanism, Plain, Step};
//!
//! let mut plain = Plain::new(None, "alice", "opensesame")?;
//! let Step::Respond(first) = plain.step(b"")? else { unreachable!() };
//! assert_eq!(&first[..], b"\0alice\0opensesame");
//! assert_eq!(plain.step(b"")?, Step::Complete);
//! # Ok::<(), ottla_sasl::SaslError>(())
//! ```
//!
//! What a broker sends is bounded before it is looked at, and cannot cause a panic. Secrets are
//! in no error and no `Debug`, and are wiped from memory when they are dropped.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod aws;
mod error;
mod hash;
mod json;
mod mechanism;
mod oauth;
mod plain;
mod prepare;
mod response;
mod scram;
mod words;

pub use aws::{AwsCredentials, AwsMskIam, region_of};
pub use error::SaslError;
pub use mechanism::{MAX_CHALLENGE_BYTES, MAX_RESPONSE_BYTES, Mechanism, Step};
pub use oauth::{
    OauthBearer, UnsecuredClaims, UnsecuredToken, unsecured_from_config, unsecured_token,
};
pub use plain::Plain;
pub use prepare::saslprep;
pub use response::Response;
pub use scram::{MAX_ITERATIONS, MIN_ITERATIONS, Scram, ScramHash};
