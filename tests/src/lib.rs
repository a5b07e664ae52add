//! What the black-box tests have in common: engines to test against, clients of others to read and
//! write with, servers that are no Kafka, records made by seed, and skips that are counted.

#![warn(missing_docs)]

pub mod cast;
pub mod engine;
pub mod foreign;
pub mod golden;
pub mod hostile;
pub mod java;
pub mod kcat;
pub mod listener;
pub mod log_files;
pub mod pki;
pub mod proxy;
pub mod record;
pub mod rng;
pub mod secured;
pub mod server;
pub mod skip;
pub mod sweep;
pub mod token_endpoint;
pub mod tools;
pub mod wait;

pub use engine::Engine;
pub use record::{Made, Seen};
pub use rng::Rng;
pub use wait::{run, until};

/// The engine of this test binary; without it the test is a counted skip and ends here.
// Each engine's test binary has a function `engine` of its own at its root: that one is meant.
#[allow(clippy::crate_in_macro_def)]
#[macro_export]
macro_rules! engine {
    () => {
        match crate::engine() {
            Ok(engine) => engine,
            Err(why) => {
                $crate::skip::skip(&why);
                return;
            }
        }
    };
}

/// What a `Result<T, String>` holds; an error is a counted skip and ends the test here.
#[macro_export]
macro_rules! needs {
    ($thing:expr) => {
        match $thing {
            Ok(thing) => thing,
            Err(why) => {
                $crate::skip::skip(&why);
                return;
            }
        }
    };
}
