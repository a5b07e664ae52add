//! Futures that are dropped at each of their await points: nothing is lost, nothing hangs, and
//! memory comes back (laws L1, L2, L9 and L10).

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla::{Delivery, ErrorKind, Outcome, ProduceError, Producer, Raw, Record, RecordMetadata};
use ottla_tests::sweep::polls;
use ottla_tests::wait::{PATIENCE, in_time, until_true};
use ottla_tests::{Engine, engine, run};

pub(crate) type Asked<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Told = (String, Result<RecordMetadata, ProduceError>);

/// A producer, and what it has accepted.
pub(crate) struct Scene {
    pub(crate) producer: Producer,
    topic: String,
    open: Mutex<Vec<(String, Delivery)>>,
    told: std::sync::Arc<Mutex<Vec<Told>>>,
    /// Records that may have been accepted, though nobody was told.
    unheard_of: AtomicUsize,
    promised: AtomicUsize,
    value_bytes: usize,
}

type Row<'a> = (&'a str, for<'b> fn(&'b Scene) -> Asked<'b>);

/// Every future of a producer's, by file and name.
pub(crate) const FUTURES: [Row<'_>; 15] = [
    ("producer.rs send", |scene| Box::pin(scene.send())),
    ("producer.rs send_with", |scene| Box::pin(scene.send_with())),
    ("producer.rs send_all", |scene| Box::pin(scene.send_all())),
    ("producer.rs flush", |scene| {
        Box::pin(async { scene.producer.flush(PATIENCE).await.expect("flushed") })
    }),
    ("producer.rs purge", |scene| Box::pin(scene.producer.purge(true, true))),
    ("producer.rs close", |scene| {
        Box::pin(async { assert!(scene.producer.close(PATIENCE).await.is_clean()) })
    }),
    ("producer.rs topic", |scene| {
        Box::pin(async { drop(scene.producer.topic(&scene.topic).await.expect("known")) })
    }),
    ("producer.rs partitions", |scene| {
        Box::pin(async {
            let partitions = scene.producer.partitions(&scene.topic).await.expect("known");
            assert_eq!(partitions.len(), 1);
        })
    }),
    ("topic.rs send", |scene| {
        Box::pin(async {
            let topic = scene.producer.topic(&scene.topic).await.expect("known");
            let value = scene.value();
            let delivery = topic.send(scene.record(&value)).await.expect("accepted");
            scene.note(value, delivery);
        })
    }),
    ("topic.rs purge", |scene| {
        Box::pin(async {
            let topic = scene.producer.topic(&scene.topic).await.expect("known");
            topic.purge(true, true).await;
        })
    }),
    ("topic.rs purge_partition", |scene| {
        Box::pin(async {
            let topic = scene.producer.topic(&scene.topic).await.expect("known");
            topic.purge_partition(0, true, true).await;
        })
    }),
    ("typed.rs send", |scene| {
        Box::pin(async {
            let typed = scene.producer.typed::<[u8], [u8], _, _>(Raw, Raw);
            let value = scene.value();
            let sent = typed.send(&scene.topic, None, Some(value.as_bytes())).await;
            scene.note(value, sent.expect("accepted"));
        })
    }),
    ("typed.rs send_with_headers", |scene| {
        Box::pin(async {
            let typed = scene.producer.typed::<[u8], [u8], _, _>(Raw, Raw);
            let value = scene.value();
            let bytes = Some(value.as_bytes());
            let sent = typed.send_with_headers(&scene.topic, None, bytes, &[]).await;
            scene.note(value, sent.expect("accepted"));
        })
    }),
    ("delivery.rs Delivery", |scene| {
        Box::pin(async {
            let value = scene.value();
            scene.unheard_of.fetch_add(1, Ordering::SeqCst);
            let sent = scene.producer.send(scene.record(&value)).await;
            let outcome = sent.expect("accepted").await;
            scene.unheard_of.fetch_sub(1, Ordering::SeqCst);
            scene.tell(value, outcome);
        })
    }),
    ("batch.rs Settled", |scene| {
        Box::pin(async {
            let value = scene.value();
            let sent = scene.producer.send(scene.record(&value)).await.expect("accepted");
            let batch = sent.batch().clone();
            scene.note(value, sent);
            batch.settled().await;
        })
    }),
];

impl Scene {
    pub(crate) fn new(producer: Producer, topic: &str, value_bytes: usize) -> Self {
        Self {
            producer,
            topic: topic.to_owned(),
            open: Mutex::default(),
            told: std::sync::Arc::default(),
            unheard_of: AtomicUsize::new(0),
            promised: AtomicUsize::new(0),
            value_bytes,
        }
    }

