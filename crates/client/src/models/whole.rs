//! The whole client: handles, queues, memory, the I/O thread with the real core, callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use ottla_core::config::ConfigBuilder;
use ottla_core::error::{ErrorKind, Outcome};
use ottla_core::record::Record;

use super::{Chosen, SERVER, TOPIC, finds, holds, perhaps, runtime};
use crate::blocking::BlockingProducer;
use crate::delivery::Delivery;
use crate::driver::Driver;
use crate::error::SendError;
use crate::executor::block_on;
use crate::flush::CloseReport;
use crate::net::records_in_log;
use crate::producer::Producer;
use crate::shared::Shared;
use crate::sync::{Bug, point, thread};

/// For ever: the models' short deadlines pass at any moment.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_secs(1);

fn producer(settings: &[(&str, &str)]) -> (BlockingProducer, Arc<Shared>) {
    let mut config = ConfigBuilder::default();
    let always = [("bootstrap.servers", SERVER), ("max.block.ms", "3600000")];
    for (key, value) in always.iter().chain(settings) {
        config.set(key, value).unwrap();
    }
    let shared = Arc::new(Shared::new(
        (config.build().unwrap(), crate::security::Security::default()),
        (None, None),
        runtime(),
    ));
    let driver = Driver::new(Arc::clone(&shared), 7);
    thread::spawn(move || block_on(driver.run()));
    (Producer::new(Arc::clone(&shared)).blocking(), shared)
}

fn record(partition: i32) -> Record<'static> {
    Record::new(TOPIC).value("value").partition(partition)
}

fn send(producer: &BlockingProducer, partition: i32) -> Result<Delivery, SendError> {
    producer.send(record(partition))
}

/// Everything has one outcome, which agrees with what the log has and with the counters; memory is
/// free (laws L1, L2 and L10).
fn all_is_true(deliveries: &[Delivery], shared: &Shared) -> [u64; 3] {
    let mut counts = [0; 3];
    for delivery in deliveries {
        let place = match delivery.try_outcome().expect("an accepted record has its outcome") {
            Ok(_) => 0,
            Err(error) if error.outcome() == Outcome::NotPersisted => 1,
            Err(_) => 2,
        };
        counts[place] += 1;
    }
    let [delivered, unsent, in_doubt] = counts;
    let log = records_in_log();
    assert!((delivered..=delivered + in_doubt).contains(&log), "{log} in the log, told {counts:?}");
    let stats = *shared.stats.lock();
    assert_eq!((stats.records_delivered, stats.records_failed), (delivered, unsent + in_doubt));
    counts
}

/// Once the I/O thread is gone nothing holds memory (law L10).
fn memory_is_free(producer: BlockingProducer, shared: &Arc<Shared>) {
    drop(producer);
    while Arc::strong_count(shared) > 1 {
        thread::yield_now();
    }
    assert_eq!(shared.memory.available_bytes(), shared.memory.total_bytes());
}

fn append_and_close(wait: Duration) {
    let (producer, shared) = producer(&[]);
    let senders: Vec<_> = (0..2)
        .map(|partition| {
            let producer = producer.clone();
            thread::spawn(move || {
                let sent: Vec<_> = (0..2).map(|_| send(&producer, partition)).collect();
                let refused = sent.iter().filter_map(|sent| sent.as_ref().err());
                assert!(refused.into_iter().all(|error| error.kind() == ErrorKind::Closed));
                sent.into_iter().flatten().collect::<Vec<_>>()
            })
        })
        .collect();
    let closer = thread::spawn({
        let producer = producer.clone();
        move || producer.close(wait)
    });
    let report = producer.close(wait);
    let other = closer.join().unwrap();
    let deliveries: Vec<_> = senders.into_iter().flat_map(|it| it.join().unwrap()).collect();
    let counts = all_is_true(&deliveries, &shared);
    // One of the two gave up what was left, and both know the totals.
    assert_eq!((report.delivered, report.failed), (counts[0], counts[1] + counts[2]));
    let gave_up = |report: &CloseReport| [report.unsent, report.in_doubt];
    assert!([gave_up(&report), gave_up(&other)].contains(&[counts[1], counts[2]]));
    assert!(wait == SHORT || report.is_clean());
}

