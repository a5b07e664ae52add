//! The history of a run, and the laws that it is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::error::{ErrorKind, Failure, Outcome};
use ottla_core::output::Acknowledged;
use ottla_core::time::Instant;
use ottla_protocol::Uuid;
use ottla_protocol::record::BatchHeader;

use crate::cluster::Cluster;
use crate::log::RecordId;
use crate::plan::Plan;
use crate::seen::{Counts, Seen};

/// What the program was told of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is in the log, at this offset if one was told.
    Persisted(Option<i64>),
    /// It is in no log.
    NotPersisted,
    /// It may be in the log.
    MaybePersisted,
}

/// An accepted record.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Its partition.
    pub partition: usize,
    /// When it was accepted.
    pub at: Instant,
    /// What was told of it, and when.
    pub told: Option<(Told, Instant)>,
}

/// All that the program did and was told, records by number.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(crate) records: Vec<Accepted>,
    by_place: BTreeMap<(usize, u32), RecordId>,
    untold: u32,
    /// What each stamp was sent with.
    stamps: BTreeMap<Stamp, Vec<RecordId>>,
    /// Stamps of batches that were refused for their size or for some of their records: what is
    /// good of them may be sent under the same.
    refused: BTreeSet<Stamp>,
}

/// Producer, epoch, first sequence, topic, partition.
type Stamp = (i64, i16, i32, Uuid, i32);

fn stamp(topic: Uuid, partition: i32, header: &BatchHeader) -> Stamp {
    (header.producer_id, header.producer_epoch, header.base_sequence, topic, partition)
}

impl History {
    pub(crate) fn next_id(&self) -> RecordId {
        self.records.len() as RecordId
    }

    pub(crate) fn accepted(&mut self, partition: usize, place: (usize, u32), at: Instant) {
        self.by_place.insert(place, self.next_id());
        self.records.push(Accepted { partition, at, told: None });
        self.untold += 1;
    }

    /// Which records these are.
    pub(crate) fn ids(&self, batch: usize, records: Range<u32>) -> Vec<RecordId> {
        records.filter_map(|index| self.by_place.get(&(batch, index)).copied()).collect()
    }

    pub(crate) fn told(&self, id: RecordId) -> Option<Told> {
        self.records.get(id as usize).and_then(|record| record.told).map(|told| told.0)
    }

    /// A flush that is over when these batches are must wait for all that is not told of.
    pub(crate) fn check_flush(&self, pending: &[usize]) -> Result<(), String> {
        let pending: BTreeSet<usize> = pending.iter().copied().collect();
        for ((batch, _), id) in &self.by_place {
            if self.told(*id).is_none() && !pending.contains(batch) {
                return Err(format!("a flush does not wait for record {id} (L9)"));
            }
        }
        Ok(())
    }

    pub(crate) fn is_told(&self) -> bool {
        self.untold == 0
    }

    pub(crate) fn all_told(&self) -> Result<(), String> {
        let untold = self.records.iter().position(|record| record.told.is_none());
        untold.map_or(Ok(()), |id| Err(format!("record {id} was never told of")))
    }

    pub(crate) fn settled(
        &mut self,
        batch: usize,
        records: Range<u32>,
        result: &Result<Acknowledged, Arc<Failure>>,
        now: Instant,
        seen: &mut Counts,
    ) -> Result<(), String> {
        let first = records.start;
        for index in records {
            let Some(id) = self.by_place.get(&(batch, index)).copied() else {
                return Err(format!("record {index} of batch {batch} was never accepted (L1)"));
            };
            let told = match result {
                Ok(ack) => {
                    seen.see(Seen::RecordDelivered);
                    Told::Persisted(ack.base_offset.map(|base| base + i64::from(index - first)))
                }
                Err(failure) => {
                    if failure.kind == ErrorKind::Timeout {
                        seen.see(Seen::RecordExpired);
                    }
                    match failure.outcome {
                        Outcome::NotPersisted => {
                            seen.see(Seen::RecordNotPersisted);
                            Told::NotPersisted
                        }
                        Outcome::MaybePersisted => {
                            seen.see(Seen::RecordMaybePersisted);
                            Told::MaybePersisted
                        }
                    }
                }
            };
            let record = &mut self.records[id as usize];
            if record.told.replace((told, now)).is_some() {
                return Err(format!("record {id} was told of twice (L1)"));
            }
            self.untold -= 1;
        }
        Ok(())
    }

    /// A batch is on the wire: a stamp never changes its records (law L4).
    pub(crate) fn sent(
        &mut self,
        topic: Uuid,
        partition: i32,
        header: &BatchHeader,
        records: &[RecordId],
    ) -> Result<(), String> {
        // Without the topic's id, a stamp may begin anew with a topic that was created anew.
        if header.producer_id < 0 || topic == Uuid::ZERO {
            return Ok(());
        }
        let stamp = stamp(topic, partition, header);
        let before = self.stamps.entry(stamp).or_insert_with(|| records.to_vec());
        if before == records {
            return Ok(());
        }
        let mut rest = before.iter();
        let is_part = records.iter().all(|id| rest.any(|before| before == id));
        if is_part && self.refused.contains(&stamp) {
            *before = records.to_vec();
            return Ok(());
        }
        // The first was refused for good, and its numbers were free again.
        let refused = before.iter().all(|id| {
            matches!(
                self.records.get(*id as usize).and_then(|record| record.told),
                Some((Told::NotPersisted, _))
            )
        });
        if refused {
            *before = records.to_vec();
            return Ok(());
        }
        Err(format!("the stamp {stamp:?} was sent with {before:?}, and then with {records:?} (L4)"))
    }

