//! What experiments have in common: their cluster, their producers, and an end that may come early.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ottla::{Producer, Record};
use ottla_broker::{Cluster, ClusterBuilder, NodeError};
use tokio::runtime::Handle;

use crate::args::lab::LabPlan;
use crate::embedded::cannot_start;
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

/// The topic of every experiment.
pub(super) const TOPIC: &str = "lab";

/// How long one wait takes before it looks whether an end is wanted.
const SLICE: Duration = Duration::from_millis(20);
/// What takes longer than this will not come. Records have an outcome by then.
const PATIENCE: Duration = Duration::from_secs(150);

/// Settings of all producers here: a retry comes soon, so that an experiment is soon over.
const COMMON: [(&str, &str); 6] = [
    ("client.id", "ottla-lab"),
    ("durability.warnings", "false"),
    ("retry.backoff.ms", "10"),
    ("retry.backoff.max.ms", "50"),
    ("reconnect.backoff.ms", "10"),
    ("reconnect.backoff.max.ms", "50"),
];

/// The settings of all producers here, in words.
pub(super) fn common_settings() -> String {
    COMMON.map(|(name, value)| format!("{name}={value}")).join(", ")
}

/// Why an experiment has no result.
#[derive(Debug)]
pub(super) enum Ended {
    /// The user wants an end.
    Interrupted,
    /// It cannot go on.
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<NodeError> for Ended {
    fn from(error: NodeError) -> Self {
        broken(format!("a node of the cluster: {error}"))
    }
}

/// Something went wrong that is no matter of usage.
pub(super) fn broken(cause: impl Into<String>) -> Ended {
    Ended::Failed(Failure::new(Exit::SomeFailed, cause))
}

/// What an experiment is given.
#[derive(Debug)]
pub(super) struct Lab {
    /// How many records each run sends.
    pub(super) records: u64,
    pub(super) seed: u64,
    pub(super) talk: Talk,
    /// Drives the reader.
    pub(super) handle: Handle,
    bar: Option<ProgressBar>,
    stopped: AtomicBool,
}

impl Lab {
    /// Made on the runtime that its readers will use. There will be so many steps in all.
    pub(super) fn new(plan: &LabPlan, steps: u64, talk: &Talk) -> Self {
        let bar = (talk.is_terminal() && !talk.is_quiet()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            talk.speak_above(bar.clone());
            bar
        });
        let (handle, stopped) = (Handle::current(), AtomicBool::new(false));
        Self { records: plan.records, seed: plan.seed, talk: talk.clone(), handle, bar, stopped }
    }

    /// Has the experiment end as soon as it looks.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether to go on.
    pub(super) fn go_on(&self) -> Result<(), Ended> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Ended::Interrupted),
            false => Ok(()),
        }
    }

    /// What is being done now.
    pub(super) fn begin(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
        self.talk.detail(what);
    }

    /// A step is done: a record is sent.
    pub(super) fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Writes where a bar may be in the way.
    pub(super) fn beside_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Starts a cluster, in a folder that goes with it, and waits until it is whole.
    pub(super) fn cluster(&self, builder: ClusterBuilder) -> Result<Cluster, Ended> {
        self.go_on()?;
        let log = usize::try_from(self.records).unwrap_or(usize::MAX).saturating_mul(4);
        let builder = builder.seed(self.seed).auto_create_topics(false).request_log(log);
        let cluster = builder.start().map_err(|error| cannot_start(&error))?;
        self.wait_for("all replicas are in sync", |slice| cluster.wait_until_in_sync(slice))?;
        Ok(cluster)
    }

    /// A producer that knows the topic already, so that the first record is like all others.
    pub(super) fn producer(
        &self,
        cluster: &Cluster,
        settings: &[(&str, &str)],
    ) -> Result<Sender, Ended> {
        let servers = cluster.bootstrap_servers();
        let all = COMMON.iter().chain(settings).copied();
        let producer = Producer::from_properties(all.chain([("bootstrap.servers", &*servers)]))
            .map_err(|error| Failure::usage(error.to_string()))?;
        let sender = Sender { producer };
        let known = sender.producer.blocking().partitions(TOPIC);
        known.map_err(|error| broken(error.to_string()))?;
        Ok(sender)
    }

    /// Waits in slices until something is so.
    pub(super) fn wait_for(
        &self,
        what: &str,
        mut is_so: impl FnMut(Duration) -> bool,
    ) -> Result<(), Ended> {
        let begin = Instant::now();
        while !is_so(SLICE) {
            self.go_on()?;
            if begin.elapsed() > PATIENCE {
                return Err(broken(format!("gave up waiting until {what}")));
            }
        }
        Ok(())
    }

    /// A source of numbers that are the same for the same seed.
    pub(super) fn rng(&self) -> Rng {
        Rng(self.seed)
    }
}

/// A producer of an experiment. What is pending when it is dropped is given up: the experiment has
/// ended early.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) producer: Producer,
}

impl Sender {
    /// Waits until every record has its outcome.
    pub(super) fn settle(&self, lab: &Lab) -> Result<(), Ended> {
        let producer = self.producer.blocking();
        lab.wait_for("records have an outcome", |slice| producer.flush(slice).is_ok())
    }

    /// Sends without looking at what becomes of it.
    pub(super) fn send(&self, record: Record<'_>) -> Result<(), Ended> {
        let sent = self.producer.blocking().send(record);
        sent.map(drop).map_err(|error| broken(error.to_string()))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.producer.blocking().close(Duration::ZERO);
    }
}

/// Numbers from a seed (SplitMix64): nothing here needs better ones.
#[derive(Debug, Clone)]
pub(super) struct Rng(u64);

impl Rng {
    /// From a seed of its own.
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` to `most`.
    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most.saturating_sub(least)) + 1;
        least + (self.next() % span) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_their_bounds() {
        let (mut one, mut other) = (Rng(7), Rng(7));
        let mut seen = [false; 3];
        for _ in 0..100 {
            let number = one.between(4, 6);
            assert_eq!(number, other.between(4, 6));
            seen[number as usize - 4] = true;
        }
        assert_eq!(seen, [true; 3]);
    }
}
