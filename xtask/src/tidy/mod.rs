//! `cargo xtask tidy`: the rules of the house that neither the compiler nor clippy knows.

mod crates;
mod exceptions;
mod scan;
mod sources;

use std::process::ExitCode;

pub(crate) use self::sources::files;
use crate::workspace;

const USAGE: &str = "usage: cargo xtask tidy";

/// A broken rule.
struct Violation {
    path: String,
    /// Counted from one; 0 for a whole file.
    line: usize,
    /// The rule, with the name of what breaks it where one file may break it several times.
    what: String,
    told: String,
}

impl Violation {
    fn new(path: &str, line: usize, what: &str, told: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.to_owned(), told: told.into() }
    }
}

/// Checks the whole tree; prints each broken rule as `path:line: rule: what is wrong`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err(USAGE.to_owned());
    }
    let root = workspace::root()?;
    let mut violations = crates::check(&root)?;
    let files = files(&root)?;
    violations.extend(files.iter().flat_map(sources::check));
    let mut violations = exceptions::apply(&root, violations)?;
    violations.sort_by(|one, other| (&one.path, one.line).cmp(&(&other.path, other.line)));
    for it in &violations {
        println!("{}:{}: {}: {}", it.path, it.line, it.what, it.told);
    }
    match violations.len() {
        0 => {
            eprintln!("tidy: {} files follow the rules", files.len());
            Ok(ExitCode::SUCCESS)
        }
        count => {
            let exceptions = exceptions::FILE;
            Err(format!("{count} rules broken; what has to stay for now goes into {exceptions}"))
        }
    }
}
