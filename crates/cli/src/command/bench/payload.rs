//! What the records of a benchmark hold.

use std::fmt::Write;
use std::fs;

use crate::args::bench::PayloadKind;
use crate::exit::Failure;

/// So many different events: a prime, so that they meet every partition and every key in turn.
const EVENTS: usize = 1009;
const ACTIONS: [&str; 5] = ["login", "logout", "view", "click", "buy"];

/// Values in turn.
pub(crate) enum Payloads {
    /// These, over and over.
    Ring(Vec<Vec<u8>>),
    /// The record's number.
    Monotonic,
}

impl Payloads {
    /// Makes or reads them.
    ///
    /// # Errors
    /// When the file cannot be read, or holds nothing.
    pub(crate) fn make(kind: &PayloadKind) -> Result<Self, Failure> {
        match kind {
            PayloadKind::Events(size_bytes) => {
                Ok(Self::Ring((0..EVENTS).map(|n| event(n as u64, *size_bytes)).collect()))
            }
            PayloadKind::Monotonic => Ok(Self::Monotonic),
            PayloadKind::File { path, delimiter } => {
                let shown = path.display();
                let bytes = fs::read(path).map_err(|error| {
                    Failure::usage(format!("the payload file {shown} cannot be read: {error}"))
                })?;
                let finder = memchr::memmem::Finder::new(delimiter);
                let mut values = Vec::new();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let end = finder.find(rest).unwrap_or(rest.len());
                    if end > 0 {
                        values.push(rest[..end].to_vec());
                    }
                    rest = rest.get(end + delimiter.len()..).unwrap_or_default();
                }
                if values.is_empty() {
                    return Err(Failure::usage(format!("the payload file {shown} is empty"))
                        .cure("it should hold at least one value; see --payload-delimiter"));
                }
                Ok(Self::Ring(values))
            }
        }
    }

    /// The value of a record; `buffer` holds it if it is made for the occasion.
    pub(crate) fn value<'a>(&'a self, number: u64, buffer: &'a mut String) -> &'a [u8] {
        match self {
            Self::Ring(values) => &values[(number % values.len() as u64) as usize],
            Self::Monotonic => {
                buffer.clear();
                let _ = write!(buffer, "{number}");
                buffer.as_bytes()
            }
        }
    }
}

/// Events like those of a web shop, one after the other, cut to the size.
fn event(number: u64, size_bytes: usize) -> Vec<u8> {
    let mut text = String::with_capacity(size_bytes + 128);
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    while text.len() < size_bytes {
        let (user, action) = (random(10_000), ACTIONS[random(5) as usize]);
        let (amount, page, at) = (random(100_000), random(1000), random(100_000_000));
        let _ = write!(
            text,
            "{{\"user\":\"user_{user}\",\"action\":\"{action}\",\"amount\":{amount},\
             \"url\":\"/home/{page}\",\"ts\":{}}},",
            1_700_000_000_000_u64 + at
        );
    }
    text.truncate(size_bytes);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn events_have_the_size_and_differ() {
        let Ok(Payloads::Ring(values)) = Payloads::make(&PayloadKind::Events(100)) else {
            panic!("no ring");
        };
        assert!(values.iter().all(|value| value.len() == 100));
        assert_eq!(values.iter().collect::<HashSet<_>>().len(), EVENTS);
    }

    #[test]
    fn a_file_is_taken_apart_at_its_delimiter_and_must_hold_something() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let kind = PayloadKind::File { path: file.path().to_owned(), delimiter: b"--".to_vec() };
        assert!(Payloads::make(&kind).is_err());
        file.write_all(b"one--two----three--").unwrap();
        let payloads = Payloads::make(&kind).unwrap();
        let mut buffer = String::new();
        let mut value = |n| payloads.value(n, &mut buffer).to_vec();
        assert_eq!([value(0), value(1), value(2)], [&b"one"[..], b"two", b"three"]);
        assert_eq!(value(3), b"one");
    }

    #[test]
    fn numbers_count() {
        let mut buffer = String::new();
        assert_eq!(Payloads::Monotonic.value(41, &mut buffer), b"41");
    }
}
