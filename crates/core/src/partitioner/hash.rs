//! The hashes that other clients partition by. Equal bytes must give equal partitions everywhere.

/// Kafka's 32-bit murmur2, as the Java client computes it over a serialized key.
///
/// Four bytes at a time, little-endian, with the seed that Java uses.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const MIX: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(MIX);
        k ^= k >> 24;
        hash = hash.wrapping_mul(MIX) ^ k.wrapping_mul(MIX);
    }
    let rest = words.remainder();
    for (i, byte) in rest.iter().enumerate().rev() {
        hash ^= u32::from(*byte) << (8 * i);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(MIX);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// FNV-1a with 32 bits, its sign dropped the way Sarama and librdkafka do.
#[must_use]
pub fn fnv1a(key: &[u8]) -> u32 {
    let hash = key
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    (hash as i32).wrapping_abs() as u32
}

/// CRC-32 (IEEE), by which librdkafka's `consistent` partitions. Not the checksum of batches.
#[must_use]
pub fn crc32(key: &[u8]) -> u32 {
    !key.iter().fold(!0_u32, |crc, byte| {
        (crc >> 8) ^ CRC32_TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize]
    })
}

const CRC32_TABLE: [u32; 256] = {
    let mut table = [0_u32; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Laws: none. Scenarios: #121.
    #[test]
    fn crc32_and_fnv1a_give_their_published_check_values() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        assert_eq!(fnv1a(b"a"), (0xe40c_292c_u32 as i32).unsigned_abs());
        assert_eq!(fnv1a(b"foobar"), (0xbf9c_f968_u32 as i32).unsigned_abs());
    }
}
