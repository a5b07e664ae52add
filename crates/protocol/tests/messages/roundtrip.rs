//! What is encoded decodes to the same, and nothing shorter does.

use bytes::Bytes;
use ottla_protocol::{DecodeErrorKind, Message, Reader};
use proptest::prelude::*;

use crate::source::{self, Generate, Source};

/// Made-up values for each version of each message.
const CASES: u32 = 24;

fn encode<M: Message>(message: &M, version: i16) -> Bytes {
    let mut out = Vec::new();
    message.encode(&mut out, version).unwrap_or_else(|error| panic!("{error}: {message:?}"));
    out.into()
}

fn survives<M: Message + Generate>() {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        source::run(CASES, |bytes| {
            let message = M::generate(&mut Source(bytes), version);
            let encoded = encode(&message, version);
            let mut reader = Reader::new(&encoded);
            let decoded = M::decode(&mut reader, version);
            prop_assert_eq!(decoded.as_ref(), Ok(&message), "version {}", version);
            prop_assert_eq!(reader.remaining(), 0, "version {}", version);
            Ok(())
        });
    }
}

fn truncation_is_an_error<M: Message + Generate>() {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        source::run(4, |bytes| {
            let encoded = encode(&M::generate(&mut Source(bytes), version), version);
            for length in 0..encoded.len() {
                let cut = encoded.slice(..length);
                let error = M::decode(&mut Reader::new(&cut), version).expect_err("a cut message");
                let truncated = matches!(error.kind, DecodeErrorKind::Truncated { .. });
                prop_assert!(truncated, "version {} cut at {}: {}", version, length, error);
                prop_assert!(error.field.is_some(), "{} names no field", error);
            }
            Ok(())
        });
    }
}

fn the_default_survives_where_it_can_be_written<M: Message>() {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        let message = M::default();
        let mut out = Vec::new();
        // A default may be null where an old version does not allow it.
        if message.encode(&mut out, version).is_ok() {
            let decoded = M::decode(&mut Reader::new(&out.into()), version);
            assert_eq!(decoded.as_ref(), Ok(&message), "version {version}");
        }
    }
}

macro_rules! tests {
    ($module:ident, $name:ident, $type:ident, $schema:ident) => {
        mod $name {
            use ottla_protocol::messages::$module::$type;

            #[test]
            fn survives_in_every_version() {
                super::survives::<$type>();
            }

            #[test]
            fn is_an_error_when_cut_anywhere() {
                super::truncation_is_an_error::<$type>();
            }

            /// Laws: L11. Scenarios: bug-62.
            #[test]
            fn survives_by_default() {
                super::the_default_survives_where_it_can_be_written::<$type>();
            }
        }
    };
}

for_each_message!(tests);
