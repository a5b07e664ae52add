//! The threads that send, each its share of the records, at the pace that was asked for.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla::{Producer, Record, Topic, TrySendError};

use super::payload::Payloads;
use super::stats::Stats;

/// A wait that is shorter is spent turning: the system's timers oversleep by about so much.
const TOO_SHORT_TO_SLEEP: Duration = Duration::from_micros(150);

/// What the threads share.
pub(crate) struct Load {
    pub(crate) producer: Producer,
    pub(crate) topic: Topic,
    pub(crate) payloads: Payloads,
    pub(crate) num_records: u64,
    pub(crate) threads: u64,
    pub(crate) keys: u64,
    /// Records per second of all threads.
    pub(crate) rate: Option<f64>,
    pub(crate) start: Instant,
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
            let due = self.wait_for_turn(number);
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
                let (stats, start) = (Arc::clone(&self.stats), self.start);
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

    /// Waits until it is the record's turn. Gives the time from which its latency counts: its turn,
    /// however late it is sent.
    fn wait_for_turn(&self, number: u64) -> Instant {
        let Some(rate) = self.rate else { return Instant::now() };
        let due = self.start + Duration::from_secs_f64(number as f64 / rate);
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() || self.stopped.load(Ordering::Relaxed) {
                return due;
            }
            if left > TOO_SHORT_TO_SLEEP {
                // In pieces, so that Ctrl-C is noticed.
                std::thread::sleep((left - TOO_SHORT_TO_SLEEP).min(Duration::from_millis(100)));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
