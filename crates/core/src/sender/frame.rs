//! A Produce request (key 0, versions 3 to 13), written round payloads that are not copied.
//!
//! Version 9 is the first with compact encodings, 13 names topics by id (KIP-516).

use alloc::vec::Vec;

use ottla_protocol::record::BatchHeader;
use ottla_protocol::{ApiKey, Uuid, encode_request_header, write};

use crate::accumulator::Payload;
use crate::config::Acks;
use crate::host::Chunk;
use crate::metadata::TopicIndex;
use crate::output::Frame;

/// A batch and where it goes.
pub(super) struct Entry<'a, C> {
    pub(super) topic: TopicIndex,
    pub(super) name: &'a str,
    pub(super) id: Uuid,
    pub(super) partition: i32,
    pub(super) header: [u8; BatchHeader::SIZE],
    pub(super) payload: Payload<C>,
}

const FLEXIBLE: i16 = 9;
const TOPIC_IDS: i16 = 13;

/// Writes the request. `entries` of one topic stand next to each other.
pub(super) fn produce_frame<C: Chunk>(
    (version, correlation_id, client_id): (i16, i32, &str),
    acks: Acks,
    timeout_ms: i32,
    entries: Vec<Entry<'_, C>>,
) -> Frame<C> {
    let flexible = version >= FLEXIBLE;
    let mut out = Vec::with_capacity(128 + entries.len() * 96);
    write::i32(&mut out, 0); // the frame's length, known at the end
    let client_id = Some(client_id).filter(|id| id.len() <= i16::MAX as usize);
    // Fails for names over 32,767 bytes only; the client id was just cut, topics have 249 at most.
    let _ = encode_request_header(ApiKey::PRODUCE, version, correlation_id, client_id, &mut out);
    let _ = write::nullable_string(&mut out, None, flexible, "transactional_id");
    write::i16(&mut out, acks.to_wire());
    write::i32(&mut out, timeout_ms);
    let topic_count = entries.chunk_by(|a, b| a.topic == b.topic).count();
    let _ = write::array_len(&mut out, topic_count, flexible, "topic_data");
    let mut payloads = Vec::with_capacity(entries.len());
    for topic in entries.chunk_by(|a, b| a.topic == b.topic) {
        if version >= TOPIC_IDS {
            write::uuid(&mut out, topic[0].id);
        } else {
            let _ = write::string(&mut out, topic[0].name, flexible, "topic");
        }
        let _ = write::array_len(&mut out, topic.len(), flexible, "partition_data");
        for entry in topic {
            write::i32(&mut out, entry.partition);
            let size_bytes = BatchHeader::SIZE + entry.payload.size_bytes();
            let _ = write::array_len(&mut out, size_bytes, flexible, "records");
            out.extend_from_slice(&entry.header);
            payloads.push((out.len(), entry.payload.clone()));
            if flexible {
                write::no_tagged_fields(&mut out);
            }
        }
        if flexible {
            write::no_tagged_fields(&mut out);
        }
    }
    if flexible {
        write::no_tagged_fields(&mut out);
    }
    let mut frame = Frame { header: out, payloads, is_secret: false };
    let length = (frame.size_bytes() - 4) as i32;
    frame.header[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use bytes::Bytes;
    use ottla_protocol::messages::produce::ProduceRequest;
    use ottla_protocol::{Message, Reader, RequestHeader};

    use super::*;

    impl Chunk for Vec<u8> {
        fn bytes(&self) -> &[u8] {
            self
        }
        fn buffer(&mut self) -> &mut Vec<u8> {
            self
        }
    }

    fn entry(topic: u32, name: &str, partition: i32, chunks: Vec<Vec<u8>>) -> Entry<'_, Vec<u8>> {
        let size_bytes = chunks.iter().map(Vec::len).sum();
        let payload = Payload::new(chunks, size_bytes);
        let header = [partition as u8; BatchHeader::SIZE];
        Entry { topic: TopicIndex(topic), name, id: Uuid([7; 16]), partition, header, payload }
    }

    /// Laws: L7. Scenarios: bug-44.
    #[test]
    fn a_produce_frame_reads_back_as_the_generated_message_in_every_version() {
        for version in 3..=13 {
            let entries = vec![
                entry(0, "a", 0, vec![b"one".to_vec(), b"two".to_vec()]),
                entry(0, "a", 3, vec![b"three".to_vec()]),
                entry(1, "b", 1, vec![b"four".to_vec()]),
            ];
            let frame = produce_frame((version, 42, "me"), Acks::All, 1500, entries);
            let bytes: Vec<u8> = frame.slices().flatten().copied().collect();
            assert_eq!(bytes.len(), frame.size_bytes());
            assert_eq!(bytes[..4], ((bytes.len() - 4) as i32).to_be_bytes());
            let body = Bytes::copy_from_slice(&bytes[4..]);
            let mut reader = Reader::new(&body);
            let header = RequestHeader::decode(&mut reader).unwrap();
            assert_eq!((header.api_version, header.correlation_id), (version, 42));
            let request = ProduceRequest::decode(&mut reader, version).unwrap();
            assert_eq!(reader.remaining(), 0);
            assert_eq!((request.acks, request.timeout_ms), (-1, 1500));
            assert_eq!(request.topic_data.len(), 2);
            let first = &request.topic_data[0];
            assert_eq!(first.name, if version < 13 { "a" } else { "" });
            let records = first.partition_data[0].records.as_ref().unwrap();
            assert_eq!(&records[BatchHeader::SIZE..], b"onetwo");
            assert_eq!(first.partition_data[1].index, 3);
        }
    }
}
