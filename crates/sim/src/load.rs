//! The program that uses the producer, and the driver between it and the network.

use std::time::Duration;

use ottla_core::PartitionKey;
use ottla_core::accumulator::{Note, Payloads, Queues};
use ottla_core::error::ErrorKind;
use ottla_core::output::{CompressToken, Event as CoreEvent, Purge};

use crate::check::Told;
use crate::host::{Door, SimHost};
use crate::plan::Plan;
use crate::rng::Chance;
use crate::seen::Seen;
use crate::serve::TOPIC;
use crate::world::{Event, World};

/// More frames at one point in time are a loop without end.
const FRAMES_AT_ONCE_MAX: u32 = 10_000;

pub(crate) struct Load {
    chance: Chance,
    left: u32,
    partitions: Vec<PartitionKey>,
    batches: usize,
    asked: bool,
    compressing: Vec<CompressToken>,
}

impl Load {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            chance: Chance::stream(plan.seed, "load"),
            left: plan.records,
            partitions: Vec::new(),
            batches: 0,
            asked: false,
            compressing: Vec::new(),
        }
    }

    /// A job is done; whether one that was begun before is not.
    pub(crate) fn compressed(&mut self, token: CompressToken) -> bool {
        let place = self.compressing.iter().position(|job| *job == token);
        if let Some(place) = place {
            self.compressing.remove(place);
        }
        place.is_some_and(|place| place > 0)
    }

    /// The program sends no more.
    pub(crate) const fn stop(&mut self) {
        self.left = 0;
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.left == 0
    }
}

impl World {
    /// The program does its next thing.
    pub(crate) fn work(&mut self) -> Result<(), String> {
        if !self.load.asked {
            self.load.asked = true;
            self.producer.want_topic(TOPIC);
        }
        if self.load.left == 0 {
            return Ok(());
        }
        if self.load.partitions.is_empty() {
            self.at(Duration::from_millis(5), Event::Work);
            return Ok(());
        }
        let burst = if self.load.chance.permille(50) { 40 } else { 1 + self.load.chance.below(4) };
        for _ in 0..burst.min(u64::from(self.load.left)) {
            self.send();
        }
        if self.plan.flushes && self.load.chance.permille(40) {
            self.see(Seen::Flushed);
            let pending = self.producer.flush(&mut self.queues, self.now);
            self.history.check_flush(&pending)?;
        }
        if self.plan.purges && self.load.chance.permille(20) {
            self.see(Seen::Purged);
            let (queued, in_flight) =
                self.load.chance.pick(&[(true, false), (false, true), (true, true)]);
            let one = [self.load.chance.pick(&self.load.partitions)];
            let partitions = self.load.chance.permille(300).then_some(&one[..]);
            let purge = Purge { queued, in_flight, partitions };
            self.producer.purge(&purge, &mut self.queues, self.now);
        }
        let pace_ms = self.plan.load_ms * 3 / u64::from(self.plan.records).max(1);
        let after = self.load.chance.millis(0, (pace_ms * 2).max(1));
        self.at(after, Event::Work);
        Ok(())
    }

    fn send(&mut self) {
        let at = self.load.chance.below(self.load.partitions.len() as u64) as usize;
        let key = self.load.partitions[at];
        let extra_bytes = self.load.chance.below(90) as usize;
        if self.accept(at, key, extra_bytes) {
            self.load.left -= 1;
        }
    }

    /// All is well again: a record of each partition is sent, and `must` be delivered.
    pub(crate) fn probe(&mut self, must: bool) -> Result<(), String> {
        let first = self.history.next_id();
        for (at, key) in self.load.partitions.clone().into_iter().enumerate() {
            if !self.accept(at, key, 0) {
                return Err("an idle producer has no memory for a record (L10)".to_owned());
            }
        }
        self.producer.flush(&mut self.queues, self.now);
        self.run_until(self.now + self.plan.delivery_timeout + Duration::from_secs(1), true)?;
        for id in first..self.history.next_id() {
            let told = self.history.told(id);
            let excused = !must
                || self.plan.acks == 0
                || self.plan.retries_are_few()
                || self.plan.is_minded(id);
            if !matches!(told, Some(Told::Persisted(_))) && !excused {
                return Err(format!(
                    "record {id} fails though all is well: {told:?} (L9, liveness)"
                ));
            }
        }
        Ok(())
    }

