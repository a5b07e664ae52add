//! `ottla verifiable-producer`: sends numbers, and tells of each record what became of it, in the
//! words of Kafka's tool of that name.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla::{BlockingProducer, ErrorKind, Outcome, Producer, Record};
use serde_json::{Value, json};

use super::configure::{configure, security};
use crate::args::verifiable::VerifiablePlan;
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::talk::Talk;

/// Every record has an outcome by then, whatever `delivery.timeout.ms` is.
const NO_DEADLINE: Duration = Duration::from_secs(365 * 86_400);
/// The longest sleep before another look whether an end is wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Sends the records and tells of them.
pub(crate) async fn run(plan: VerifiablePlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    configure(&plan.properties, &plan.servers, talk)?;
    security(&plan.properties, &plan.servers)?;
    let settings = plan.properties.iter().map(|p| (p.name.as_str(), p.value.as_str()));
    let settings = settings.chain([("bootstrap.servers", plan.servers.as_str())]);
    let producer =
        Producer::from_properties(settings).map_err(|error| Failure::usage(error.to_string()))?;
    let (throughput, wanted) = (plan.throughput, plan.max_messages);
    let work = Arc::new(Work {
        plan,
        producer: producer.blocking(),
        begin: Instant::now(),
        tally: Arc::default(),
    });
    tell("startup_complete", json!({}));
    let sending = Arc::clone(&work);
    let mut sending = tokio::task::spawn_blocking(move || sending.send_all());
    let mut interrupted = false;
    tokio::select! {
        _ = &mut sending => {}
        () = signals.next() => {
            interrupted = true;
            work.tally.stopped.store(true, Ordering::Relaxed);
        }
    }
    // What was accepted gets its outcome; who does not want to wait for it asks once more.
    tokio::select! {
        _ = producer.close(NO_DEADLINE) => {}
        () = signals.next() => {
            producer.close(Duration::ZERO).await;
        }
    }
    if interrupted {
        // It may have waited for memory or a topic: a closed producer lets it go.
        let _ = sending.await;
    }
    let tally = &work.tally;
    let (sent, acked) = (tally.sent(), tally.acked.load(Ordering::Relaxed));
    tell("shutdown_complete", json!({}));
    let seconds = work.begin.elapsed().as_secs_f64();
    tell(
        "tool_data",
        json!({
            "sent": sent,
            "acked": acked,
            "target_throughput": throughput,
            "avg_throughput": if seconds > 0.0 { acked as f64 / seconds } else { 0.0 },
        }),
    );
    Ok(match wanted {
        _ if acked < sent => Exit::SomeFailed,
        Some(wanted) if interrupted && sent < wanted => Exit::Interrupted,
        _ => Exit::Done,
    })
}

/// What the thread that sends and the callbacks share.
#[derive(Debug, Default)]
struct Tally {
    sent: AtomicU64,
    acked: AtomicU64,
    stopped: AtomicBool,
}

impl Tally {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

struct Work {
    plan: VerifiablePlan,
    producer: BlockingProducer,
    begin: Instant,
    tally: Arc<Tally>,
}

impl Work {
    fn send_all(&self) {
        for number in 0..self.plan.max_messages.unwrap_or(u64::MAX) {
            if !self.wait_for_turn(number) {
                return;
            }
            self.send(number);
        }
    }

    /// Waits until it is the record's turn; false when an end is wanted.
    fn wait_for_turn(&self, number: u64) -> bool {
        loop {
            if self.tally.stopped.load(Ordering::Relaxed) {
                return false;
            }
            let left = match self.plan.throughput {
                ..0 => Duration::ZERO,
                // No rate can be kept before the first record is sent.
                0 if number < 2 => Duration::ZERO,
                0 => LOOK_EVERY,
                rate => Duration::from_secs_f64(number as f64 / rate as f64)
                    .saturating_sub(self.begin.elapsed()),
            };
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn send(&self, number: u64) {
        let plan = &self.plan;
        let value = match plan.value_prefix {
            Some(prefix) => format!("{prefix}.{number}"),
            None => number.to_string(),
        };
        let key = plan.repeating_keys.map(|keys| match u64::try_from(keys) {
            Ok(keys @ 1..) => (number % keys).to_string(),
            // As Kafka's tool has it: its counter never gets to what is below one.
            _ => number.to_string(),
        });
        let mut record = Record::new(&plan.topic).value(&value);
        if let Some(key) = &key {
            record = record.key(key);
        }
        if let Some(first) = plan.create_time_ms {
            let since = i64::try_from(self.begin.elapsed().as_millis()).unwrap_or(i64::MAX);
            record = record.timestamp_ms(first.saturating_add(since));
        }
        self.tally.sent.fetch_add(1, Ordering::Relaxed);
        match self.producer.send(record) {
            Ok(delivery) => {
                let (tally, topic) = (Arc::clone(&self.tally), plan.topic.clone());
                delivery.on_delivery(move |outcome| match outcome {
                    Ok(metadata) => {
                        tally.acked.fetch_add(1, Ordering::Relaxed);
                        let offset = metadata.offset.unwrap_or(-1);
                        let heard = tell(
                            "producer_send_success",
                            json!({
                                "key": key,
                                "value": value,
                                "offset": offset,
                                "topic": topic,
                                "partition": metadata.partition,
                            }),
                        );
                        tally.stopped.fetch_or(!heard, Ordering::Relaxed);
                    }
                    Err(error) => {
                        failed(&topic, key, &value, error.kind(), error.outcome(), &error)
                    }
                });
            }
            Err(error) => {
                failed(&plan.topic, key, &value, error.kind(), error.outcome(), &error);
            }
        }
    }
}

fn failed(
    topic: &str,
    key: Option<String>,
    value: &str,
    kind: ErrorKind,
    outcome: Outcome,
    error: &dyn std::error::Error,
) {
    tell(
        "producer_send_error",
        json!({
            "topic": topic,
            "key": key,
            "value": value,
            "exception": format!("{kind:?}"),
            "message": error.to_string(),
            "outcome": outcome.to_string(),
        }),
    );
}

/// Writes a line; false when nobody reads it any more.
fn tell(name: &str, about: Value) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut line = json!({ "timestamp": now.as_millis() as u64, "name": name });
    if let (Some(line), Value::Object(about)) = (line.as_object_mut(), about) {
        line.extend(about);
    }
    writeln!(io::stdout().lock(), "{line}").is_ok()
}