    /// A broker refused the batch for its size or for some of its records.
    pub(crate) fn refused(&mut self, topic: Uuid, partition: i32, header: &BatchHeader) {
        self.refused.insert(stamp(topic, partition, header));
    }

    /// Holds all that was told against the logs.
    pub(crate) fn check(
        &self,
        plan: &Plan,
        cluster: &Cluster,
        seen: &Counts,
    ) -> Result<(), String> {
        self.check_deadlines(plan.delivery_timeout)?;
        let now = cluster.truth.topic.unwrap_or(0);
        let mut logs: BTreeMap<usize, Vec<RecordId>> = BTreeMap::new();
        let mut deleted: BTreeMap<usize, Vec<Vec<RecordId>>> = BTreeMap::new();
        for ((incarnation, number), replicas) in &cluster.logs {
            if *incarnation == now {
                let leader = cluster.truth.partitions[*number].leader;
                let leader = leader.ok_or("the model is wrong: a partition without a leader")?;
                logs.insert(*number, replicas.logs[leader].records().collect());
            } else {
                let of_old = deleted.entry(*number).or_default();
                of_old.extend(replicas.logs.iter().map(|log| log.records().collect()));
            }
        }
        let by_name = plan.produce_version < 13 && plan.faults.recreate > 0;
        let unknown = by_name || seen.of(Seen::ProducersForgotten) > 0;
        let rules = Rules { acks: plan.acks, idempotent: plan.idempotent, unknown };
        self.check_logs(&rules, &logs, &deleted)
    }

    pub(crate) fn check_deadlines(&self, delivery_timeout: Duration) -> Result<(), String> {
        let latest = delivery_timeout + Duration::from_millis(50);
        for (id, record) in self.records.iter().enumerate() {
            if let Some((_, at)) = record.told
                && at - record.at > latest
            {
                let took = at - record.at;
                return Err(format!("record {id} was told of after {took:?}, too late (L9)"));
            }
        }
        Ok(())
    }

    /// The laws about logs: by partition the log as it is, and logs of topics that were deleted.
    ///
    /// # Errors
    /// The first law that is broken, and by which record.
    pub fn check_logs(
        &self,
        rules: &Rules,
        logs: &BTreeMap<usize, Vec<RecordId>>,
        deleted: &BTreeMap<usize, Vec<Vec<RecordId>>>,
    ) -> Result<(), String> {
        let empty = Vec::new();
        for (number, log) in logs {
            let mut seen = BTreeSet::new();
            let mut last = None;
            for (offset, id) in log.iter().enumerate() {
                let Some(record) = self.records.get(*id as usize) else {
                    return Err(format!("partition {number} holds a foreign record, {id} (L2)"));
                };
                if record.partition != *number {
                    return Err(format!("record {id} is in partition {number}, not its own (L2)"));
                }
                let is_first = seen.insert(*id);
                if !is_first && rules.idempotent {
                    return Err(format!(
                        "record {id} is twice in partition {number}, again at {offset} (L4)"
                    ));
                }
                if is_first && rules.keeps_order() && last.is_some_and(|last| last > *id) {
                    return Err(format!(
                        "record {id} comes behind {} in partition {number} (L3)",
                        last.unwrap_or(0)
                    ));
                }
                last = last.max(Some(*id));
            }
        }
        for (id, record) in (0..).zip(&self.records) {
            let log = logs.get(&record.partition).unwrap_or(&empty);
            match record.told {
                Some((Told::Persisted(offset), _)) if rules.acks == -1 => {
                    let there = |log: &Vec<RecordId>| match offset {
                        Some(offset) => log.get(offset as usize) == Some(&id),
                        None => log.contains(&id),
                    };
                    let of_old = deleted.get(&record.partition);
                    if !there(log) && !of_old.is_some_and(|logs| logs.iter().any(there)) {
                        return Err(format!(
                            "record {id} is not in partition {} at {offset:?}, as was told (L2)",
                            record.partition
                        ));
                    }
                }
                Some((Told::NotPersisted, _)) if log.contains(&id) => {
                    return Err(format!(
                        "record {id} is in partition {}, and was told not to be (L1)",
                        record.partition
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// 0, 1 or -1 (all).
    pub acks: i16,
    /// Whether retries are recognized.
    pub idempotent: bool,
    /// Whether a broker may not know the producer though the producer thinks so: it takes any
    /// sequence number as the first then, and order is not promised. So it is when topics are
    /// created anew and produced to by name (Produce before version 13), and when brokers forget
    /// producers.
    pub unknown: bool,
}

impl Rules {
    /// One batch of a partition at a time, or sequence numbers: order holds. Where a leader may
    /// lose what it acknowledged, a later record can come before an earlier one's repetition.
    const fn keeps_order(self) -> bool {
        self.acks == -1 && self.idempotent && !self.unknown
    }
}
