//! The threads that send, each its share of the records, at the pace that was asked for.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ottla::{Producer, Record, Topic, TrySendError};

use super::payload::Payloads;
use super::stats::Stats;
use crate::pace::Pace;

/// What the threads share.
pub(crate) struct Load {
    pub(crate) producer: Producer,
    pub(crate) topic: Topic,
    pub(crate) payloads: Payloads,
    pub(crate) num_records: u64,
    pub(crate) threads: u64,
    pub(crate) keys: u64,
    /// Of all threads.
    pub(crate) pace: Pace,
    pub(crate) stats: Arc<Mutex<Stats>>,
    pub(crate) accepted: AtomicU64,
    pub(crate) stopped: AtomicBool,
}

impl Load {
    /// Sends the records that fall to a thread: one of as many as there are threads.
    pub(crate) fn send_share(&self, thread: u64) {
        let (mut value, mut key) = (String::new(), String::new());
        for number in (thread..self.num_records).step_by(self.threads as usize) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            let due = self.pace.wait(number, || self.stopped.load(Ordering::Relaxed));
            let value = self.payloads.value(number, &mut value);
            let mut record = Record::new(self.topic.name()).value(value);
            if self.keys > 0 {
                key.clear();
                let _ = write!(key, "user_{}", number % self.keys);
                record = record.key(&key);
            }
            self.send(number, due, record, value.len() as u64);
        }
    }

    fn send(&self, number: u64, due: Instant, record: Record<'_>, bytes: u64) {
        let delivery = match self.topic.try_send(record) {
            Ok(delivery) => Ok(delivery),
            Err(TrySendError::Full | TrySendError::TopicPending) => {
                self.producer.blocking().send(record).map_err(|error| error.to_string())
            }
            Err(refused) => Err(refused.to_string()),
        };
        match delivery {
            Ok(delivery) => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                let (stats, start) = (Arc::clone(&self.stats), self.pace.start);
                delivery.on_delivery(move |outcome| {
                    let now = Instant::now();
                    let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
                    match outcome {
                        Ok(_) => stats.delivered(number, now - start, now - due, bytes),
                        Err(error) => stats.failed(&error),
                    }
                });
            }
            Err(error) => {
                self.stats.lock().unwrap_or_else(PoisonError::into_inner).refused(error);
            }
        }
    }
}
