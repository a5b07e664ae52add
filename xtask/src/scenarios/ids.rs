//! Names of rows.

use std::fmt;
use std::str::FromStr;

/// The series of rows: how their names begin, and how many there are.
const SERIES: [(&str, u16); 10] = [
    ("#", 122),
    ("bug-", 72),
    ("A", 12),
    ("B-", 16),
    ("Z", 5),
    ("S", 14),
    ("E", 12),
    ("F", 20),
    ("T", 14),
    ("H", 16),
];

/// The name of a row, such as `#14`, `bug-3`, `B-3` or `F4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    series: usize,
    number: u16,
}

impl Id {
    /// All names that there are.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let numbers = |(series, (_, count)): (usize, &(&str, u16))| {
            (1..=*count).map(move |number| Self { series, number })
        };
        SERIES.iter().enumerate().flat_map(numbers)
    }
}

impl FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::all()
            .find(|id| id.to_string() == text)
            .ok_or_else(|| format!("`{text}` names no row: rows are #14, bug-3, B-3, F4 …"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", SERIES[self.series].0, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::Id;

    #[test]
    fn bugs_and_the_rows_on_decoding_cannot_be_taken_for_each_other() {
        assert!("bug-3".parse::<Id>().is_ok() && "B-3".parse::<Id>().is_ok());
        assert!("B3".parse::<Id>().is_err());
    }

    #[test]
    fn names_beyond_the_end_of_a_series_and_with_zeros_before_are_not_names() {
        for text in ["#0", "#123", "#01", "A13", "Z6", "14", "", "#"] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }
}
