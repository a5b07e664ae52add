//! The names and numbers of the compression types; the codecs themselves live elsewhere.

use core::fmt;
use core::str::FromStr;

/// How the records of a batch are compressed (`compression.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum CompressionType {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

/// A compression type that does not exist, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("compression type {0} does not exist")]
pub struct UnknownCompression(pub u8);

/// A name that is not one of a compression type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of none, gzip, snappy, lz4, zstd")]
pub struct ParseCompressionError;

impl CompressionType {
    /// All types, by ascending number.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The bits of a batch's attributes that hold the type.
    pub const ATTRIBUTE_MASK: i16 = 0x07;

    /// The type that a batch's attributes name.
    ///
    /// # Errors
    /// When no type has the number.
    pub fn from_attributes(attributes: i16) -> Result<Self, UnknownCompression> {
        let number = (attributes & Self::ATTRIBUTE_MASK) as u8;
        Self::ALL.get(usize::from(number)).copied().ok_or(UnknownCompression(number))
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CompressionType {
    type Err = ParseCompressionError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(ParseCompressionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_survives_its_name_and_its_number() {
        for kind in CompressionType::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(CompressionType::from_attributes(0x38 | kind as i16), Ok(kind));
        }
        assert_eq!("LZ4".parse::<CompressionType>(), Err(ParseCompressionError));
        assert_eq!(CompressionType::from_attributes(7), Err(UnknownCompression(7)));
    }
}
