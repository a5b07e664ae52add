//! Fetching from the leaders of all partitions at once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{
    FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData,
};
use ottla_protocol::record::BatchHeader;
use ottla_protocol::{ErrorCode, Uuid};
use tokio::time::{Instant, sleep};

use super::cursor::{self, Cursor, Gap};
use super::{FetchedBatch, Reader, RequestError, RequestErrorKind};
use crate::wire::{EARLIEST, LATEST, Sent, list_offsets};

/// The wait before asking again after something that passes, such as a move of a leader.
pub(super) const RETRY_WAIT: Duration = Duration::from_millis(100);

/// Room for one partition in one fetch, in bytes. A larger batch comes whole, alone.
pub(super) const PARTITION_BYTES: i32 = 4 * 1024 * 1024;

/// Room for one fetch, in bytes.
const RESPONSE_BYTES: i32 = 32 * 1024 * 1024;

/// How long a broker may wait for records to come, in milliseconds.
const MAX_WAIT_MS: i32 = 500;

/// The last version in which a topic is named; from the next one on it goes by its id.
const LAST_VERSION_BY_NAME: i16 = 12;

/// What became of one round of fetches.
#[derive(Default)]
struct Round {
    /// Partitions that must be asked again elsewhere or later, and why.
    moved: Option<RequestError>,
    /// Partitions whose position is not in the log.
    out_of_range: Vec<i32>,
}

impl Reader {
    /// Asks all leaders for what comes next until something did, or a wait has passed.
    pub(super) async fn fetch(&mut self) -> Result<(), RequestError> {
        let deadline = Instant::now() + self.options.timeout;
        loop {
            let round = match self.round().await {
                Ok(round) => round,
                Err(error) if error.is_retriable() => {
                    Round { moved: Some(error), ..Round::default() }
                }
                Err(error) => return Err(error),
            };
            if !round.out_of_range.is_empty() {
                self.step_over(&round.out_of_range).await?;
            }
            let Some(error) = round.moved else { return Ok(()) };
            if !self.batches.is_empty() {
                return Ok(());
            }
            if Instant::now() + RETRY_WAIT >= deadline {
                return Err(error);
            }
            sleep(RETRY_WAIT).await;
            self.find_leaders().await?;
        }
    }

    /// One fetch from each leader, all under way at the same time.
    async fn round(&mut self) -> Result<Round, RequestError> {
        let mut by_leader: BTreeMap<i32, Vec<FetchPartition>> = BTreeMap::new();
        for cursor in self.cursors.iter().filter(|cursor| !cursor.is_done()) {
            by_leader.entry(cursor.leader).or_default().push(FetchPartition {
                partition: cursor.partition,
                fetch_offset: cursor.position,
                partition_max_bytes: cursor.fetch_bytes,
                ..FetchPartition::default()
            });
        }
        let mut sent: Vec<(i32, Sent<FetchRequest>)> = Vec::new();
        for (leader, partitions) in by_leader {
            let (topic, topic_id) = (self.topic.clone(), self.topic_id);
            let link = self.brokers.link(leader).await?;
            let has_id = topic_id != Uuid::ZERO;
            let version = link.version_up_to::<FetchRequest>(if has_id {
                i16::MAX
            } else {
                LAST_VERSION_BY_NAME
            })?;
            let topic = match version {
                ..=LAST_VERSION_BY_NAME => FetchTopic { topic, partitions, ..Default::default() },
                _ => FetchTopic { topic_id, partitions, ..Default::default() },
            };
            let request = FetchRequest {
                max_wait_ms: MAX_WAIT_MS,
                min_bytes: 1,
                max_bytes: RESPONSE_BYTES,
                session_epoch: -1,
                topics: vec![topic],
                ..FetchRequest::default()
            };
            sent.push((leader, link.send(&request, version).await?));
        }
        let mut round = Round::default();
        for (leader, sent) in sent {
            let Some(link) = self.brokers.opened(leader) else { continue };
            let response = link.receive(sent).await?;
            self.take(response, &mut round)?;
        }
        Ok(round)
    }

    fn take(&mut self, response: FetchResponse, round: &mut Round) -> Result<(), RequestError> {
        if let Err(code) = ErrorCode(response.error_code).ok() {
            let what = format!("topic {} cannot be read", self.topic);
            return note(round, RequestError::refused(&what, code, None));
        }
        // One topic was asked for, by its name or by its id.
        let ours = response.responses.into_iter();
        for data in ours.flat_map(|topic| topic.partitions) {
            let partition = data.partition_index;
            match ErrorCode(data.error_code) {
                ErrorCode::NONE => self.take_batches(data)?,
                ErrorCode::OFFSET_OUT_OF_RANGE => round.out_of_range.push(partition),
                code => note(round, self.refused(partition, code))?,
            }
        }
        Ok(())
    }

