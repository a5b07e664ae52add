//! The report as people read it.

use super::report::{Report, Status, Step};
use crate::talk::count;

/// Lines are no longer than this.
const WIDTH: usize = 100;

/// Names of steps are at most as long.
const STEP_WIDTH: usize = 18;

/// The lines of the report; with colours for a terminal.
pub(super) fn lines(report: &Report, coloured: bool) -> String {
    let about = report.steps.iter().map(|step| step.about.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for step in &report.steps {
        push(&mut text, step, about, coloured);
    }
    let counts = [Status::Failed, Status::Warning, Status::Ok, Status::Skipped].map(|status| {
        let number = report.count(status);
        match status {
            Status::Warning => count(number as u64, "warning"),
            _ => format!("{number} {}", status.word()),
        }
    });
    text.push_str(&format!("\n{}\n", counts.join(", ")));
    text
}

fn push(text: &mut String, step: &Step, about_width: usize, coloured: bool) {
    let word = step.status.word();
    let (before, after) = match (coloured, step.status) {
        (false, _) => ("", ""),
        (true, Status::Ok) => ("\u{1b}[32m", "\u{1b}[0m"),
        (true, Status::Warning) => ("\u{1b}[33m", "\u{1b}[0m"),
        (true, Status::Failed) => ("\u{1b}[1;31m", "\u{1b}[0m"),
        (true, Status::Skipped) => ("\u{1b}[2m", "\u{1b}[0m"),
    };
    text.push_str(&format!("{before}{word:<7}{after}  {:<STEP_WIDTH$}  ", step.step));
    text.push_str(&format!("{:<about_width$}", step.about));
    let indent = 7 + 2 + STEP_WIDTH + 2;
    let room = WIDTH - indent;
    let beside = WIDTH.saturating_sub(indent + about_width + 2);
    if step.seen.chars().count() <= beside {
        text.push_str(&format!("  {}\n", step.seen));
    } else {
        trim_end(text);
        text.push('\n');
        wrap(text, &step.seen, indent, room, "");
    }
    if let Some(cure) = &step.cure {
        wrap(text, cure, indent, room, "-> ");
    }
}

fn trim_end(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
}

/// Adds the words in lines of `room` letters at most, each behind so many blanks.
pub(in crate::command) fn wrap(
    text: &mut String,
    words: &str,
    indent: usize,
    room: usize,
    mark: &str,
) {
    let mut line = mark.to_owned();
    let mut used = mark.len();
    let mut is_begun = false;
    for word in words.split(' ') {
        let letters = word.chars().count();
        if is_begun && used + 1 + letters > room {
            text.push_str(&format!("{:indent$}{line}\n", ""));
            line = " ".repeat(mark.len());
            used = mark.len();
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += letters;
        is_begun = true;
    }
    text.push_str(&format!("{:indent$}{line}\n", ""));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn report() -> Report {
        let cure = "set min.insync.replicas=2 on the topic";
        let steps = vec![
            Step::ok("resolve", "b1:9092", "10.0.0.1 in 0.3 ms"),
            Step::failed("durability", "t", "lost ".repeat(30).trim_end(), Exit::SomeFailed)
                .cure(cure),
        ];
        Report { steps, ..Report::default() }
    }

    #[test]
    fn each_step_has_its_line_and_long_words_are_wrapped_below() {
        let text = lines(&report(), false);
        let all: Vec<&str> = text.lines().collect();
        assert_eq!(all[0], "ok       resolve             b1:9092  10.0.0.1 in 0.3 ms");
        assert_eq!(all[1], "failed   durability          t");
        assert!(all[2].starts_with("                             lost lost"), "{text}");
        assert!(text.contains("-> set min.insync.replicas=2 on the topic\n"), "{text}");
        assert_eq!(all.last(), Some(&"1 failed, 0 warnings, 1 ok, 0 skipped"));
        assert!(all.iter().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!lines(&report(), false).contains('\u{1b}'));
        assert!(lines(&report(), true).contains("\u{1b}[32mok     \u{1b}[0m"));
    }
}
