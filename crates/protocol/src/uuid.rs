//! 128-bit ids of topics and directories.

use core::fmt;

/// A 128-bit id in network byte order, as Kafka gives to topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uuid(pub [u8; 16]);

/// The alphabet of base64 for URLs.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Uuid {
    /// The id that stands for "none".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether this is [`Uuid::ZERO`].
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The id from its two halves, the way Kafka's tools keep it.
    pub fn from_halves(most: u64, least: u64) -> Self {
        Self(((u128::from(most) << 64) | u128::from(least)).to_be_bytes())
    }

    /// Reads what `Display` writes: 22 characters of url-safe base64 without padding.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (index, byte) in text.iter().enumerate() {
            let digit = ALPHABET.iter().position(|letter| letter == byte)? as u128;
            if index < 21 {
                bits = (bits << 6) | digit;
            } else {
                // 22 letters hold 132 bits; the last four must be empty.
                if digit & 0x0f != 0 {
                    return None;
                }
                bits = (bits << 2) | (digit >> 4);
            }
        }
        Some(Self(bits.to_be_bytes()))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        let mut text = [0u8; 22];
        for (index, letter) in text.iter_mut().enumerate() {
            let digit = if index < 21 { bits >> (122 - 6 * index) } else { bits << 4 };
            *letter = ALPHABET[(digit & 0x3f) as usize];
        }
        f.write_str(core::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn display_is_url_safe_base64_without_padding() {
        assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(Uuid([0xff; 16]).to_string(), "_____________________w");
        let counting: [u8; 16] = core::array::from_fn(|index| index as u8);
        assert_eq!(Uuid(counting).to_string(), "AAECAwQFBgcICQoLDA0ODw");
    }

    #[test]
    fn parse_reads_what_display_writes() {
        let id = Uuid::from_halves(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);
        assert_eq!(Uuid::parse(&id.to_string()), Some(id));
        assert_eq!(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAB"), None);
        assert_eq!(Uuid::parse("short"), None);
        assert_eq!(Uuid::parse("!!!!!!!!!!!!!!!!!!!!!!"), None);
    }
}
