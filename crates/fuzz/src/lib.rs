//! Fuzz targets: functions that take any bytes and panic when a promise does not hold.
//!
//! They are run in three ways: `cargo test -p ottla-fuzz` replays the corpus and a few thousand
//! seeded mutations of it, `cargo xtask fuzz` goes on for as long as it is told, and
//! `cargo xtask fuzz --coverage` hands them to libFuzzer, which keeps what reaches new code.

#![warn(missing_docs)]

#[path = "../../protocol/tests/support/list.rs"]
#[macro_use]
mod list;
#[path = "../../protocol/tests/support/schemas.rs"]
mod schemas;
#[path = "../../protocol/tests/support/walk.rs"]
#[allow(dead_code, reason = "shared with the tests of the messages")]
mod walk;

mod batch;
mod codecs;
mod corpus;
mod frames;
mod memory;
mod messages;
mod mutate;
mod operations;
mod recovery;
mod sasl;
mod scripted;
mod settings;
mod source;
mod world;

pub use corpus::{corpus, pack, unpack};
pub use mutate::Mutator;

/// Something that takes bytes from outside.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also that of its file of inputs.
    pub name: &'static str,
    /// Does it; panics when a promise does not hold.
    pub run: fn(&[u8]),
    /// Inputs to begin with, made by our own encoders.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many mutations a test of a second or so tries.
    pub in_a_test: u32,
}

/// All targets.
pub const TARGETS: [Target; 11] = [
    Target { name: "frames", run: frames::run, seeds: frames::seeds, in_a_test: 4000 },
    Target { name: "messages", run: messages::run, seeds: messages::seeds, in_a_test: 10_000 },
    Target { name: "batch", run: batch::run, seeds: batch::seeds, in_a_test: 10_000 },
    Target { name: "gzip", run: codecs::gzip, seeds: codecs::gzip_seeds, in_a_test: 3000 },
    Target { name: "snappy", run: codecs::snappy, seeds: codecs::snappy_seeds, in_a_test: 3000 },
    Target { name: "lz4", run: codecs::lz4, seeds: codecs::lz4_seeds, in_a_test: 3000 },
    Target { name: "zstd", run: codecs::zstd, seeds: codecs::zstd_seeds, in_a_test: 3000 },
    Target { name: "settings", run: settings::run, seeds: settings::seeds, in_a_test: 5000 },
    Target { name: "sasl", run: sasl::run, seeds: sasl::seeds, in_a_test: 2000 },
    Target { name: "recovery", run: recovery::run, seeds: recovery::seeds, in_a_test: 100 },
    Target { name: "operations", run: operations::run, seeds: operations::seeds, in_a_test: 500 },
];

/// A target by its name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
