//! What every adapter has in common: the workload it is given, the records it sends, the pace it
//! keeps and the line it prints.
//!
//! An adapter is a program that takes one argument, a [`Workload`] as JSON, and prints one line, an
//! [`Outcome`] as JSON. Those in other languages follow the same rules by hand; `bench/README.md`
//! has them.

#![warn(missing_docs)]

mod latency;
mod measure;
mod outcome;
mod pace;
mod payload;
mod workload;

pub use latency::Latencies;
pub use measure::{Meter, Whose};
pub use outcome::{Outcome, Percentiles};
pub use pace::Pace;
pub use payload::{Item, Source};
pub use workload::Workload;
