//! What tests say of themselves: `Laws: L4, L5. Scenarios: #14, bug-3.`, on a line of its own in
//! the comment above a test, in Rust or in Python.

use std::fmt;

use super::ids::Id;

const LAWS: u8 = 11;

/// A test and the rows that it checks.
pub(super) struct Mark {
    pub(super) path: String,
    /// Where the test begins, counted from one.
    line: usize,
    pub(super) test: String,
    pub(super) laws: Vec<u8>,
    pub(super) ids: Vec<Id>,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.test)
    }
}

/// How a language writes what matters here.
struct Language {
    comments: &'static [&'static str],
    /// Whether a line between comment and test belongs to the test.
    is_attribute: fn(&str) -> bool,
    /// The name of the test on a line, if one begins there.
    test: fn(&str) -> Option<&str>,
    /// Whether an attribute is needed to make a function a test.
    wants_attribute: bool,
}

const RUST: Language = Language {
    comments: &["/// ", "// "],
    is_attribute: |line| line.starts_with("#["),
    test: |line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")
    },
    wants_attribute: true,
};

const PYTHON: Language = Language {
    comments: &["# "],
    is_attribute: |line| line.starts_with('@'),
    test: |line| {
        let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
        name.starts_with("test_").then_some(name)
    },
    wants_attribute: false,
};

/// Reads the marks of a file; what is wrong with them goes to `faults`.
pub(super) fn read(path: &str, text: &str, marks: &mut Vec<Mark>, faults: &mut Vec<String>) {
    let language = match path.rsplit_once('.') {
        Some((_, "rs")) => &RUST,
        Some((_, "py")) => &PYTHON,
        _ => return,
    };
    // This file has marks in its tests that are texts.
    if path.starts_with("xtask/src/scenarios/") {
        return;
    }
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for at in 0..lines.len() {
        let Some(said) = comment(lines[at], language).filter(|said| said.starts_with("Laws: "))
        else {
            continue;
        };
        let found = laws_and_ids(said).and_then(|(laws, ids)| {
            let (line, test) = test_below(&lines, at, language)?;
            Ok((laws, ids, line, test))
        });
        match found {
            Ok((laws, ids, line, test)) => {
                let (path, test) = (path.to_owned(), test.to_owned());
                marks.push(Mark { path, line, test, laws, ids });
            }
            Err(told) => faults.push(format!("{path}:{}: {told}", at + 1)),
        }
    }
}

fn comment<'a>(line: &'a str, language: &Language) -> Option<&'a str> {
    language.comments.iter().find_map(|begin| line.strip_prefix(begin))
}

fn laws_and_ids(said: &str) -> Result<(Vec<u8>, Vec<Id>), String> {
    let form = "a mark is `Laws: L1, L2. Scenarios: #14, bug-3.`, on one line";
    let inner = said.strip_prefix("Laws: ").and_then(|rest| rest.strip_suffix('.'));
    let (laws, ids) = inner.and_then(|inner| inner.split_once(". Scenarios: ")).ok_or(form)?;
    let laws = match laws {
        "none" => Vec::new(),
        laws => laws.split(", ").map(law).collect::<Result<_, _>>()?,
    };
    let ids = ids.split(", ").map(str::parse).collect::<Result<_, _>>()?;
    Ok((laws, ids))
}

fn law(text: &str) -> Result<u8, String> {
    let number = text.strip_prefix('L').and_then(|number| number.parse().ok());
    number
        .filter(|number| (1..=LAWS).contains(number))
        .ok_or_else(|| format!("`{text}` is no law: they are L1 to L{LAWS}"))
}

