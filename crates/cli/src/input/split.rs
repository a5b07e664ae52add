//! Reading a stream so that each piece ends where a line ends.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Lines;

/// Room for one read. Large enough that the cost of a piece vanishes in that of its lines.
const READ_BYTES: usize = 256 * 1024;

/// What is read at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Whole lines with their delimiters; only the last line of a source may lack its own.
    Lines(Vec<u8>),
    /// A part of a line that is longer than the limit. The last part holds the delimiter, if
    /// there is one.
    LongLine { bytes: Vec<u8>, is_last: bool },
}

/// Cuts what a reader gives into pieces.
pub(crate) struct Splitter<R> {
    reader: R,
    lines: Lines,
    limit_bytes: usize,
    /// The beginning, `filled` long, has been read; the rest is room.
    buffer: Vec<u8>,
    filled: usize,
    /// No delimiter ends in so many bytes at the beginning.
    searched: usize,
    in_long_line: bool,
    at_end: bool,
    /// Kept equal to `filled`, for whoever wants to know how much of a line is held back.
    held_back: Arc<AtomicUsize>,
}

impl<R: Read> Splitter<R> {
    /// Lines longer than `limit_bytes` come in parts. `held_back` tells others how many bytes
    /// wait for the end of their line.
    pub(crate) fn new(
        reader: R,
        lines: Lines,
        limit_bytes: usize,
        held_back: Arc<AtomicUsize>,
    ) -> Self {
        let limit_bytes = limit_bytes.max(1);
        Self {
            reader,
            lines,
            limit_bytes,
            buffer: Vec::new(),
            filled: 0,
            searched: 0,
            in_long_line: false,
            at_end: false,
            held_back,
        }
    }

