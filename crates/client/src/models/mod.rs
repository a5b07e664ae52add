//! Models: the real code of this crate, with a checker that decides at each operation of a lock or
//! an atomic who goes on. Run by `cargo xtask models`.
//!
//! Each model also has a known bug switched on, and has to find it.

mod parts;
mod whole;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ottla_core::time::Instant;
use shuttle::rand::Rng;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

use crate::net;
use crate::sync::Bug;

/// The broker of the models.
pub(crate) const SERVER: &str = "model:9092";
/// Its topic.
pub(crate) const TOPIC: &str = "t";
pub(crate) const PARTITIONS: i32 = 2;

// Of the checker's own thread, on which all threads of a model take turns.
thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    static NOW: Cell<u64> = const { Cell::new(0) };
    static BEGUN: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn is_on(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Virtual time: each look takes a moment.
pub(crate) fn now() -> Instant {
    NOW.set(NOW.get() + 1000);
    Instant::from_nanos(NOW.get())
}

pub(crate) fn pass_until(until: Instant) {
    NOW.set(NOW.get().max(until.as_nanos()));
}

/// True once in so many times, by the checker's chance.
pub(crate) fn perhaps(once_in: u32) -> bool {
    shuttle::rand::thread_rng().gen_range(0..once_in) == 0
}

/// How the next to go on is chosen.
#[derive(Clone, Copy)]
enum Chosen {
    /// Any of those that can.
    ByChance,
    /// The same for long, with a few changes at bad moments. Not where somebody asks in a loop.
    Stubbornly,
}

/// The number in this variable.
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Runs a model under as many schedules as `OTTLA_SCHEDULES` says, or `OTTLA_SEED` again.
fn holds(chosen: Chosen, share: u64, model: fn()) {
    let schedules = variable("OTTLA_SCHEDULES").unwrap_or(1000) * share;
    let seed = variable("OTTLA_SEED").unwrap_or(1);
    println!("{schedules} schedules from seed {seed}");
    run(chosen, seed, schedules, model);
}

/// Switches a bug on, and says after how many schedules the model found it.
fn finds(bug: Bug, chosen: Chosen, model: fn()) {
    const MOST: u64 = 50_000;
    ON.set(Some(bug));
    BEGUN.set(0);
    let found = catch_unwind(AssertUnwindSafe(|| run(chosen, 1, MOST, model))).is_err();
    ON.set(None);
    assert!(found, "{bug:?} is not found in {MOST} schedules");
    println!("{bug:?} is found by schedule {}", BEGUN.get());
}

fn run(chosen: Chosen, seed: u64, schedules: u64, model: fn()) {
    let mut config = Config::new();
    // The orderings of atomics are not modelled: it would say so for each.
    config.silence_warnings = true;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(200_000);
    let schedules = schedules as usize;
    let scheduler: Box<dyn Scheduler + Send> = match chosen {
        Chosen::ByChance => Box::new(RandomScheduler::new_from_seed(seed, schedules)),
        Chosen::Stubbornly => Box::new(PctScheduler::new_from_seed(seed, 3, schedules)),
    };
    Runner::new(scheduler, config).run(move || {
        NOW.set(0);
        BEGUN.set(BEGUN.get() + 1);
        net::forget();
        model();
    });
}

/// A handle to a runtime that nobody drives: nothing of the models needs one.
fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    let make = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    RUNTIME.get_or_init(make).handle().clone()
}
