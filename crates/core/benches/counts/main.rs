//! How many instructions the core takes for what it does most often. `cargo xtask counts` runs
//! each part under callgrind and compares it with `benches/counts.baseline`.
//!
//! Without arguments every part runs once and says what it is: its name, the function whose
//! instructions count, how many operations that function did in all, and what an operation is.
//! With the name of a part only that one runs.
//!
//! The core is driven through its public interface and against a scripted cluster, so that what
//! is counted is the core: no lock, no socket and no clock of a host is in the figures.

mod cluster;
mod measured;
mod memory;

use std::hint::black_box;
use std::process::ExitCode;

use ottla_core::accumulator::Payloads;
use ottla_core::partitioner::PartitionLoad;
use ottla_core::record::Header;
use ottla_core::rng::Rng;
use ottla_protocol::ErrorCode;

use cluster::Lab;
use memory::{Door, Memory, QueueTable};

/// Something that is counted.
struct Part {
    name: &'static str,
    /// The function in `measured`.
    function: &'static str,
    /// What one operation is.
    operation: &'static str,
    /// Does it and gives the number of operations.
    run: fn() -> usize,
}

const PARTS: [Part; 17] = [
    part("append", "append", "record", || append(&PLAIN)),
    part("append-key-headers", "append", "record", || append(&WITH_ALL)),
    part("close", "close", "batch", close),
    part("drain-1", "drain", "batch", || drain(1)),
    part("drain-12", "drain", "batch", || drain(12)),
    part("drain-100", "drain", "batch", || drain(100)),
    part("drain-1000", "drain", "batch", || drain(1000)),
    part("answer-1", "answer", "batch", || answer(1)),
    part("answer-12", "answer", "batch", || answer(12)),
    part("answer-100", "answer", "batch", || answer(100)),
    part("answer-1000", "answer", "batch", || answer(1000)),
    part("note", "note", "note", || note(1)),
    part("note-again", "note", "note", || note(2)),
    part("murmur2", "murmur2", "key", murmur2),
    part("stick", "stick", "record", stick),
    part("pick-12", "pick", "choice", || pick(12)),
    part("pick-10000", "pick", "choice", || pick(10_000)),
];

const fn part(
    name: &'static str,
    function: &'static str,
    operation: &'static str,
    run: fn() -> usize,
) -> Part {
    Part { name, function, operation, run }
}

/// Records of one run of `append`.
const RECORDS: usize = 10_000;
/// Batches of one run of `close`, `drain` or `answer`, and partitions of one of `note`.
const BATCHES: usize = 4000;
/// The default of `batch.size`.
const BATCH_SIZE_BYTES: usize = 131_072;

const PLAIN: Payloads<'_> =
    Payloads { key: None, value: Some(&[b'v'; 100]), headers: &[], timestamp_ms: Some(5) };
const WITH_ALL: Payloads<'_> = Payloads {
    key: Some(b"user-12345"),
    headers: &[
        Header { key: "trace", value: Some(b"7f3a91c2d4e58b60") },
        Header { key: "kind", value: Some(b"view") },
    ],
    ..PLAIN
};
/// Small, so that the bookkeeping and not the checksum decides what is counted.
const SMALL: Payloads<'_> = Payloads { value: Some(b"0123456789"), ..PLAIN };

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut found = wanted.is_empty();
    for part in PARTS.iter().filter(|it| wanted.is_empty() || wanted.iter().any(|w| w == it.name)) {
        found = true;
        let operations = (part.run)();
        println!("{} {} {operations} {}", part.name, part.function, part.operation);
    }
    if !found {
        eprintln!("counts: there is no part {}", wanted.join(" "));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The chunks were used before, as they are in a producer that has run for a while. Opening and
/// closing the batches is in the figure, as it is in the cost of a record.
fn append(record: &Payloads<'_>) -> usize {
    let memory = Memory::default();
    // The first round fills the store of chunks.
    for round in 1..=2 {
        let mut queues = QueueTable::new(1, BATCH_SIZE_BYTES);
        let mut door = Door::new(&memory);
        if round == 1 {
            for _ in 0..RECORDS {
                queues.get(0).append(record, &mut door).expect("memory has no end");
            }
        } else {
            measured::append(queues.get(0), record, RECORDS, &mut door);
        }
        queues.get(0).close();
        let mut held = 0;
        while let Some(batch) = queues.get(0).take(false) {
            held += batch.record_count() as usize;
        }
        assert_eq!(held, RECORDS);
    }
    RECORDS
}

fn close() -> usize {
    let memory = Memory::default();
    let mut queues = QueueTable::new(BATCHES, BATCH_SIZE_BYTES);
    let mut door = Door::new(&memory);
    for number in 0..BATCHES {
        queues.get(number).append(&SMALL, &mut door).expect("memory has no end");
    }
    measured::close(&mut queues);
    (0..BATCHES).map(|number| queues.get(number).closed_count()).sum()
}

/// All batches of a round leave in one request; the checksum over them is part of it.
fn drain(partitions: usize) -> usize {
    let mut lab = Lab::new(partitions);
    let mut drained = 0;
    for _ in 0..BATCHES / partitions {
        lab.fill(&SMALL);
        let mut transmits = lab.take_transmits();
        measured::drain(&mut lab, &mut transmits);
        let requests = lab.receive(transmits);
        drained += requests.iter().map(cluster::Request::batches).sum::<usize>();
        lab.settle(requests);
    }
    drained
}

/// The answers are successes. Taking the events that they lead to is part of it, and so is giving
/// the batches back.
fn answer(partitions: usize) -> usize {
    let mut lab = Lab::new(partitions);
    let mut answered = 0;
    for _ in 0..BATCHES / partitions {
        lab.fill(&SMALL);
        let mut transmits = lab.take_transmits();
        measured::drain(&mut lab, &mut transmits);
        let requests = lab.receive(transmits);
        for request in requests {
            let bytes = request.answer(ErrorCode::NONE);
            answered += measured::answer(&mut lab, request.connection, &bytes);
        }
        lab.rest();
    }
    answered
}

/// Each partition has an open batch with one record, of which the core does not know yet; from
/// the second time on it does, and there is nothing to be done.
fn note(times: usize) -> usize {
    let mut lab = Lab::new(BATCHES);
    lab.append(&SMALL);
    for _ in 1..times {
        lab.note();
    }
    measured::note(&mut lab);
    lab.keys.len()
}

fn murmur2() -> usize {
    let keys: Vec<[u8; 10]> = (0..1000_u64)
        .map(|n| {
            let mut key = *b"user-00000";
            let digits = format!("{:05}", n.wrapping_mul(7919) % 100_000);
            key[5..].copy_from_slice(digits.as_bytes());
            key
        })
        .collect();
    black_box(measured::murmur2(&keys));
    keys.len()
}

/// Records of 100 B that stay with the partition that was chosen.
fn stick() -> usize {
    black_box(measured::stick(1000, BATCH_SIZE_BYTES));
    1000
}

fn pick(partitions: usize) -> usize {
    let mut rng = Rng::new(1);
    let loads: Vec<PartitionLoad> = (0..partitions)
        .map(|_| PartitionLoad { queued_batches: rng.below(4) as u32, available: true })
        .collect();
    black_box(measured::pick(&loads, 1000, &mut rng));
    1000
}
