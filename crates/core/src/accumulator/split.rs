//! A batch's records, written anew as the records of others (KIP-126, KIP-467).

use alloc::vec::Vec;

use ottla_protocol::record::{
    Header, HeaderView, RecordError, RecordParts, RecordReader, RecordView,
};

use crate::output::{Cut, Measure};

/// The records of one batch that comes of a split, uncompressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRecords {
    /// As they stand in a batch.
    pub bytes: Vec<u8>,
    /// What is known of them.
    pub measure: Measure,
}

/// The records of the batches that a batch with `records` becomes, in order. Their times stay
/// counted from `base_timestamp_ms`.
///
/// # Errors
/// Bytes that are no records: they were not written by this producer.
pub fn split_records(
    records: &[u8],
    base_timestamp_ms: i64,
    cut: &Cut,
) -> Result<Vec<SplitRecords>, RecordError> {
    let mut parts = alloc::vec![Writing::new(base_timestamp_ms, records.len())];
    let mut reader = RecordReader::new(records);
    let mut number = 0;
    loop {
        let begin = records.len() - reader.rest().len();
        let Some(record) = reader.next() else { break };
        let record = record?;
        let end = records.len() - reader.rest().len();
        let keep = match cut {
            Cut::InTwo => {
                // A record belongs to the half that its middle lies in.
                let is_behind = begin + end > records.len();
                if number > 0 && parts.len() == 1 && (is_behind || end == records.len()) {
                    parts.push(Writing::new(base_timestamp_ms, records.len() - begin));
                }
                true
            }
            Cut::Without(bad) => bad.binary_search(&number).is_err(),
        };
        if keep && let Some(part) = parts.last_mut() {
            part.write(&record)?;
        }
        number += 1;
    }
    Ok(parts.into_iter().filter(|part| part.count > 0).map(Writing::done).collect())
}

struct Writing {
    bytes: Vec<u8>,
    count: i32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    largest_bytes: usize,
}

impl Writing {
    fn new(base_timestamp_ms: i64, size_bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(size_bytes + RecordParts::SLACK),
            count: 0,
            base_timestamp_ms,
            max_timestamp_ms: i64::MIN,
            largest_bytes: 0,
        }
    }

    fn write(&mut self, record: &RecordView<'_>) -> Result<(), RecordError> {
        let headers: Vec<Header<'_>> = record.headers().map(header).collect::<Result<_, _>>()?;
        let parts = RecordParts {
            timestamp_delta: record.timestamp_delta,
            offset_delta: self.count,
            key: record.key,
            value: record.value,
            headers: &headers,
        };
        let before = self.bytes.len();
        parts.encode_into(parts.body_len(), &mut self.bytes);
        self.count += 1;
        self.largest_bytes = self.largest_bytes.max(self.bytes.len() - before);
        let timestamp_ms = self.base_timestamp_ms.wrapping_add(record.timestamp_delta);
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);
        Ok(())
    }

    fn done(self) -> SplitRecords {
        let measure = Measure {
            record_count: self.count as u32,
            max_timestamp_ms: self.max_timestamp_ms,
            size_bytes: self.bytes.len(),
            largest_bytes: self.largest_bytes,
        };
        SplitRecords { bytes: self.bytes, measure }
    }
}

/// The producer's own headers have names in UTF-8.
fn header(view: HeaderView<'_>) -> Result<Header<'_>, RecordError> {
    let foreign = RecordError::Length { what: "header name in UTF-8", value: 0 };
    Ok(Header::new(view.key_str().ok_or(foreign)?, view.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE_MS: i64 = 1_000;

    fn batch(records: &[RecordParts<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            record.encode_into(record.body_len(), &mut bytes);
        }
        bytes
    }

    fn record(offset_delta: i32, value: &[u8]) -> RecordParts<'_> {
        let timestamp_delta = i64::from(offset_delta) - 1;
        RecordParts { timestamp_delta, offset_delta, key: None, value: Some(value), headers: &[] }
    }

    fn counts(values: &[usize]) -> Vec<u32> {
        let values: Vec<Vec<u8>> = values.iter().map(|size| alloc::vec![7; *size]).collect();
        let records: Vec<_> = (0..).zip(&values).map(|(n, value)| record(n, value)).collect();
        let parts = split_records(&batch(&records), BASE_MS, &Cut::InTwo).unwrap();
        parts.iter().map(|part| part.measure.record_count).collect()
    }

    /// Laws: L2, L3. Scenarios: #97.
    #[test]
    fn keys_headers_and_times_are_kept_and_places_are_counted_anew() {
        let headers = [Header::new("h", Some(b"1")), Header::new("h", None), Header::new("", None)];
        let full = RecordParts { key: Some(b"key"), headers: &headers, ..record(1, b"value") };
        let tombstone = RecordParts { value: None, key: Some(b""), ..record(2, b"") };
        let records = batch(&[record(0, b"bad"), full, tombstone]);
        let parts = split_records(&records, BASE_MS, &Cut::Without(alloc::vec![0])).unwrap();
        let [rest] = parts.as_slice() else { panic!("{parts:?}") };
        let measure = rest.measure;
        assert_eq!((measure.record_count, measure.max_timestamp_ms), (2, BASE_MS + 1));
        assert_eq!(measure.size_bytes, rest.bytes.len());
        let views: Vec<_> = RecordReader::new(&rest.bytes).map(Result::unwrap).collect();
        assert_eq!(views.iter().map(|view| view.offset_delta).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(views.iter().map(|view| view.timestamp_delta).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((views[0].key, views[0].value), (Some(&b"key"[..]), Some(&b"value"[..])));
        assert_eq!((views[1].key, views[1].value), (Some(&b""[..]), None));
        let kept: Vec<_> = views[0].headers().map(|header| (header.key, header.value)).collect();
        assert_eq!(kept, [(&b"h"[..], Some(&b"1"[..])), (b"h", None), (b"", None)]);
    }

    /// Laws: L3. Scenarios: #97, #99.
    #[test]
    fn each_half_has_a_record_and_neither_more_than_it_must() {
        assert_eq!(counts(&[5, 5]), [1, 1]);
        assert_eq!(counts(&[500, 5]), [1, 1]);
        assert_eq!(counts(&[5, 500]), [1, 1]);
        assert_eq!(counts(&[5, 5, 500]), [2, 1]);
        assert_eq!(counts(&[500, 5, 5]), [1, 2]);
        assert_eq!(counts(&[9; 60]), [30, 30]);
        assert_eq!(counts(&[9]), [1]);
    }

    #[test]
    fn bytes_that_are_no_records_are_an_error() {
        assert!(split_records(&[9, 0, 0], BASE_MS, &Cut::InTwo).is_err());
    }
}
