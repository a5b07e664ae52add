//! Which partition a record goes to.
//!
//! The rules are pure functions of key and partition count; what must be remembered (the partition
//! that keyless records stick to) is a plain value that the host keeps where it likes.

mod hash;
mod sticky;

use alloc::format;
use alloc::string::String;
use core::str::FromStr;

pub use hash::{crc32, fnv1a, murmur2};
pub use sticky::{PartitionLoad, Sticky, pick};

/// The partitioners that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionerKind {
    /// Java's: murmur2 of the key; records without a key stick (`murmur2`, `murmur2_random`).
    Murmur2,
    /// librdkafka's `consistent`: CRC-32 of the key; no key counts as an empty one.
    Consistent,
    /// librdkafka's default: CRC-32 of the key; records with no key or an empty one stick.
    ConsistentRandom,
    /// Sarama's: FNV-1a of the key; no key counts as an empty one.
    Fnv1a,
    /// FNV-1a of the key; records without a key stick.
    Fnv1aRandom,
    /// Keys count for nothing: every record sticks by bytes (KIP-794) (`uniform`, `sticky`,
    /// `random`).
    Uniform,
    /// Keys count for nothing: the next record goes to the next partition.
    RoundRobin,
}

impl FromStr for PartitionerKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "murmur2" | "murmur2_random" | "default" => Self::Murmur2,
            "consistent" => Self::Consistent,
            "consistent_random" => Self::ConsistentRandom,
            "fnv1a" => Self::Fnv1a,
            "fnv1a_random" => Self::Fnv1aRandom,
            "uniform" | "sticky" | "random" => Self::Uniform,
            "round_robin" => Self::RoundRobin,
            _ => {
                return Err(format!(
                    "expected murmur2, consistent, consistent_random, fnv1a, fnv1a_random, uniform, sticky, \
                     random or round_robin, not {name:?}"
                ));
            }
        })
    }
}

/// What a partitioner says about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This partition.
    Partition(i32),
    /// Whichever partition records without a key stick to at the moment.
    Sticky,
    /// The partition after the last one.
    Next,
}

impl PartitionerKind {
    /// The partition for `key` among `partition_count` (1 or more).
    #[inline]
    #[must_use]
    pub fn choose(self, key: Option<&[u8]>, partition_count: i32) -> Choice {
        let count = partition_count.max(1) as u32;
        let at = |hash: u32| Choice::Partition((hash % count) as i32);
        match (self, key) {
            (Self::Murmur2, Some(key)) => at(murmur2(key) & 0x7fff_ffff),
            (Self::ConsistentRandom, Some(key)) if !key.is_empty() => at(crc32(key)),
            (Self::Consistent, key) => at(crc32(key.unwrap_or_default())),
            (Self::Fnv1a, key) => at(fnv1a(key.unwrap_or_default())),
            (Self::Fnv1aRandom, Some(key)) => at(fnv1a(key)),
            (Self::RoundRobin, _) => Choice::Next,
            (Self::Murmur2 | Self::ConsistentRandom | Self::Fnv1aRandom | Self::Uniform, _) => {
                Choice::Sticky
            }
        }
    }

    /// The partition that a key decides among `partition_count` (1 or more); none if keys do not
    /// count, or this one does not.
    #[must_use]
    pub fn partition_of_key(self, key: &[u8], partition_count: i32) -> Option<i32> {
        match self.choose(Some(key), partition_count) {
            Choice::Partition(partition) => Some(partition),
            Choice::Sticky | Choice::Next => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_a_key_sticks_or_counts_as_empty_as_its_namesake_does() {
        assert_eq!(PartitionerKind::Murmur2.choose(None, 6), Choice::Sticky);
        assert_eq!(PartitionerKind::ConsistentRandom.choose(Some(b""), 6), Choice::Sticky);
        assert_eq!(PartitionerKind::Consistent.choose(None, 6), Choice::Partition(0));
        assert_eq!(
            PartitionerKind::Fnv1a.choose(None, 6),
            PartitionerKind::Fnv1a.choose(Some(b""), 6)
        );
        assert_eq!(PartitionerKind::Uniform.choose(Some(b"k"), 6), Choice::Sticky);
        assert_eq!(PartitionerKind::RoundRobin.choose(Some(b"k"), 6), Choice::Next);
    }
}
