//! What another client, confluent_kafka, reads of a topic.

use std::io::{BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use ottla_tests::tools::{self, Reaped};

use crate::check::{Found, Log, What};
use crate::payload::{Says, parse};

/// No record of ours is nearly as large.
const LARGEST_PART_BYTES: usize = 16 * 1024 * 1024;

/// Reads a topic from its beginning to its end.
pub(crate) fn read(python: &Path, servers: &str, topic: &str) -> Result<Log, String> {
    let mut command = Command::new(python);
    command.arg(tools::here().join("python/dump.py")).args([servers, topic]);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut process = Reaped(spawned.map_err(|error| format!("cannot run Python: {error}"))?);
    let stdout = process.0.stdout.take().ok_or("Python has no output")?;
    let log = take_in(topic, BufReader::with_capacity(1 << 18, stdout));
    log.map_err(|error| format!("what confluent_kafka read of {topic}: {error}"))
}

fn take_in(topic: &str, mut input: impl Read) -> std::io::Result<Log> {
    let mut log = Log::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let partition = i32::from_be_bytes(array(&mut input)?);
        let offset = i64::from_be_bytes(array(&mut input)?);
        let key_len = i32::from_be_bytes(array(&mut input)?);
        let value_len = i32::from_be_bytes(array(&mut input)?);
        if partition < 0 {
            break;
        }
        let has_key = part(&mut input, key_len, &mut key)?;
        let has_value = part(&mut input, value_len, &mut value)?;
        let key = has_key.then_some(&key[..]);
        let what = if has_value {
            what(topic, key, &value)
        } else {
            What::Foreign("its value is null".to_owned())
        };
        log.entry(partition).or_default().push(Found { offset, what });
    }
    Ok(log)
}

fn what(topic: &str, key: Option<&[u8]>, value: &[u8]) -> What {
    match parse(key, value) {
        Ok(Says { topic: of, producer, number }) if of == topic => {
            What::Record { producer, number }
        }
        Ok(Says { topic, .. }) => What::Misrouted { topic: topic.to_owned() },
        Err(why) => {
            let shown = String::from_utf8_lossy(&value[..value.len().min(120)]).into_owned();
            What::Foreign(format!("{why}: {shown:?}"))
        }
    }
}

fn array<const N: usize>(input: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a part of this length; whether there is one.
fn part(input: &mut impl Read, len: i32, into: &mut Vec<u8>) -> std::io::Result<bool> {
    let present = len >= 0;
    let len = usize::try_from(len).unwrap_or(0);
    if len > LARGEST_PART_BYTES {
        return Err(std::io::Error::other(format!("a part of {len} bytes")));
    }
    into.resize(len, 0);
    input.read_exact(into)?;
    Ok(present)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Payload, Route, Stream};

    fn record(partition: i32, offset: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
        let len = |part: Option<&[u8]>| part.map_or(-1, |part| part.len() as i32);
        let mut bytes = partition.to_be_bytes().to_vec();
        bytes.extend(offset.to_be_bytes());
        bytes.extend(len(key).to_be_bytes());
        bytes.extend(len(value).to_be_bytes());
        bytes.extend([key.unwrap_or_default(), value.unwrap_or_default()].concat());
        bytes
    }

    #[test]
    fn what_the_other_client_read_is_told_apart() {
        let made = Payload::new("one", Stream { producer: 2, topic: 0 }, 5);
        let Route::Key(key) = &made.route else { panic!("it has a key: {made:?}") };
        let (key, value) = (Some(key.as_bytes()), made.value.as_bytes());
        let mut input = record(1, 0, key, Some(value));
        input.extend(record(1, 1, None, None));
        input.extend(record(0, 0, key, Some(b"something else")));
        let cut = input.len();
        input.extend(record(-1, 0, None, None));
        let log = take_in("one", &input[..]).unwrap();
        assert_eq!(log[&1][0].what, What::Record { producer: 2, number: 5 });
        assert!(matches!(log[&1][1].what, What::Foreign(_)));
        assert!(matches!(log[&0][0].what, What::Foreign(_)));
        let other = take_in("two", &input[..]).unwrap();
        assert_eq!(other[&1][0].what, What::Misrouted { topic: "one".to_owned() });
        assert!(take_in("one", &input[..cut]).is_err(), "it did not say that it was done");
    }
}