    /// Cuts what a partition gave into batches. The last one may be cut short by the fetch's
    /// limit, and is then fetched again.
    fn take_batches(&mut self, data: PartitionData) -> Result<(), RequestError> {
        let partition = data.partition_index;
        let cursor = self.cursors.iter_mut().find(|cursor| cursor.partition == partition);
        let (Some(cursor), Some(mut bytes)) = (cursor, data.records) else { return Ok(()) };
        let mut is_first = true;
        while !bytes.is_empty() {
            match split_batch(&mut bytes) {
                Ok(Some(batch)) => self.batches.push_back(FetchedBatch { partition, bytes: batch }),
                Ok(None) if is_first => {
                    // An old broker cuts even the first batch: make room for all of it.
                    cursor.fetch_bytes = cursor.fetch_bytes.saturating_mul(2);
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(reason) => {
                    let message = format!("{} partition {partition}: {reason}", self.topic);
                    return Err(RequestError::new(RequestErrorKind::Garbled, message));
                }
            }
            is_first = false;
        }
        Ok(())
    }

    /// Goes on after records that retention has removed.
    async fn step_over(&mut self, partitions: &[i32]) -> Result<(), RequestError> {
        let metadata = cursor::topic_metadata(&mut self.brokers, &self.topic).await?;
        let wanted = |partition: &i32| partitions.contains(partition);
        let mut infos = metadata.partitions;
        infos.retain(|info| wanted(&info.partition_index));
        let earliest = list_offsets(&mut self.brokers, &self.topic, &infos, EARLIEST).await?;
        let latest = list_offsets(&mut self.brokers, &self.topic, &infos, LATEST).await?;
        for cursor in self.cursors.iter_mut().filter(|cursor| wanted(&cursor.partition)) {
            let partition = cursor.partition;
            let first = earliest.get(&partition).copied().and_then(Result::ok);
            let next = latest.get(&partition).copied().and_then(Result::ok);
            match (first, next) {
                (Some(first), _) if cursor.position < first => {
                    self.gaps.push(Gap { partition, from: cursor.position, to: first });
                    cursor.position = first;
                }
                (Some(first), Some(next)) if cursor.position > next => {
                    return Err(RequestError::new(
                        RequestErrorKind::OffsetOutOfRange,
                        format!(
                            "{} partition {partition} no longer has offset {}: its log now holds \
                             offsets from {first} up to {next}; was the topic created anew?",
                            self.topic, cursor.position
                        ),
                    ));
                }
                // The answer that put us here was of another moment: ask again.
                _ => {}
            }
        }
        Ok(())
    }

    /// Learns anew who leads each partition.
    async fn find_leaders(&mut self) -> Result<(), RequestError> {
        let metadata = match self.brokers.metadata(Some(&[&self.topic])).await {
            Ok(response) => response.topics.into_iter().next(),
            Err(error) if error.is_retriable() => None,
            Err(error) => return Err(error),
        };
        let Some(metadata) = metadata.filter(|topic| ErrorCode(topic.error_code).is_ok()) else {
            return Ok(());
        };
        self.topic_id = metadata.topic_id;
        for info in metadata.partitions.iter().filter(|info| info.leader_id >= 0) {
            let same = |cursor: &&mut Cursor| cursor.partition == info.partition_index;
            if let Some(cursor) = self.cursors.iter_mut().find(same) {
                cursor.leader = info.leader_id;
            }
        }
        Ok(())
    }
}

/// Keeps an error that passes for later; gives back one that does not.
fn note(round: &mut Round, error: RequestError) -> Result<(), RequestError> {
    // A topic that is being created or moved is unknown to some broker for a moment.
    let passes = error.is_retriable() || error.kind() == RequestErrorKind::UnknownTopic;
    if !passes {
        return Err(error);
    }
    round.moved.get_or_insert(error);
    Ok(())
}

/// Takes the first batch off, `None` when it is not all there.
fn split_batch(bytes: &mut Bytes) -> Result<Option<Bytes>, String> {
    if bytes.len() < BatchHeader::SIZE {
        return Ok(None);
    }
    let header = BatchHeader::read(bytes).map_err(|error| error.to_string())?;
    if header.magic != BatchHeader::MAGIC {
        return Err(format!(
            "its log has records of format {}, which this client does not read",
            header.magic
        ));
    }
    let size = header
        .size_bytes()
        .ok_or_else(|| format!("a batch says that it is {} bytes long", header.batch_length))?;
    Ok((size <= bytes.len()).then(|| bytes.split_to(size)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(length: i32, magic: i8) -> Vec<u8> {
        let mut bytes = vec![0; BatchHeader::SIZE];
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = magic as u8;
        bytes
    }

    #[test]
    fn a_batch_that_is_cut_short_is_left_for_the_next_fetch() {
        let mut bytes = Bytes::from([batch(49, 2), batch(50, 2)].concat());
        assert!(split_batch(&mut bytes).unwrap().is_some());
        assert!(split_batch(&mut bytes).unwrap().is_none());
        assert_eq!(bytes.len(), BatchHeader::SIZE);
        assert!(split_batch(&mut Bytes::from_static(b"short")).unwrap().is_none());
    }

    #[test]
    fn impossible_batches_are_errors() {
        assert!(split_batch(&mut Bytes::from(batch(-1, 2))).is_err());
        assert!(split_batch(&mut Bytes::from(batch(5, 2))).is_err());
        assert!(split_batch(&mut Bytes::from(batch(49, 1))).unwrap_err().contains("format 1"));
    }
}
