//! Producer states on disk: Kafka's snapshot, and beside it the whole window.
//!
//! `<offset>.snapshot` is Kafka's format, version 1: version (i16), CRC-32C of the rest (u32),
//! entry count (i32), then 46 bytes for each producer: id, epoch, last sequence, last offset,
//! offset delta, timestamp, coordinator epoch, first offset of the open transaction. It states what
//! holds before `<offset>`.
//!
//! It keeps the *last* batch of a producer only. A broker that is killed right after a segment
//! roll would forget up to four batches whose answers never arrived, and refuse their retries.
//! `<offset>.window` (ours; Kafka ignores it) holds all batches: `OTW1`, CRC-32C of the rest, then
//! for each producer id, epoch and batch count (u8), and for each batch first sequence, last
//! offset, offset delta and timestamp.

use std::collections::VecDeque;
use std::io;
use std::path::Path;

use ottla_protocol::record::crc32c;

use super::producer_state::{
    ProducedBatch, ProducerEntry, ProducerStates, WINDOW_BATCHES, sequence_after,
};
use super::storage::{Storage, Survives};
use super::{SNAPSHOT_SUFFIX, WINDOW_SUFFIX, file_name, offset_in_name};

const VERSION: i16 = 1;
const WINDOW_MAGIC: [u8; 4] = *b"OTW1";

/// Writes both files for `offset` into a partition's folder.
pub(super) fn write(
    storage: &dyn Storage,
    dir: &Path,
    offset: i64,
    states: &ProducerStates,
) -> io::Result<()> {
    // The window first: a snapshot without it is complete by Kafka's measure, the other way round
    // it is stray.
    // Neither has to outlast more than a kill, as both can be made from the log.
    let window = dir.join(file_name(offset, WINDOW_SUFFIX));
    storage.replace(&window, &encode_window(states), Survives::Kill)?;
    let snapshot = dir.join(file_name(offset, SNAPSHOT_SUFFIX));
    storage.replace(&snapshot, &encode_snapshot(states), Survives::Kill)
}

/// Reads what [`write()`] wrote; `None` when the snapshot is absent or damaged.
pub(super) fn read(
    storage: &dyn Storage,
    dir: &Path,
    offset: i64,
    now_ms: i64,
) -> io::Result<Option<ProducerStates>> {
    let Some(bytes) = read_if_present(storage, &dir.join(file_name(offset, SNAPSHOT_SUFFIX)))?
    else {
        return Ok(None);
    };
    let Some(mut states) = decode_snapshot(&bytes, now_ms) else {
        return Ok(None);
    };
    let window = read_if_present(storage, &dir.join(file_name(offset, WINDOW_SUFFIX)))?;
    if let Some(windows) = window.as_deref().and_then(decode_window) {
        for (producer_id, epoch, batches) in windows {
            let entry = states.get(producer_id).filter(|entry| {
                // Only a window that leads to the batch of the snapshot speaks of the same log. The
                // time in the snapshot may be that of a marker behind it.
                let place = |last: &ProducedBatch| (last.last_sequence, last.last_offset);
                entry.epoch == epoch && entry.batches.back().map(place) == batches.back().map(place)
            });
            if let Some(entry) = entry.cloned() {
                states.insert(producer_id, ProducerEntry { batches, ..entry });
            }
        }
    }
    Ok(Some(states))
}

/// Whether both files of `offset` can be read.
pub(super) fn is_whole(storage: &dyn Storage, dir: &Path, offset: i64) -> bool {
    let read = |suffix| storage.read(&dir.join(file_name(offset, suffix)));
    let has_snapshot = read(SNAPSHOT_SUFFIX).is_ok_and(|it| decode_snapshot(&it, 0).is_some());
    has_snapshot && read(WINDOW_SUFFIX).is_ok_and(|it| decode_window(&it).is_some())
}

/// Removes both files of `offset`.
pub(super) fn remove(storage: &dyn Storage, dir: &Path, offset: i64) -> io::Result<()> {
    storage.remove_file(&dir.join(file_name(offset, SNAPSHOT_SUFFIX)))?;
    storage.remove_file(&dir.join(file_name(offset, WINDOW_SUFFIX)))
}

