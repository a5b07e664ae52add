//! Cutting a stream into frames: in whatever pieces it comes, the frames are the same.

use ottla_protocol::frame::{FrameError, FrameReader};

use crate::memory::with_peak;
use crate::source::Source;

const LIMIT_BYTES: usize = 4096;

/// Frames until more bytes are needed or the stream is none.
fn frames(reader: &mut FrameReader, into: &mut Vec<Vec<u8>>) -> Result<(), FrameError> {
    while let Some(frame) = reader.next()? {
        assert!(frame.len() >= 4 && frame.len() <= LIMIT_BYTES, "{} bytes", frame.len());
        into.push(frame.to_vec());
    }
    Ok(())
}

pub(crate) fn run(data: &[u8]) {
    let mut source = Source::new(data);
    let piece_bytes = usize::from(source.byte()).max(1);
    let stream = source.rest();
    let (_, peak) = with_peak(|| {
        let mut at_once = FrameReader::new(LIMIT_BYTES);
        at_once.push(stream);
        let mut expected = Vec::new();
        let end = frames(&mut at_once, &mut expected);

        let mut in_pieces = FrameReader::new(LIMIT_BYTES);
        let mut found = Vec::new();
        let mut other = Ok(());
        for piece in stream.chunks(piece_bytes) {
            in_pieces.push(piece);
            other = frames(&mut in_pieces, &mut found);
            if other.is_err() {
                break;
            }
        }
        assert_eq!((found, other), (expected, end));
        if other.is_err() {
            assert_eq!(in_pieces.next().err(), other.err(), "an error stays");
        }
    });
    assert!(peak <= 16 * data.len() + (64 << 10), "{peak} bytes for {}", data.len());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let whole = [&[7_u8][..], &[0, 0, 0, 5], b"12345", &[0, 0, 0, 4], b"6789"].concat();
    let lies = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 3], [0, 0, 0x10, 1]];
    let lies = lies.map(|lie| [&whole[..], &lie, b"rest"].concat());
    let others: [&[u8]; 4] =
        [b"\x01HTTP/1.1", b"\x02SSH-2.0", &[3, 0x15, 3, 3, 0, 2], b"\x01+PONG"];
    others.into_iter().map(<[u8]>::to_vec).chain(lies).chain([whole]).collect()
}
