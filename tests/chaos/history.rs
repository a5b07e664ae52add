//! What the program did and was told, by stream, and the file that it is kept in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};

use crate::payload::Stream;

/// What was told of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Nothing yet.
    Nothing,
    /// It is in the log, at this offset if one was told.
    Delivered(Option<i64>),
    /// It is in no log.
    NotPersisted,
    /// It may be in the log.
    MaybePersisted,
    /// It was not even accepted.
    Refused,
}

/// A record that was handed to the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Its partition, -1 while it is not accepted.
    pub(crate) partition: i32,
    pub(crate) told: Told,
    /// It was told of more than once.
    pub(crate) again: bool,
}

/// What is promised of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// What is acknowledged stays. Before this number the topic was deleted and created anew, and
    /// nobody can look any more.
    pub(crate) kept_from: u32,
    /// Nothing is there twice, and order is kept.
    pub(crate) idempotent: bool,
}

impl Promise {
    /// `acks=all` and idempotence.
    pub(crate) const FULL: Self = Self { kept_from: 0, idempotent: true };
}

/// The records of a stream by their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) promise: Promise,
    pub(crate) sent: Vec<Sent>,
}

impl Records {
    pub(crate) fn new(promise: Promise) -> Self {
        Self { promise, sent: Vec::new() }
    }

    /// The number of the next record, which is now handed over.
    pub(crate) fn begin(&mut self) -> u32 {
        self.sent.push(Sent { partition: -1, told: Told::Nothing, again: false });
        self.sent.len() as u32 - 1
    }

    pub(crate) fn accepted(&mut self, number: u32, partition: i32) {
        self.sent[number as usize].partition = partition;
    }

    pub(crate) fn told(&mut self, number: u32, told: Told) {
        let sent = &mut self.sent[number as usize];
        sent.again |= sent.told != Told::Nothing;
        sent.told = told;
    }
}

/// All streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Their names, by number.
    pub(crate) topics: Vec<String>,
    pub(crate) streams: BTreeMap<Stream, Records>,
}

impl History {
    /// Writes a line for each topic, stream and record.
    pub(crate) fn write(&self, mut out: impl Write) -> std::io::Result<()> {
        for topic in &self.topics {
            writeln!(out, "topic {topic}")?;
        }
        let mut line = String::new();
        for (stream, records) in &self.streams {
            let Promise { kept_from, idempotent } = records.promise;
            let Stream { producer, topic } = stream;
            writeln!(out, "stream {producer} {topic} {kept_from} {idempotent}")?;
            for sent in &records.sent {
                line.clear();
                let again = if sent.again { " again" } else { "" };
                let partition = sent.partition;
                let _ = match sent.told {
                    Told::Nothing => writeln!(line, "{partition} nothing{again}"),
                    Told::Delivered(None) => writeln!(line, "{partition} delivered{again}"),
                    Told::Delivered(Some(offset)) => {
                        writeln!(line, "{partition} delivered {offset}{again}")
                    }
                    Told::NotPersisted => writeln!(line, "{partition} not-persisted{again}"),
                    Told::MaybePersisted => writeln!(line, "{partition} maybe{again}"),
                    Told::Refused => writeln!(line, "{partition} refused{again}"),
                };
                out.write_all(line.as_bytes())?;
            }
        }
        out.flush()
    }

    /// Reads what [`History::write`] wrote.
    pub(crate) fn read(input: impl BufRead) -> Result<Self, String> {
        let mut history = Self::default();
        let mut current: Option<&mut Records> = None;
        for (index, line) in input.lines().enumerate() {
            let line = line.map_err(|error| error.to_string())?;
            let wrong = || format!("line {} of the history: {line:?}", index + 1);
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["topic", name] => history.topics.push(name.to_owned()),
                ["stream", producer, topic, kept_from, idempotent] => {
                    let number = |word: &str| word.parse().map_err(|_| wrong());
                    let stream = Stream { producer: number(producer)?, topic: number(topic)? };
                    let kept_from = kept_from.parse().map_err(|_| wrong())?;
                    let promise = Promise { kept_from, idempotent: idempotent == "true" };
                    let records = Records::new(promise);
                    current = Some(history.streams.entry(stream).or_insert(records));
                }
                [partition, ref rest @ ..] => {
                    let partition = partition.parse().map_err(|_| wrong())?;
                    let told = told(rest).ok_or_else(wrong)?;
                    let again = rest.last() == Some(&"again");
                    let records = current.as_mut().ok_or_else(wrong)?;
                    records.sent.push(Sent { partition, told, again });
                }
                [] => return Err(wrong()),
            }
        }
        Ok(history)
    }
}

fn told(words: &[&str]) -> Option<Told> {
    match words {
        ["nothing", ..] => Some(Told::Nothing),
        ["delivered"] | ["delivered", "again"] => Some(Told::Delivered(None)),
        ["delivered", offset, ..] => offset.parse().ok().map(|at| Told::Delivered(Some(at))),
        ["not-persisted", ..] => Some(Told::NotPersisted),
        ["maybe", ..] => Some(Told::MaybePersisted),
        ["refused", ..] => Some(Told::Refused),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_that_was_written_is_read_again() {
        let mut records = Records::new(Promise { kept_from: 2, idempotent: false });
        for told in [
            Told::Nothing,
            Told::Delivered(Some(5)),
            Told::Delivered(None),
            Told::NotPersisted,
            Told::MaybePersisted,
            Told::Refused,
        ] {
            let number = records.begin();
            records.accepted(number, 3);
            if told != Told::Nothing {
                records.told(number, told);
                records.told(number, told);
            }
        }
        let streams = BTreeMap::from([(Stream { producer: 1, topic: 0 }, records)]);
        let history = History { topics: vec!["one".to_owned()], streams };
        let mut file = Vec::new();
        history.write(&mut file).unwrap();
        assert_eq!(History::read(&file[..]).unwrap(), history);
        assert!(History::read(&b"topic one\n0 delivered 1\n"[..]).is_err());
        assert!(History::read(&b"stream 0 0 0 true\n0 delivered x\n"[..]).is_err());
    }
}
