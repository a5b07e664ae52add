//! Every request and every response, in every version: what can be read can be written, and reads
//! back the same; what cannot is an error, and takes memory in proportion.

use bytes::Bytes;
use ottla_protocol::{Message, Reader, RequestHeader};

use crate::memory::with_peak;
use crate::source::Source;
use crate::walk::{self, Schema};

/// A type of message.
struct Kind {
    versions: (i16, i16),
    schema: &'static Schema,
    check: fn(i16, &Bytes),
}

fn kinds() -> Vec<Kind> {
    let mut kinds = Vec::new();
    macro_rules! add {
        ($module:ident, $name:ident, $type:ident, $schema:ident) => {{
            type Of = ottla_protocol::messages::$module::$type;
            kinds.push(Kind {
                versions: (Of::VERSIONS.min, Of::VERSIONS.max),
                schema: &crate::schemas::$schema,
                check: check::<Of>,
            });
        }};
    }
    for_each_message!(add);
    kinds
}

fn check<M: Message>(version: i16, body: &Bytes) {
    let (read, peak) = with_peak(|| M::decode(&mut Reader::new(body), version));
    // Structs are larger in memory than on the wire, and a list that grows is there twice.
    assert!(peak <= 64 * body.len() + (64 << 10), "{peak} bytes for {}", body.len());
    let Ok(message) = read else { return };
    let mut written = Vec::new();
    message.encode(&mut written, version).expect("what was read can be written");
    let written = Bytes::from(written);
    let mut reader = Reader::new(&written);
    let again = M::decode(&mut reader, version).expect("what was written can be read");
    assert_eq!(reader.remaining(), 0, "nothing is left over");
    let mut rewritten = Vec::new();
    again.encode(&mut rewritten, version).expect("what was read can be written");
    // A number that is none differs from itself.
    assert!(again == message || rewritten == written, "it came back as another");
}

pub(crate) fn run(data: &[u8]) {
    thread_local! {
        static KINDS: Vec<Kind> = kinds();
    }
    let mut source = Source::new(data);
    KINDS.with(|kinds| {
        let kind = source.byte();
        let version = i16::from(source.byte());
        let body = Bytes::copy_from_slice(source.rest());
        let Some(kind) = kinds.get(usize::from(kind)) else {
            let _ = RequestHeader::decode(&mut Reader::new(&body));
            return;
        };
        let (first, last) = kind.versions;
        (kind.check)(first + version % (last - first + 1), &body);
    });
}

/// Of each message in its first and in its last version, one that has something in each list.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![b"\xff\x00\x00\x12\x00\x03\x00\x00\x00\x01\x00\x02me\x00".to_vec()];
    for (number, kind) in kinds().iter().enumerate() {
        let (first, last) = kind.versions;
        for version in [first, last] {
            let mut seed = vec![number as u8, (version - first) as u8];
            if let Some(place) = walk::places(kind.schema, version).last() {
                seed.extend(place.with(&place.written(0), &[0; 12]));
            }
            seeds.push(seed);
        }
    }
    seeds
}
