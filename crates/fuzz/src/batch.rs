//! Record batches: header, checksum, records, headers of records.

use ottla_protocol::record::{BatchHeader, Header, RecordParts, RecordReader, validate_batch};

use crate::source::Source;

fn read_all(records: &[u8]) {
    let mut total = 0;
    for record in RecordReader::new(records) {
        let Ok(record) = record else { break };
        let parts = [record.key, record.value];
        total += parts.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
        for header in record.headers() {
            total += header.key.len() + header.value.map_or(0, <[u8]>::len);
        }
    }
    assert!(total <= records.len(), "views of {total} bytes in {}", records.len());
}

pub(crate) fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let how = source.byte();
    let bytes = source.rest();
    if how & 1 == 1 {
        read_all(bytes);
        return;
    }
    let mut bytes = bytes.to_vec();
    // Nobody guesses a checksum: what lies behind it must be reached all the same.
    if how & 2 == 2
        && bytes.len() >= BatchHeader::SIZE
        && let Ok(mut header) = BatchHeader::read(&bytes)
    {
        let records = bytes.split_off(BatchHeader::SIZE);
        if let Ok(sealed) = header.seal([records.as_slice()]) {
            bytes = [&sealed[..], &records].concat();
        }
    }
    if let Ok(header) = validate_batch(&bytes) {
        let _ = (header.compression(), header.last_offset(), header.timestamp_type());
        read_all(&bytes[BatchHeader::SIZE..]);
    }
}

/// A batch of a few records, as a producer writes it.
pub(crate) fn batch(count: i32, producer_id: i64, sequence: i32) -> Vec<u8> {
    let mut records = Vec::new();
    let headers = [Header { key: "trace", value: Some(b"1") }, Header { key: "", value: None }];
    for offset_delta in 0..count {
        let parts = RecordParts {
            timestamp_delta: i64::from(offset_delta),
            offset_delta,
            key: (offset_delta % 2 == 0).then_some(&b"key"[..]),
            value: Some(b"value"),
            headers: &headers[..offset_delta as usize % 3],
        };
        parts.encode_into(parts.body_len(), &mut records);
    }
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: 0,
        partition_leader_epoch: 0,
        magic: BatchHeader::MAGIC,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_000 + i64::from(count - 1),
        producer_id,
        producer_epoch: if producer_id < 0 { -1 } else { 0 },
        base_sequence: sequence,
        record_count: count,
    };
    let sealed = header.seal([records.as_slice()]).expect("a small batch");
    [&sealed[..], &records].concat()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let whole = batch(3, 7, 0);
    let records = &whole[BatchHeader::SIZE..];
    vec![[&[0][..], &whole].concat(), [&[2][..], &whole].concat(), [&[1][..], records].concat()]
}
