//! Transactions in a partition: their markers, and what readers of committed records may see.

use std::collections::VecDeque;

use ottla_protocol::ErrorCode;
use ottla_protocol::record::BatchHeader;

use super::marker::{EndMarker, TransactionMarker};
use super::partition_log::{Appended, PartitionLog};
use super::producer_state::EndedTransaction;
use super::transaction_index::AbortedEntry;
use super::validation::Rejection;
use super::{LogError, ProducerStates};

/// A transaction whose records do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// Where the transaction began.
    pub first_offset: i64,
}

/// Transactions that have ended, with markers that the other replicas may not have yet.
///
/// First offset and offset of the marker, both rising: one that begins before another and ends
/// after it stands for both.
#[derive(Debug, Default)]
pub(super) struct Unreplicated(VecDeque<(i64, i64)>);

impl Unreplicated {
    fn push(&mut self, first_offset: i64, marker_offset: i64) {
        while self.0.back().is_some_and(|(first, _)| *first >= first_offset) {
            self.0.pop_back();
        }
        self.0.push_back((first_offset, marker_offset));
    }

    fn forget_below(&mut self, high_watermark: i64) {
        while self.0.front().is_some_and(|(_, marker)| *marker < high_watermark) {
            self.0.pop_front();
        }
    }

    fn first_offset(&self) -> Option<i64> {
        self.0.front().map(|(first, _)| *first)
    }
}

impl PartitionLog {
    /// Appends the marker that ends a producer's transaction, or only its epoch when none is open.
    ///
    /// # Errors
    /// The refusal to be sent to the coordinator: an older producer epoch or an older coordinator
    /// than the log has heard of, or a disk that fails. Nothing is then in the log.
    pub fn append_marker(
        &mut self,
        marker: &TransactionMarker,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, Rejection> {
        let base_offset = self.log_end_offset();
        let appended = Appended {
            base_offset,
            last_offset: base_offset,
            log_append_time_ms: None,
            is_duplicate: false,
        };
        if self.discards() {
            self.empty_at(base_offset + 1);
            return Ok(appended);
        }
        let failed =
            |error: LogError| Rejection::new(ErrorCode::KAFKA_STORAGE_ERROR, error.to_string());
        self.check_service().map_err(failed)?;
        self.check_marker(marker)?;
        let timestamp_type = self.config().timestamp_type;
        let (header, records) = marker
            .batch(base_offset, leader_epoch, timestamp_type, now_ms)
            .map_err(|error| Rejection::new(ErrorCode::INVALID_RECORD, error.to_string()))?;
        self.write(&header, &records, now_ms).map_err(failed)?;
        Ok(appended)
    }

    fn check_marker(&self, marker: &TransactionMarker) -> Result<(), Rejection> {
        let (id, epoch) = (marker.producer_id, marker.producer_epoch);
        if id < 0 || epoch < 0 {
            let message = format!("a marker of producer {id} with epoch {epoch}");
            return Err(Rejection::new(ErrorCode::INVALID_RECORD, message));
        }
        self.producers().check_marker(marker).map_err(|code| {
            let known = self.producers().get(id);
            let (last, by) = known.map_or((-1, -1), |it| (it.epoch, it.coordinator_epoch));
            let coordinator = marker.coordinator_epoch;
            let message = format!(
                "coordinator {coordinator} ends a transaction of producer {id} with epoch {epoch}; \
                 the log has epoch {last} and coordinator {by}"
            );
            Rejection::new(code, message)
        })
    }

    /// The first offset that readers of committed records must not see yet, leaving aside what is
    /// not replicated: that of the oldest transaction that is open, or whose marker may be lost.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let open = self.producers().first_open_transaction();
        let unstable = [open, self.unreplicated().first_offset()].into_iter().flatten().min();
        unstable.map(|offset| offset.max(self.log_start_offset()))
    }

    /// Up to where readers of committed records may read.
    ///
    /// The log remembers what the high watermark has passed, so followers call this as well when
    /// theirs moves.
    pub fn last_stable_offset(&mut self, high_watermark: i64) -> i64 {
        self.unreplicated_mut().forget_below(high_watermark);
        self.first_unstable_offset().map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// The aborted transactions that have records in `from..up_to`, in order of their markers.
    ///
    /// # Errors
    /// What the disk says.
    pub fn aborted_transactions(
        &self,
        from: i64,
        up_to: i64,
    ) -> Result<Vec<AbortedTransaction>, LogError> {
        let entries = self.aborted_entries(from, up_to)?.into_iter();
        let told = entries.map(|AbortedEntry { producer_id, first_offset, .. }| {
            AbortedTransaction { producer_id, first_offset }
        });
        Ok(told.collect())
    }

    /// The same, as the index has them.
    pub(super) fn aborted_entries(
        &self,
        from: i64,
        up_to: i64,
    ) -> Result<Vec<AbortedEntry>, LogError> {
        let mut found = Vec::new();
        for segment in &self.segments[self.segment_index(from)..] {
            // Transactions that end later began where readers could not yet be, or behind that.
            let visited = segment.visit_aborted(&**self.storage(), from, |entry| {
                if entry.first_offset < up_to {
                    found.push(entry);
                }
                entry.last_stable_offset >= up_to
            });
            if visited.map_err(|error| LogError::io(segment.path(), error))? {
                break;
            }
        }
        Ok(found)
    }

    /// Takes note of a batch that now stands at the end of the log.
    pub(super) fn note_written(&mut self, header: &BatchHeader, records: &[u8], now_ms: i64) {
        let marker = EndMarker::read(header, records);
        let Some(ended) = self.producers_mut().record(header, marker.as_ref(), now_ms) else {
            return;
        };
        let storage = self.storage().clone();
        let aborted = aborted_entry(self.producers(), &ended);
        if let (Some(entry), Some(active)) = (aborted, self.segments.last_mut()) {
            active.note_aborted(&*storage, entry);
        }
        self.note_ended(&ended);
    }

    pub(super) fn note_ended(&mut self, ended: &EndedTransaction) {
        self.unreplicated_mut().push(ended.first_offset, ended.marker_offset);
    }
}

/// What the index is to say of a transaction, given the producers after its end; `None` when it
/// was committed.
pub(super) fn aborted_entry(
    producers: &ProducerStates,
    ended: &EndedTransaction,
) -> Option<AbortedEntry> {
    let open = producers.first_open_transaction();
    (!ended.is_commit).then(|| AbortedEntry {
        producer_id: ended.producer_id,
        first_offset: ended.first_offset,
        marker_offset: ended.marker_offset,
        last_stable_offset: open.unwrap_or_else(|| ended.marker_offset.saturating_add(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_may_be_lost_holds_readers_back_until_the_high_watermark_passes_it() {
        let mut ended = Unreplicated::default();
        ended.push(0, 10);
        ended.push(5, 20);
        assert_eq!(ended.first_offset(), Some(0));
        ended.forget_below(10);
        assert_eq!(ended.first_offset(), Some(0));
        ended.forget_below(11);
        assert_eq!(ended.first_offset(), Some(5));
        ended.push(3, 30);
        assert_eq!(ended.first_offset(), Some(3));
        ended.forget_below(31);
        assert_eq!(ended.first_offset(), None);
    }
}
