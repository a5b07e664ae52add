//! Where reading stands in each partition.

use std::collections::HashMap;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use tokio::time::{Instant, sleep};

use super::options::{ReadOptions, Start};
use super::{RequestError, RequestErrorKind, fetch};
use crate::wire::{Brokers, EARLIEST, LATEST, list_offsets};

/// Where reading stands in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) partition: i32,
    /// The node id of the leader.
    pub(super) leader: i32,
    /// The next offset wanted.
    pub(super) position: i64,
    /// Where to stop, if anywhere.
    pub(super) end: Option<i64>,
    /// Room for one fetch of it, in bytes.
    pub(super) fetch_bytes: i32,
}

impl Cursor {
    pub(super) fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.position >= end)
    }
}

/// Records that were removed before they could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// The partition.
    pub partition: i32,
    /// The first offset that was wanted and is gone.
    pub from: i64,
    /// The first offset that is there again.
    pub to: i64,
}

/// What the cluster says of a topic. Partitions that have no leader yet get one within the
/// timeout, or the topic is given as it is.
pub(super) async fn topic_metadata(
    brokers: &mut Brokers,
    topic: &str,
) -> Result<MetadataResponseTopic, RequestError> {
    let deadline = Instant::now() + brokers.timeout();
    loop {
        let response = brokers.metadata(Some(&[topic])).await?;
        let answers = response.topics.into_iter();
        let answer = answers.into_iter().find(|answer| answer.name.as_deref() == Some(topic));
        let what = format!("topic {topic} cannot be read from {}", brokers.server());
        let answer = answer.ok_or_else(|| {
            RequestError::new(
                RequestErrorKind::Garbled,
                format!("{what}: the answer leaves it out"),
            )
        })?;
        let code = ErrorCode(answer.error_code);
        let is_late = Instant::now() + fetch::RETRY_WAIT >= deadline;
        let has_leaders = answer.partitions.iter().all(|partition| partition.leader_id >= 0);
        match code {
            code if code.is_ok() && has_leaders => return Ok(answer),
            code if code.is_ok() && is_late => return Ok(answer),
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE if !is_late => {}
            code => return Err(RequestError::refused(&what, code, None)),
        }
        sleep(fetch::RETRY_WAIT).await;
    }
}

/// Finds the place to begin in each partition that is wanted, and the place to stop.
pub(super) async fn place(
    brokers: &mut Brokers,
    topic: &str,
    mut partitions: Vec<MetadataResponsePartition>,
    options: &ReadOptions,
) -> Result<Vec<Cursor>, RequestError> {
    partitions.sort_by_key(|partition| partition.partition_index);
    if let Some(wanted) = &options.partitions {
        let count = partitions.len();
        partitions.retain(|partition| wanted.contains(&partition.partition_index));
        let is_there = |number: &&i32| partitions.iter().any(|p| p.partition_index == **number);
        if let Some(missing) = wanted.iter().find(|number| !is_there(number)) {
            return Err(RequestError::new(
                RequestErrorKind::UnknownPartition,
                format!("topic {topic} has no partition {missing}: it has {count}, from 0 on"),
            ));
        }
    }
    let earliest = list_offsets(brokers, topic, &partitions, EARLIEST).await?;
    let latest = list_offsets(brokers, topic, &partitions, LATEST).await?;
    let offset_in = |offsets: &HashMap<i32, Result<i64, ErrorCode>>, partition: i32| {
        let code = match offsets.get(&partition) {
            Some(Ok(offset)) => return Ok(*offset),
            Some(Err(code)) => *code,
            None => ErrorCode::UNKNOWN_SERVER_ERROR,
        };
        let what = format!("the offsets of {topic} partition {partition} cannot be had");
        Err(RequestError::refused(&what, code, None))
    };
    let mut spans = Vec::with_capacity(partitions.len());
    for partition in &partitions {
        let index = partition.partition_index;
        spans.push((offset_in(&earliest, index)?, offset_in(&latest, index)?));
    }
    check_start(topic, options.start, &spans)?;
    let cursor = |(partition, (first, next)): (&MetadataResponsePartition, &(i64, i64))| Cursor {
        partition: partition.partition_index,
        leader: partition.leader_id,
        position: begin(options.start, *first, *next),
        end: options.stop_at_end.then_some(*next),
        fetch_bytes: fetch::PARTITION_BYTES,
    };
    Ok(partitions.iter().zip(&spans).map(cursor).collect())
}

/// Where to begin in a partition that holds the offsets from `first` up to, without, `next`.
fn begin(start: Start, first: i64, next: i64) -> i64 {
    let wanted = match start {
        Start::Beginning => first,
        Start::End => next,
        Start::Offset(offset) => offset,
        Start::Last(count) => next.saturating_sub(count),
    };
    wanted.min(next).max(first)
}

/// An offset that no partition has, or not the only one that is read, is an error.
fn check_start(topic: &str, start: Start, spans: &[(i64, i64)]) -> Result<(), RequestError> {
    let Start::Offset(offset) = start else { return Ok(()) };
    let out_of_range =
        |message: String| Err(RequestError::new(RequestErrorKind::OffsetOutOfRange, message));
    match spans {
        [(first, next)] if offset < *first || offset > *next => {
            let held = match next - first {
                0 => format!("it is empty, and the next record will be at {next}"),
                _ => format!("it holds {first} to {}", next - 1),
            };
            out_of_range(format!("{topic} has no offset {offset} in this partition: {held}"))
        }
        [_, _, ..] if spans.iter().all(|(_, next)| offset > *next) => {
            let greatest = spans.iter().map(|(_, next)| *next).max().unwrap_or(0);
            out_of_range(format!(
                "{topic} has no offset {offset} in any partition: the next record of the longest \
                 will be at {greatest}"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_begins_within_what_the_partition_holds() {
        assert_eq!(begin(Start::Beginning, 5, 9), 5);
        assert_eq!(begin(Start::End, 5, 9), 9);
        assert_eq!(begin(Start::Last(2), 5, 9), 7);
        assert_eq!(begin(Start::Last(200), 5, 9), 5);
        assert_eq!(begin(Start::Last(i64::MAX), 5, 9), 5);
        assert_eq!(begin(Start::Offset(7), 5, 9), 7);
        assert_eq!(begin(Start::Offset(70), 5, 9), 9);
    }

    #[test]
    fn an_offset_that_is_not_there_is_an_error_that_names_what_is() {
        let error = check_start("t", Start::Offset(12), &[(5, 9)]).unwrap_err();
        assert_eq!(error.kind(), RequestErrorKind::OffsetOutOfRange);
        assert!(error.to_string().contains("5 to 8"), "{error}");
        assert!(check_start("t", Start::Offset(4), &[(5, 9)]).is_err());
        assert!(check_start("t", Start::Offset(9), &[(5, 9)]).is_ok());
        assert!(check_start("t", Start::Offset(12), &[(5, 9), (0, 20)]).is_ok());
        assert!(check_start("t", Start::Offset(12), &[(5, 9), (0, 2)]).is_err());
        assert!(check_start("t", Start::Offset(0), &[]).is_ok());
    }
}
