//! Who may come in, and what they may do: TLS, SASL and rules of access.
//!
//! Nothing in here is shared with the client's half of the mechanisms: each is written from the
//! RFCs and from what Kafka does, so that one can show the other's mistakes. Of sockets only the
//! configuration of TLS is here; the door does the rest.

pub(crate) mod acl;
pub(crate) mod bindings;
pub(crate) mod control;
mod distinguished_name;
mod listener;
mod oauth;
mod plain;
mod sasl;
pub(crate) mod scram;
pub(crate) mod scram_journal;
pub(crate) mod session;
pub(crate) mod tls;
mod token;
pub(crate) mod users;

pub use acl::{Acl, NotARule, Operation};
pub use listener::{Listener, SecurityProtocol};
pub use sasl::{Mechanism, Sasl, UnknownMechanism};
pub use tls::Tls;
pub use token::Tokens;

use std::sync::Arc;

/// Whoever has not said who it is.
pub(crate) const ANONYMOUS: &str = "User:ANONYMOUS";

/// The name of whoever shows this certificate, in DER.
pub(crate) fn certificate_name(certificate: &[u8]) -> Option<String> {
    distinguished_name::subject_of(certificate)
}

/// The principal of a user, as Kafka writes it.
pub(crate) fn principal_of(name: &str) -> Arc<str> {
    format!("User:{name}").into()
}
