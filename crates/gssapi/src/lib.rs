//! The client's half of SASL GSSAPI (RFC 4752), which is Kerberos, by the system's own library.
//!
//! The library is looked for when it is first needed, so that programs need it neither to be built
//! nor to run: one binary serves machines with and without Kerberos. It reads the system's
//! configuration (`krb5.conf`, `KRB5_CONFIG`), takes tickets from the credential cache or gets them
//! with a keytab, and talks to the key distribution centre: a step may take seconds.
//!
//! ```no_run
//! use ottla_gssapi::{Exchange, Step};
//!
//! # fn main() -> Result<(), ottla_gssapi::GssError> {
//! let mut exchange = Exchange::begin("kafka", "broker1.example.com", None, None)?;
//! if let Step::Respond(first) = exchange.step(b"")? {
//!     // Send it; the broker's answer goes into the next step.
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod exchange;
mod library;

pub use exchange::{Exchange, Step};

/// Why there is no Kerberos, or why one side does not accept the other. A sentence with a cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GssError(String);
