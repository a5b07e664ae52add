//! The result of an experiment, ready to be shown as a table, as JSON or on a page.

use serde::Serialize;

use super::context::{Ended, broken};
use crate::command::check::show::wrap;
use crate::summary::layout;

/// Lines of text are no longer than this.
const WIDTH: usize = 100;

/// What came of an experiment.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    pub(super) name: &'static str,
    /// What is asked, as a line.
    pub(super) question: &'static str,
    /// How it was asked: a line each.
    pub(super) settings: Vec<String>,
    pub(super) table: Table,
    /// A JSON list.
    pub(super) json: String,
    /// What the rows show, computed from them.
    pub(super) sentence: String,
    /// Whether the producer broke a promise.
    pub(super) is_broken: bool,
    pub(super) pictures: Vec<Picture>,
}

impl Report {
    /// The report as text.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.name, self.question);
        for line in &self.settings {
            wrap(&mut text, line, 2, WIDTH - 2, "- ");
        }
        text.push('\n');
        for line in &self.table.lines {
            text.push_str(&format!("{line}\n"));
        }
        text.push('\n');
        wrap(&mut text, &self.sentence, 0, WIDTH, "");
        text
    }
}

/// A table, laid out and in its parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// The heading first.
    pub(super) lines: Vec<String>,
    pub(super) heading: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Of rows with a cell for each word of the heading.
    pub(super) fn new<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> Self {
        let heading = heading.map(str::to_owned);
        Self {
            lines: layout(&heading, rows),
            heading: heading.to_vec(),
            rows: rows.iter().map(|row| row.to_vec()).collect(),
        }
    }
}

/// Something to be drawn.
#[derive(Debug, Clone)]
pub(super) enum Picture {
    /// A bar for each name.
    Bars { title: String, bars: Vec<(String, f64)> },
    /// A cell for each name and column, the darker the more.
    Grid { title: String, columns: Vec<String>, rows: Vec<(String, Vec<u64>)> },
}

/// Rows as a JSON list; the names are in the order of the type's fields.
pub(super) fn json<R: Serialize>(rows: &[R]) -> Result<String, Ended> {
    serde_json::to_string(rows).map_err(|error| broken(format!("rows of JSON: {error}")))
}

/// Milliseconds as a cell.
pub(super) fn ms(ms: f64) -> String {
    format!("{ms:.2}")
}

/// `on` or `off`.
pub(super) fn on(is_on: bool) -> String {
    if is_on { "on".to_owned() } else { "off".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_its_question_its_settings_its_table_and_its_sentence() {
        let report = Report {
            name: "acks",
            question: "what is lost?",
            settings: vec!["3 nodes".to_owned()],
            table: Table::new(["acks", "lost"], &[["all".to_owned(), "0".to_owned()]]),
            sentence: "Nothing.".to_owned(),
            ..Report::default()
        };
        let expected = "acks: what is lost?\n  - 3 nodes\n\nacks  lost\nall      0\n\nNothing.\n";
        assert_eq!(report.text(), expected);
    }
}
