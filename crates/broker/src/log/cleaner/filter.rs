//! What becomes of a batch when its log is cleaned.

use std::collections::HashMap;

use ottla_codecs::{Codec, Compressor, Decompressor};
use ottla_protocol::record::{
    BatchHeader, CompressionType, RecordError, RecordReader, TimestampType, varint,
};

use super::key_map::KeyMap;
use super::transactions::Transactions;
use crate::log::ProducerStates;
use crate::log::marker::EndMarker;
use crate::log::transaction_index::AbortedEntry;

/// What a batch is judged by.
pub(super) struct Rules<'a> {
    pub(super) keys: &'a KeyMap,
    /// Where the map of keys ends, between two batches; what follows stays as it is.
    pub(super) mapped_to: i64,
    /// The producers, whose last batches have to stay with their sequence numbers.
    pub(super) producers: &'a ProducerStates,
    /// The last marker of each producer in the dirty section.
    pub(super) last_markers: &'a HashMap<i64, i64>,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    pub(super) max_decompressed_bytes: usize,
}

/// What the cleaned log has in the place of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Dropped,
    /// The same bytes.
    Kept,
    /// A batch with fewer records, or none, or with a delete horizon; its records stand in
    /// [`Filter::records`].
    Changed(BatchHeader),
}

/// Judges batches one after the other, and keeps what that takes.
#[derive(Default)]
pub(super) struct Filter {
    pub(super) transactions: Transactions,
    decompressor: Decompressor,
    compressor: Compressor,
    plain: Vec<u8>,
    kept: Vec<u8>,
    compressed: Vec<u8>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}

/// The records of a batch that stay.
#[derive(Default)]
struct Kept {
    count: i32,
    /// Whether one of them is a tombstone.
    has_tombstone: bool,
    max_timestamp: Option<i64>,
}

impl Filter {
    /// The records of the batch that [`Filter::judge`] has just changed, as they are to be stored.
    pub(super) fn records(&self) -> &[u8] {
        &self.compressed
    }

    /// Decides on one batch. `is_last` is the last of its segment, which stays whatever becomes of
    /// its records: where one segment ends the next begins. Gives the transaction as well that the
    /// index of the cleaned segment is to have.
    pub(super) fn judge(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        is_last: bool,
        rules: &Rules<'_>,
    ) -> Result<(Fate, Option<AbortedEntry>), String> {
        let is_mapped = header.base_offset < rules.mapped_to;
        if header.is_control() {
            return self.judge_control(header, records, is_last, is_mapped, rules);
        }
        let is_aborted = self.transactions.note_batch(header);
        if !is_mapped {
            return Ok((Fate::Kept, None));
        }
        let must_stay = is_last || is_remembered(header, rules.producers);
        let mut kept = Kept::default();
        if !is_aborted {
            self.unpack(header, records, rules.max_decompressed_bytes)?;
            kept = self.sift(header, rules)?;
        }
        let fate = match kept.count {
            0 if !must_stay => Fate::Dropped,
            0 if header.record_count == 0 => Fate::Kept,
            0 => self.emptied(header)?,
            count => {
                let horizon = header.delete_horizon_ms();
                let is_new_horizon = kept.has_tombstone && horizon.is_none();
                if count == header.record_count && !is_new_horizon {
                    Fate::Kept
                } else {
                    let horizon = is_new_horizon
                        .then(|| rules.now_ms.saturating_add(rules.delete_retention_ms));
                    self.changed(header, &kept, horizon)?
                }
            }
        };
        Ok((fate, None))
    }

    /// A marker stays until nothing of its transaction is left, and then for as long as a
    /// tombstone: until readers who were under way have passed it.
    fn judge_control(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        is_last: bool,
        is_mapped: bool,
        rules: &Rules<'_>,
    ) -> Result<(Fate, Option<AbortedEntry>), String> {
        if header.record_count == 0 {
            return Ok((if is_last { Fate::Kept } else { Fate::Dropped }, None));
        }
        let Some(marker) = EndMarker::read(header, records) else {
            return Ok((Fate::Kept, None));
        };
        let found = self.transactions.note_marker(header);
        if found.is_needed || !is_mapped {
            return Ok((Fate::Kept, found.aborted));
        }
        let is_over = header.delete_horizon_ms().is_some_and(|horizon| horizon <= rules.now_ms);
        let fate = if !is_over {
            let horizon = rules.now_ms.saturating_add(rules.delete_retention_ms);
            match header.delete_horizon_ms() {
                Some(_) => Fate::Kept,
                None => self.with_horizon(header, records, horizon)?,
            }
        } else if is_last_marker(header, marker, rules) {
            Fate::Kept
        } else if is_last {
            self.emptied(header)?
        } else {
            Fate::Dropped
        };
        Ok((fate, None))
    }

    /// Gives every key of a batch that counts to `visit`, with its record's offset.
    pub(super) fn visit_keys(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        max_bytes: usize,
        mut visit: impl FnMut(&[u8], i64),
    ) -> Result<(), String> {
        self.unpack(header, records, max_bytes)?;
        for record in RecordReader::new(&self.plain) {
            let record = record.map_err(|error| error.to_string())?;
            if let Some(key) = record.key {
                visit(key, header.base_offset + i64::from(record.offset_delta));
            }
        }
        Ok(())
    }

    /// Puts the records of a batch into `plain`, without their compression.
    fn unpack(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        max_bytes: usize,
    ) -> Result<(), String> {
        self.plain.clear();
        if header.record_count == 0 {
            return Ok(());
        }
        let compression = header.compression().map_err(|error| error.to_string())?;
        self.decompressor
            .decompress(compression, records, max_bytes, &mut self.plain)
            .map_err(|error| error.to_string())
    }