    /// A value that no other record of any scene has.
    fn value(&self) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        format!("{number:0width$}", width = self.value_bytes)
    }

    fn record<'a>(&'a self, value: &'a str) -> Record<'a> {
        Record::new(&self.topic).value(value)
    }

    fn note(&self, value: String, delivery: Delivery) {
        self.open.lock().unwrap().push((value, delivery));
    }

    fn tell(&self, value: String, outcome: Result<RecordMetadata, ProduceError>) {
        self.told.lock().unwrap().push((value, outcome));
    }

    pub(crate) async fn send(&self) {
        let value = self.value();
        let delivery = self.producer.send(self.record(&value)).await.expect("accepted");
        self.note(value, delivery);
    }

    async fn send_with(&self) {
        let value = self.value();
        let (told, name) = (std::sync::Arc::clone(&self.told), value.clone());
        let callback = move |outcome| told.lock().unwrap().push((name, outcome));
        self.producer.send_with(self.record(&value), callback).await.expect("accepted");
        self.promised.fetch_add(1, Ordering::SeqCst);
    }

    async fn send_all(&self) {
        let values: Vec<String> = (0..5).map(|_| self.value()).collect();
        self.unheard_of.fetch_add(values.len(), Ordering::SeqCst);
        let outcomes = self.producer.send_all(values.iter().map(|value| self.record(value))).await;
        self.unheard_of.fetch_sub(values.len(), Ordering::SeqCst);
        for (value, outcome) in values.into_iter().zip(outcomes) {
            self.tell(value, outcome);
        }
    }

    /// After a future was dropped: a flush ends, everything accepted has one outcome, memory is
    /// free, and the next record arrives. Gives what was told.
    pub(crate) async fn end_well(self, name: &str) -> Vec<Told> {
        self.producer.flush(PATIENCE).await.expect("flushed");
        for (value, delivery) in std::mem::take(&mut *self.open.lock().unwrap()) {
            let outcome = delivery.try_outcome().expect("settled by the flush");
            self.tell(value, outcome);
        }
        until_true("memory that is all free", || {
            let metrics = self.producer.metrics();
            metrics.buffer_available_bytes == metrics.buffer_total_bytes
        });
        let metrics = self.producer.metrics();
        let counted = (metrics.records_delivered + metrics.records_failed) as usize;
        let told = self.told.lock().unwrap().len();
        let unheard_of = self.unheard_of.load(Ordering::SeqCst);
        let span = told..=told + unheard_of;
        assert!(span.contains(&counted), "{name}: {counted} outcomes, {told} told, {unheard_of}");
        let value = self.value();
        match self.producer.send(self.record(&value)).await {
            Ok(delivery) => self.tell(value, delivery.await),
            Err(refused) => {
                assert_eq!((name, refused.kind()), ("producer.rs close", ErrorKind::Closed));
            }
        }
        let report = self.producer.close(PATIENCE).await;
        assert!(report.is_clean(), "{name}: {report:?}");
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

/// Drops each future of a producer after each number of polls, in scenes that `begin` sets; `heal`
/// is called after each.
pub(crate) fn sweep(engine: &Engine, topic: &str, begin: impl AsyncFn() -> Scene, heal: impl Fn()) {
    let mut told = Vec::new();
    for (name, future) in FUTURES {
        for most in 1.. {
            assert!(most < 1000, "{name} is never done");
            let done = run(async {
                let scene = begin().await;
                let done = in_time(polls(future(&scene), most)).await.is_some();
                heal();
                told.extend(in_time(scene.end_well(name)).await);
                done
            });
            if done {
                break;
            }
        }
    }
    let seen = engine.read(topic);
    let place = |value: &str| {
        let mut found = seen.iter().filter(|seen| seen.text() == value);
        let offset = found.next().map(|seen| seen.offset);
        assert!(found.next().is_none(), "{value} is there twice");
        offset
    };
    for (value, outcome) in told {
        match outcome {
            Ok(metadata) => assert_eq!(metadata.offset, place(&value), "{value}"),
            Err(error) => match error.outcome() {
                Outcome::NotPersisted => assert_eq!(place(&value), None, "{value}: {error}"),
                Outcome::MaybePersisted => drop(place(&value)),
            },
        }
    }
}

/// Laws: L1, L2, L9, L10. Scenarios: H9, bug-49.
#[test]
fn every_future_of_an_idle_producer_may_be_dropped_at_each_of_its_await_points() {
    let engine = engine!();
    let topic = engine.topic("sweep-idle", 1);
    sweep(&engine, &topic, async || Scene::new(engine.producer(&[]), &topic, 1), || ());
}

/// Laws: L1, L2, L9, L10. Scenarios: H9, bug-49.
#[test]
fn every_future_may_be_dropped_at_each_of_its_await_points_while_records_are_in_flight() {
    let engine = engine!();
    let topic = engine.topic("sweep-in-flight", 1);
    let begin = async || {
        let scene = Scene::new(engine.producer(&[("batch.size", "400")]), &topic, 20);
        for _ in 0..50 {
            scene.send().await;
        }
        scene
    };
    sweep(&engine, &topic, begin, || ());
}

/// Laws: L1, L9, L10. Scenarios: H6, H9, bug-27.
#[test]
fn every_future_may_be_dropped_at_each_of_its_await_points_while_memory_is_spent() {
    let engine = engine!();
    let topic = engine.topic("sweep-spent", 1);
    let little = [("buffer.memory", "65536"), ("batch.size", "16384")];
    let begin = async || {
        let scene = Scene::new(engine.producer(&little), &topic, 9000);
        for _ in 0..8 {
            scene.send().await;
        }
        scene
    };
    sweep(&engine, &topic, begin, || ());
}
