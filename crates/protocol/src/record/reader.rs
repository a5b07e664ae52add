//! Reading records back without copying them.

use super::RecordError;
use super::varint::{self, VarintError};

/// An iterator over the records of a batch, uncompressed.
///
/// It ends at the end of the bytes or after the first error; the caller compares how many
/// records came with the count in the batch header.
#[derive(Clone, Debug)]
pub struct RecordReader<'a> {
    rest: &'a [u8],
}

/// One record, borrowing its bytes from the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The record's own attributes; no bit has a meaning so far.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset, counted from the batch's base offset.
    pub offset_delta: i32,
    /// The key, `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for null (a tombstone).
    pub value: Option<&'a [u8]>,
    header_count: usize,
    /// Was read through once when the record was, so each header in it is whole.
    headers: &'a [u8],
}

/// A record header as it stands in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderView<'a> {
    /// The name. Kafka calls it a string, but no broker checks that it is UTF-8.
    pub key: &'a [u8],
    /// The value, `None` for null.
    pub value: Option<&'a [u8]>,
}

impl<'a> HeaderView<'a> {
    /// The name, when it is UTF-8.
    pub fn key_str(&self) -> Option<&'a str> {
        core::str::from_utf8(self.key).ok()
    }
}

impl<'a> RecordReader<'a> {
    /// A reader over the records section of a batch, after decompression.
    pub fn new(records: &'a [u8]) -> Self {
        Self { rest: records }
    }

    /// The bytes that have not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RecordReader<'a> {
    type Item = Result<RecordView<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut fields = Fields { rest: self.rest };
        let record = fields.record();
        self.rest = if record.is_ok() { fields.rest } else { &[] };
        Some(record)
    }
}

impl core::iter::FusedIterator for RecordReader<'_> {}

impl<'a> RecordView<'a> {
    /// How many headers the record has.
    pub fn header_count(&self) -> usize {
        self.header_count
    }

    /// The headers in order, duplicates included.
    pub fn headers(&self) -> Headers<'a> {
        Headers { left: self.header_count, fields: Fields { rest: self.headers } }
    }
}

