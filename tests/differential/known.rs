//! The differences that are known, with their reasons. `docs/broker.md` repeats the reasons.

use std::fmt::Write as _;

use super::table::KNOWN;

/// A difference that was met.
pub struct Difference {
    pub case: String,
    pub versions: Vec<i16>,
    pub path: String,
    pub kafka: String,
    pub ours: String,
}

/// A difference that may be. `*` stands for anything.
pub(super) struct Known {
    area: &'static str,
    case: &'static str,
    path: &'static str,
    kafka: &'static str,
    ours: &'static str,
    /// A sentence that is in the page as well.
    why: &'static str,
}

pub(super) const fn known(
    area: &'static str,
    case: &'static str,
    path: &'static str,
    (kafka, ours): (&'static str, &'static str),
    why: &'static str,
) -> Known {
    Known { area, case, path, kafka, ours, why }
}

impl Known {
    fn is(&self, area: &str, met: &Difference) -> bool {
        self.area == area
            && fits(self.case, &met.case)
            && fits(self.path, &met.path)
            && fits(self.kafka, &met.kafka)
            && fits(self.ours, &met.ours)
    }
}

/// Whether a text is as a pattern says.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, rest)) => text.strip_prefix(before).is_some_and(|text| {
            text.char_indices().any(|(at, _)| fits(rest, &text[at..])) || fits(rest, "")
        }),
    }
}

/// Fails for a difference that is not known, and for one that is known and does not occur.
pub fn judge(area: &str, found: &[Difference]) {
    let mut told = String::new();
    for met in found {
        if !KNOWN.iter().any(|known| known.is(area, met)) {
            let Difference { case, versions, path, kafka, ours } = met;
            let _ = writeln!(told, "{case} {versions:?}\n  {path}: Kafka {kafka}, ours {ours}");
        }
    }
    for known in KNOWN.iter().filter(|known| known.area == area) {
        if !found.iter().any(|met| known.is(area, met)) {
            let _ = writeln!(told, "{}, {}: does not differ any more", known.case, known.path);
        }
    }
    assert!(told.is_empty(), "\n{told}");
}

#[test]
fn the_page_gives_every_reason() {
    let page = include_str!("../../docs/broker.md").split_whitespace();
    let page = page.collect::<Vec<_>>().join(" ");
    for known in KNOWN {
        assert!(page.contains(known.why), "docs/broker.md does not say: {}", known.why);
    }
}

#[test]
fn a_star_stands_for_anything() {
    assert!(fits("a*c", "abc") && fits("a*", "a") && fits("*", "") && fits("a*b*", "axxbyy"));
    assert!(!fits("a*c", "abd") && !fits("a", "ab"));
}
