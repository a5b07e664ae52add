//! The heart of the Ottla producer: a state machine that decides everything and does nothing.
//!
//! [`Producer`] takes what happened and gives back what to do. It has no sockets, no clock, no
//! threads and no locks; time, randomness and bytes are arguments. Its methods are of four kinds:
//!
//! 1. getters, such as [`Producer::poll_timeout`] and [`Producer::stats`];
//! 2. `handle_*`: something happened in the world (bytes came, a connection ended, time passed);
//! 3. verbs: the application wants something (`want_topic`, `note`, `flush`, `abort`);
//! 4. `poll_*`: what the driver must do now.
//!
//! After every call of kind 2 or 3, drain: call every `poll_*` of kind 4 until each is empty. The
//! same inputs in the same order with the same seed give the same outputs, so a simulator can own
//! time and replay a run by its seed.
//!
//! Records do not pass through [`Producer`]. They are appended, encoded, to a
//! [`accumulator::PartitionQueue`] by whatever threads produce; the host guards each queue as it
//! likes and tells the core only when a queue has become worth looking at.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod accumulator;
pub mod config;
mod connection;
pub mod error;
pub mod host;
mod metadata;
pub mod mutant;
pub mod output;
pub mod partitioner;
mod producer;
pub mod record;
pub mod rng;
pub mod sasl;
mod sender;
pub mod stats;
pub mod time;
pub mod words;

#[cfg(test)]
mod tests;

pub use producer::Producer;
pub use sender::{Verdict, verdict};

/// The core's name for a partition of a topic: a small number that never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(pub u32);
