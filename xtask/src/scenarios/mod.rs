//! `cargo xtask scenarios`: which test checks what can go wrong.
//!
//! `docs/scenarios.list` has a row for everything that is known to go wrong between a producer and
//! a cluster. Tests say in a comment which rows they check. A row that no test checks needs a
//! reason. `docs/scenarios.md` is written from the two.

mod ids;
mod list;
mod marks;
mod page;

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::scenarios::ids::Id;
use crate::scenarios::list::{List, Row, State};
use crate::scenarios::marks::Mark;
use crate::tidy::files;
use crate::workspace;

const USAGE: &str = "usage: cargo xtask scenarios [--check]";
const LIST: &str = "docs/scenarios.list";
const PAGE: &str = "docs/scenarios.md";

/// The tests by the rows that they check.
type Tests<'a> = BTreeMap<Id, Vec<&'a Mark>>;

/// Writes the page; with `--check`, says whether it is what would be written.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let is_check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(USAGE.to_owned()),
    };
    let root = workspace::root()?;
    let text = std::fs::read_to_string(root.join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    let mut faults = Vec::new();
    let list = List::read(&text, &mut faults);
    let mut marks = Vec::new();
    for file in files(&root)? {
        marks::read(&file.path, &file.text, &mut marks, &mut faults);
    }
    let tests = join(&list, &marks, &mut faults);
    for fault in &faults {
        eprintln!("{fault}");
    }
    if !faults.is_empty() {
        return Err(format!("{} faults: CONTRIBUTING.md says how tests name rows", faults.len()));
    }
    workspace::put_page(PAGE, &page::write(&list, &tests), is_check, "scenarios")?;
    Ok(ExitCode::SUCCESS)
}

/// Puts rows and tests together and says where they do not fit.
fn join<'a>(list: &List, marks: &'a [Mark], faults: &mut Vec<String>) -> Tests<'a> {
    let mut tests = Tests::new();
    for mark in marks {
        for id in &mark.ids {
            tests.entry(*id).or_default().push(mark);
        }
        let has_law = |id| list.row(id).is_none_or(|row: &Row| row.state != State::NoLaw);
        if mark.laws.is_empty() && mark.ids.iter().any(|id| has_law(*id)) {
            faults.push(format!("{mark}: `Laws: none` is for rows that say `no law`"));
        }
    }
    for row in list.rows() {
        match (&row.state, tests.contains_key(&row.id)) {
            (State::Tested | State::NoLaw, false) => {
                faults.push(format!("{LIST}: {} has neither a test nor a reason", row.id));
            }
            (State::Without(kind, _), true) => {
                let told = format!("{LIST}: {} is `{}`, and has a test", row.id, kind.word());
                faults.push(told);
            }
            _ => {}
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::{List, join, marks};

    /// The faults of a list, whatever it lacks, beside one file of tests.
    fn faults(list: &str, source: &str) -> Vec<String> {
        let (mut faults, mut marks) = (Vec::new(), Vec::new());
        let list = List::read(list, &mut Vec::new());
        marks::read("a.rs", source, &mut marks, &mut faults);
        join(&list, &marks, &mut faults);
        faults
    }

    const TEST: &str = "/// Laws: L1. Scenarios: #1.\n#[test]\nfn all_is_well() {}\n";

    #[test]
    fn a_row_with_a_test_needs_nothing_more() {
        assert_eq!(faults("## Rows\n#1 All is well\n", TEST), [""; 0]);
    }

    #[test]
    fn a_row_without_a_test_needs_a_reason() {
        let list = "## Rows\n#1 All is well\n#2 All is not well\n";
        assert_eq!(faults(list, TEST), ["docs/scenarios.list: #2 has neither a test nor a reason"]);
        let list = "## Rows\n#1 All is well\n#2 All is not well | later: nobody wrote it yet\n";
        assert_eq!(faults(list, TEST), [""; 0]);
    }

    #[test]
    fn a_reason_has_to_go_when_a_test_comes() {
        let list = "## Rows\n#1 All is well | open: nobody wrote it yet\n";
        assert_eq!(faults(list, TEST), ["docs/scenarios.list: #1 is `open`, and has a test"]);
    }

    #[test]
    fn a_test_does_without_a_law_only_where_the_row_does() {
        let source = TEST.replace("L1", "none");
        let told = faults("## Rows\n#1 All is well\n", &source);
        assert_eq!(told, ["a.rs:3: all_is_well: `Laws: none` is for rows that say `no law`"]);
        assert_eq!(faults("## Rows\n#1 All is well | no law\n", &source), [""; 0]);
    }
}