/// An iterator over the headers of one record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: usize,
    fields: Fields<'a>,
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.fields.header().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// A cursor over the fields of records.
#[derive(Clone, Debug)]
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn error(&self, what: &'static str, error: VarintError) -> RecordError {
        match error {
            VarintError::Overlong => RecordError::OverlongVarint { what },
            VarintError::Truncated => RecordError::Truncated {
                what,
                needed: self.rest.len() + 1,
                remaining: self.rest.len(),
            },
        }
    }

    #[inline]
    fn varint(&mut self, what: &'static str) -> Result<i32, RecordError> {
        let (value, size) =
            varint::read_varint(self.rest).map_err(|error| self.error(what, error))?;
        self.rest = &self.rest[size..];
        Ok(value)
    }

    #[inline]
    fn varlong(&mut self, what: &'static str) -> Result<i64, RecordError> {
        let (value, size) =
            varint::read_varlong(self.rest).map_err(|error| self.error(what, error))?;
        self.rest = &self.rest[size..];
        Ok(value)
    }

    #[inline]
    fn take(&mut self, what: &'static str, size: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(RecordError::Truncated {
            what,
            needed: size,
            remaining: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// Bytes behind their length, -1 for null.
    #[inline]
    fn nullable(&mut self, what: &'static str) -> Result<Option<&'a [u8]>, RecordError> {
        match self.varint(what)? {
            -1 => Ok(None),
            value => match usize::try_from(value) {
                Ok(size) => self.take(what, size).map(Some),
                Err(_) => Err(RecordError::Length { what, value }),
            },
        }
    }

    fn header(&mut self) -> Result<HeaderView<'a>, RecordError> {
        let key = self
            .nullable("header key")?
            .ok_or(RecordError::Length { what: "header key", value: -1 })?;
        Ok(HeaderView { key, value: self.nullable("header value")? })
    }

    fn record(&mut self) -> Result<RecordView<'a>, RecordError> {
        let value = self.varint("record length")?;
        let size = usize::try_from(value)
            .map_err(|_| RecordError::Length { what: "record length", value })?;
        let mut body = Fields { rest: self.take("record", size)? };
        let record = RecordView {
            attributes: body.take("record attributes", 1)?[0] as i8,
            timestamp_delta: body.varlong("timestamp delta")?,
            offset_delta: body.varint("offset delta")?,
            key: body.nullable("key")?,
            value: body.nullable("value")?,
            header_count: body.header_count()?,
            headers: body.rest,
        };
        for _ in 0..record.header_count {
            body.header()?;
        }
        if body.rest.is_empty() {
            Ok(record)
        } else {
            Err(RecordError::RecordSize(body.rest.len()))
        }
    }

    fn header_count(&mut self) -> Result<usize, RecordError> {
        let what = "header count";
        let value = self.varint(what)?;
        let count = usize::try_from(value).map_err(|_| RecordError::Length { what, value })?;
        // A header takes two bytes at least.
        if count > self.rest.len() / 2 {
            let needed = count.saturating_mul(2);
            return Err(RecordError::Truncated { what, needed, remaining: self.rest.len() });
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Header, RecordParts};
    use alloc::vec::Vec;

    #[test]
    fn records_read_back_as_they_were_written() {
        let headers = [Header::new("a", Some(b"1")), Header::new("a", None), Header::new("", None)];
        let written = [
            RecordParts {
                timestamp_delta: 0,
                offset_delta: 0,
                key: None,
                value: Some(b"v"),
                headers: &[],
            },
            RecordParts {
                timestamp_delta: -5,
                offset_delta: 1,
                key: Some(b"k"),
                value: None,
                headers: &headers,
            },
        ];
        let mut bytes = Vec::new();
        written.iter().for_each(|parts| parts.encode_into(parts.body_len(), &mut bytes));
        let read: Vec<_> = RecordReader::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        for (parts, view) in written.iter().zip(&read) {
            assert_eq!(parts.timestamp_delta, view.timestamp_delta);
            assert_eq!(parts.offset_delta, view.offset_delta);
            assert_eq!(parts.key, view.key);
            assert_eq!(parts.value, view.value);
            let headers: Vec<_> =
                view.headers().map(|header| (header.key_str().unwrap(), header.value)).collect();
            let expected: Vec<_> =
                parts.headers.iter().map(|header| (header.key, header.value)).collect();
            assert_eq!(headers, expected);
        }
    }

    #[test]
    fn the_reader_ends_after_its_first_error() {
        let mut reader = RecordReader::new(&[12, 0, 0, 0, 1, 1, 0, 0x0c, 0]);
        assert!(reader.next().unwrap().is_ok());
        assert!(reader.next().unwrap().is_err());
        assert!(reader.next().is_none());
    }

    #[test]
    fn impossible_lengths_are_named() {
        let read = |bytes: &[u8]| RecordReader::new(bytes).next().unwrap().unwrap_err();
        let length = |what, value| RecordError::Length { what, value };
        assert_eq!(read(&[1]), length("record length", -1));
        assert_eq!(read(&[12, 0, 0, 0, 3, 1, 0]), length("key", -2));
        assert_eq!(read(&[12, 0, 0, 0, 1, 3, 0]), length("value", -2));
        assert_eq!(read(&[12, 0, 0, 0, 1, 1, 1]), length("header count", -1));
        assert_eq!(read(&[16, 0, 0, 0, 1, 1, 2, 1, 0]), length("header key", -1));
        assert_eq!(read(&[14, 0, 0, 0, 1, 1, 0, 9]), RecordError::RecordSize(1));
        assert_eq!(
            read(&[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            RecordError::Truncated { what: "record", needed: i32::MAX as usize, remaining: 0 }
        );
    }
}
