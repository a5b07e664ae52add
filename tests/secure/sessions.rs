//! Sessions that end after two seconds, with requests in flight all the time (KIP-368).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ottla::admin::Admin;
use ottla::{BlockingProducer, Delivery, Record, ServerEvent};
use ottla_tests::secured::{Secured, Settings, builder, with};
use ottla_tests::wait::until_true;
use ottla_tests::{kcat, needs, run, skip, wait};

use super::secured;

/// How many sessions a test outlives.
const SESSIONS: u32 = 22;
const PARTITIONS: i32 = 6;
/// Records on their way at any time: several requests.
const WINDOW: usize = 60;
/// How long what is said takes to the other side. It keeps requests on their way, and their number
/// within reason.
const WAY: Duration = Duration::from_millis(5);
/// A connection to the bootstrap server and one to the broker: none is lost with its session.
const CONNECTIONS: usize = 2;

/// A producer, and all that it was given, by partition.
struct Load<'a> {
    secured: &'a Secured,
    topic: String,
    producer: BlockingProducer,
    connections: Arc<AtomicUsize>,
    sent: Vec<Vec<String>>,
}

impl<'a> Load<'a> {
    fn new(secured: &'a Secured, settings: &Settings) -> Self {
        let connections: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&connections);
        // One record is one batch, so that there is always more than one request on its way.
        let settings = with(settings.clone(), &[("batch.size", "1"), ("linger.ms", "0")]);
        let producer = builder(&settings)
            .on_server_event(move |event| {
                if let ServerEvent::Reachable { .. } = event {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            })
            .build()
            .expect("the settings are fine")
            .blocking();
        let topic = secured.engine.topic("sessions", PARTITIONS);
        Self { secured, topic, producer, connections, sent: vec![Vec::new(); PARTITIONS as usize] }
    }

    fn total(&self) -> usize {
        self.sent.iter().map(Vec::len).sum()
    }

    fn send(&mut self) -> Delivery {
        let number = self.total();
        let partition = number % self.sent.len();
        let value = format!("record {number}");
        let record = Record::new(&self.topic).partition(partition as i32).value(&value);
        let delivery = self.producer.send(record).expect("accepted");
        self.sent[partition].push(value);
        delivery
    }

    /// All that was sent is in the log, once and in order, and no connection was lost.
    fn check_the_log(self) {
        let seen = match kcat::read(self.secured.engine.servers(), &self.topic) {
            Ok(seen) => seen,
            Err(why) => {
                skip::skip(&format!("read back by no foreign client: {why}"));
                self.secured.engine.read_ours(&self.topic)
            }
        };
        for (partition, sent) in self.sent.iter().enumerate() {
            let seen = ottla_tests::record::values(&seen, partition as i32);
            assert_eq!(seen.len(), sent.len(), "records in partition {partition}");
            assert!(seen == *sent, "partition {partition} has others, or in another order");
        }
        let connections = self.connections.load(Ordering::SeqCst);
        println!("{} records, {SESSIONS} sessions, {connections} connections", self.total());
        assert!(connections <= CONNECTIONS, "{connections} connections: sessions were lost");
    }
}

/// Sends without a pause for as long as that many sessions last.
fn outlives(secured: &Secured, settings: &Settings) {
    let mut load = Load::new(secured, settings);
    let mut window = VecDeque::new();
    let begin = Instant::now();
    while begin.elapsed() < secured.session * SESSIONS {
        window.push_back(load.send());
        if window.len() == WINDOW {
            window.pop_front().expect("full").wait().expect("delivered");
        }
    }
    for delivery in window {
        delivery.wait().expect("delivered");
    }
    load.check_the_log();
}

/// A listener whose sessions are short and whose way is long.
fn far(secured: &Secured, door: &str) -> Result<(), String> {
    secured.proxy(door).map(|proxy| proxy.delay(WAY))
}

/// Laws: L2, L3, L7. Scenarios: S7, #88, bug-42.
#[test]
fn sessions_by_plain_are_renewed_among_requests_in_flight() {
    let secured = secured!();
    needs!(far(&secured, "far_plaintext"));
    outlives(&secured, &secured.settings_of("far_plaintext", "PLAIN", "alice"));
}

/// Laws: L2, L3, L7. Scenarios: S7, #88, bug-42.
#[test]
fn sessions_by_scram_inside_tls_are_renewed_among_requests_in_flight() {
    let secured = secured!();
    needs!(far(&secured, "far"));
    outlives(&secured, &secured.settings_of("far", "SCRAM-SHA-512", "alice"));
}

/// Nobody answers these requests, so that the log has to tell what came of them; the answers to the
/// authentication are the only ones.
/// Laws: L3, L7. Scenarios: S7, #88, bug-42, #90.
#[test]
fn sessions_are_renewed_among_requests_that_nobody_answers() {
    let secured = secured!();
    needs!(far(&secured, "far_plaintext"));
    let settings = secured.settings_of("far_plaintext", "SCRAM-SHA-256", "alice");
    let settings = with(settings, &[("acks", "0"), ("enable.idempotence", "false")]);
    let mut load = Load::new(&secured, &settings);
    let begin = Instant::now();
    while begin.elapsed() < secured.session * SESSIONS {
        for _ in 0..WINDOW {
            drop(load.send());
        }
        // More would wait in the system's buffers until the session is over.
        until_true("the records in the log", || {
            let described = run(async {
                let servers = secured.engine.servers();
                let mut admin = Admin::connect(servers, wait::PATIENCE).await?;
                admin.describe_topic(&load.topic).await
            });
            let partitions = described.expect("the topic is described").partitions;
            let ends = partitions.iter().filter_map(|partition| partition.latest_offset);
            let (written, sent) = (ends.sum::<i64>(), load.total() as i64);
            assert!(written <= sent, "{written} records in the log, of {sent}");
            let connections = load.connections.load(Ordering::SeqCst);
            assert!(connections <= CONNECTIONS, "{written} of {sent}: a session was lost");
            written == sent
        });
    }
    load.check_the_log();
}
