//! The counts that are written down, and what was counted beside them.

use std::fmt;
use std::str::FromStr;

/// By so much a count may differ from the baseline. Two runs differ by nothing and two builds by
/// less than a thousandth; the rest is for other versions of the C library and its `memcpy`.
const TOLERANCE_PERCENT: f64 = 3.0;

const HEAD: &str = "# ";
const HEAD_END: &str = "; renew with `cargo xtask counts --bless`";

/// One measured part.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Count {
    /// Its name.
    pub(super) part: String,
    /// Instructions.
    pub(super) per_operation: f64,
    /// What an operation is.
    pub(super) operation: String,
}

/// The counts of all parts, by one compiler.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Baseline {
    pub(super) compiler: String,
    pub(super) counts: Vec<Count>,
}

impl Baseline {
    fn get(&self, part: &str) -> Option<&Count> {
        self.counts.iter().find(|count| count.part == part)
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}{}{HEAD_END}", self.compiler)?;
        for Count { part, per_operation, operation } in &self.counts {
            writeln!(f, "{part} {per_operation:.2} instructions/{operation}")?;
        }
        Ok(())
    }
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        let compiler = head
            .strip_prefix(HEAD)
            .and_then(|rest| rest.strip_suffix(HEAD_END))
            .ok_or_else(|| format!("line 1: `{head}` names no compiler{HEAD_END}"))?;
        let counts = lines.enumerate().map(|(index, line)| {
            count_of(line).ok_or_else(|| {
                let form = "<part> <number> instructions/<operation>";
                format!("line {}: `{line}` is not of the form `{form}`", index + 2)
            })
        });
        Ok(Self { compiler: compiler.to_owned(), counts: counts.collect::<Result<_, _>>()? })
    }
}

fn count_of(line: &str) -> Option<Count> {
    let mut words = line.split_whitespace();
    let (part, number, unit) = (words.next()?, words.next()?, words.next()?);
    let per_operation: f64 = number.parse().ok()?;
    let is_count = per_operation.is_finite() && per_operation > 0.0 && words.next().is_none();
    let operation = unit.strip_prefix("instructions/")?.to_owned();
    is_count.then(|| Count { part: part.to_owned(), per_operation, operation })
}

/// What was counted beside what was expected.
pub(super) struct Comparison<'a> {
    /// What was counted, and what stands in the baseline.
    rows: Vec<(&'a Count, Option<f64>)>,
    /// Parts of the baseline that were not counted.
    gone: Vec<&'a str>,
}

impl<'a> Comparison<'a> {
    pub(super) fn of(counted: &'a Baseline, baseline: &'a Baseline) -> Self {
        let before = |count: &Count| Some(baseline.get(&count.part)?.per_operation);
        let gone = baseline.counts.iter().map(|count| count.part.as_str());
        Self {
            rows: counted.counts.iter().map(|count| (count, before(count))).collect(),
            gone: gone.filter(|part| counted.get(part).is_none()).collect(),
        }
    }

