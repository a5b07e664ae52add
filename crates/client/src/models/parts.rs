//! The parts, each by itself: many more schedules in the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ottla_core::PartitionKey;
use ottla_core::config::ConfigBuilder;
use ottla_core::error::{ErrorKind, Failure};
use ottla_core::output::Acknowledged;
use tokio::sync::oneshot;

use super::{Chosen, SERVER, TOPIC, finds, holds, runtime};
use crate::batch::Batch;
use crate::callbacks::Callbacks;
use crate::cell::{BatchCell, DueCallback};
use crate::delivery::Delivery;
use crate::error::ProduceError;
use crate::executor::block_on;
use crate::line::TopicLine;
use crate::mailbox::{Command, Mailbox};
use crate::memory::Memory;
use crate::shared::Shared;
use crate::sync::{Bug, thread};
use crate::table::{GrowingList, NameTable, Named};
use crate::topic::Slot;

// ---- memory ----------------------------------------------------------------------------------

fn budget() {
    let memory = Memory::new(10_000);
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let memory = Arc::clone(&memory);
            thread::spawn(move || match number {
                // Takes more than there is, and pays it back.
                0 => drop(memory.replacement(vec![0; 9000])),
                1 => drop((memory.try_chunk(3000, None), memory.replacement(vec![0; 4000]))),
                _ => drop(block_on(memory.wait_chunk(6000, None)).unwrap()),
            })
        })
        .collect();
    threads.into_iter().for_each(|it| it.join().unwrap());
    assert_eq!(memory.available_bytes(), memory.total_bytes());
}

#[test]
fn debts_and_turns_leave_the_budget_as_it_was() {
    holds(Chosen::ByChance, 10, budget);
    holds(Chosen::Stubbornly, 10, budget);
}

#[test]
fn bytes_that_repay_a_debt_and_go_to_the_budget_as_well_are_found() {
    finds(Bug::RepaidTwice, Chosen::ByChance, budget);
}

// ---- the mailbox -----------------------------------------------------------------------------

fn mailbox() {
    let mailbox = Arc::new(Mailbox::default());
    let writers: Vec<_> = (0..2)
        .map(|number| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                mailbox.note(PartitionKey(number));
                let (sender, done) = oneshot::channel();
                mailbox.command(Command::MarkCallbacks(sender));
                mailbox.press();
                // Answered, or told that nobody is left to answer.
                let _ = block_on(done);
            })
        })
        .collect();
    let (mut notes, mut pressed) = (0, false);
    while notes < 2 || !pressed {
        let mail = mailbox.take();
        notes += mail.notes.len();
        for command in mail.commands {
            let Command::MarkCallbacks(done) = command else { unreachable!() };
            let _ = done.send(());
        }
        pressed |= mailbox.take_pressed();
        if (notes < 2 || !pressed) && mailbox.fall_asleep() {
            block_on(mailbox.bell());
            mailbox.awake();
        }
    }
    mailbox.end();
    writers.into_iter().for_each(|it| it.join().unwrap());
}

#[test]
fn no_note_and_no_command_is_slept_on_and_the_end_answers_the_rest() {
    holds(Chosen::ByChance, 10, mailbox);
    holds(Chosen::Stubbornly, 10, mailbox);
}

#[test]
fn a_mailbox_that_is_not_looked_at_again_before_sleeping_is_found() {
    finds(Bug::SleepsOnMail, Chosen::ByChance, mailbox);
}

#[test]
fn a_mailbox_that_keeps_what_came_at_the_end_is_found() {
    finds(Bug::EndKeepsMail, Chosen::ByChance, mailbox);
}

// ---- a batch's cell --------------------------------------------------------------------------

fn slot() -> (Arc<Slot>, Shared) {
    let mut config = ConfigBuilder::default();
    config.set("bootstrap.servers", SERVER).unwrap();
    let shared = Shared::new(
        (config.build().unwrap(), crate::security::Security::default()),
        (None, None),
        runtime(),
    );
    (Arc::new(Slot::new(TOPIC.into(), 0, PartitionKey(0), &shared)), shared)
}

fn cell() {
    let (slot, _shared) = slot();
    let cell = Arc::new(BatchCell::new(slot));
    let called = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (cell, called) = (Arc::clone(&cell), Arc::clone(&called));
            thread::spawn(move || {
                let mut delivery = Delivery::new(Arc::clone(&cell), number % 2, 0);
                match number {
                    0 => drop(block_on(delivery).unwrap()),
                    1 => block_on(Batch(cell).settled()),
                    2 => delivery.on_delivery(move |_| {
                        called.fetch_add(1, Ordering::SeqCst);
                    }),
                    // Looks once, and is dropped.
                    _ => {
                        let waker = std::task::Waker::noop();
                        let mut context = std::task::Context::from_waker(waker);
                        drop(std::pin::Pin::new(&mut delivery).poll(&mut context));
                    }
                }
            })
        })
        .collect();
    let acknowledged =
        |base| Ok(Acknowledged { base_offset: Some(base), log_append_time_ms: None });
    let callbacks = cell.slot().callbacks();
    callbacks.run(cell.settle(0..1, 2, acknowledged(5)));
    callbacks.run(cell.settle(1..2, 2, acknowledged(6)));
    threads.into_iter().for_each(|it| it.join().unwrap());
    let (done, called_back) = oneshot::channel();
    callbacks.mark(done);
    block_on(called_back).unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

