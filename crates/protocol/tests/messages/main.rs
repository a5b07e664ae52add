//! Every message in every version: round trips, agreement with another implementation, and bad
//! input.

#[path = "../support/list.rs"]
#[macro_use]
mod list;
#[path = "../support/source.rs"]
mod source;
#[path = "../support/values.rs"]
mod values;

mod differential;
mod garbage;
mod headers;
mod roundtrip;
mod versions;
