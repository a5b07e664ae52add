//! Writing primitives at the end of a buffer.
//!
//! `flexible` chooses between the compact encodings of flexible versions and the older fixed ones.
//! `field` is the name that an error says, as `Struct.field`.

use alloc::vec::Vec;

use crate::record::varint;
use crate::{EncodeError, Uuid};

macro_rules! numbers {
    ($($name:ident)*) => {
        $(
            #[doc = concat!("Writes a big-endian `", stringify!($name), "`.")]
            #[inline]
            pub fn $name(out: &mut Vec<u8>, value: $name) {
                out.extend_from_slice(&value.to_be_bytes());
            }
        )*
    };
}

numbers!(i8 i16 i32 i64 u16 u32 f64);

/// Writes a boolean as one byte.
#[inline]
pub fn bool(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

/// Writes a 128-bit id.
#[inline]
pub fn uuid(out: &mut Vec<u8>, value: Uuid) {
    out.extend_from_slice(&value.0);
}

/// Writes an unsigned variable-length integer.
#[inline]
pub fn unsigned_varint(out: &mut Vec<u8>, value: u32) {
    varint::write_unsigned(out, value);
}

fn too_long(field: &'static str, length: usize, max: usize) -> EncodeError {
    EncodeError::TooLong { field, length, max }
}

/// Writes a string.
///
/// # Errors
/// When it is longer than 32,767 bytes.
pub fn string(
    out: &mut Vec<u8>,
    value: &str,
    flexible: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    // Compact strings could be longer, but Kafka's reader refuses them.
    let length =
        i16::try_from(value.len()).map_err(|_| too_long(field, value.len(), i16::MAX as usize))?;
    if flexible {
        unsigned_varint(out, length.unsigned_abs().into_compact());
    } else {
        i16(out, length);
    }
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

/// Writes a string or null.
///
/// # Errors
/// As [`string()`].
pub fn nullable_string(
    out: &mut Vec<u8>,
    value: Option<&str>,
    flexible: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    match value {
        Some(value) => string(out, value, flexible, field),
        None if flexible => {
            unsigned_varint(out, 0);
            Ok(())
        }
        None => {
            i16(out, -1);
            Ok(())
        }
    }
}

/// Writes a byte array.
///
/// # Errors
/// When it is longer than `i32::MAX`.
pub fn bytes(
    out: &mut Vec<u8>,
    value: &[u8],
    flexible: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    array_len(out, value.len(), flexible, field)?;
    out.extend_from_slice(value);
    Ok(())
}

/// Writes a byte array or null.
///
/// # Errors
/// As [`bytes()`].
pub fn nullable_bytes(
    out: &mut Vec<u8>,
    value: Option<&[u8]>,
    flexible: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    match value {
        Some(value) => bytes(out, value, flexible, field),
        None => {
            null_array(out, flexible);
            Ok(())
        }
    }
}

/// Writes the count that opens a list (or the size that opens a byte array).
///
/// # Errors
/// When it is larger than `i32::MAX`.
pub fn array_len(
    out: &mut Vec<u8>,
    count: usize,
    flexible: bool,
    field: &'static str,
) -> Result<(), EncodeError> {
    let length = i32::try_from(count).map_err(|_| too_long(field, count, i32::MAX as usize))?;
    if flexible {
        unsigned_varint(out, length.unsigned_abs().into_compact());
    } else {
        i32(out, length);
    }
    Ok(())
}

/// Writes a null list or byte array.
pub fn null_array(out: &mut Vec<u8>, flexible: bool) {
    if flexible {
        unsigned_varint(out, 0);
    } else {
        i32(out, -1);
    }
}

/// Writes a list, each element by `element`.
///
/// # Errors
/// When it has more than `i32::MAX` elements or an element cannot be written.
pub fn array<T>(
    out: &mut Vec<u8>,
    items: &[T],
    flexible: bool,
    field: &'static str,
    mut element: impl FnMut(&mut Vec<u8>, &T) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    array_len(out, items.len(), flexible, field)?;
    items.iter().try_for_each(|item| element(out, item))
}

/// Writes a list or null; see [`array()`].
///
/// # Errors
/// As [`array()`].
pub fn nullable_array<T>(
    out: &mut Vec<u8>,
    items: Option<&[T]>,
    flexible: bool,
    field: &'static str,
    element: impl FnMut(&mut Vec<u8>, &T) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    match items {
        Some(items) => array(out, items, flexible, field, element),
        None => {
            null_array(out, flexible);
            Ok(())
        }
    }
}

/// Writes a struct or null, after a byte that says which.
///
/// # Errors
/// When the struct cannot be written.
pub fn nullable_struct<T>(
    out: &mut Vec<u8>,
    value: Option<&T>,
    content: impl FnOnce(&mut Vec<u8>, &T) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    match value {
        Some(value) => {
            out.push(1);
            content(out, value)
        }
        None => {
            i8(out, -1);
            Ok(())
        }
    }
}

/// Writes that a struct has no tagged fields.
#[inline]
pub fn no_tagged_fields(out: &mut Vec<u8>) {
    out.push(0);
}

/// Writes one tagged field: tag, size, then what `content` writes.
///
/// # Errors
/// When the content cannot be written or is larger than `u32::MAX`.
pub fn tagged_field(
    out: &mut Vec<u8>,
    tag: u32,
    field: &'static str,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    unsigned_varint(out, tag);
    let start = out.len();
    content(out)?;
    let size = out.len() - start;
    // The size stands before the content but is known after it: write it behind and turn the
    // two around. Tagged fields are rare and small.
    unsigned_varint(
        out,
        u32::try_from(size).map_err(|_| too_long(field, size, u32::MAX as usize))?,
    );
    let size_bytes = out.len() - start - size;
    out[start..].rotate_right(size_bytes);
    Ok(())
}

/// A length as compact encodings write it: plus one, so that 0 can say null.
trait IntoCompact {
    fn into_compact(self) -> u32;
}

impl IntoCompact for u16 {
    fn into_compact(self) -> u32 {
        u32::from(self) + 1
    }
}

impl IntoCompact for u32 {
    fn into_compact(self) -> u32 {
        // The argument came from an i32, so one more fits.
        self + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn a_tagged_field_stands_behind_its_size() {
        let mut out = Vec::new();
        tagged_field(&mut out, 3, "f", |out| {
            out.extend_from_slice(&[9; 200]);
            Ok(())
        })
        .unwrap();
        assert_eq!(&out[..3], [3, 0xc8, 0x01]);
        assert_eq!(&out[3..], [9; 200]);
    }

    #[test]
    fn a_string_over_the_limit_names_its_field() {
        let text: String = core::iter::repeat_n('a', 32768).collect();
        let error = string(&mut Vec::new(), &text, true, "Struct.field").unwrap_err();
        assert_eq!(
            error,
            EncodeError::TooLong { field: "Struct.field", length: 32768, max: 32767 }
        );
    }
}
