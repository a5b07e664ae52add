//! The page that `cargo xtask scenarios` writes.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Tests;
use super::list::{Kind, List, Row, State};
use super::marks::Mark;

pub(super) fn write(list: &List, tests: &Tests<'_>) -> String {
    let mut page = String::new();
    head(list, tests, &mut page);
    for section in &list.sections {
        let _ = writeln!(page, "\n## {}\n", section.heading);
        page.push_str("| | What happens | Law | Checked by |\n|---|---|---|---|\n");
        for row in &section.rows {
            let marks = tests.get(&row.id).map_or(&[][..], Vec::as_slice);
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} |",
                row.id,
                row.words,
                laws(marks),
                checked_by(row, marks)
            );
        }
    }
    page
}

fn head(list: &List, tests: &Tests<'_>, page: &mut String) {
    let count = |kind: Option<Kind>| {
        let is_kind = |row: &&Row| match &row.state {
            State::Without(without, _) => Some(*without) == kind,
            _ => kind.is_none(),
        };
        list.rows().filter(is_kind).count()
    };
    let checks: BTreeSet<_> = tests.values().flatten().map(|m| (&m.path, &m.test)).collect();
    page.push_str(
        "# What can go wrong, and which test checks it

Written by `cargo xtask scenarios` from `docs/scenarios.list` and from what the tests say of
themselves: do not edit. Rows with a # are situations that a producer has to get right, bug-1 to
bug-72 are defects that other producers and clients had, and the rest is what peers, networks,
brokers and programs may do. [ARCHITECTURE.md](../ARCHITECTURE.md#the-laws) has the laws.

| | Rows |
|---|---:|
",
    );
    let _ = writeln!(page, "| checked, by {} tests | {} |", checks.len(), count(None));
    for kind in Kind::ALL.into_iter().filter(|kind| count(Some(*kind)) > 0) {
        let _ = writeln!(page, "| {} | {} |", kind.word(), count(Some(kind)));
    }
    let _ = writeln!(page, "| together | {} |", list.rows().count());
}

/// The laws that the tests name.
fn laws(marks: &[&Mark]) -> String {
    let laws: BTreeSet<u8> = marks.iter().flat_map(|mark| mark.laws.iter().copied()).collect();
    let laws: Vec<String> = laws.iter().map(|law| format!("L{law}")).collect();
    laws.join(" ")
}

fn checked_by(row: &Row, marks: &[&Mark]) -> String {
    if let State::Without(kind, reason) = &row.state {
        return format!("*{}*: {reason}", kind.word());
    }
    let links: BTreeSet<String> = marks.iter().map(|mark| link(mark)).collect();
    links.into_iter().collect::<Vec<_>>().join("<br>")
}

/// A test by the name of its file and its own.
fn link(mark: &Mark) -> String {
    let file = mark.path.rsplit('/').next().unwrap_or(&mark.path);
    let stem = file.split('.').next().unwrap_or(file);
    format!("[`{stem}::{}`](../{})", mark.test, mark.path)
}
