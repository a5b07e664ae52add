use alloc::vec::Vec;
use core::cell::Cell;

use ottla_protocol::record::{RecordReader, validate_batch};

use super::*;
use crate::rng::Rng;

enum Plain {}

impl Host for Plain {
    type Completion = u32;
    type Chunk = Vec<u8>;
}

struct Door<'a> {
    chunks_left: &'a Cell<usize>,
    opened: u32,
    wall_ms: i64,
    recent_wall_ms: i64,
}

impl<'a> Door<'a> {
    fn new(chunks_left: &'a Cell<usize>) -> Self {
        Self { chunks_left, opened: 0, wall_ms: 0, recent_wall_ms: 0 }
    }
}

impl AppendDoor<Plain> for Door<'_> {
    fn chunk(&mut self, capacity_bytes: usize) -> Option<Vec<u8>> {
        self.chunks_left.set(self.chunks_left.get().checked_sub(1)?);
        Some(Vec::with_capacity(capacity_bytes))
    }
    fn completion(&mut self) -> u32 {
        self.opened
    }
    fn now(&mut self) -> Instant {
        Instant::from_millis(1)
    }
    fn wall_ms(&mut self) -> i64 {
        self.wall_ms
    }
    fn recent_wall_ms(&mut self) -> i64 {
        self.recent_wall_ms
    }
}

fn payloads(value: &[u8], timestamp_ms: i64) -> Payloads<'_> {
    Payloads { key: None, value: Some(value), headers: &[], timestamp_ms: Some(timestamp_ms) }
}

#[test]
fn what_was_appended_stands_in_the_batches_in_order_and_no_chunk_was_ever_moved() {
    let mut rng = Rng::new(3);
    let chunks_left = Cell::new(usize::MAX);
    let mut queue = PartitionQueue::<Plain>::new(20_000);
    let mut sent = Vec::new();
    for n in 0..2000_i64 {
        // Mostly small, sometimes larger than a chunk or than a whole batch.
        let length = if rng.below(50) == 0 { rng.below(60_000) } else { rng.below(300) };
        let value: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
        let mut door = Door { opened: n as u32, ..Door::new(&chunks_left) };
        queue.append(&payloads(&value, 1000 + n * 7 % 13), &mut door).unwrap();
        sent.push((1000 + n * 7 % 13, value));
    }
    let mut read = Vec::new();
    while let Some(mut batch) = queue.take(true) {
        batch.set_stamp(Stamp::NONE);
        let mut bytes = batch.header().to_vec();
        let records: Vec<u8> = batch.payload().chunks().flatten().copied().collect();
        bytes.extend_from_slice(&records);
        let header = validate_batch(&bytes).unwrap();
        let views: Vec<_> = RecordReader::new(&records).map(Result::unwrap).collect();
        assert_eq!(views.len() as i32, header.record_count);
        assert_eq!(header.last_offset_delta, header.record_count - 1);
        let newest = views.iter().map(|view| header.base_timestamp + view.timestamp_delta).max();
        assert_eq!(newest, Some(header.max_timestamp));
        for (index, view) in views.iter().enumerate() {
            assert_eq!(view.offset_delta, index as i32);
            read.push((header.base_timestamp + view.timestamp_delta, view.value.unwrap().to_vec()));
        }
    }
    assert_eq!(read, sent);
}

#[test]
fn without_memory_a_record_is_not_appended_and_can_be_appended_later() {
    let chunks_left = Cell::new(1);
    let mut queue = PartitionQueue::<Plain>::new(100_000);
    let mut door = Door::new(&chunks_left);
    queue.append(&payloads(&[1; 3000], 0), &mut door).unwrap();
    let refused = queue.append(&payloads(&[2; 3000], 0), &mut door).unwrap_err();
    assert!(refused.capacity_bytes >= 3000);
    chunks_left.set(1);
    let appended = queue.append(&payloads(&[2; 3000], 0), &mut door).unwrap();
    assert_eq!(appended.index, 1);
}

#[test]
fn the_sender_is_told_of_a_first_record_and_of_a_full_batch_and_of_nothing_else() {
    let chunks_left = Cell::new(usize::MAX);
    let mut queue = PartitionQueue::<Plain>::new(1000);
    let mut door = Door::new(&chunks_left);
    let notes: Vec<Note> =
        (0..5).map(|_| queue.append(&payloads(&[0; 300], 0), &mut door).unwrap().note).collect();
    let (none, tell) = (Note::None, Note::Tell);
    assert_eq!(notes, [tell, none, none, tell, none]);
}

#[test]
fn timestamps_too_far_apart_for_the_wire_go_into_different_batches() {
    let chunks_left = Cell::new(usize::MAX);
    let mut queue = PartitionQueue::<Plain>::new(100_000);
    let mut door = Door::new(&chunks_left);
    queue.append(&payloads(b"old", i64::MIN + 1), &mut door).unwrap();
    queue.append(&payloads(b"new", i64::MAX), &mut door).unwrap();
    assert_eq!(queue.closed_count(), 1);
    assert_eq!(queue.completions().count(), 2);
}

#[test]
fn a_record_without_a_timestamp_is_stamped_exactly_when_it_opens_a_batch_and_never_before_that() {
    let chunks_left = Cell::new(usize::MAX);
    let mut queue = PartitionQueue::<Plain>::new(100_000);
    // The cheap clock is a tick behind.
    let mut door = Door { wall_ms: 1003, recent_wall_ms: 1000, ..Door::new(&chunks_left) };
    let unstamped = Payloads { timestamp_ms: None, ..payloads(b"now", 0) };
    assert_eq!(queue.append(&unstamped, &mut door).unwrap().timestamp_ms, 1003);
    assert_eq!(queue.append(&unstamped, &mut door).unwrap().timestamp_ms, 1003);
    door.recent_wall_ms = 1004;
    assert_eq!(queue.append(&unstamped, &mut door).unwrap().timestamp_ms, 1004);
}

#[test]
fn a_record_without_a_timestamp_takes_none_from_a_record_that_brought_its_own() {
    let chunks_left = Cell::new(usize::MAX);
    let mut queue = PartitionQueue::<Plain>::new(100_000);
    let mut door = Door { wall_ms: 1003, recent_wall_ms: 1000, ..Door::new(&chunks_left) };
    queue.append(&payloads(b"of next year", 9_999_999), &mut door).unwrap();
    let unstamped = Payloads { timestamp_ms: None, ..payloads(b"now", 0) };
    assert_eq!(queue.append(&unstamped, &mut door).unwrap().timestamp_ms, 1000);
}
