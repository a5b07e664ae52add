//! `cargo xtask docs`: pages that are written from the code, so that they cannot disagree with it.
//!
//! A page is the output of an example of the crate that it is about. This package need not depend
//! on that crate then, and builds when it does not.

use std::process::{Command, ExitCode, Stdio};

use crate::{process, workspace};

const USAGE: &str = "usage: cargo xtask docs [--check]";

/// Pages by their path: the package and the example that print them.
const PAGES: [(&str, &str, &str); 1] = [("docs/configuration.md", "ottla-core", "configuration")];

/// Writes the pages; with `--check`, says whether they are what would be written.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let is_check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err(USAGE.to_owned()),
    };
    for (path, package, example) in PAGES {
        let page = print(package, example)?;
        workspace::put_page(path, &page, is_check, "docs")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(package: &str, example: &str) -> Result<String, String> {
    let mut cargo = Command::new(workspace::cargo());
    cargo.args(["run", "--quiet", "--package", package, "--example", example]);
    cargo.current_dir(workspace::root()?).stderr(Stdio::inherit());
    let told = process::output(&mut cargo)?;
    if !told.status.success() {
        return Err(format!("the example {example} of {package} ended with {}", told.status));
    }
    String::from_utf8(told.stdout).map_err(|error| format!("the example {example}: {error}"))
}
