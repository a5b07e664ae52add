//! Ranges of API versions and how two sides agree on one.

use core::fmt;

/// An inclusive range of API versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl VersionRange {
    /// The range from `min` to `max`, both included.
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether `version` lies in the range.
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The highest version that both ranges hold, `None` when they do not meet.
    ///
    /// A range that is upside down (`min > max`) or below zero, as a broken peer may send it,
    /// meets nothing but its valid part.
    pub fn negotiate(self, other: Self) -> Option<i16> {
        let min = self.min.max(other.min).max(0);
        let max = self.max.min(other.max);
        let upside_down = self.min > self.max || other.min > other.max;
        (min <= max && !upside_down).then_some(max)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}-{}", self.min, self.max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_takes_the_highest_common_version() {
        let ours = VersionRange::new(3, 13);
        assert_eq!(ours.negotiate(VersionRange::new(0, 9)), Some(9));
        assert_eq!(ours.negotiate(VersionRange::new(7, 20)), Some(13));
        assert_eq!(ours.negotiate(VersionRange::new(0, 2)), None);
        assert_eq!(ours.negotiate(VersionRange::new(14, 20)), None);
    }

    #[test]
    fn a_broken_range_negotiates_to_nothing() {
        let ours = VersionRange::new(0, 4);
        assert_eq!(ours.negotiate(VersionRange::new(4, 1)), None);
        assert_eq!(ours.negotiate(VersionRange::new(-5, -1)), None);
        assert_eq!(ours.negotiate(VersionRange::new(i16::MIN, i16::MAX)), Some(4));
    }
}
