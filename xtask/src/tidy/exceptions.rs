//! The list of what may break a rule, for a while and for a reason: `xtask/tidy-exceptions.txt`.

use std::path::Path;

use super::Violation;

/// Where the list is.
pub(crate) const FILE: &str = "xtask/tidy-exceptions.txt";

/// One line of the list.
struct Exception {
    line: usize,
    path: String,
    what: String,
}

/// Takes the excused violations away. What is wrong with the list itself is added: a line that
/// cannot be read, and a line that excuses nothing any more.
pub(crate) fn apply(root: &Path, violations: Vec<Violation>) -> Result<Vec<Violation>, String> {
    let text =
        std::fs::read_to_string(root.join(FILE)).map_err(|error| format!("{FILE}: {error}"))?;
    Ok(excuse(&text, violations))
}

fn excuse(text: &str, mut violations: Vec<Violation>) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let line_number = index + 1;
        let Some(exception) = read(line, line_number) else {
            let told = "not a line of `YYYY-MM-DD path what reason`";
            wrong.push(Violation::new(FILE, line_number, "exception", told));
            continue;
        };
        let before = violations.len();
        violations.retain(|it| it.path != exception.path || it.what != exception.what);
        if violations.len() == before {
            let told = format!(
                "{} no longer breaks `{}`: take the line away",
                exception.path, exception.what
            );
            wrong.push(Violation::new(FILE, exception.line, "exception", told));
        }
    }
    violations.extend(wrong);
    violations
}

fn read(line: &str, number: usize) -> Option<Exception> {
    let mut words = line.split_whitespace();
    let (date, path, what) = (words.next()?, words.next()?, words.next()?);
    words.next()?;
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = date.split('-').collect();
    let dated = matches!(parts[..], [y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2);
    (dated && parts.iter().all(|part| digits(part))).then(|| Exception {
        line: number,
        path: path.to_owned(),
        what: what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_excuses_what_it_names_and_nothing_else() {
        let broken = vec![
            Violation::new("a.rs", 0, "file-length", "long"),
            Violation::new("b.rs", 0, "file-length", "long"),
            Violation::new("a.rs", 7, "function-length:f", "long"),
        ];
        let text = "# comment\n\n2026-11-23 a.rs file-length it is one table\n";
        let left = excuse(text, broken);
        let left: Vec<_> = left.iter().map(|it| (&it.path[..], &it.what[..])).collect();
        assert_eq!(left, [("b.rs", "file-length"), ("a.rs", "function-length:f")]);
    }

    #[test]
    fn a_line_without_date_or_reason_or_use_is_told() {
        let text = "a.rs file-length why\n2026-11-23 a.rs file-length\n\
                    2026-11-23 a.rs file-length why\n";
        let left = excuse(text, Vec::new());
        let lines: Vec<usize> = left.iter().map(|it| it.line).collect();
        assert_eq!(lines, [1, 2, 3]);
        assert!(left[2].told.contains("no longer breaks"));
    }
}
