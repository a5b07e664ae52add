//! The records of one batch.

use ottla_protocol::record::{BatchHeader, HeaderView, RecordReader, RecordView, TimestampType};

use super::{RequestError, RequestErrorKind};

/// The records of one batch, in order of their offsets.
#[derive(Debug)]
pub struct Records<'a> {
    topic: &'a str,
    partition: i32,
    base_offset: i64,
    base_timestamp: i64,
    /// The timestamp of all records, where the broker gave it.
    append_timestamp: Option<i64>,
    /// Records before this offset are passed over.
    from: i64,
    left: i64,
    reader: RecordReader<'a>,
}

/// A record that was read.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ReadRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, `None` when it has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// Whether the broker gave the timestamp on append, rather than the producer.
    pub is_append_time: bool,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for null (a tombstone).
    pub value: Option<&'a [u8]>,
    view: RecordView<'a>,
}

impl<'a> ReadRecord<'a> {
    /// The headers in order, repeated names included.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = HeaderView<'a>> + use<'a> {
        self.view.headers()
    }
}

impl<'a> Records<'a> {
    pub(super) fn new(
        topic: &'a str,
        partition: i32,
        header: &BatchHeader,
        from: i64,
        records: &'a [u8],
    ) -> Self {
        let by_broker = header.timestamp_type() == TimestampType::LogAppendTime;
        Self {
            topic,
            partition,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            append_timestamp: by_broker.then_some(header.max_timestamp),
            from,
            left: i64::from(header.record_count),
            reader: RecordReader::new(records),
        }
    }

    /// The partition that the records are from.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    fn record(&self, view: RecordView<'a>) -> ReadRecord<'a> {
        // Compaction removes records and keeps the deltas of the others; a log with timestamps
        // from everywhere may overflow, and then wraps as Kafka's readers do.
        let created = self.base_timestamp.wrapping_add(view.timestamp_delta);
        let timestamp_ms = self.append_timestamp.unwrap_or(created);
        ReadRecord {
            topic: self.topic,
            partition: self.partition,
            offset: self.base_offset.wrapping_add(i64::from(view.offset_delta)),
            timestamp_ms: Some(timestamp_ms).filter(|ms| *ms >= 0),
            is_append_time: self.append_timestamp.is_some(),
            key: view.key,
            value: view.value,
            view,
        }
    }

    fn damaged(&mut self, reason: &dyn std::fmt::Display) -> RequestError {
        self.left = 0;
        self.reader = RecordReader::new(&[]);
        RequestError::new(
            RequestErrorKind::Garbled,
            format!(
                "{} partition {}: a record in the batch at offset {} is damaged: {reason}",
                self.topic, self.partition, self.base_offset
            ),
        )
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<ReadRecord<'a>, RequestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.reader.next() {
                Some(Ok(view)) => {
                    self.left -= 1;
                    let record = self.record(view);
                    if record.offset >= self.from {
                        return Some(Ok(record));
                    }
                }
                Some(Err(error)) => return Some(Err(self.damaged(&error))),
                None if self.left == 0 => return None,
                None => return Some(Err(self.damaged(&"the batch announced another count"))),
            }
        }
    }
}

impl std::iter::FusedIterator for Records<'_> {}

#[cfg(test)]
mod tests {
    use ottla_protocol::record::RecordParts;

    use super::*;

    fn header(record_count: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 10,
            batch_length: 0,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: record_count - 1,
            base_timestamp: 1000,
            max_timestamp: 2000,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count,
        }
    }

    fn content(count: i32) -> Vec<u8> {
        let mut out = Vec::new();
        for offset_delta in 0..count {
            let parts = RecordParts {
                timestamp_delta: i64::from(offset_delta),
                offset_delta,
                key: None,
                value: Some(b"v"),
                headers: &[],
            };
            parts.encode_into(parts.body_len(), &mut out);
        }
        out
    }

    #[test]
    fn records_before_the_wanted_offset_are_passed_over() {
        let bytes = content(3);
        let records = Records::new("t", 0, &header(3), 11, &bytes);
        let read: Vec<_> =
            records.map(|record| record.map(|r| (r.offset, r.timestamp_ms)).unwrap()).collect();
        assert_eq!(read, [(11, Some(1001)), (12, Some(1002))]);
    }

    #[test]
    fn a_timestamp_given_on_append_holds_for_every_record() {
        let bytes = content(2);
        let header = BatchHeader { attributes: 8, ..header(2) };
        let records = Records::new("t", 0, &header, 0, &bytes);
        assert!(
            records.map(Result::unwrap).all(|r| r.is_append_time && r.timestamp_ms == Some(2000))
        );
    }

    #[test]
    fn another_count_than_announced_is_an_error_once() {
        let bytes = content(2);
        for count in [1, 3] {
            let results: Vec<bool> = Records::new("t", 0, &header(count), 0, &bytes)
                .map(|record| record.is_ok())
                .collect();
            assert_eq!(results, [true, true, false]);
        }
    }
}
