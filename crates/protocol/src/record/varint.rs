//! Variable-length integers: seven bits a byte, lowest first, the top bit set on all but the last.
//!
//! Signed ones (`varint`, `varlong`) are zigzag coded, so that small negative numbers stay
//! short. Unsigned ones are the lengths and tags of flexible message versions.

use alloc::vec::Vec;

/// The most bytes that a 32-bit value takes.
pub const MAX_VARINT_SIZE: usize = 5;
/// The most bytes that a 64-bit value takes.
pub const MAX_VARLONG_SIZE: usize = 10;

/// Why bytes are not a variable-length integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VarintError {
    /// The bytes end inside it.
    Truncated,
    /// It has more bytes or bits than its type.
    Overlong,
}

#[inline]
const fn zigzag32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

#[inline]
const fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes of an unsigned 64-bit value: a seventh of its significant bits, rounded up.
#[inline]
const fn raw_len(value: u64) -> usize {
    // (bits * 9 + 64) / 64 is bits / 7 rounded up, for 1 to 64 bits.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) >> 6
}

/// How many bytes [`write_unsigned`] writes.
#[inline]
pub const fn unsigned_len(value: u32) -> usize {
    raw_len(value as u64)
}

/// How many bytes [`write_varint`] writes.
#[inline]
pub const fn varint_len(value: i32) -> usize {
    raw_len(zigzag32(value) as u64)
}

/// How many bytes [`write_varlong`] writes.
#[inline]
pub const fn varlong_len(value: i64) -> usize {
    raw_len(zigzag64(value))
}

#[inline(always)]
fn write_raw(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes an unsigned 32-bit value.
#[inline]
pub fn write_unsigned(out: &mut Vec<u8>, value: u32) {
    write_raw(out, u64::from(value));
}

/// Writes a zigzag 32-bit value.
#[inline]
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, zigzag32(value));
}

/// Writes a zigzag 64-bit value.
#[inline]
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_raw(out, zigzag64(value));
}

/// Reads at most `bits` bits; gives back the value and how many bytes it took.
#[inline(always)]
fn read_raw(bytes: &[u8], bits: u32) -> Result<(u64, usize), VarintError> {
    let mut value = 0u64;
    let mut shift = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let part = u64::from(byte & 0x7f);
        if shift >= bits || (shift + 7 > bits && part >> (bits - shift) != 0) {
            return Err(VarintError::Overlong);
        }
        value |= part << shift;
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
        shift += 7;
    }
    // A run of continuation bytes that is too long already will not become right with more.
    Err(if shift >= bits { VarintError::Overlong } else { VarintError::Truncated })
}

/// Reads an unsigned 32-bit value at the start of `bytes`: the value and how many bytes it took.
///
/// # Errors
/// When the bytes end inside it or it has more than 32 bits.
#[inline]
pub fn read_unsigned(bytes: &[u8]) -> Result<(u32, usize), VarintError> {
    read_raw(bytes, 32).map(|(value, length)| (value as u32, length))
}

/// Reads a zigzag 32-bit value at the start of `bytes`: the value and how many bytes it took.
///
/// # Errors
/// When the bytes end inside it or it has more than 32 bits.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<(i32, usize), VarintError> {
    let (raw, length) = read_unsigned(bytes)?;
    Ok(((raw >> 1) as i32 ^ -((raw & 1) as i32), length))
}

/// Reads a zigzag 64-bit value at the start of `bytes`: the value and how many bytes it took.
///
/// # Errors
/// When the bytes end inside it or it has more than 64 bits.
#[inline]
pub fn read_varlong(bytes: &[u8]) -> Result<(i64, usize), VarintError> {
    let (raw, length) = read_raw(bytes, 64)?;
    Ok(((raw >> 1) as i64 ^ -((raw & 1) as i64), length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const LONGS: [i64; 14] = [
        0,
        -1,
        1,
        63,
        -64,
        64,
        8191,
        -8192,
        8192,
        i32::MAX as i64,
        i32::MIN as i64,
        1 << 41,
        i64::MAX,
        i64::MIN,
    ];

    #[test]
    fn a_varlong_survives_and_has_the_length_foretold() {
        for value in LONGS {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            assert_eq!(out.len(), varlong_len(value), "{value}");
            assert_eq!(read_varlong(&out), Ok((value, out.len())));
        }
    }

    #[test]
    fn a_varint_survives_and_has_the_length_foretold() {
        for value in LONGS.into_iter().filter_map(|value| i32::try_from(value).ok()) {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(read_varint(&out), Ok((value, out.len())));
        }
    }

    #[test]
    fn the_length_is_right_at_every_power_of_two() {
        for shift in 0..64 {
            for raw in [(1u64 << shift) - 1, 1 << shift, (1u64 << shift) | 1] {
                let mut out = Vec::new();
                write_raw(&mut out, raw);
                assert_eq!(out.len(), raw_len(raw), "{raw}");
            }
        }
    }

    #[test]
    fn zigzag_alternates_between_the_signs() {
        let mut out = vec![];
        for value in [0, -1, 1, -2, 2] {
            write_varint(&mut out, value);
        }
        assert_eq!(out, [0, 1, 2, 3, 4]);
    }

    /// Laws: L11. Scenarios: B-3.
    #[test]
    fn an_overlong_integer_is_refused() {
        assert_eq!(read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((u32::MAX, 5)));
        assert_eq!(read_unsigned(&[0xff, 0xff, 0xff, 0xff, 0x1f]), Err(VarintError::Overlong));
        assert_eq!(read_unsigned(&[0x80; 5]), Err(VarintError::Overlong));
        assert_eq!(read_unsigned(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]), Err(VarintError::Overlong));
        assert_eq!(read_varlong(&[0x80; 10]), Err(VarintError::Overlong));
        let mut most = [0xff; 10];
        most[9] = 1;
        assert_eq!(read_varlong(&most), Ok((i64::MIN, 10)));
        most[9] = 2;
        assert_eq!(read_varlong(&most), Err(VarintError::Overlong));
    }

    #[test]
    fn a_cut_integer_is_truncated() {
        assert_eq!(read_unsigned(&[]), Err(VarintError::Truncated));
        assert_eq!(read_unsigned(&[0x80]), Err(VarintError::Truncated));
        assert_eq!(read_varlong(&[0xff; 9]), Err(VarintError::Truncated));
    }
}
