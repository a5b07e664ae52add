//! Asks a broker for the brokers it knows, in just as much of the protocol as that takes. (The
//! protocol crate is written by a task of this package, so this package cannot depend on it.)

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A Metadata request, version 1, for no topics: length, key, version, correlation id, no client
/// id, an empty list.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 7, 0xFF, 0xFF, 0, 0, 0, 0];
const LARGEST_ANSWER_BYTES: u32 = 64 * 1024;

/// How many brokers the broker at `address` knows to be alive; `None` while it does not answer.
pub(crate) fn living_brokers(address: SocketAddr) -> Option<usize> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN).ok()?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.set_write_timeout(Some(ANSWER_WITHIN)).ok()?;
    stream.write_all(&REQUEST).ok()?;
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let len = u32::from_be_bytes(len);
    if len > LARGEST_ANSWER_BYTES {
        return None;
    }
    let mut answer = vec![0; len as usize];
    stream.read_exact(&mut answer).ok()?;
    broker_count(&answer)
}

/// The length of the list that follows the correlation id.
fn broker_count(answer: &[u8]) -> Option<usize> {
    let count = answer.get(4..8)?.try_into().ok()?;
    usize::try_from(i32::from_be_bytes(count)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_in_the_request_is_right() {
        assert_eq!(u32::from_be_bytes([0, 0, 0, 14]) as usize, REQUEST.len() - 4);
    }

    #[test]
    fn brokers_are_counted_from_an_answer() {
        assert_eq!(broker_count(&[0, 0, 0, 7, 0, 0, 0, 3, 0, 0]), Some(3));
        assert_eq!(broker_count(&[0, 0, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF]), None);
        assert_eq!(broker_count(&[0, 0, 0, 7]), None);
    }
}