/// The test that a comment is about.
fn test_below<'a>(
    lines: &[&'a str],
    at: usize,
    language: &Language,
) -> Result<(usize, &'a str), String> {
    let mut is_test = !language.wants_attribute;
    // Brackets that an attribute has opened on the lines before.
    let mut open = 0;
    for (below, line) in lines.iter().enumerate().skip(at + 1) {
        if let Some(rest) = (language.test)(line) {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            if !is_test || end == 0 {
                break;
            }
            return Ok((below + 1, &rest[..end]));
        }
        if line.starts_with("#[ignore") || line.starts_with("@pytest.mark.skip(") {
            return Err("a test that does not run checks nothing".to_owned());
        }
        is_test |= ["#[test]", "#[tokio::test"].iter().any(|test| line.starts_with(test));
        if open > 0 || (language.is_attribute)(line) {
            open += line.matches(['(', '[', '{']).count();
            open -= line.matches([')', ']', '}']).count().min(open);
        } else if comment(line, language).is_none() {
            break;
        }
    }
    Err("a mark stands in the comment above a test".to_owned())
}

#[cfg(test)]
mod tests {
    use super::read;

    /// What a file's marks say, and what is wrong with them.
    fn marks(path: &str, text: &str) -> Vec<String> {
        let (mut marks, mut faults) = (Vec::new(), Vec::new());
        read(path, text, &mut marks, &mut faults);
        let told = |mark: &super::Mark| {
            let ids: Vec<_> = mark.ids.iter().map(ToString::to_string).collect();
            format!("{mark}: {:?} {}", mark.laws, ids.join(" "))
        };
        marks.iter().map(told).chain(faults).collect()
    }

    #[test]
    fn a_mark_names_laws_and_rows_and_belongs_to_the_test_below() {
        let rust = "\
/// What happens.
/// Laws: L4, L11. Scenarios: #14, bug-3, B-3.
/// Laws: L1. Scenarios: F4.
#[test]
#[cfg(unix)]
fn it_rains() {}
";
        assert_eq!(
            marks("a.rs", rust),
            ["a.rs:6: it_rains: [4, 11] #14 bug-3 B-3", "a.rs:6: it_rains: [1] F4"]
        );
        let python = "# Laws: L9. Scenarios: H12.\n@pytest.mark.slow\ndef test_rain(make):\n";
        assert_eq!(marks("a.py", python), ["a.py:3: test_rain: [9] H12"]);
        let python =
            "# Laws: L9. Scenarios: H12.\n@pytest.mark.many(\n    [1],\n)\ndef test_it():\n";
        assert_eq!(marks("a.py", python), ["a.py:5: test_it: [9] H12"]);
    }

    #[test]
    fn a_mark_without_a_test_below_is_a_fault() {
        for below in ["fn helper() {}", "", "let x = 1;", "#[test]\n\nfn far_away() {}"] {
            let told = marks("a.rs", &format!("/// Laws: L1. Scenarios: #1.\n{below}\n"));
            assert_eq!(told, ["a.rs:1: a mark stands in the comment above a test"], "{below}");
        }
    }

    #[test]
    fn a_test_that_does_not_run_checks_nothing() {
        let source =
            "// Laws: L1. Scenarios: #1.\n#[test]\n#[ignore = \"slow\"]\nfn it_rains() {}\n";
        assert_eq!(marks("a.rs", source), ["a.rs:1: a test that does not run checks nothing"]);
    }

    #[test]
    fn a_mark_in_another_form_is_a_fault() {
        for said in [
            "Laws: L1. Scenarios: #1",
            "Laws: L1.",
            "Laws: L13. Scenarios: #1.",
            "Laws: 1. Scenarios: #1.",
            "Laws: . Scenarios: #1.",
            "Laws: L1. Scenarios: B3.",
            "Laws: L1. Scenarios: #1,#2.",
            "Laws: L1. Scenarios: .",
        ] {
            let told = marks("a.rs", &format!("/// {said}\n#[test]\nfn it_rains() {{}}\n"));
            assert!(told.len() == 1 && told[0].starts_with("a.rs:1: "), "{said}: {told:?}");
        }
    }
}