    /// Puts the records that stay into `kept`, as they stand in the batch.
    fn sift(&mut self, header: &BatchHeader, rules: &Rules<'_>) -> Result<Kept, String> {
        let mut kept = Kept::default();
        self.kept.clear();
        let is_over = header.delete_horizon_ms().is_some_and(|horizon| horizon <= rules.now_ms);
        let mut reader = RecordReader::new(&self.plain);
        loop {
            let before = reader.rest();
            let Some(record) = reader.next() else {
                return Ok(kept);
            };
            let record = record.map_err(|error: RecordError| error.to_string())?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let is_tombstone = record.value.is_none();
            // A record without key is from a time when the topic was not compacted.
            let counts = record.key.is_some_and(|key| rules.keys.is_last(key, offset));
            if !counts || (is_tombstone && is_over) {
                continue;
            }
            let raw = &before[..before.len() - reader.rest().len()];
            self.kept.extend_from_slice(raw);
            kept.count += 1;
            kept.has_tombstone |= is_tombstone;
            let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
            kept.max_timestamp = kept.max_timestamp.max(Some(timestamp));
        }
    }

    /// The batch with what [`Filter::sift`] has left of it.
    fn changed(
        &mut self,
        header: &BatchHeader,
        kept: &Kept,
        horizon_ms: Option<i64>,
    ) -> Result<Fate, String> {
        let mut changed = *header;
        changed.record_count = kept.count;
        if header.timestamp_type() == TimestampType::CreateTime {
            changed.max_timestamp = kept.max_timestamp.unwrap_or(header.max_timestamp);
        }
        if let Some(horizon_ms) = horizon_ms {
            self.plain.clear();
            count_from(header.base_timestamp, horizon_ms, &self.kept, &mut self.plain)?;
            std::mem::swap(&mut self.plain, &mut self.kept);
            changed.set_delete_horizon_ms(horizon_ms);
        }
        let compression = header.compression().map_err(|error| error.to_string())?;
        let codec = Codec { compression, ..Codec::NONE };
        self.compressed.clear();
        self.compressor
            .compress(&codec, &[&self.kept], &mut self.compressed)
            .map_err(|error| error.to_string())?;
        self.seal(changed)
    }

    /// A marker that may go once this time has come.
    fn with_horizon(
        &mut self,
        header: &BatchHeader,
        records: &[u8],
        horizon_ms: i64,
    ) -> Result<Fate, String> {
        let mut changed = *header;
        changed.set_delete_horizon_ms(horizon_ms);
        self.compressed.clear();
        count_from(header.base_timestamp, horizon_ms, records, &mut self.compressed)?;
        self.seal(changed)
    }

    /// The header alone, which keeps offsets and sequence numbers.
    fn emptied(&mut self, header: &BatchHeader) -> Result<Fate, String> {
        let mut changed = *header;
        changed.record_count = 0;
        changed.clear_delete_horizon();
        changed.attributes &= !CompressionType::ATTRIBUTE_MASK;
        changed.base_timestamp = -1;
        self.compressed.clear();
        self.seal(changed)
    }

    fn seal(&self, mut header: BatchHeader) -> Result<Fate, String> {
        header.seal([self.compressed.as_slice()]).map_err(|error| error.to_string())?;
        Ok(Fate::Changed(header))
    }
}

/// Whether the partition knows its producer by this batch: one that is sent again has to be told
/// from a new one after the states were made from the log.
fn is_remembered(header: &BatchHeader, producers: &ProducerStates) -> bool {
    let known = producers.get(header.producer_id).filter(|_| header.producer_id >= 0);
    known.is_some_and(|entry| {
        entry.batches.iter().any(|batch| batch.last_offset == header.last_offset())
    })
}

/// Whether the marker is the last word on the epochs of an active producer and its coordinator.
fn is_last_marker(header: &BatchHeader, marker: EndMarker, rules: &Rules<'_>) -> bool {
    let is_current = rules.producers.get(header.producer_id).is_some_and(|entry| {
        entry.epoch == header.producer_epoch && entry.coordinator_epoch == marker.coordinator_epoch
    });
    let last = rules.last_markers.get(&header.producer_id);
    is_current && last.is_none_or(|last| *last == header.base_offset)
}

/// Writes records anew whose timestamps have counted from `base_ms`, to count from `new_base_ms`.
fn count_from(
    base_ms: i64,
    new_base_ms: i64,
    records: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let cut = |_| "a record is cut short".to_owned();
    let mut rest = records;
    while !rest.is_empty() {
        let (length, size) = varint::read_varint(rest).map_err(cut)?;
        let end = usize::try_from(length).ok().and_then(|length| size.checked_add(length));
        let whole = end.and_then(|end| rest.split_at_checked(end));
        let (record, behind) = whole.ok_or_else(|| "a record is cut short".to_owned())?;
        let (attributes, body) =
            record[size..].split_first().ok_or_else(|| "a record is empty".to_owned())?;
        let (delta, delta_size) = varint::read_varlong(body).map_err(cut)?;
        let new_delta = base_ms.wrapping_add(delta).wrapping_sub(new_base_ms);
        let body = &body[delta_size..];
        let new_length = 1 + varint::varlong_len(new_delta) + body.len();
        varint::write_varint(out, new_length as i32);
        out.push(*attributes);
        varint::write_varlong(out, new_delta);
        out.extend_from_slice(body);
        rest = behind;
    }
    Ok(())
}
