//! Brokers that lie, cut, flood and keep silent (laws L8, L9 and L11): an error that names the
//! server and what is wrong, no panic, no rush of connections, and records that are delivered once
//! as soon as the broker is honest again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla::{Delivery, Producer, Record, ServerEvent};
use ottla_broker::ApiKey;
use ottla_tests::hostile::{Act, Answer, Hostile};
use ottla_tests::wait::until_true;

#[path = "../hostile/answers.rs"]
mod answers;
#[path = "../hostile/framing.rs"]
mod framing;
#[path = "../hostile/lengths.rs"]
mod lengths;
#[path = "../hostile/metadata.rs"]
mod metadata;
#[path = "../hostile/reading.rs"]
mod reading;
#[path = "../hostile/versions.rs"]
mod versions;

#[path = "../../crates/protocol/tests/support/schemas.rs"]
#[allow(dead_code, reason = "messages that no test here is about")]
mod schemas;
#[path = "../../crates/protocol/tests/support/walk.rs"]
#[allow(dead_code, reason = "shared with the tests of the messages")]
mod walk;

/// What a producer asks for on its way to a delivery, in this order.
const ASKED: [ApiKey; 4] =
    [ApiKey::API_VERSIONS, ApiKey::METADATA, ApiKey::INIT_PRODUCER_ID, ApiKey::PRODUCE];

/// A hostile broker, and a producer that knows no other.
struct Scene {
    hostile: Hostile,
    producer: Producer,
    /// Server and reason, each time that one could not be reached or a connection broke.
    troubles: Arc<Mutex<Vec<(String, String)>>>,
}

impl Scene {
    fn new(settings: &[(&str, &str)]) -> Self {
        let hostile = Hostile::start();
        let troubles = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&troubles);
        let builder = Producer::builder()
            .set("bootstrap.servers", &hostile.address())
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "2")
            .set("reconnect.backoff.ms", "1")
            .set("reconnect.backoff.max.ms", "2")
            .on_server_event(move |event| {
                if let ServerEvent::Unreachable { server, why, .. } = event {
                    let trouble = ((*server).to_owned(), (*why).to_owned());
                    heard.lock().expect("no panic").push(trouble);
                }
            });
        let builder =
            settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value));
        let producer = builder.build().expect("settings");
        Self { hostile, producer, troubles }
    }

    /// Sends a record to the first partition of `t`.
    fn send(&self, value: &str) -> Delivery {
        let record = Record::new("t").partition(0).value(value);
        self.producer.blocking().send(record).expect("accepted")
    }

    /// Sends a record and finds it delivered, at the end of the log, which has nothing twice.
    fn delivers(&self, value: &str) {
        let before = self.hostile.cluster().log_end_offset("t", 0).unwrap_or(0);
        let told = self.send(value).wait().expect("delivered").offset;
        assert_eq!(told, Some(before));
        assert_eq!(self.hostile.cluster().log_end_offset("t", 0), Some(before + 1));
    }

    /// Has the first answers to requests of an API spoilt, until `spoil` gives nothing: counted.
    fn spoil(
        &self,
        api: ApiKey,
        mut spoil: impl FnMut(usize, &Answer) -> Option<Vec<Act>> + Send + 'static,
    ) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let spoilt = Arc::clone(&count);
        self.hostile.script(move |answer| {
            if answer.api != api {
                return None;
            }
            let acts = spoil(spoilt.load(Ordering::SeqCst), answer)?;
            spoilt.fetch_add(1, Ordering::SeqCst);
            Some(acts)
        });
        count
    }

    fn troubles(&self) -> Vec<String> {
        // The listener has a thread of its own; a flush ends behind what was told before.
        self.producer.blocking().flush(Duration::from_secs(60)).expect("flushed");
        let troubles = self.troubles.lock().expect("no panic");
        for (server, _) in troubles.iter() {
            assert_eq!(*server, self.hostile.address(), "each names its server");
        }
        troubles.iter().map(|(_, why)| why.clone()).collect()
    }

    fn assert_told(&self, words: &[&str]) {
        let troubles = self.troubles();
        for word in words {
            assert!(troubles.iter().any(|why| why.contains(word)), "no {word:?} in {troubles:?}");
        }
    }

    /// At the end no connection is left: none was forgotten.
    fn ends_clean(self) {
        let report = self.producer.blocking().close(Duration::from_secs(10));
        assert!(report.is_clean(), "{report:?}");
        let hostile = &self.hostile;
        until_true("end of all connections", || hostile.ended() == hostile.connections());
    }
}

/// An error and what it came from.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
