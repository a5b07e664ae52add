//! The rows, as `docs/scenarios.list` has them.
//!
//! A line is a heading (`## Words`), a row (`#14 What happens`), or a remark (`// Words`). After a
//! bar, a row says why no test checks it, or that no law is about it.

use std::collections::BTreeSet;

use super::LIST;
use super::ids::Id;

/// All rows by heading.
pub(super) struct List {
    pub(super) sections: Vec<Section>,
}

pub(super) struct Section {
    pub(super) heading: String,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) id: Id,
    /// What happens, and what is to come of it.
    pub(super) words: String,
    pub(super) state: State,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A test checks it, and names a law.
    Tested,
    /// A test checks it. No law is about it.
    NoLaw,
    /// No test checks it, for a reason.
    Without(Kind, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It cannot happen to this producer.
    Foreign,
    /// What it is about is not written yet.
    Later,
    /// What it is about is there, and the test is missing.
    Open,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Foreign, Self::Later, Self::Open];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Foreign => "does not apply",
            Self::Later => "later",
            Self::Open => "open",
        }
    }
}

impl List {
    /// Reads the list; what is wrong with it goes to `faults`.
    pub(super) fn read(text: &str, faults: &mut Vec<String>) -> Self {
        let mut list = Self { sections: Vec::new() };
        let mut seen = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            let mut fault = |told: &str| faults.push(format!("{LIST}:{}: {told}", number + 1));
            if line.is_empty() || line.starts_with("//") {
                continue;
            }
            if let Some(heading) = line.strip_prefix("## ") {
                list.sections.push(Section { heading: heading.to_owned(), rows: Vec::new() });
                continue;
            }
            let Some(section) = list.sections.last_mut() else {
                fault("rows come after a heading");
                continue;
            };
            match row(line) {
                Ok(row) if seen.insert(row.id) => section.rows.push(row),
                Ok(row) => fault(&format!("{} is there twice", row.id)),
                Err(told) => fault(&told),
            }
        }
        for id in Id::all().filter(|id| !seen.contains(id)) {
            faults.push(format!("{LIST}: {id} is missing"));
        }
        list
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    pub(super) fn row(&self, id: Id) -> Option<&Row> {
        self.rows().find(|row| row.id == id)
    }
}

fn row(line: &str) -> Result<Row, String> {
    let (name, rest) = line.split_once(' ').ok_or("a row says what happens")?;
    let (words, state) = match rest.split_once(" | ") {
        None => (rest, State::Tested),
        Some((words, state)) => (words, self::state(state)?),
    };
    if words.trim().is_empty() || words.contains('|') {
        return Err("a row says what happens, without a bar".to_owned());
    }
    Ok(Row { id: name.parse()?, words: words.to_owned(), state })
}

fn state(text: &str) -> Result<State, String> {
    if text == "no law" {
        return Ok(State::NoLaw);
    }
    for kind in Kind::ALL {
        if let Some(reason) = text.strip_prefix(kind.word()).and_then(|t| t.strip_prefix(": ")) {
            return Ok(State::Without(kind, reason.to_owned()));
        }
    }
    Err(format!("`{text}`: say `no law`, or `does not apply`, `later` or `open`, with a reason"))
}

#[cfg(test)]
mod tests {
    use super::{Id, Kind, List, State};

    #[test]
    fn a_row_has_a_name_what_happens_and_a_reason_if_no_test_checks_it() {
        let text = "// A remark.\n## Rows\n#1 It rains\nF4 It snows | later: in winter\n";
        let list = List::read(text, &mut Vec::new());
        let rows: Vec<_> = list.rows().map(|row| (row.words.as_str(), &row.state)).collect();
        let later = State::Without(Kind::Later, "in winter".to_owned());
        assert_eq!(rows, [("It rains", &State::Tested), ("It snows", &later)]);
    }

    #[test]
    fn every_name_has_to_be_there_once() {
        let mut faults = Vec::new();
        List::read("## Rows\n#1 It rains\n#1 It rains\n", &mut faults);
        assert_eq!(faults[0], "docs/scenarios.list:3: #1 is there twice");
        assert_eq!(faults.len(), Id::all().count());
    }

    #[test]
    fn a_reason_of_another_kind_is_a_fault() {
        for row in ["#1 It rains | never: too wet", "#1 It rains | later", "#1 ", "#1"] {
            let mut faults = Vec::new();
            List::read(&format!("## Rows\n{row}\n"), &mut faults);
            assert!(faults[0].starts_with("docs/scenarios.list:2: "), "{row}");
        }
    }
}
