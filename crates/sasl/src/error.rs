//! Why an exchange cannot begin or ends badly.

use alloc::string::String;

use crate::mechanism::MAX_CHALLENGE_BYTES;
use crate::scram::{MAX_ITERATIONS, MIN_ITERATIONS};

/// What went wrong. No secret is in it: of a setting that is refused it tells the name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaslError {
    /// A setting cannot be sent as it is. Nothing was sent.
    #[error("{setting} {problem}")]
    Setting {
        /// The setting, such as `sasl.username`.
        setting: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A message of the broker is longer than any honest one.
    #[error(
        "the broker's {mechanism} message has {len_bytes} bytes, more than the \
         {MAX_CHALLENGE_BYTES} that are taken"
    )]
    TooLong {
        /// The mechanism.
        mechanism: &'static str,
        /// The message's length in bytes.
        len_bytes: usize,
    },
    /// A message of the broker does not follow the rules of the mechanism.
    #[error("the broker's {mechanism} message is malformed: {problem}")]
    Malformed {
        /// The mechanism.
        mechanism: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The broker sends something where nothing is due, or goes on when all is over.
    #[error("the broker sent a {mechanism} message where none was due")]
    Unexpected {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// So few iterations would give the password away to who listens, so many would stop us.
    #[error(
        "the broker asks for `{asked}` iterations of {mechanism}, and {MIN_ITERATIONS} to \
         {MAX_ITERATIONS} are taken: give the user a new password with `iterations` in that range"
    )]
    Iterations {
        /// The mechanism.
        mechanism: &'static str,
        /// What the broker asked for, as it stood there.
        asked: String,
    },
    /// The broker's nonce does not go on from ours: this answer was meant for another exchange.
    #[error("the broker's {mechanism} nonce does not continue ours: its answer is not to us")]
    Nonce {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// The broker does not know the password. Another server may stand in its place.
    #[error(
        "the broker could not prove by {mechanism} that it knows the password of sasl.username: \
         check bootstrap.servers, this may be another server in its place"
    )]
    Signature {
        /// The mechanism.
        mechanism: &'static str,
    },
    /// The broker says no.
    #[error("the broker refuses {mechanism}: {words}")]
    Refused {
        /// The mechanism.
        mechanism: &'static str,
        /// The broker's words, bounded and without control characters.
        words: String,
    },
}
