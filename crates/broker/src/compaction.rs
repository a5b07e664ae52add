//! Which log is compacted next, and when.
//!
//! One log of one node at a time, the dirtiest first, in steps that are short enough for everybody
//! else: all is done on one thread.

use std::time::Duration;

use ottla_protocol::Uuid;

use crate::node::State;
use crate::nodes::Nodes;
use crate::time::Now;

/// What is read of a log before others get their turn, in bytes.
const STEP_BYTES: usize = 512 * 1024;

/// How long others have between two steps.
const PAUSE: Duration = Duration::from_millis(1);

/// A replica: its node, its topic, its partition.
type Place = (i32, Uuid, i32);

/// What is being compacted.
#[derive(Debug)]
pub(crate) struct Compaction {
    /// When there is something to do, on the monotonic clock.
    next: Duration,
    present: Option<Place>,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    GoesOn,
    Done,
    /// Nothing could be done, or there was nothing to do.
    Rests,
}

impl Compaction {
    pub(crate) fn starting(next: Duration) -> Self {
        Self { next, present: None }
    }

    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// What there is to do may be another thing now.
    pub(crate) fn look_at_once(&mut self) {
        self.next = Duration::ZERO;
    }
}

impl Nodes {
    /// Goes on with the log that is being compacted, or looks for one.
    pub(crate) fn compact(&mut self, now: Now) {
        if now.monotonic < self.compaction.next {
            return;
        }
        let mut present = self.compaction.present.take();
        if present.is_none() {
            present = self.begin_dirtiest(now);
        }
        let step = present.map_or(Step::Rests, |place| self.compact_step(place, now));
        self.compaction.present = present.filter(|_| step == Step::GoesOn);
        let wait = match step {
            Step::Rests => self.cleaner_backoff().max(PAUSE),
            // Another one may be dirty, too.
            Step::Done | Step::GoesOn => PAUSE,
        };
        self.compaction.next = now.monotonic + wait;
    }

    fn compact_step(&mut self, (id, topic, partition): Place, now: Now) -> Step {
        let is_durable = self.config.is_durable;
        let is_running = self.node(id).is_some_and(|node| node.state == State::Running);
        let Some(replica) = self.replica_mut(id, topic, partition).filter(|_| is_running) else {
            return Step::Done;
        };
        match replica.log.clean_step(STEP_BYTES, is_durable, now.unix_ms) {
            Ok(true) => Step::GoesOn,
            Ok(false) => {
                if let Some(node) = self.node(id) {
                    node.write_checkpoints(&self.catalog);
                }
                Step::Done
            }
            Err(error) => {
                tracing::error!(node = id, %topic, partition, %error, "log not compacted");
                Step::Rests
            }
        }
    }

    /// The log with the greatest part that is dirty, about to be cleaned.
    fn begin_dirtiest(&mut self, now: Now) -> Option<Place> {
        let mut dirtiest = None;
        let running = self.nodes.iter_mut().filter(|node| node.state == State::Running);
        for node in running {
            for (topic, partition, replica) in node.partitions.compacted_mut() {
                let high_watermark = replica.high_watermark();
                let dirt = match replica.log.dirt(high_watermark, now.unix_ms) {
                    Ok(dirt) => dirt,
                    Err(error) => {
                        tracing::error!(node = node.id, %topic, partition, %error, "log not read");
                        None
                    }
                };
                let most = dirtiest.map_or(-1.0, |(_, ratio)| ratio);
                if let Some(dirt) = dirt.filter(|dirt| dirt.ratio > most) {
                    dirtiest = Some(((node.id, topic, partition), dirt.ratio));
                }
            }
        }
        let (place, _) = dirtiest?;
        let (id, topic, partition) = place;
        let replica = self.replica_mut(id, topic, partition)?;
        let high_watermark = replica.high_watermark();
        let dirt = replica.log.dirt(high_watermark, now.unix_ms).ok().flatten()?;
        replica.log.begin_cleaning(dirt);
        Some(place)
    }
}
