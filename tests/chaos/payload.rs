//! Records that say what they are: whoever finds one in a log can tell where it belongs, and
//! whether a bit of it is another.

use ottla_tests::Rng;

/// How many keys a producer has in a topic.
const KEYS: usize = 500;
/// The first word of each value.
const MARK: &str = "ottla-chaos";

/// Which records belong together: those of one producer to one topic, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Stream {
    pub(crate) producer: u16,
    pub(crate) topic: u16,
}

/// How the partition of a record is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By this key.
    Key(String),
    /// The record names it: the number modulo the number of partitions.
    Partition(usize),
    /// The producer chooses.
    Any,
}

/// A record to send, made from its place in its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) route: Route,
    pub(crate) value: String,
}

impl Payload {
    /// The record with this number in its stream; always the same.
    pub(crate) fn new(topic: &str, stream: Stream, number: u32) -> Self {
        let route = route(stream, number);
        let mut rng = rng(stream, number);
        let fill = "abcdefghijklmnop".repeat(1 + rng.below(12));
        let noise = rng.next_u64();
        let Stream { producer, .. } = stream;
        let mut value = format!("{MARK} {topic} {producer} {number} {noise:x}{fill} ");
        let sum = sum(key(&route), value.as_bytes());
        value.push_str(&format!("{sum:016x}"));
        Self { route, value }
    }
}

/// What a record found in a log says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Says<'a> {
    pub(crate) topic: &'a str,
    pub(crate) producer: u16,
    pub(crate) number: u32,
}

/// Reads a record found in a log.
///
/// # Errors
/// It is none of ours, or not as it was.
pub(crate) fn parse<'a>(key: Option<&[u8]>, value: &'a [u8]) -> Result<Says<'a>, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| "it is no text")?;
    let (said, sum_text) = text.rsplit_once(' ').ok_or("it has no sum")?;
    let mut words = said.split(' ');
    if words.next() != Some(MARK) {
        return Err("it has no mark");
    }
    let topic = words.next().ok_or("it names no topic")?;
    let producer = words.next().and_then(|word| word.parse().ok()).ok_or("it has no producer")?;
    let number = words.next().and_then(|word| word.parse().ok()).ok_or("it has no number")?;
    let key = key.map(std::str::from_utf8).transpose().map_err(|_| "its key is no text")?;
    let summed = &value[..value.len() - sum_text.len()];
    if u64::from_str_radix(sum_text, 16) != Ok(sum(key, summed)) {
        return Err("its sum is wrong");
    }
    Ok(Says { topic, producer, number })
}

/// How the partition of this record is found: by key for most, as the record says for some.
pub(crate) fn route(stream: Stream, number: u32) -> Route {
    match number % 8 {
        3 => Route::Partition(rng(stream, number).below(1 << 16)),
        6 => Route::Any,
        _ => Route::Key(format!("k{}-{}", stream.producer, rng(stream, number).below(KEYS))),
    }
}

fn key(route: &Route) -> Option<&str> {
    match route {
        Route::Key(key) => Some(key),
        Route::Partition(_) | Route::Any => None,
    }
}

fn rng(stream: Stream, number: u32) -> Rng {
    let stream = u64::from(stream.producer) << 16 | u64::from(stream.topic);
    Rng::fixed(stream << 32 | u64::from(number))
}

/// FNV-1a over key and value.
fn sum(key: Option<&str>, value: &[u8]) -> u64 {
    let key = key.map_or(&[0xFF][..], str::as_bytes);
    key.iter().chain(&[0]).chain(value).fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { producer: 3, topic: 1 };

    #[test]
    fn a_record_says_where_it_belongs() {
        for number in 0..100 {
            let made = Payload::new("one", STREAM, number);
            let says = parse(key(&made.route).map(str::as_bytes), made.value.as_bytes()).unwrap();
            assert_eq!(says, Says { topic: "one", producer: 3, number });
            assert_eq!(made, Payload::new("one", STREAM, number));
        }
    }

    #[test]
    fn a_record_with_another_bit_or_another_key_is_seen() {
        let made = Payload::new("one", STREAM, 0);
        let key = key(&made.route).map(str::as_bytes);
        assert!(parse(None, made.value.as_bytes()).is_err());
        assert!(parse(Some(b"k3-x"), made.value.as_bytes()).is_err());
        for at in 0..made.value.len() {
            let mut value = made.value.clone().into_bytes();
            value[at] ^= 1;
            assert!(parse(key, &value).is_err(), "{at}");
        }
        assert!(parse(None, b"").is_err());
        assert!(parse(None, &[0xFF]).is_err());
    }
}