#[test]
fn whoever_waits_for_a_batch_is_woken_however_it_is_settled() {
    holds(Chosen::ByChance, 5, cell);
    holds(Chosen::Stubbornly, 5, cell);
}

#[test]
fn a_waiter_that_looks_before_it_takes_its_place_is_found() {
    finds(Bug::LooksTooSoon, Chosen::ByChance, cell);
}

// ---- callbacks and what they take ------------------------------------------------------------

fn backlog() {
    // Room for a chunk, or for callbacks, but not for both.
    let memory = Memory::new(1200);
    let callbacks = Callbacks::new(Arc::clone(&memory));
    let due = |count: usize, first: Option<Box<dyn FnOnce() + Send>>| {
        let nothing = || Box::new(|| ()) as Box<dyn FnOnce() + Send>;
        let all = first.into_iter().chain(std::iter::repeat_with(nothing)).take(count);
        all.map(|call| DueCallback {
            callback: Box::new(move |_| call()),
            result: Err(ProduceError::in_doubt(ErrorKind::Closed, "model")),
        })
        .collect::<Vec<_>>()
    };
    let (inside, wanted) = (Arc::clone(&callbacks), Arc::clone(&memory));
    let waits = Box::new(move || {
        let waiver = inside.waive();
        drop(block_on(wanted.wait_chunk(900, None)).unwrap());
        drop(waiver);
    });
    callbacks.run(due(1, Some(waits)));
    let other = thread::spawn({
        let callbacks = Arc::clone(&callbacks);
        let due = due(4, None);
        move || callbacks.run(due)
    });
    callbacks.run(due(4, None));
    other.join().unwrap();
    let (done, called) = oneshot::channel();
    callbacks.mark(done);
    block_on(called).unwrap();
    assert_eq!(memory.available_bytes(), memory.total_bytes());
}

#[test]
fn a_callback_that_waits_for_memory_does_not_wait_for_callbacks_behind_it() {
    holds(Chosen::ByChance, 5, backlog);
    holds(Chosen::Stubbornly, 5, backlog);
}

#[test]
fn callbacks_that_take_memory_from_the_one_that_waits_are_found() {
    finds(Bug::IgnoresWaiver, Chosen::ByChance, backlog);
}

// ---- the line for a topic --------------------------------------------------------------------

fn line() {
    let line = Arc::new(TopicLine::default());
    let name: Arc<str> = TOPIC.into();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (line, name) = (Arc::clone(&line), Arc::clone(&name));
            thread::spawn(move || {
                let (waiter, answer) = oneshot::channel();
                line.stand(&name, Some(waiter));
                // Told that there is no such topic, or sent home.
                assert!(!matches!(block_on(answer), Ok(Ok(_))));
            })
        })
        .collect();
    line.tell(&name, &Err(Arc::new(Failure::unsent(ErrorKind::UnknownTopic, "model"))));
    line.end();
    threads.into_iter().for_each(|it| it.join().unwrap());
}

#[test]
fn everybody_in_the_line_for_a_topic_is_told_or_sent_home() {
    holds(Chosen::ByChance, 10, line);
    holds(Chosen::Stubbornly, 10, line);
}

#[test]
fn who_stands_in_line_after_the_end_is_found_to_wait_for_ever() {
    finds(Bug::LateInLine, Chosen::ByChance, line);
}

// ---- tables ----------------------------------------------------------------------------------

fn list() {
    let list = Arc::new(GrowingList::new(0..3));
    let reader = thread::spawn({
        let list = Arc::clone(&list);
        move || {
            for _ in 0..3 {
                let len = list.len();
                assert_eq!(list.get(len - 1), Some(&(len - 1)), "an entry below the length");
            }
        }
    });
    list.replace_len(0..18);
    reader.join().unwrap();
    assert!(list.iter().copied().eq(0..18));
}

#[test]
fn a_list_has_every_entry_below_its_length() {
    holds(Chosen::ByChance, 5, list);
    holds(Chosen::Stubbornly, 5, list);
}

#[test]
fn a_list_that_is_longer_before_its_entries_are_there_is_found() {
    finds(Bug::LenFirst, Chosen::ByChance, list);
}

#[derive(Clone)]
struct Name(String);

impl Named for Name {
    fn name(&self) -> &str {
        &self.0
    }
}

fn names() {
    let table = Arc::new(NameTable::<Name>::default());
    let add = |n: usize| table.add(Name(format!("topic-{n}")));
    (0..7).for_each(add);
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let table = Arc::clone(&table);
            thread::spawn(move || {
                for n in [0, 6, 3] {
                    assert!(table.find(&format!("topic-{n}")).is_some(), "it was there before");
                }
            })
        })
        .collect();
    // The ninth makes the table larger.
    (7..10).for_each(add);
    readers.into_iter().for_each(|it| it.join().unwrap());
    assert!((0..10).all(|n| table.find(&format!("topic-{n}")).is_some()));
}

#[test]
fn a_name_that_is_in_the_table_is_found_while_the_table_grows() {
    holds(Chosen::ByChance, 3, names);
    holds(Chosen::Stubbornly, 3, names);
}

#[test]
fn a_table_that_is_used_before_the_old_names_are_in_it_is_found() {
    finds(Bug::NewestFirst, Chosen::ByChance, names);
}
