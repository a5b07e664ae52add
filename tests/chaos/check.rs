//! Holds what was told against what another client has read.

use std::collections::{BTreeMap, HashMap};

use crate::history::{History, Records, Told};
use crate::payload::{Route, Stream, route};

/// A record in a log, as the other client read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offset: i64,
    pub(crate) what: What,
}

/// What it turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// One of ours.
    Record { producer: u16, number: u32 },
    /// One of ours that belongs to another topic.
    Misrouted { topic: String },
    /// None of ours, or not as it was, and why.
    Foreign(String),
}

/// What is in a topic, by partition and offset.
pub(crate) type Log = BTreeMap<i32, Vec<Found>>;

/// The ways in which something may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wrong {
    /// Told to be delivered, and not there (law L2).
    Lost,
    /// Told to be delivered at an offset, and at another (law L2).
    Misplaced,
    /// There more than once (law L4).
    Twice,
    /// Behind one that was sent later (law L3).
    Order,
    /// Told to be in no log, and there (law L1).
    FalseNotPersisted,
    /// In another partition than was told, or a key in two (law L2).
    Partition,
    /// In another topic (laws L2 and L6).
    Misrouted,
    /// Not ours, or not as it was sent (laws L2 and L6).
    Foreign,
    /// Never told of (laws L1 and L9).
    Untold,
    /// Told of more than once (law L1).
    ToldTwice,
    /// The offsets of a partition have a hole: not all was read.
    Hole,
}

impl Wrong {
    /// What it is called in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost (L2)",
            Self::Misplaced => "at another offset (L2)",
            Self::Twice => "twice in the log (L4)",
            Self::Order => "out of order (L3)",
            Self::FalseNotPersisted => "told not to be persisted, and there (L1)",
            Self::Partition => "in another partition (L2)",
            Self::Misrouted => "in another topic (L2)",
            Self::Foreign => "not ours or damaged (L6)",
            Self::Untold => "without an outcome (L1)",
            Self::ToldTwice => "with two outcomes (L1)",
            Self::Hole => "not read",
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// How often each thing is wrong.
    pub(crate) wrong: BTreeMap<Wrong, u64>,
    /// The first of each.
    pub(crate) first: BTreeMap<Wrong, String>,
    pub(crate) delivered: u64,
    pub(crate) not_persisted: u64,
    pub(crate) refused: u64,
    /// Records in doubt, and how many of them are in the log.
    pub(crate) maybe: u64,
    pub(crate) maybe_there: u64,
    pub(crate) in_logs: u64,
}

impl Verdict {
    pub(crate) fn is_clean(&self) -> bool {
        self.wrong.is_empty()
    }

    pub(crate) fn count(&self, wrong: Wrong) -> u64 {
        self.wrong.get(&wrong).copied().unwrap_or(0)
    }

    fn note(&mut self, wrong: Wrong, words: impl FnOnce() -> String) {
        *self.wrong.entry(wrong).or_default() += 1;
        self.first.entry(wrong).or_insert_with(words);
    }
}

/// Where a record was found: partition, offset, and how often in all.
#[derive(Clone, Copy, Default)]
struct Place {
    partition: i32,
    offset: i64,
    times: u32,
}

/// Holds the history against the logs, topics by their names.
pub(crate) fn check(history: &History, logs: &BTreeMap<String, Log>) -> Verdict {
    let mut verdict = Verdict::default();
    let empty = Log::new();
    for (index, topic) in (0..).zip(&history.topics) {
        let mut places: HashMap<u16, Vec<Place>> = history
            .streams
            .iter()
            .filter(|(stream, _)| stream.topic == index)
            .map(|(stream, records)| (stream.producer, vec![Place::default(); records.sent.len()]))
            .collect();
        let log = logs.get(topic).unwrap_or(&empty);
        for (partition, found) in log {
            let at = At { topic, index, partition: *partition };
            check_partition(&at, found, history, &mut places, &mut verdict);
        }
        for (stream, records) in history.streams.iter().filter(|(it, _)| it.topic == index) {
            let places = places.remove(&stream.producer).unwrap_or_default();
            check_stream(topic, *stream, records, &places, &mut verdict);
        }
    }
    verdict
}

struct At<'a> {
    topic: &'a str,
    index: u16,
    partition: i32,
}