/// The offsets of the snapshots in a partition's folder, in order.
pub(super) fn offsets(storage: &dyn Storage, dir: &Path) -> io::Result<Vec<i64>> {
    let names = storage.list(dir)?;
    Ok(names.iter().filter_map(|found| offset_in_name(&found.name, SNAPSHOT_SUFFIX)).collect())
}

/// Removes both files of every offset from `from` on.
pub(super) fn remove_from(storage: &dyn Storage, dir: &Path, from: i64) -> io::Result<()> {
    for offset in offsets(storage, dir)?.into_iter().filter(|offset| *offset >= from) {
        remove(storage, dir, offset)?;
    }
    Ok(())
}

fn read_if_present(storage: &dyn Storage, path: &Path) -> io::Result<Option<Vec<u8>>> {
    match storage.read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode_snapshot(states: &ProducerStates) -> Vec<u8> {
    let mut body = Vec::with_capacity(4 + states.len() * 46);
    body.extend_from_slice(&(states.len() as i32).to_be_bytes());
    for (producer_id, entry) in states.sorted() {
        let last = entry.batches.back();
        body.extend_from_slice(&producer_id.to_be_bytes());
        body.extend_from_slice(&entry.epoch.to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |last| last.last_sequence).to_be_bytes());
        body.extend_from_slice(&last.map_or(-1, |last| last.last_offset).to_be_bytes());
        body.extend_from_slice(&last.map_or(0, |last| last.offset_delta).to_be_bytes());
        body.extend_from_slice(&entry.last_timestamp_ms.to_be_bytes());
        body.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
        body.extend_from_slice(&entry.transaction_first_offset.unwrap_or(-1).to_be_bytes());
    }
    let mut out = Vec::with_capacity(6 + body.len());
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn decode_snapshot(bytes: &[u8], now_ms: i64) -> Option<ProducerStates> {
    let mut fields = Fields(bytes);
    let version = i16::from_be_bytes(fields.take()?);
    let crc = u32::from_be_bytes(fields.take()?);
    if version != VERSION || crc32c(fields.0) != crc {
        return None;
    }
    let count = i32::from_be_bytes(fields.take()?);
    let mut states = ProducerStates::default();
    for _ in 0..count {
        let producer_id = i64::from_be_bytes(fields.take()?);
        let epoch = i16::from_be_bytes(fields.take()?);
        let last_sequence = i32::from_be_bytes(fields.take()?);
        let last_offset = i64::from_be_bytes(fields.take()?);
        let offset_delta = i32::from_be_bytes(fields.take()?);
        let timestamp_ms = i64::from_be_bytes(fields.take()?);
        let coordinator_epoch = i32::from_be_bytes(fields.take()?);
        let transaction = i64::from_be_bytes(fields.take()?);
        let batches = (last_sequence >= 0 && offset_delta >= 0).then(|| ProducedBatch {
            // Back by the delta on the circle of sequence numbers.
            first_sequence: last_sequence.wrapping_sub(offset_delta) & i32::MAX,
            last_sequence,
            last_offset,
            offset_delta,
            timestamp_ms,
        });
        let entry = ProducerEntry {
            epoch,
            batches: batches.into_iter().collect(),
            last_timestamp_ms: timestamp_ms,
            last_seen_ms: now_ms,
            coordinator_epoch,
            transaction_first_offset: (transaction >= 0).then_some(transaction),
        };
        states.insert(producer_id, entry);
    }
    fields.0.is_empty().then_some(states)
}

fn encode_window(states: &ProducerStates) -> Vec<u8> {
    let mut body = Vec::new();
    for (producer_id, entry) in states.sorted() {
        body.extend_from_slice(&producer_id.to_be_bytes());
        body.extend_from_slice(&entry.epoch.to_be_bytes());
        body.push(entry.batches.len() as u8);
        for batch in &entry.batches {
            body.extend_from_slice(&batch.first_sequence.to_be_bytes());
            body.extend_from_slice(&batch.last_offset.to_be_bytes());
            body.extend_from_slice(&batch.offset_delta.to_be_bytes());
            body.extend_from_slice(&batch.timestamp_ms.to_be_bytes());
        }
    }
    let mut out = Vec::with_capacity(8 + body.len());
    out.extend_from_slice(&WINDOW_MAGIC);
    out.extend_from_slice(&crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn decode_window(bytes: &[u8]) -> Option<Vec<(i64, i16, VecDeque<ProducedBatch>)>> {
    let mut fields = Fields(bytes);
    let magic: [u8; 4] = fields.take()?;
    let crc = u32::from_be_bytes(fields.take()?);
    if magic != WINDOW_MAGIC || crc32c(fields.0) != crc {
        return None;
    }
    let mut windows = Vec::new();
    while !fields.0.is_empty() {
        let producer_id = i64::from_be_bytes(fields.take()?);
        let epoch = i16::from_be_bytes(fields.take()?);
        let [count] = fields.take()?;
        if usize::from(count) > WINDOW_BATCHES {
            return None;
        }
        let mut batches = VecDeque::with_capacity(usize::from(count));
        for _ in 0..count {
            let first_sequence = i32::from_be_bytes(fields.take()?);
            let last_offset = i64::from_be_bytes(fields.take()?);
            let offset_delta = i32::from_be_bytes(fields.take()?);
            let timestamp_ms = i64::from_be_bytes(fields.take()?);
            let last_sequence = sequence_after(first_sequence, offset_delta);
            batches.push_back(ProducedBatch {
                first_sequence,
                last_sequence,
                last_offset,
                offset_delta,
                timestamp_ms,
            });
        }
        windows.push((producer_id, epoch, batches));
    }
    Some(windows)
}

/// A cursor over fields of fixed size.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    const STORAGE: DiskStorage = DiskStorage { is_durable: false };

    fn states() -> ProducerStates {
        let mut states = ProducerStates::default();
        for id in 0..3 {
            let batches = (0..=id as i32)
                .map(|index| ProducedBatch {
                    first_sequence: index * 10,
                    last_sequence: index * 10 + 9,
                    last_offset: id * 1000 + i64::from(index) * 10 + 9,
                    offset_delta: 9,
                    timestamp_ms: 77,
                })
                .collect();
            let entry = ProducerEntry {
                epoch: 2,
                batches,
                last_timestamp_ms: 77,
                last_seen_ms: 500,
                coordinator_epoch: -1,
                transaction_first_offset: None,
            };
            states.insert(id, entry);
        }
        states
    }

    #[test]
    fn the_whole_window_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        write(&STORAGE, dir.path(), 42, &states()).unwrap();
        assert_eq!(read(&STORAGE, dir.path(), 42, 500).unwrap(), Some(states()));
        assert_eq!(read(&STORAGE, dir.path(), 43, 500).unwrap(), None);
    }

    #[test]
    fn without_the_window_the_last_batch_comes_back_as_in_kafka() {
        let dir = tempfile::tempdir().unwrap();
        write(&STORAGE, dir.path(), 42, &states()).unwrap();
        std::fs::remove_file(dir.path().join(file_name(42, WINDOW_SUFFIX))).unwrap();
        let read = read(&STORAGE, dir.path(), 42, 500).unwrap().unwrap();
        for (id, entry) in states().iter() {
            let found = read.get(id).unwrap();
            assert_eq!(found.batches.len(), 1);
            assert_eq!(found.batches.back(), entry.batches.back());
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        for bytes in [encode_snapshot(&states()), encode_window(&states())] {
            let is_snapshot = !bytes.starts_with(&WINDOW_MAGIC);
            let decodes = |bytes: &[u8]| {
                if is_snapshot {
                    decode_snapshot(bytes, 0).is_some()
                } else {
                    decode_window(bytes).is_some()
                }
            };
            assert!(decodes(&bytes));
            for index in 0..bytes.len() {
                let mut broken = bytes.clone();
                broken[index] ^= 1;
                assert!(!decodes(&broken), "byte {index}");
                assert!(!decodes(&bytes[..index]), "cut at {index}");
            }
        }
    }
}