    /// The next piece, `None` at the end. Waits for one read at most when that brings a line's end:
    /// a line that somebody types is not held back for the next one.
    pub(crate) fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.cut() {
                return Ok(Some(piece));
            }
            if self.at_end {
                return Ok(self.last_piece());
            }
            self.held_back.store(self.filled, Ordering::Relaxed);
            self.read()?;
        }
    }

    /// A piece of what has been read, if it is enough for one.
    fn cut(&mut self) -> Option<Piece> {
        if self.searched == self.filled {
            return None;
        }
        // A delimiter of several bytes may have begun in what was searched before.
        let from = self.searched.saturating_sub(self.lines.delimiter().len() - 1);
        let fresh = &self.buffer[from..self.filled];
        if self.in_long_line {
            return Some(match self.lines.find(fresh) {
                Some(at) => {
                    self.in_long_line = false;
                    let bytes = self.take(from + at + self.lines.delimiter().len());
                    Piece::LongLine { bytes, is_last: true }
                }
                None => self.unfinished_part(),
            });
        }
        if let Some(end) = self.lines.end_of_last(fresh) {
            let piece = Piece::Lines(self.take(from + end));
            self.searched = self.filled;
            return Some(piece);
        }
        self.searched = self.filled;
        if self.filled > self.limit_bytes {
            self.in_long_line = true;
            return Some(self.unfinished_part());
        }
        None
    }

    fn last_piece(&mut self) -> Option<Piece> {
        let bytes = self.take(self.filled);
        if std::mem::take(&mut self.in_long_line) {
            return Some(Piece::LongLine { bytes, is_last: true });
        }
        (!bytes.is_empty()).then_some(Piece::Lines(bytes))
    }

    /// All but the bytes in which a delimiter may have begun.
    fn unfinished_part(&mut self) -> Piece {
        let kept = (self.lines.delimiter().len() - 1).min(self.filled);
        let part = Piece::LongLine { bytes: self.take(self.filled - kept), is_last: false };
        self.searched = self.filled;
        part
    }

    /// Takes the first `end` bytes out of the buffer. What remains counts as not searched.
    fn take(&mut self, end: usize) -> Vec<u8> {
        let rest = self.filled - end;
        // A small piece gets memory of its own size; a large one takes the buffer with it.
        let small = end < READ_BYTES / 4;
        let taken = if small {
            let taken = self.buffer[..end].to_vec();
            self.buffer.copy_within(end..self.filled, 0);
            taken
        } else {
            let mut next = vec![0; READ_BYTES.max(rest)];
            next[..rest].copy_from_slice(&self.buffer[end..self.filled]);
            let mut taken = std::mem::replace(&mut self.buffer, next);
            taken.truncate(end);
            taken
        };
        self.filled = rest;
        self.searched = 0;
        self.held_back.store(rest, Ordering::Relaxed);
        taken
    }

    fn read(&mut self) -> io::Result<()> {
        if self.buffer.len() - self.filled < READ_BYTES / 4 {
            // Doubling keeps the copies of a long line in proportion to its length.
            let size = (self.buffer.len() * 2).max(READ_BYTES);
            self.buffer.resize(size, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Ok(0) => self.at_end = true,
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in reads of the given sizes, over and over.
    struct Trickle<'a> {
        bytes: &'a [u8],
        sizes: &'a [usize],
        turn: usize,
    }

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let size = self.sizes[self.turn % self.sizes.len()].min(self.bytes.len());
            let size = size.min(out.len());
            self.turn += 1;
            out[..size].copy_from_slice(&self.bytes[..size]);
            self.bytes = &self.bytes[size..];
            Ok(size)
        }
    }

    fn pieces(delimiter: &[u8], limit: usize, bytes: &[u8], sizes: &[usize]) -> Vec<Piece> {
        let reader = Trickle { bytes, sizes, turn: 0 };
        let mut splitter = Splitter::new(reader, Lines::new(delimiter), limit, Arc::default());
        std::iter::from_fn(|| splitter.next().unwrap()).collect()
    }

    fn lines(text: &str) -> Piece {
        Piece::Lines(text.as_bytes().to_vec())
    }

    #[test]
    fn a_piece_ends_with_a_line_and_is_not_held_back() {
        let got = pieces(b"\n", 100, b"one\ntwo\nthree", &[6]);
        assert_eq!(got, [lines("one\n"), lines("two\n"), lines("three")]);
    }

    #[test]
    fn a_delimiter_may_be_cut_by_a_read() {
        let got = pieces(b"<>", 100, b"one<>two<>x", &[4]);
        assert_eq!(got, [lines("one<>"), lines("two<>"), lines("x")]);
    }

    #[test]
    fn a_long_line_comes_in_parts_and_the_next_line_is_whole() {
        let got = pieces(b"\n", 4, b"a\nbcdefghij\nk\n", &[3]);
        let part = |text: &str, is_last| Piece::LongLine { bytes: text.into(), is_last };
        assert_eq!(got, [lines("a\n"), part("bcdefgh", false), part("ij\n", true), lines("k\n"),]);
    }

    #[test]
    fn a_long_line_at_the_end_is_finished() {
        let got = pieces(b"\n", 2, b"abcdef", &[3]);
        let part = |text: &str, is_last| Piece::LongLine { bytes: text.into(), is_last };
        assert_eq!(got, [part("abc", false), part("def", false), part("", true)]);
    }

    #[test]
    fn nothing_gives_nothing() {
        assert_eq!(pieces(b"\n", 10, b"", &[1]), []);
    }

    proptest! {
        #[test]
        fn pieces_hold_the_same_lines_however_they_are_read(
            bytes in prop::collection::vec(prop::sample::select(&b"ab\n"[..]), 0..200),
            delimiter in prop_oneof![Just(&b"\n"[..]), Just(&b"ab"[..]), Just(&b"aa"[..])],
            sizes in prop::collection::vec(1..60_usize, 1..4),
            limit in 1..40_usize,
        ) {
            let lines = Lines::new(delimiter);
            let cut = |bytes: &[u8]| {
                let mut out = Vec::new();
                let mut from = 0;
                while let Some((_, next)) = lines.line_at(bytes, from) {
                    out.push(bytes[from..next].to_vec());
                    from = next;
                }
                out
            };
            let mut got = Vec::new();
            let mut long = Vec::new();
            for piece in pieces(delimiter, limit, &bytes, &sizes) {
                match piece {
                    Piece::Lines(bytes) => got.extend(cut(&bytes)),
                    Piece::LongLine { bytes, is_last } => {
                        long.extend_from_slice(&bytes);
                        if is_last {
                            got.push(std::mem::take(&mut long));
                        }
                    }
                }
            }
            prop_assert_eq!(got, cut(&bytes));
        }
    }
}