#[test]
fn an_append_either_comes_before_the_close_and_is_told_or_is_refused() {
    holds(Chosen::ByChance, 1, || append_and_close(LONG));
    holds(Chosen::Stubbornly, 1, || append_and_close(LONG));
    holds(Chosen::ByChance, 1, || append_and_close(SHORT));
}

/// As little as it takes for a sender to be held up for all of the close.
fn one_append_and_a_close() {
    let (producer, shared) = producer(&[]);
    let first = send(&producer, 0).unwrap();
    let sender = thread::spawn({
        let producer = producer.clone();
        move || send(&producer, 0).ok()
    });
    // The sender has some way to go to its record's queue.
    while !perhaps(20) {
        point();
    }
    producer.close(LONG);
    let deliveries: Vec<_> = std::iter::once(first).chain(sender.join().unwrap()).collect();
    all_is_true(&deliveries, &shared);
}

#[test]
fn a_sender_that_is_held_up_for_all_of_the_close_is_told_that_it_came_too_late() {
    holds(Chosen::ByChance, 3, one_append_and_a_close);
    holds(Chosen::Stubbornly, 3, one_append_and_a_close);
}

#[test]
fn a_record_that_is_accepted_after_the_last_look_is_found_to_have_no_outcome() {
    finds(Bug::ClosedTooSoon, Chosen::ByChance, one_append_and_a_close);
}

#[test]
fn an_io_thread_that_sleeps_on_its_mail_is_found() {
    finds(Bug::SleepsOnMail, Chosen::ByChance, || append_and_close(LONG));
}

#[test]
fn a_command_that_nobody_reads_any_more_is_found() {
    finds(Bug::EndKeepsMail, Chosen::ByChance, || append_and_close(LONG));
}