    /// Appends a record, if there is memory for it.
    fn accept(&mut self, at: usize, key: PartitionKey, extra_bytes: usize) -> bool {
        let id = self.history.next_id();
        let mut value = id.to_be_bytes().to_vec();
        value.resize(4 + extra_bytes, 0xaa);
        let record = Payloads { key: None, value: Some(&value), headers: &[], timestamp_ms: None };
        let mut door = Door {
            now: self.now,
            batches: &mut self.load.batches,
            memory: &self.memory,
            limit_bytes: self.plan.memory_bytes,
        };
        let appended = self.queues.with(key, |queue| queue.append(&record, &mut door));
        let is_accepted = appended.is_ok();
        let note = match appended {
            Ok(appended) => {
                let place = (appended.completion, appended.index);
                self.history.accepted(at, place, self.now);
                appended.note
            }
            // The program tries again later.
            Err(full) => full.note,
        };
        if note == Note::Tell {
            self.producer.note(key, &mut self.queues, self.now);
        }
        is_accepted
    }

    /// Does what the producer wants until it wants nothing more.
    pub(crate) fn pump(&mut self) -> Result<(), String> {
        let mut frames = 0;
        for _ in 0..10_000 {
            let mut busy = false;
            while let Some(id) = self.producer.poll_disconnect() {
                busy = true;
                self.leave(id);
            }
            while let Some(event) = self.producer.poll_event() {
                busy = true;
                self.take(event)?;
            }
            while let Some(transmit) = self.producer.poll_transmit(&mut self.queues, self.now) {
                busy = true;
                frames += 1;
                if frames > FRAMES_AT_ONCE_MAX {
                    return Err("the producer never stops sending at once".to_owned());
                }
                let frame: Vec<u8> = transmit.frame.slices().flatten().copied().collect();
                self.note(frame.len() as u64);
                self.write(transmit.connection, frame, transmit.written_token);
            }
            if self.producer.requests_in_flight() >= 5 {
                self.see(Seen::FiveInFlight);
            }
            while let Some(connect) = self.producer.poll_connect() {
                busy = true;
                self.connect(connect);
            }
            while let Some(step) = self.producer.poll_authenticate() {
                busy = true;
                self.authenticate(step);
            }
            while let Some(job) = self.producer.poll_compress() {
                busy = true;
                self.load.compressing.push(job.token);
                let after = self.network.millis(0, 4);
                self.at(after, Event::Compressed(job.token));
            }
            while let Some(job) = self.producer.poll_split() {
                busy = true;
                self.see(Seen::BatchSplit);
                let after = self.network.millis(0, 4);
                self.at(after, Event::Split(Box::new(job)));
            }
            if !busy {
                return Ok(());
            }
        }
        Err("the producer always wants something more".to_owned())
    }

    fn take(&mut self, event: CoreEvent<SimHost>) -> Result<(), String> {
        match event {
            CoreEvent::Settled { completion, records, result, .. } => {
                self.tell(|| {
                    let ids = self.history.ids(completion, records.clone());
                    format!("told of {ids:?}: {result:?}")
                });
                self.history.settled(completion, records, &result, self.now, &mut self.seen)
            }
            CoreEvent::TopicReady(view) => {
                self.tell(|| format!("the topic is {view:?}"));
                self.load.partitions = view.partitions.iter().map(|part| part.key).collect();
                Ok(())
            }
            CoreEvent::TopicFailed { topic, failure }
                if failure.kind == ErrorKind::Authentication =>
            {
                // The program tries once more, as it would after another password was set.
                self.see(Seen::RefusedEverywhere);
                self.producer.want_topic(&topic);
                Ok(())
            }
            CoreEvent::TopicFailed { failure, .. } => {
                // It was asked for once, and exists all the time.
                Err(format!("the topic was given up: {failure} (L8)"))
            }
            CoreEvent::ServerUnreachable { .. }
            | CoreEvent::TopicSettings { .. }
            | CoreEvent::ServerReachable { .. }
            | CoreEvent::Throttled { .. } => Ok(()),
        }
    }
}
