//! What all mechanisms have in common.

use core::fmt;

use crate::error::SaslError;
use crate::response::Response;

/// What a broker may send in one message, in bytes. The longest that is known to be sent, the
/// reason why a token is refused, has some hundreds.
pub const MAX_CHALLENGE_BYTES: usize = 16 << 10;

/// What is sent in one message at most, in bytes: half of what Kafka takes before it knows who
/// speaks (`sasl.server.max.receive.size`).
pub const MAX_RESPONSE_BYTES: usize = 256 << 10;

/// One exchange by which a broker learns who the client is. It serves once; another connection,
/// or another turn on the same one (KIP-368), takes another.
pub trait Mechanism: fmt::Debug + Send {
    /// The name under which brokers know the mechanism, such as `SCRAM-SHA-512`.
    fn name(&self) -> &'static str;

    /// Takes the broker's next message and says what is to be done.
    ///
    /// The first call takes no bytes and gives the first message to send. After that there is one
    /// call for each answer of the broker. SCRAM's second call takes as long as the broker's
    /// number of iterations makes it, which can be more than others that need the thread can wait.
    ///
    /// # Errors
    /// When the broker refuses, breaks the rules or cannot prove who it is. The exchange is over
    /// then, and so is the connection: each later call is an error, too.
    fn step(&mut self, challenge: &[u8]) -> Result<Step, SaslError>;

    /// What the broker said besides yes and no: why it refuses a token, or the id under which AWS
    /// keeps the exchange. Bounded, without control characters and without our token.
    fn server_words(&self) -> Option<&str> {
        None
    }
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this and come back with the answer.
    Respond(Response),
    /// Nothing: each side knows of the other what the mechanism lets it know.
    Complete,
}

/// Checks that a message of the broker is of a size to look at.
pub(crate) fn check_length(mechanism: &'static str, challenge: &[u8]) -> Result<(), SaslError> {
    if challenge.len() > MAX_CHALLENGE_BYTES {
        return Err(SaslError::TooLong { mechanism, len_bytes: challenge.len() });
    }
    Ok(())
}
