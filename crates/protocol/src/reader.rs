//! Reading primitives out of a frame, with every length checked before it is believed.

use alloc::string::String;
use alloc::vec::Vec;
use core::mem::size_of;

use bytes::Bytes;

use crate::Uuid;
use crate::error::{DecodeError, DecodeErrorKind as Kind};
use crate::record::varint;

/// The longest string that Kafka's own reader accepts, in bytes.
const MAX_STRING_BYTES: u64 = i16::MAX as u64;

/// How many bytes a list may reserve for each byte that is left to read.
///
/// An element in memory is larger than on the wire, so a count that passes the check against
/// the bytes present could still ask for many times their size. Beyond this factor a list grows
/// as its elements arrive.
const MAX_RESERVE_FACTOR: usize = 8;

/// A cursor over the bytes of one frame.
///
/// Byte arrays and records come out as slices that share the frame's memory.
#[derive(Debug)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    position: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `frame`.
    pub fn new(frame: &'a Bytes) -> Self {
        Self { frame, position: 0, end: frame.len() }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Where the reader stands, in bytes from the start of the frame.
    pub fn position(&self) -> usize {
        self.position
    }

    fn error<T>(&self, kind: Kind) -> Result<T, DecodeError> {
        Err(DecodeError::new(kind, self.position))
    }

    fn truncated<T>(&self, needed: u64) -> Result<T, DecodeError> {
        self.error(Kind::Truncated { needed, remaining: self.remaining() })
    }

    fn rest(&self) -> &'a [u8] {
        &self.frame[self.position..self.end]
    }

    fn array_of<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest().first_chunk::<N>() {
            Some(chunk) => {
                self.position += N;
                Ok(*chunk)
            }
            None => self.truncated(N as u64),
        }
    }

    /// The next `length` bytes, sharing the frame's memory.
    ///
    /// # Errors
    /// When fewer bytes are left.
    pub fn slice(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.remaining() {
            return self.truncated(length as u64);
        }
        let start = self.position;
        self.position += length;
        Ok(self.frame.slice(start..self.position))
    }

    /// An unsigned variable-length integer.
    ///
    /// # Errors
    /// When the bytes end inside it or it does not fit 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        match varint::read_unsigned(self.rest()) {
            Ok((value, length)) => {
                self.position += length;
                Ok(value)
            }
            Err(varint::VarintError::Truncated) => self.truncated(self.remaining() as u64 + 1),
            Err(varint::VarintError::Overlong) => self.error(Kind::OverlongVarint),
        }
    }

    /// A signed length, -1 for null: compact (unsigned varint, plus one) or of type `T`.
    fn length(&mut self, flexible: bool, is_string: bool) -> Result<Option<u64>, DecodeError> {
        let start = self.position;
        let length = if flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else if is_string {
            i64::from(self.i16()?)
        } else {
            i64::from(self.i32()?)
        };
        match length {
            -1 => Ok(None),
            0.. => Ok(Some(length.unsigned_abs())),
            _ => Err(DecodeError::new(Kind::NegativeLength(length), start)),
        }
    }

    fn not_null<T>(&self, value: Option<T>) -> Result<T, DecodeError> {
        value.map_or_else(|| self.error(Kind::NegativeLength(-1)), Ok)
    }

    /// A string that must not be null.
    ///
    /// # Errors
    /// When it is null, too long, cut short or not UTF-8.
    pub fn string(&mut self, flexible: bool) -> Result<String, DecodeError> {
        let value = self.nullable_string(flexible)?;
        self.not_null(value)
    }

    /// A string or null.
    ///
    /// # Errors
    /// When it is too long, cut short or not UTF-8.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, DecodeError> {
        let Some(length) = self.length(flexible, true)? else {
            return Ok(None);
        };
        if length > MAX_STRING_BYTES {
            return self.error(Kind::StringTooLong(length));
        }
        let Some(bytes) = self.rest().get(..length as usize) else {
            return self.truncated(length);
        };
        let Ok(text) = core::str::from_utf8(bytes) else {
            return self.error(Kind::InvalidUtf8);
        };
        self.position += bytes.len();
        Ok(Some(String::from(text)))
    }

    /// A byte array that must not be null.
    ///
    /// # Errors
    /// When it is null or cut short.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes, DecodeError> {
        let value = self.nullable_bytes(flexible)?;
        self.not_null(value)
    }

    /// A byte array or null.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.length(flexible, false)? {
            None => Ok(None),
            Some(length) if length > self.remaining() as u64 => self.truncated(length),
            Some(length) => self.slice(length as usize).map(Some),
        }
    }

    /// A list that must not be null, each element read by `element`.
    ///
    /// `min_element_bytes` is the least that one element takes; a count that the bytes left
    /// cannot hold is refused before anything is reserved.
    ///
    /// # Errors
    /// When the list is null, its count is too large, or an element cannot be read.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        min_element_bytes: usize,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let value = self.nullable_array(flexible, min_element_bytes, element)?;
        self.not_null(value)
    }

    /// A list or null; see [`Reader::array`].
    ///
    /// # Errors
    /// When the count is too large, or an element cannot be read.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        min_element_bytes: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(count) = self.length(flexible, false)? else {
            return Ok(None);
        };
        // The count fits 32 bits and an element's least size is small: no overflow in 64.
        let needed = count * min_element_bytes.max(1) as u64;
        if needed > self.remaining() as u64 {
            return self.truncated(needed);
        }
        let affordable = self.remaining() * MAX_RESERVE_FACTOR / size_of::<T>().max(1);
        let mut items = Vec::with_capacity((count as usize).min(affordable));
        for _ in 0..count {
            items.push(element(self)?);
        }
        Ok(Some(items))
    }

    /// A struct or null; the byte before it says which.
    ///
    /// # Errors
    /// When the bytes are not such a struct.
    pub fn nullable_struct<T>(
        &mut self,
        content: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 {
            return Ok(None);
        }
        content(self).map(Some)
    }

    /// The tagged fields that close a flexible struct.
    ///
    /// `known` gets each tag with a reader over exactly its content and says whether it read
    /// it; the others are skipped.
    ///
    /// # Errors
    /// When tags do not ascend, a size is over the rest, or a known field does not fill its size.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let count = self.unsigned_varint()?;
        let needed = u64::from(count) * 2;
        if needed > self.remaining() as u64 {
            return self.truncated(needed);
        }
        let mut previous = None;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            if let Some(previous) = previous.filter(|previous| tag <= *previous) {
                return self.error(Kind::TagOrder { tag, previous });
            }
            previous = Some(tag);
            let size = self.unsigned_varint()?;
            if size as usize > self.remaining() {
                return self.truncated(u64::from(size));
            }
            let end = self.position + size as usize;
            let mut content = Reader { frame: self.frame, position: self.position, end };
            if known(tag, &mut content)? && content.remaining() > 0 {
                return self.error(Kind::TagSize { tag, unread: content.remaining() });
            }
            self.position = end;
        }
        Ok(())
    }

    /// Skips the tagged fields of a struct that has none of its own.
    ///
    /// # Errors
    /// As [`Reader::tagged_fields`].
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.tagged_fields(|_, _| Ok(false))
    }

    /// A boolean; every byte but 0 is true.
    ///
    /// # Errors
    /// When no byte is left.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// A 128-bit id.
    ///
    /// # Errors
    /// When fewer than 16 bytes are left.
    pub fn uuid(&mut self) -> Result<Uuid, DecodeError> {
        self.array_of().map(Uuid)
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {
        impl Reader<'_> {
            $(
                #[doc = concat!("A big-endian `", stringify!($name), "`.")]
                ///
                /// # Errors
                /// When the bytes end inside it.
                pub fn $name(&mut self) -> Result<$name, DecodeError> {
                    self.array_of().map($name::from_be_bytes)
                }
            )*
        }
    };
}

