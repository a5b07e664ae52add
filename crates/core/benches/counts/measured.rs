//! The functions whose instructions are counted, from their first to their last, with all that
//! they call. They are never inlined, and never call each other: callgrind knows them by name.

use std::hint::black_box;

use ottla_core::accumulator::{PartitionQueue, Payloads};
use ottla_core::output::{ConnectionId, Event, Transmit};
use ottla_core::partitioner::{self, PartitionLoad, Sticky};
use ottla_core::rng::Rng;

use crate::cluster::Lab;
use crate::memory::{Bench, Door, QueueTable};

#[inline(never)]
pub(crate) fn append(
    queue: &mut PartitionQueue<Bench>,
    record: &Payloads<'_>,
    count: usize,
    door: &mut Door<'_>,
) {
    for _ in 0..count {
        let appended = queue.append(black_box(record), door);
        let _ = black_box(appended);
    }
}

#[inline(never)]
pub(crate) fn close(queues: &mut QueueTable) {
    for queue in queues.iter_mut() {
        black_box(queue).close();
    }
}

#[inline(never)]
pub(crate) fn drain(lab: &mut Lab, transmits: &mut Vec<Transmit<Bench>>) {
    while let Some(transmit) = lab.producer.poll_transmit(&mut lab.queues, lab.now) {
        transmits.push(black_box(transmit));
    }
}

#[inline(never)]
pub(crate) fn answer(lab: &mut Lab, connection: ConnectionId, bytes: &[u8]) -> usize {
    lab.producer.handle_bytes(connection, black_box(bytes), &mut lab.queues, lab.now);
    let mut delivered = 0;
    while let Some(event) = black_box(lab.producer.poll_event()) {
        delivered += usize::from(matches!(event, Event::Settled { result: Ok(_), .. }));
    }
    delivered
}

#[inline(never)]
pub(crate) fn note(lab: &mut Lab) {
    for key in &lab.keys {
        lab.producer.note(black_box(*key), &mut lab.queues, lab.now);
    }
}

#[inline(never)]
pub(crate) fn murmur2(keys: &[[u8; 10]]) -> u32 {
    keys.iter().fold(0, |sum, key| sum ^ partitioner::murmur2(black_box(&key[..])))
}

#[inline(never)]
pub(crate) fn stick(count: usize, batch_size_bytes: usize) -> i32 {
    let mut sticky = Sticky::default();
    (0..count).fold(0, |sum, _| {
        sum ^ sticky.partition(black_box(100), black_box(batch_size_bytes), 12, || black_box(7))
    })
}

#[inline(never)]
pub(crate) fn pick(loads: &[PartitionLoad], count: usize, rng: &mut Rng) -> i32 {
    let loads = black_box(loads);
    (0..count).fold(0, |sum, _| sum ^ partitioner::pick(loads.len(), |n| loads[n], true, rng))
}
