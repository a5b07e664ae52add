//! The simulator: the producer's real core, a model of a Kafka cluster, and virtual time.
//!
//! One seed decides everything: settings, load, delays and faults. After the load all heals, every
//! record must have its outcome, and what was told is held against the logs ([`check`]). The model
//! knows nothing of the core's or of the embedded broker's code.
//!
//! ```
//! let plan = ottla_sim::Plan::new(7, "storm").expect("a profile");
//! let report = ottla_sim::run(&plan);
//! assert_eq!(report.violation, None);
//! ```

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod chaos;
pub mod check;
#[cfg(test)]
mod check_tests;
mod close;
mod cluster;
pub mod host;
mod load;
mod log;
mod plan;
mod rng;
mod sasl;
mod seen;
mod serve;
mod takes;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ottla_core::time::Instant;

pub use close::Close;
pub use log::RecordId;
pub use plan::{Faults, PROFILES, Plan};
pub use seen::{Counts, Seen};

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The first law that was broken, if one was.
    pub violation: Option<String>,
    /// What happened, how often.
    pub seen: Counts,
    /// A hash of everything that happened: the same for the same plan.
    pub trace: u64,
    /// How long it was, in the world's time.
    pub virtual_time: Duration,
    /// Records that were accepted.
    pub records: usize,
    /// How many things happened.
    pub steps: u64,
}

/// Runs a plan.
#[must_use]
pub fn run(plan: &Plan) -> Report {
    run_told(plan, false)
}

/// As [`run`]; prints what happens if `told`.
#[must_use]
pub fn run_told(plan: &Plan, told: bool) -> Report {
    let mut world = match world::World::new(plan.clone(), told) {
        Ok(world) => world,
        Err(why) => {
            return Report {
                violation: Some(format!("the plan makes no producer: {why}")),
                seen: Counts::default(),
                trace: 0,
                virtual_time: Duration::ZERO,
                records: 0,
                steps: 0,
            };
        }
    };
    let begin = world.now;
    let ran = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match ran {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(panic) => Some(format!("a panic: {}", words(&*panic))),
    };
    let retries = world.producer.stats().retries;
    for _ in 0..retries.min(1_000) {
        world.see(Seen::BatchRetried);
    }
    Report {
        violation,
        seen: world.seen.clone(),
        trace: world.trace(),
        virtual_time: world.now.saturating_since(begin),
        records: world.history.records.len(),
        steps: world.steps(),
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// A smaller plan that breaks a law as well: faults are left out one by one, then records.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    let mut best = plan.clone();
    let fails = |plan: &Plan| run(plan).violation.is_some();
    let mut again = true;
    while again {
        again = false;
        for smaller in plan::smaller(&best) {
            if fails(&smaller) {
                best = smaller;
                again = true;
                break;
            }
        }
    }
    best
}

/// The world's first instant, for histories made by hand.
#[must_use]
pub const fn begin() -> Instant {
    Instant::from_millis(1_000)
}