numbers!(i8 i16 i32 i64 u16 u32 f64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn kind<T: core::fmt::Debug>(result: Result<T, DecodeError>) -> Kind {
        result.expect_err("an error").kind
    }

    #[test]
    fn a_string_is_read_in_both_encodings() {
        assert_eq!(Reader::new(&Bytes::from_static(b"\0\x02ab")).string(false).unwrap(), "ab");
        assert_eq!(Reader::new(&Bytes::from_static(b"\x03ab")).string(true).unwrap(), "ab");
        assert_eq!(
            Reader::new(&Bytes::from_static(b"\xff\xff")).nullable_string(false).unwrap(),
            None
        );
        assert_eq!(Reader::new(&Bytes::from_static(b"\0")).nullable_string(true).unwrap(), None);
    }

    /// Laws: L11. Scenarios: B-1.
    #[test]
    fn null_is_an_error_where_a_value_must_stand() {
        let compact_null = Bytes::from_static(b"\0");
        let null = Bytes::from_static(b"\xff\xff\xff\xff");
        assert_eq!(kind(Reader::new(&compact_null).string(true)), Kind::NegativeLength(-1));
        assert_eq!(kind(Reader::new(&null).string(false)), Kind::NegativeLength(-1));
        assert_eq!(kind(Reader::new(&null).bytes(false)), Kind::NegativeLength(-1));
        assert_eq!(kind(Reader::new(&null).array(false, 1, Reader::i8)), Kind::NegativeLength(-1));
    }

    /// Laws: L11. Scenarios: B-1.
    #[test]
    fn a_length_below_minus_one_is_an_error_even_where_null_may_stand() {
        let frame = Bytes::from_static(b"\xff\xff\xff\xfe");
        assert_eq!(kind(Reader::new(&frame).nullable_bytes(false)), Kind::NegativeLength(-2));
        let frame = Bytes::from_static(b"\x80\x00");
        assert_eq!(kind(Reader::new(&frame).nullable_string(false)), Kind::NegativeLength(-32768));
    }

    /// Laws: L11. Scenarios: B-5.
    #[test]
    fn a_string_over_the_limit_is_refused_even_when_its_bytes_are_there() {
        let mut frame = vec![0x81, 0x80, 0x02]; // compact length 32768
        frame.extend_from_slice(&[b'a'; 32768]);
        assert_eq!(kind(Reader::new(&frame.into()).string(true)), Kind::StringTooLong(32768));
    }

    /// Laws: L11. Scenarios: B-5.
    #[test]
    fn a_string_must_be_utf8() {
        assert_eq!(
            kind(Reader::new(&Bytes::from_static(b"\x03\xff\xfe")).string(true)),
            Kind::InvalidUtf8
        );
    }

    #[test]
    fn bytes_share_the_memory_of_the_frame() {
        let frame = Bytes::from(vec![3, 7, 8]);
        let bytes = Reader::new(&frame).bytes(true).unwrap();
        assert_eq!(bytes.as_ptr(), frame[1..].as_ptr());
    }

    /// Laws: L11. Scenarios: B-2, bug-59.
    #[test]
    fn a_count_that_the_rest_cannot_hold_is_refused() {
        let frame = Bytes::from_static(b"\x7f\xff\xff\xff\0\0\0\0");
        let error = kind(Reader::new(&frame).array(false, 4, Reader::i32));
        assert_eq!(error, Kind::Truncated { needed: 4 * 0x7fff_ffff, remaining: 4 });
    }

    /// Laws: L11. Scenarios: B-4.
    #[test]
    fn tagged_fields_must_ascend() {
        let twice = Bytes::from_static(b"\x02\x01\0\x01\0");
        let error = kind(Reader::new(&twice).skip_tagged_fields());
        assert_eq!(error, Kind::TagOrder { tag: 1, previous: 1 });
        let down = Bytes::from_static(b"\x02\x05\0\x01\0");
        let error = kind(Reader::new(&down).skip_tagged_fields());
        assert_eq!(error, Kind::TagOrder { tag: 1, previous: 5 });
    }

    /// Laws: L11. Scenarios: B-4.
    #[test]
    fn a_tagged_field_over_the_rest_is_refused() {
        let frame = Bytes::from_static(b"\x01\0\x05ab");
        let error = kind(Reader::new(&frame).skip_tagged_fields());
        assert_eq!(error, Kind::Truncated { needed: 5, remaining: 2 });
    }

    /// Laws: L11. Scenarios: B-4.
    #[test]
    fn four_billion_tagged_fields_are_refused_at_once() {
        let frame = Bytes::from_static(b"\xff\xff\xff\xff\x0f\0\0\x01\0");
        assert!(matches!(
            kind(Reader::new(&frame).skip_tagged_fields()),
            Kind::Truncated { needed: 8_589_934_590, .. }
        ));
    }

    #[test]
    fn a_known_tagged_field_cannot_read_past_its_size_nor_leave_bytes() {
        let frame = Bytes::from_static(b"\x01\0\x02\0\0\0\0");
        let mut reader = Reader::new(&frame);
        let error = kind(reader.tagged_fields(|_, content| content.i32().map(|_| true)));
        assert_eq!(error, Kind::Truncated { needed: 4, remaining: 2 });
        let mut reader = Reader::new(&frame);
        let error = kind(reader.tagged_fields(|_, content| content.i8().map(|_| true)));
        assert_eq!(error, Kind::TagSize { tag: 0, unread: 1 });
    }
}
