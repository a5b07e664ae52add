use core::ops::RangeInclusive;

use ottla_protocol::record::CompressionType;
use thiserror::Error;

/// The level Java's gzip uses for "the default".
const GZIP_DEFAULT_LEVEL: i32 = -1;
/// What [`GZIP_DEFAULT_LEVEL`] means.
const GZIP_DEFAULT_EFFORT: i32 = 6;
/// Kafka's default for `compression.zstd.level`.
const ZSTD_DEFAULT_LEVEL: i32 = 3;

/// A codec together with how hard it should try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Codec {
    /// The codec.
    pub compression: CompressionType,
    /// The level, or `None` for the codec's own default (gzip 6, zstd 3).
    pub level: Option<i32>,
}

/// A level that the codec does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LevelError {
    /// The codec has levels, and this is none of them.
    #[error("{compression} has no level {level}: levels go from {min} to {max}{note}")]
    OutOfRange {
        /// The codec.
        compression: CompressionType,
        /// The level that was asked for.
        level: i32,
        /// The lowest level.
        min: i32,
        /// The highest level.
        max: i32,
        /// A further level outside the range, in words, or nothing.
        note: &'static str,
    },
    /// The codec knows no levels at all.
    #[error("{compression} has no levels, so level {level} means nothing")]
    NoLevels {
        /// The codec.
        compression: CompressionType,
        /// The level that was asked for.
        level: i32,
    },
}

impl Codec {
    /// A codec that compresses nothing.
    pub const NONE: Self = Self { compression: CompressionType::None, level: None };

    /// A codec with a level, `None` standing for the codec's default.
    ///
    /// Levels are those of `compression.gzip.level` (1 to 9, or -1 for the default),
    /// `compression.lz4.level` (1 to 17) and `compression.zstd.level` (-131072 to 22). There is one
    /// lz4 compressor here, the fast one: each lz4 level is accepted and gives the same result.
    ///
    /// # Errors
    ///
    /// [`LevelError`] when the codec has no such level.
    pub fn new(compression: CompressionType, level: Option<i32>) -> Result<Self, LevelError> {
        let Some(asked) = level else { return Ok(Self { compression, level }) };
        let Some(range) = levels(compression) else {
            return Err(LevelError::NoLevels { compression, level: asked });
        };
        let gzip = compression == CompressionType::Gzip;
        if range.contains(&asked) || (gzip && asked == GZIP_DEFAULT_LEVEL) {
            return Ok(Self { compression, level });
        }
        Err(LevelError::OutOfRange {
            compression,
            level: asked,
            min: *range.start(),
            max: *range.end(),
            note: if gzip { ", and -1 is the default" } else { "" },
        })
    }

    /// The level to give to the compressor. The fields are public, so it is brought into range.
    pub(crate) fn effective_level(&self) -> i32 {
        let asked = match (self.compression, self.level) {
            (CompressionType::Gzip, None | Some(GZIP_DEFAULT_LEVEL)) => GZIP_DEFAULT_EFFORT,
            (CompressionType::Zstd, None) => ZSTD_DEFAULT_LEVEL,
            (_, level) => level.unwrap_or_default(),
        };
        levels(self.compression).map_or(0, |range| asked.clamp(*range.start(), *range.end()))
    }
}

impl From<CompressionType> for Codec {
    fn from(compression: CompressionType) -> Self {
        Self { compression, level: None }
    }
}

fn levels(compression: CompressionType) -> Option<RangeInclusive<i32>> {
    match compression {
        CompressionType::Gzip => Some(1..=9),
        CompressionType::Lz4 => Some(1..=17),
        CompressionType::Zstd => Some(-131_072..=22),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_kip_390() {
        for (compression, good, bad) in [
            (CompressionType::Gzip, vec![-1, 1, 9], vec![-2, 0, 10]),
            (CompressionType::Lz4, vec![1, 9, 17], vec![-1, 0, 18]),
            (CompressionType::Zstd, vec![-131_072, -1, 0, 22], vec![-131_073, 23]),
            (CompressionType::Snappy, vec![], vec![-1, 0, 1]),
            (CompressionType::None, vec![], vec![-1, 0, 1]),
        ] {
            assert!(Codec::new(compression, None).is_ok());
            for level in good {
                assert!(Codec::new(compression, Some(level)).is_ok(), "{compression} {level}");
            }
            for level in bad {
                assert!(Codec::new(compression, Some(level)).is_err(), "{compression} {level}");
            }
        }
    }

    #[test]
    fn a_wrong_level_is_answered_with_the_right_ones() {
        let error = Codec::new(CompressionType::Gzip, Some(12)).unwrap_err();
        let told = "gzip has no level 12: levels go from 1 to 9, and -1 is the default";
        assert_eq!(error.to_string(), told);
        let error = Codec::new(CompressionType::Snappy, Some(3)).unwrap_err();
        assert_eq!(error.to_string(), "snappy has no levels, so level 3 means nothing");
    }

    #[test]
    fn a_level_set_past_the_check_is_brought_into_range() {
        let wild = |compression, level| Codec { compression, level: Some(level) }.effective_level();
        assert_eq!(wild(CompressionType::Gzip, i32::MAX), 9);
        assert_eq!(wild(CompressionType::Gzip, -1), 6);
        assert_eq!(wild(CompressionType::Zstd, i32::MIN), -131_072);
        assert_eq!(wild(CompressionType::None, 5), 0);
    }
}