fn flush_and_callbacks() {
    let (producer, shared) = producer(&[]);
    let called = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..2)
        .map(|partition| {
            let (producer, called) = (producer.clone(), Arc::clone(&called));
            thread::spawn(move || {
                for sent in 1..=2 {
                    let own = Arc::new(AtomicU64::new(0));
                    let (all, mine) = (Arc::clone(&called), Arc::clone(&own));
                    let callback = move |_| {
                        all.fetch_add(1, Ordering::SeqCst);
                        mine.fetch_add(1, Ordering::SeqCst);
                    };
                    producer.send_with(record(partition), callback).unwrap();
                    producer.flush(LONG).unwrap();
                    assert_eq!(own.load(Ordering::SeqCst), 1, "flush {sent} came too early");
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|it| it.join().unwrap());
    assert_eq!(called.load(Ordering::SeqCst), 4);
    assert_eq!(producer.close(LONG).delivered, 4);
    memory_is_free(producer, &shared);
}

#[test]
fn a_flush_ends_once_all_that_was_accepted_before_it_was_told() {
    holds(Chosen::ByChance, 1, flush_and_callbacks);
}

#[test]
fn a_mark_that_is_put_behind_the_callbacks_too_soon_is_found() {
    finds(Bug::MarksTooSoon, Chosen::ByChance, flush_and_callbacks);
}

fn purge_and_append() {
    let (producer, shared) = producer(&[]);
    let first = send(&producer, 0).unwrap();
    let sender = thread::spawn({
        let producer = producer.clone();
        move || [0, 1].map(|partition| send(&producer, partition).unwrap())
    });
    producer.purge(true, true);
    assert!(first.try_outcome().is_some(), "what was accepted before a purge is told with it");
    let mut deliveries: Vec<_> = sender.join().unwrap().into();
    deliveries.push(first);
    producer.flush(LONG).unwrap();
    all_is_true(&deliveries, &shared);
    producer.close(LONG);
    memory_is_free(producer, &shared);
}

#[test]
fn a_purge_beside_appends_leaves_no_record_without_an_outcome() {
    holds(Chosen::ByChance, 1, purge_and_append);
}

#[test]
fn a_purge_that_is_told_to_be_over_before_its_outcomes_is_found() {
    finds(Bug::PurgeTellsFirst, Chosen::ByChance, purge_and_append);
}

fn drop_of_the_last_handle() {
    let (producer, shared) = producer(&[]);
    let other = producer.clone();
    let sender = thread::spawn(move || {
        let delivery = send(&other, 1).unwrap();
        drop(other);
        delivery
    });
    let mut deliveries = vec![send(&producer, 0).unwrap()];
    // One that nobody keeps.
    drop(send(&producer, 0).unwrap());
    // The I/O thread ends by itself, once all of them have their outcomes.
    memory_is_free(producer, &shared);
    deliveries.push(sender.join().unwrap());
    for delivery in deliveries {
        delivery.try_outcome().expect("told").expect("delivered");
    }
    assert_eq!(records_in_log(), 3);
}

#[test]
fn what_was_accepted_arrives_though_the_last_handle_is_dropped() {
    holds(Chosen::ByChance, 1, drop_of_the_last_handle);
}

/// Polls so often at most, whether anybody asks for it or not.
fn polls<F: Future>(future: F, most: usize) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    for _ in 0..most {
        let mut context = Context::from_waker(std::task::Waker::noop());
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

fn waiters_for_memory() {
    let little = [("buffer.memory", "65536"), ("batch.size", "16384")];
    let (producer, shared) = producer(&little);
    let large = vec![7; 40_000];
    let senders: Vec<_> = (0..3)
        .map(|thread| {
            let (producer, large) = (producer.clone(), large.clone());
            thread::spawn(move || {
                let record = Record::new(TOPIC).value(&large).partition(thread % 2);
                match thread {
                    // Gives up its turn, if it has to wait for long.
                    0 => polls(producer.producer().send(record), 3).map(Result::unwrap),
                    _ => Some(producer.send(record).unwrap()),
                }
            })
        })
        .collect();
    let deliveries: Vec<_> = senders.into_iter().filter_map(|it| it.join().unwrap()).collect();
    producer.flush(LONG).unwrap();
    all_is_true(&deliveries, &shared);
    producer.close(LONG);
    memory_is_free(producer, &shared);
}

#[test]
fn everybody_who_waits_for_memory_gets_a_turn_and_nobody_keeps_one_that_was_given_up() {
    holds(Chosen::ByChance, 1, waiters_for_memory);
}

fn close_and_waiters() {
    let (producer, shared) = producer(&[("buffer.memory", "65536"), ("batch.size", "16384")]);
    let waiters: Vec<_> = (0..3)
        .map(|number| {
            let producer = producer.clone();
            thread::spawn(move || {
                let (topic, value) = (if number == 0 { "unknown" } else { TOPIC }, vec![7; 50_000]);
                let record = Record::new(topic).value(&value).partition(0);
                producer.send(record).map_err(|refused| refused.kind())
            })
        })
        .collect();
    producer.close(SHORT);
    let sent: Vec<_> = waiters.into_iter().map(|it| it.join().unwrap()).collect();
    let kinds = [ErrorKind::Closed, ErrorKind::UnknownTopic];
    assert!(sent.iter().filter_map(|sent| sent.as_ref().err()).all(|kind| kinds.contains(kind)));
    let deliveries: Vec<_> = sent.into_iter().flatten().collect();
    all_is_true(&deliveries, &shared);
}

#[test]
fn a_close_sends_home_who_waits_for_a_topic_or_for_memory() {
    holds(Chosen::ByChance, 1, close_and_waiters);
}

fn a_chain_of_callbacks() {
    let (producer, shared) = producer(&[]);
    let called = Arc::new(AtomicU64::new(0));
    let (again, count) = (producer.clone(), Arc::clone(&called));
    let first = move |_| {
        let last = move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        };
        again.send_with(record(1), last).unwrap();
        again.flush(LONG).unwrap();
    };
    producer.send_with(record(0), first).unwrap();
    producer.flush(LONG).unwrap();
    let report = producer.close(LONG);
    assert_eq!(called.load(Ordering::SeqCst) + 1, report.delivered);
    memory_is_free(producer, &shared);
}

#[test]
fn a_callback_that_sends_and_flushes_is_waited_for_by_nobody_for_ever() {
    holds(Chosen::ByChance, 1, a_chain_of_callbacks);
}
