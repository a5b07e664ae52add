//! A writer with acks=all that sends each batch until it knows what has become of it.

use ottla_protocol::ErrorCode;

use super::world::{Answer, World, batch};
use crate::peers::ConnectionId;
use crate::rng::Rng;

/// Writes to one partition, one batch at a time.
pub(super) struct Careful {
    pub(super) producer_id: i64,
    partition: i32,
    next_value: u64,
    sequence: i32,
    /// The batch that it is about, as values.
    open: Option<Vec<u64>>,
    waiting: Option<ConnectionId>,
    /// Values with the offsets that were told.
    pub(super) acknowledged: Vec<(u64, i64)>,
    /// The batch that was acknowledged last, with its sequence number and offset.
    last: Option<(Vec<u64>, i32, i64)>,
    /// What is under way is not the open batch but a known one, or one that must not be taken.
    probe: Option<Probe>,
    /// What is under way went to a node that led no more, and may lack what came before.
    went_astray: bool,
}

/// A batch that is sent to see what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// It is in the log already, at this offset.
    Known(i64),
    /// Batches before it are absent.
    Gap,
}

impl Careful {
    pub(super) fn new(partition: i32) -> Self {
        Self {
            producer_id: 1000 + i64::from(partition),
            partition,
            next_value: 0,
            sequence: 0,
            open: None,
            waiting: None,
            acknowledged: Vec::new(),
            last: None,
            probe: None,
            went_astray: false,
        }
    }

    /// Takes an answer if there is one, and sends if nothing is under way: what is not settled yet,
    /// or something new. `target` is where to.
    pub(super) fn step(&mut self, world: &mut World, target: i32, rng: &mut Rng, begins: bool) {
        if let Some(connection) = self.waiting {
            let Some(answer) = world.take_answer(connection) else {
                return;
            };
            self.waiting = None;
            match answer {
                Answer::Is(answer) => self.take(ErrorCode(answer.error_code), answer.base_offset),
                Answer::Lost => self.probe = None,
            }
        }
        if self.open.is_none() && !begins {
            return;
        }
        self.went_astray = !world.leads(target, self.partition);
        if let Some((values, sequence, offset)) = self.last.clone().filter(|_| self.open.is_none())
            && begins
            // One that was deposed may know less, and takes what another would not.
            && !self.went_astray
            && rng.next_u64().is_multiple_of(4)
        {
            let is_known = rng.next_u64().is_multiple_of(2);
            let (probe, sequence) = match is_known {
                true => (Probe::Known(offset), sequence),
                false => (Probe::Gap, self.sequence + 7),
            };
            let bytes = batch(Some((self.producer_id, sequence)), &values);
            self.waiting = world.produce(target, -1, self.partition, &bytes);
            self.probe = self.waiting.map(|_| probe);
            return;
        }
        let values = self.open.get_or_insert_with(|| {
            let count = 1 + rng.next_u64() % 3;
            let values = (self.next_value..self.next_value + count).collect();
            self.next_value += count;
            values
        });
        let bytes = batch(Some((self.producer_id, self.sequence)), values);
        self.waiting = world.produce(target, -1, self.partition, &bytes);
    }

    fn take(&mut self, code: ErrorCode, base_offset: i64) {
        match (self.probe.take(), code) {
            (Some(Probe::Known(offset)), ErrorCode::NONE) => {
                return assert_eq!(base_offset, offset, "a duplicate has its first offset");
            }
            (Some(Probe::Gap), ErrorCode::NONE) => panic!("a gap was accepted"),
            (Some(Probe::Gap), ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) => return,
            _ => {}
        }
        match code {
            ErrorCode::NONE => {
                let values = self.open.take().unwrap();
                self.last = Some((values.clone(), self.sequence, base_offset));
                self.sequence += values.len() as i32;
                self.acknowledged.extend(values.into_iter().zip(base_offset..));
            }
            ErrorCode::NOT_LEADER_OR_FOLLOWER
            | ErrorCode::NOT_ENOUGH_REPLICAS
            | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode::REQUEST_TIMED_OUT => {}
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if self.went_astray => {}
            other => panic!("partition {}: {other}", self.partition),
        }
    }
}
