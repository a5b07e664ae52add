//! The checksum of record batches, behind one door.

/// The CRC-32C (Castagnoli) of `data`, by the processor's own instruction where it has one.
#[inline]
pub fn crc32c(data: &[u8]) -> u32 {
    ::crc32c::crc32c(data)
}

/// The CRC-32C of what `crc` was computed over, followed by `data`.
#[inline]
pub fn crc32c_append(crc: u32, data: &[u8]) -> u32 {
    ::crc32c::crc32c_append(crc, data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_the_check_value_of_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn appending_in_parts_gives_the_checksum_of_the_whole() {
        let data: [u8; 200] = core::array::from_fn(|index| index as u8);
        for cut in [0, 1, 61, 199, 200] {
            assert_eq!(crc32c_append(crc32c(&data[..cut]), &data[cut..]), crc32c(&data));
        }
    }
}
