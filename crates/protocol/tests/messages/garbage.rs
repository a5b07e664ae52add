//! No bytes make a decoder panic: any at all, and messages with a few bytes changed.

use bytes::Bytes;
use ottla_protocol::frame::FrameReader;
use ottla_protocol::record::{BatchHeader, RecordReader, validate_batch};
use ottla_protocol::{Message, Reader, RequestHeader};

use crate::source::{self, Generate, Source};

const CASES: u32 = 48;

fn reads_anything<M: Message>() {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        source::run(CASES, |bytes| {
            let frame = Bytes::copy_from_slice(bytes);
            let _ = M::decode(&mut Reader::new(&frame), version);
            Ok(())
        });
    }
}

fn reads_damaged_messages<M: Message + Generate>() {
    const DAMAGE: [u8; 6] = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff];
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        source::run(4, |bytes| {
            let mut frame = Vec::new();
            let message = M::generate(&mut Source(bytes), version);
            message.encode(&mut frame, version).expect("a message that the version can carry");
            for at in 0..frame.len() {
                for byte in DAMAGE {
                    let mut damaged = frame.clone();
                    damaged[at] = byte;
                    let _ = M::decode(&mut Reader::new(&damaged.into()), version);
                }
            }
            Ok(())
        });
    }
}

macro_rules! tests {
    ($module:ident, $name:ident, $type:ident, $schema:ident) => {
        mod $name {
            use ottla_protocol::messages::$module::$type;

            #[test]
            fn reads_any_bytes_without_panic() {
                super::reads_anything::<$type>();
            }

            #[test]
            fn reads_damaged_messages_without_panic() {
                super::reads_damaged_messages::<$type>();
            }
        }
    };
}

for_each_message!(tests);

#[test]
fn a_request_header_reads_any_bytes_without_panic() {
    source::run(512, |bytes| {
        let frame = Bytes::copy_from_slice(bytes);
        let _ = RequestHeader::decode(&mut Reader::new(&frame));
        Ok(())
    });
}

#[test]
fn a_record_batch_reads_any_bytes_without_panic() {
    source::run(2048, |bytes| {
        let _ = validate_batch(bytes);
        let _ = BatchHeader::read(bytes).map(|header| header.size_bytes());
        for record in RecordReader::new(bytes).flatten() {
            assert_eq!(record.headers().count(), record.header_count());
        }
        Ok(())
    });
}

#[test]
fn a_frame_reader_takes_any_bytes_in_any_portions_without_panic() {
    source::run(512, |bytes| {
        let mut reader = FrameReader::new(1 << 20);
        for portion in bytes.chunks(7) {
            reader.push(portion);
            while let Ok(Some(_)) = reader.next() {}
        }
        Ok(())
    });
}
