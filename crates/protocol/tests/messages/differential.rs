//! The crate `kafka-protocol` reads what we write and writes what we read, byte for byte.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use ottla_protocol::{Message, Reader};
use proptest::prelude::*;

use crate::source::{self, Generate, Source};

const CASES: u32 = 24;

/// Versions that `kafka-protocol` 0.18 (messages of Kafka 4.1) lacks.
const MISSING: &[(&str, i16)] = &[
    ("describe_log_dirs_request", 5),
    ("describe_log_dirs_response", 5),
    ("list_offsets_request", 11),
    ("list_offsets_response", 11),
    ("offset_commit_request", 10),
    ("offset_fetch_request", 10),
    ("write_txn_markers_request", 2),
    ("write_txn_markers_response", 2),
];

fn agree<Ours, Theirs>(name: &str)
where
    Ours: Message + Generate,
    Theirs: TheirMessage + Encodable + Decodable,
{
    for version in Ours::VERSIONS.min..=Ours::VERSIONS.max {
        let lacking = !(Theirs::VERSIONS.min..=Theirs::VERSIONS.max).contains(&version);
        assert_eq!(lacking, MISSING.contains(&(name, version)), "{name} {version}");
        if !lacking {
            source::run(CASES, |bytes| agree_on::<Ours, Theirs>(bytes, version));
        }
    }
}

fn agree_on<Ours, Theirs>(bytes: &[u8], version: i16) -> Result<(), TestCaseError>
where
    Ours: Message + Generate,
    Theirs: TheirMessage + Encodable + Decodable,
{
    let fail = |what: &str, error: &dyn std::fmt::Display| {
        TestCaseError::fail(format!("version {version}: {what}: {error}"))
    };
    let message = Ours::generate(&mut Source(bytes), version);
    let mut written = Vec::new();
    message.encode(&mut written, version).map_err(|error| fail("we write", &error))?;
    let mut unread = Bytes::from(written.clone());
    let read = Theirs::decode(&mut unread, version).map_err(|error| fail("they read", &error))?;
    prop_assert!(unread.is_empty(), "version {}: they leave {} bytes", version, unread.len());
    let mut rewritten = BytesMut::new();
    read.encode(&mut rewritten, version).map_err(|error| fail("they write", &error))?;
    prop_assert_eq!(&written[..], &rewritten[..], "version {}", version);
    let frame = rewritten.freeze();
    let again =
        Ours::decode(&mut Reader::new(&frame), version).map_err(|error| fail("we read", &error))?;
    prop_assert_eq!(again, message, "version {}", version);
    Ok(())
}

macro_rules! tests {
    ($module:ident, $name:ident, $type:ident, $schema:ident) => {
        mod $name {
            #[test]
            fn is_the_same_to_both() {
                super::agree::<ottla_protocol::messages::$module::$type, super::theirs::$type>(
                    stringify!($name),
                );
            }
        }
    };
}

for_each_message!(tests);
