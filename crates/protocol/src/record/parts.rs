//! Writing one record: the hot path of the producer.

use alloc::vec::Vec;

use super::varint::{self, varint_len, varlong_len};

/// A record header: a name and an optional value. Order and duplicates are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name.
    pub key: &'a str,
    /// The value, `None` for null.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// A header from its parts.
    pub const fn new(key: &'a str, value: Option<&'a [u8]>) -> Self {
        Self { key, value }
    }
}

/// What one record is made of, ready to be written into a batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordParts<'a> {
    /// Milliseconds after the batch's base timestamp; may be negative.
    pub timestamp_delta: i64,
    /// Place in the batch, counted from 0.
    pub offset_delta: i32,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for null (a tombstone).
    pub value: Option<&'a [u8]>,
    /// The headers in order.
    pub headers: &'a [Header<'a>],
}

/// The length of a nullable byte string as the record format writes it, -1 for null.
#[inline(always)]
fn length_of(bytes: Option<&[u8]>) -> i32 {
    bytes.map_or(-1, |bytes| bytes.len() as i32)
}

#[inline(always)]
fn sized_len(bytes: Option<&[u8]>) -> usize {
    varint_len(length_of(bytes)) + bytes.map_or(0, <[u8]>::len)
}

#[inline(always)]
fn write_sized(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    varint::write_varint(out, length_of(bytes));
    if let Some(bytes) = bytes {
        out.extend_from_slice(bytes);
    }
}

impl RecordParts<'_> {
    /// Bytes of the record without the length that opens it.
    ///
    /// The format says lengths in 31 bits: a caller must refuse a record whose body is longer than
    /// `i32::MAX` before it encodes it.
    #[inline]
    pub fn body_len(&self) -> usize {
        let fixed = 1 + varlong_len(self.timestamp_delta) + varint_len(self.offset_delta);
        let headers = if self.headers.is_empty() { 1 } else { self.headers_len() };
        fixed + sized_len(self.key) + sized_len(self.value) + headers
    }

    /// Bytes of the whole record.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let body_len = self.body_len();
        varint_len(body_len as i32) + body_len
    }

    #[inline(never)]
    fn headers_len(&self) -> usize {
        let each =
            |header: &Header<'_>| sized_len(Some(header.key.as_bytes())) + sized_len(header.value);
        varint_len(self.headers.len() as i32) + self.headers.iter().map(each).sum::<usize>()
    }

    /// Writes the record at the end of `out`.
    ///
    /// `body_len` is what [`RecordParts::body_len`] gave; a caller has it already, from asking
    /// whether the record fits. At most [`RecordParts::SLACK`] bytes more than the record's
    /// own are reserved, so a buffer with that much room beyond its limit never moves.
    //
    // Room is made once, and then the numbers are pushed byte by byte. That looks slow and is
    // not: a record of 100 bytes takes 12 ns, of which 5 ns are the copy of the value. Putting
    // the numbers together on the stack or in registers first took as long, raw pointers took
    // 10 ns.
    #[inline]
    pub fn encode_into(&self, body_len: usize, out: &mut Vec<u8>) {
        out.reserve(Self::SLACK + body_len);
        varint::write_varint(out, body_len as i32);
        out.push(0); // attributes
        varint::write_varlong(out, self.timestamp_delta);
        varint::write_varint(out, self.offset_delta);
        write_sized(out, self.key);
        write_sized(out, self.value);
        if self.headers.is_empty() {
            out.push(0);
        } else {
            self.encode_headers(out);
        }
    }

    /// How much more than a record's own bytes [`RecordParts::encode_into`] may reserve.
    pub const SLACK: usize = varint::MAX_VARINT_SIZE;

    #[inline(never)]
    fn encode_headers(&self, out: &mut Vec<u8>) {
        varint::write_varint(out, self.headers.len() as i32);
        for header in self.headers {
            write_sized(out, Some(header.key.as_bytes()));
            write_sized(out, header.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: RecordParts<'_> =
        RecordParts { timestamp_delta: 0, offset_delta: 0, key: None, value: None, headers: &[] };

    fn encode(parts: &RecordParts<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let body_len = parts.body_len();
        parts.encode_into(body_len, &mut out);
        assert_eq!(out.len(), parts.encoded_len());
        out
    }

    #[test]
    fn the_smallest_record_is_seven_bytes() {
        assert_eq!(encode(&EMPTY), [12, 0, 0, 0, 1, 1, 0]);
    }

    #[test]
    fn a_record_is_written_field_by_field() {
        let headers = [Header::new("h", Some(b"x")), Header::new("h", None)];
        let parts = RecordParts {
            timestamp_delta: -1,
            offset_delta: 100,
            key: Some(b"key"),
            value: Some(b""),
            headers: &headers,
        };
        let expected = b"\x1c\0\x01\xc8\x01\x06key\0\x04\x02h\x02x\x02h\x01";
        assert_eq!(encode(&parts)[1..], expected[1..]);
        assert_eq!(encode(&parts)[0] as usize, 2 * (expected.len() - 1));
    }

    #[test]
    fn the_greatest_numbers_are_written_whole() {
        let value = [7; 70_000];
        let parts = RecordParts {
            timestamp_delta: i64::MIN,
            offset_delta: i32::MAX,
            value: Some(&value),
            ..EMPTY
        };
        let out = encode(&parts);
        assert_eq!(&out[out.len() - 70_001..out.len() - 1], value);
    }

    #[test]
    fn a_buffer_with_slack_never_moves() {
        let value = [7; 100];
        let parts = RecordParts { value: Some(&value), ..EMPTY };
        let mut out = Vec::with_capacity(parts.encoded_len() + RecordParts::SLACK);
        let before = out.as_ptr();
        parts.encode_into(parts.body_len(), &mut out);
        assert_eq!(out.as_ptr(), before);
    }
}
