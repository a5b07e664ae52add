//! What is to leave by a connection: bytes, and between them parts of files.

use std::io;

use crate::log::FileSpan;

/// Answers on their way out.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// Everything but the spans.
    pub(crate) bytes: Vec<u8>,
    /// Each with the place in `bytes` that it goes before, in order.
    spans: Vec<(usize, FileSpan)>,
    span_bytes: usize,
}

/// One part of what leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece<'a> {
    /// Bytes, with a span behind them or not.
    Bytes {
        bytes: &'a [u8],
        is_last: bool,
    },
    Span(&'a FileSpan),
}

impl Outgoing {
    /// In bytes, spans included.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len() + self.span_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// Puts a part of a file behind everything else.
    pub(crate) fn push_span(&mut self, span: FileSpan) {
        self.span_bytes += span.length();
        self.spans.push((self.bytes.len(), span));
    }

    /// Takes everything back that came behind the first `count` of [`Outgoing::bytes`].
    pub(crate) fn truncate(&mut self, count: usize) {
        while let Some((_, span)) = self.spans.pop_if(|(at, _)| *at > count) {
            self.span_bytes -= span.length();
        }
        self.bytes.truncate(count);
    }

    /// Reads the files that come behind the first `count` of [`Outgoing::bytes`], so that they are
    /// among them.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn gather(&mut self, count: usize) -> io::Result<()> {
        let first = self.spans.partition_point(|(at, _)| *at <= count);
        let spans = self.spans.split_off(first);
        let Some((start, _)) = spans.first() else {
            return Ok(());
        };
        let old = self.bytes.split_off(*start);
        let mut taken = 0;
        for (at, span) in &spans {
            self.span_bytes -= span.length();
            self.bytes.extend_from_slice(&old[taken..at - start]);
            self.bytes.extend_from_slice(&span.read()?);
            taken = at - start;
        }
        self.bytes.extend_from_slice(&old[taken..]);
        Ok(())
    }

    /// All of it, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let mut from = 0;
        let before = self.spans.iter().flat_map(move |(at, span)| {
            let bytes = &self.bytes[from..*at];
            from = *at;
            [Piece::Bytes { bytes, is_last: false }, Piece::Span(span)]
        });
        let rest = self.spans.last().map_or(0, |(at, _)| *at);
        let last = Piece::Bytes { bytes: &self.bytes[rest..], is_last: true };
        before.chain([last])
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.span_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{DiskStorage, Storage};

    fn span(dir: &tempfile::TempDir, content: &[u8]) -> FileSpan {
        let file = DiskStorage { is_durable: false }.open(&dir.path().join("file")).unwrap();
        let position = file.size().unwrap();
        file.append(&[content]).unwrap();
        FileSpan::new(file, position, content.len())
    }

    fn said(out: &Outgoing) -> Vec<u8> {
        let pieces = out.pieces().flat_map(|piece| match piece {
            Piece::Bytes { bytes, .. } => bytes.to_vec(),
            Piece::Span(span) => span.read().unwrap().to_vec(),
        });
        pieces.collect()
    }

    fn mixed(dir: &tempfile::TempDir) -> Outgoing {
        let mut out = Outgoing::default();
        out.push_span(span(dir, b"ab"));
        out.bytes.extend(b"cd");
        out.push_span(span(dir, b"efg"));
        out.push_span(span(dir, b"h"));
        out.bytes.extend(b"ij");
        out
    }

    #[test]
    fn bytes_and_files_leave_in_the_order_in_which_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = mixed(&dir);
        assert_eq!((said(&out), out.length()), (b"abcdefghij".to_vec(), 10));
        out.clear();
        assert!(out.is_empty() && said(&out).is_empty());
    }

    #[test]
    fn files_can_be_read_into_memory_from_any_answer_on() {
        for (count, spans_left) in [(0, 1), (1, 1), (2, 3), (4, 3)] {
            let dir = tempfile::tempdir().unwrap();
            let mut out = mixed(&dir);
            out.gather(count).unwrap();
            assert_eq!((out.spans.len(), out.length()), (spans_left, 10), "{count}");
            assert_eq!(said(&out), b"abcdefghij", "{count}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_written_takes_its_files_along() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = mixed(&dir);
        out.truncate(1);
        assert_eq!((said(&out), out.length()), (b"abc".to_vec(), 3));
    }
}