fn check_partition(
    at: &At<'_>,
    log: &[Found],
    history: &History,
    places: &mut HashMap<u16, Vec<Place>>,
    verdict: &mut Verdict,
) {
    let At { topic, index, partition } = *at;
    let mut last: HashMap<u16, u32> = HashMap::new();
    for (expected, found) in (0..).zip(log) {
        let offset = found.offset;
        let place = || format!("{topic}-{partition} at offset {offset}");
        verdict.in_logs += 1;
        if offset != expected {
            verdict.note(Wrong::Hole, || format!("{}: {expected} was expected", place()));
        }
        let (producer, number) = match &found.what {
            What::Record { producer, number } => (*producer, *number),
            What::Misrouted { topic } => {
                verdict.note(Wrong::Misrouted, || format!("{}: it belongs to {topic}", place()));
                continue;
            }
            What::Foreign(why) => {
                verdict.note(Wrong::Foreign, || format!("{}: {why}", place()));
                continue;
            }
        };
        let name = || format!("record {number} of producer {producer} in {}", place());
        let known = places.get_mut(&producer).and_then(|places| places.get_mut(number as usize));
        let Some(seen) = known else {
            verdict.note(Wrong::Foreign, || format!("{}: nobody sent it", name()));
            continue;
        };
        let records = &history.streams[&Stream { producer, topic: index }];
        let sent = records.sent[number as usize];
        if sent.partition >= 0 && sent.partition != partition {
            verdict.note(Wrong::Partition, || {
                format!("{}: it was sent to partition {}", name(), sent.partition)
            });
        }
        seen.times += 1;
        // The place that was told is the one that counts.
        if seen.times == 1 || sent.told == Told::Delivered(Some(offset)) {
            (seen.partition, seen.offset) = (partition, offset);
        }
        if !records.promise.idempotent {
            // Repetitions are expected, and so they must not be counted as disorder.
        } else if seen.times == 1 {
            let before = last.entry(producer).or_insert(number);
            if *before > number {
                verdict.note(Wrong::Order, || format!("{}: it comes behind {before}", name()));
            }
            *before = (*before).max(number);
        }
        if seen.times > 1 {
            verdict.note(Wrong::Twice, || format!("{}: it was there before", name()));
        }
    }
}

fn check_stream(
    topic: &str,
    stream: Stream,
    records: &Records,
    places: &[Place],
    verdict: &mut Verdict,
) {
    let mut keys: HashMap<String, i32> = HashMap::new();
    for (number, (sent, place)) in (0..).zip(records.sent.iter().zip(places)) {
        let name = || format!("record {number} of producer {} to {topic}", stream.producer);
        let there = || format!("partition {} at offset {}", place.partition, place.offset);
        if sent.again {
            verdict.note(Wrong::ToldTwice, || format!("{}, at last {:?}", name(), sent.told));
        }
        if sent.partition >= 0
            && let Route::Key(key) = route(stream, number)
        {
            let of_key = *keys.entry(key).or_insert(sent.partition);
            if of_key != sent.partition {
                verdict.note(Wrong::Partition, || {
                    format!("{}: its key was in {of_key} before {}", name(), sent.partition)
                });
            }
        }
        match sent.told {
            Told::Nothing => verdict.note(Wrong::Untold, name),
            Told::Delivered(offset) => {
                verdict.delivered += 1;
                if number < records.promise.kept_from {
                    continue;
                }
                match offset {
                    _ if place.times == 0 => verdict.note(Wrong::Lost, || {
                        format!(
                            "{}, told to be in partition {} at {offset:?}",
                            name(),
                            sent.partition
                        )
                    }),
                    Some(told) if told != place.offset => verdict.note(Wrong::Misplaced, || {
                        format!("{}, told to be at {told}, is in {}", name(), there())
                    }),
                    _ => {}
                }
            }
            Told::NotPersisted | Told::Refused => {
                match sent.told {
                    Told::Refused => verdict.refused += 1,
                    _ => verdict.not_persisted += 1,
                }
                if place.times > 0 {
                    verdict.note(Wrong::FalseNotPersisted, || {
                        format!("{}, {:?}, is in {}", name(), sent.told, there())
                    });
                }
            }
            Told::MaybePersisted => {
                verdict.maybe += 1;
                verdict.maybe_there += u64::from(place.times > 0);
            }
        }
    }
}