    /// A line for each part.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<20} {:>12} {:>12} {:>8}  per\n",
            "part", "instructions", "baseline", "change"
        );
        for (count, before) in &self.rows {
            let Count { part, per_operation, operation } = count;
            let (baseline, change) = match before {
                Some(before) => {
                    // Without the last addition, no change could be `-0.0`.
                    let percent = (percent(count, *before) * 10.0).round() / 10.0 + 0.0;
                    (format!("{before:.2}"), format!("{percent:+.1} %"))
                }
                None => ("none".to_owned(), String::new()),
            };
            table.push_str(&format!(
                "{part:<20} {per_operation:>12.2} {baseline:>12} {change:>8}  {operation}\n"
            ));
        }
        table
    }

    /// Parts that take fewer instructions, by more than the tolerance.
    pub(super) fn better(&self) -> Vec<&str> {
        self.parts(|change| change.is_some_and(|percent| percent < -TOLERANCE_PERCENT))
    }

    /// An error when a part takes more instructions, by more than the tolerance, or when the
    /// baseline is about other parts than these.
    pub(super) fn judge(&self) -> Result<(), String> {
        let worse = self.parts(|change| change.is_some_and(|percent| percent > TOLERANCE_PERCENT));
        let new = self.parts(|change| change.is_none());
        let complaints = [
            (format!("more than {TOLERANCE_PERCENT} % above the baseline"), worse),
            ("not in the baseline".to_owned(), new),
            ("in the baseline, but not counted any more".to_owned(), self.gone.clone()),
        ];
        let told: Vec<String> = complaints
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(what, parts)| format!("{what}: {}", parts.join(", ")))
            .collect();
        match told.is_empty() {
            true => Ok(()),
            false => Err(format!(
                "instruction counts: {}; if that is meant, `cargo xtask counts --bless`, and say \
                 why in the commit",
                told.join("; ")
            )),
        }
    }

    fn parts(&self, is_one: impl Fn(Option<f64>) -> bool) -> Vec<&str> {
        let change =
            |(count, before): &(&Count, Option<f64>)| before.map(|before| percent(count, before));
        let rows = self.rows.iter().filter(|row| is_one(change(row)));
        rows.map(|(count, _)| count.part.as_str()).collect()
    }
}

/// By how much a count is above what it was before.
fn percent(count: &Count, before: f64) -> f64 {
    (count.per_operation / before - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(&str, f64)]) -> Baseline {
        let count = |(part, per_operation): &(&str, f64)| Count {
            part: (*part).to_owned(),
            per_operation: *per_operation,
            operation: "record".to_owned(),
        };
        Baseline { compiler: "rustc 1.2.3".to_owned(), counts: counts.iter().map(count).collect() }
    }

    #[test]
    fn a_baseline_is_read_as_it_is_written() {
        let written = of(&[("append", 323.6), ("close", 12.0)]);
        assert_eq!(written.to_string().parse(), Ok(written));
    }

    #[test]
    fn a_line_that_is_no_count_is_named() {
        let head = of(&[]).to_string();
        for line in
            ["append", "append x instructions/record", "append 0 instructions/x", "append 1 record"]
        {
            let why = format!("{head}{line}\n").parse::<Baseline>().unwrap_err();
            assert!(why.starts_with("line 2: ") && why.contains(line), "{why}");
        }
        let why = "append 1 instructions/record\n".parse::<Baseline>().unwrap_err();
        assert!(why.starts_with("line 1: "), "{why}");
    }

    #[test]
    fn what_is_within_the_tolerance_passes_in_both_directions() {
        let (counted, baseline) =
            (of(&[("a", 102.9), ("b", 97.1)]), of(&[("a", 100.), ("b", 100.)]));
        let comparison = Comparison::of(&counted, &baseline);
        assert_eq!(comparison.judge(), Ok(()));
        assert!(comparison.better().is_empty());
    }

    #[test]
    fn more_is_a_failure_and_less_is_told() {
        let (counted, baseline) =
            (of(&[("a", 103.1), ("b", 96.9)]), of(&[("a", 100.), ("b", 100.)]));
        let comparison = Comparison::of(&counted, &baseline);
        let why = comparison.judge().unwrap_err();
        assert!(why.contains("above the baseline: a;"), "{why}");
        assert_eq!(comparison.better(), ["b"]);
        let table = comparison.table();
        let row = table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>();
        assert_eq!(row, ["a", "103.10", "100.00", "+3.1", "%", "record"]);
    }

    #[test]
    fn parts_that_are_new_or_gone_are_failures() {
        let (counted, baseline) = (of(&[("a", 1.0)]), of(&[("b", 1.0)]));
        let why = Comparison::of(&counted, &baseline).judge().unwrap_err();
        assert!(why.contains("not in the baseline: a;"), "{why}");
        assert!(why.contains("not counted any more: b;"), "{why}");
    }
}
