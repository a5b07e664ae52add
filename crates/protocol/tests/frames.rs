//! Streams that are, and are not, Kafka frames.

use bytes::Bytes;
use ottla_protocol::frame::{FrameError, FrameReader, OtherProtocol};

const MAX_BYTES: usize = 512 * 1024;

fn first(stream: &[u8]) -> Result<Option<Bytes>, FrameError> {
    let mut reader = FrameReader::new(MAX_BYTES);
    reader.push(stream);
    reader.next()
}

fn framed(content: &[u8]) -> Vec<u8> {
    let mut out = (content.len() as i32).to_be_bytes().to_vec();
    out.extend_from_slice(content);
    out
}

#[test]
fn frames_come_out_whole_in_whatever_portions_they_arrive() {
    let contents: [&[u8]; 4] = [b"four", b"a longer frame than that", &[0; 5000], b"last"];
    let stream: Vec<u8> = contents.iter().flat_map(|content| framed(content)).collect();
    for portion in [1, 2, 3, 4, 5, 7, 100, stream.len()] {
        let mut reader = FrameReader::new(MAX_BYTES);
        let mut frames = Vec::new();
        for bytes in stream.chunks(portion) {
            reader.push(bytes);
            while let Some(frame) = reader.next().unwrap() {
                frames.push(frame);
            }
        }
        assert_eq!(frames, contents);
        assert_eq!(reader.buffered_bytes(), 0);
    }
}

#[test]
fn a_frame_shares_memory_with_its_neighbour() {
    let mut reader = FrameReader::new(MAX_BYTES);
    reader.push(&[framed(b"first"), framed(b"second")].concat());
    let first = reader.next().unwrap().unwrap();
    let second = reader.next().unwrap().unwrap();
    assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, first.len() + 4);
}

#[test]
fn part_of_a_frame_is_not_a_frame() {
    let stream = framed(b"content");
    for length in 0..stream.len() {
        assert_eq!(first(&stream[..length]), Ok(None), "{length} bytes");
    }
}

/// Laws: L11. Scenarios: A1, bug-55.
#[test]
fn a_negative_size_is_refused() {
    for size in [-1, i32::MIN] {
        assert_eq!(first(&size.to_be_bytes()), Err(FrameError::NegativeSize(size)));
    }
}

/// Laws: L11. Scenarios: A2.
#[test]
fn a_size_without_room_for_a_correlation_id_is_refused() {
    for size in [0, 1, 3] {
        assert_eq!(first(&i32::to_be_bytes(size)), Err(FrameError::TooSmall(size)));
    }
    assert_eq!(first(&framed(b"four")), Ok(Some(Bytes::from_static(b"four"))));
}

/// Laws: L11. Scenarios: A3, bug-55.
#[test]
fn a_size_over_the_limit_is_refused_before_its_bytes_come() {
    let over = MAX_BYTES as i32 + 1;
    for size in [over, i32::MAX] {
        let error = FrameError::TooLarge { size, max_bytes: MAX_BYTES };
        assert_eq!(first(&size.to_be_bytes()), Err(error));
    }
    assert_eq!(first(&(MAX_BYTES as i32).to_be_bytes()), Ok(None));
}

#[test]
fn the_buffer_grows_with_what_arrives_and_not_with_what_is_announced() {
    let mut reader = FrameReader::new(usize::MAX);
    reader.push(&0x1000_0000_i32.to_be_bytes());
    assert_eq!(reader.next(), Ok(None));
    reader.push(&[0; 1000]);
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.buffer_mut().capacity() < 16 * 1024);
}

/// Laws: L11. Scenarios: A4, bug-57.
#[test]
fn a_peer_that_speaks_something_else_is_told_apart() {
    let streams: [(&[u8], OtherProtocol); 9] = [
        (b"\x15\x03\x03\x00\x02\x02\x28", OtherProtocol::Tls),
        (b"\x15\x03\x01\x00\x02\x02\x46", OtherProtocol::Tls),
        (b"\x16\x03\x01\x02\x00\x01\x00", OtherProtocol::Tls),
        (b"HTTP/1.1 400 Bad Request\r\n", OtherProtocol::Http),
        (b"GET / HTTP/1.1\r\n", OtherProtocol::Http),
        (b"<html>", OtherProtocol::Http),
        (b"SSH-2.0-OpenSSH_9.6\r\n", OtherProtocol::Ssh),
        (b"+PONG\r\n", OtherProtocol::Text),
        (b"220 mail ready\r\n", OtherProtocol::Text),
    ];
    for (stream, protocol) in streams {
        assert_eq!(first(stream), Err(FrameError::OtherProtocol(protocol)));
        // Also when the limit would let such a size pass.
        let mut reader = FrameReader::new(usize::MAX);
        reader.push(stream);
        assert_eq!(reader.next(), Err(FrameError::OtherProtocol(protocol)));
    }
}

#[test]
fn the_error_says_what_to_check() {
    let tls = first(b"\x15\x03\x03\x00").unwrap_err().to_string();
    assert_eq!(
        tls,
        "the peer speaks TLS, not Kafka: check security.protocol, one side uses TLS and the other \
         does not"
    );
    let http = first(b"HTTP/1.1").unwrap_err().to_string();
    assert_eq!(http, "the peer speaks HTTP, not Kafka: check host and port");
}

#[test]
fn an_error_stays() {
    let mut reader = FrameReader::new(MAX_BYTES);
    reader.push(&framed(b"good"));
    reader.push(&(-5_i32).to_be_bytes());
    assert!(reader.next().unwrap().is_some());
    assert_eq!(reader.next(), Err(FrameError::NegativeSize(-5)));
    reader.push(&framed(b"good"));
    assert_eq!(reader.next(), Err(FrameError::NegativeSize(-5)));
}

#[test]
fn the_limit_can_rise_after_authentication() {
    let mut reader = FrameReader::new(8);
    reader.push(&framed(b"12345678"));
    assert!(reader.next().unwrap().is_some());
    reader.set_max_bytes(9);
    reader.push(&framed(b"123456789"));
    assert!(reader.next().unwrap().is_some());
}
