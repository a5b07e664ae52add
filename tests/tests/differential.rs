//! The same requests to real Kafka and to the embedded broker; the answers are compared field by
//! field.

#[path = "../../crates/broker/tests/common/mod.rs"]
mod common;
#[path = "../differential/mod.rs"]
mod differential;
