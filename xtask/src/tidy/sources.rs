//! Rules about the files in the tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Violation;
use super::scan::Source;
use crate::process;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const LINE_WIDTH: usize = 100;

/// What code that works does not need.
const UNFINISHED: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Crates that do without the standard library: no clock, socket, thread or lock gets in by
/// accident.
const WITHOUT_STD: [&str; 2] = ["crates/core/src/", "crates/protocol/src/"];

/// Paths of some machine have no place in the tree. (Written in two parts, or this file would
/// break its own rule.)
const MACHINE_PATHS: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/ba", "sh_jobs")];

/// Where packages come from is a matter of each machine.
const PACKAGE_HOSTS: [&str; 8] = [
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("repo.maven.", "apache.org"),
    concat!("repo1.", "maven.org"),
    concat!("pypi.org/", "simple"),
    concat!("files.pythonhosted", ".org"),
    concat!("proxy.golang", ".org"),
    concat!("registry.npmjs", ".org"),
];
const PACKAGE_SETTINGS: [&str; 3] =
    [concat!("index", "-url"), concat!("replace", "-with"), concat!("<mirror", "Of>")];

/// The one source of packages that the lock file may name.
const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// A file of the tree.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All text files that are in the repository or about to be.
pub(crate) fn files(root: &Path) -> Result<Vec<SourceFile>, String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = process::output(&mut git)?;
    if !listed.status.success() {
        let told = String::from_utf8_lossy(&listed.stderr).into_owned();
        return Err(format!("git cannot list the files: {}", told.trim()));
    }
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let mut files = Vec::new();
    for path in listed.split_terminator('\0') {
        let full: PathBuf = root.join(path);
        // A file may be deleted and not yet so in the index; and not all files are text.
        if let Ok(text) = std::fs::read_to_string(&full) {
            files.push(SourceFile { path: path.to_owned(), text });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Checks one file.
pub(crate) fn check(file: &SourceFile) -> Vec<Violation> {
    let mut violations = check_text(file);
    if file.path.ends_with(".rs") {
        let source = Source::read(&file.text);
        violations.extend(check_sizes(file, &source));
        violations.extend(check_words(file, &source));
    }
    violations
}

fn check_text(file: &SourceFile) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let mut tell = |what: &str, told: String| {
            violations.push(Violation::new(&file.path, index + 1, what, told));
        };
        for path in MACHINE_PATHS.iter().filter(|path| line.contains(**path)) {
            tell("machine-path", format!("`{path}` is a path of one machine"));
        }
        if file.path == "Cargo.lock" {
            if line.starts_with("source = ") && line != LOCK_SOURCE {
                tell("package-host", "a package from somewhere else than crates.io".to_owned());
            }
            continue;
        }
        let named = PACKAGE_HOSTS.iter().chain(&PACKAGE_SETTINGS).find(|it| line.contains(**it));
        if let Some(named) = named {
            tell("package-host", format!("`{named}`: where packages come from is not ours to say"));
        }
    }
    violations
}

fn check_sizes(file: &SourceFile, source: &Source) -> Vec<Violation> {
    if is_generated(file) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let width = line.chars().count();
        let unbroken = is_table_row(line) || source.has_text_at(index + 1, LINE_WIDTH);
        if width > LINE_WIDTH && !unbroken {
            let told = format!("{width} characters, {LINE_WIDTH} are allowed");
            violations.push(Violation::new(&file.path, index + 1, "line-width", told));
        }
    }
    let lines = source.code_lines();
    if lines > FILE_LINES && !is_test(&file.path) {
        let told = format!("{lines} lines of code, {FILE_LINES} are allowed: split it by meaning");
        violations.push(Violation::new(&file.path, 1, "file-length", told));
    }
    for function in source.functions() {
        if function.code_lines > FUNCTION_LINES {
            let (name, lines) = (&function.name, function.code_lines);
            let told = format!("`{name}` has {lines} lines of code, {FUNCTION_LINES} are allowed");
            let what = format!("function-length:{name}");
            violations.push(Violation::new(&file.path, function.line, &what, told));
        }
    }
    violations
}

fn check_words(file: &SourceFile, source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for word in UNFINISHED {
        for (line, _) in source.find(word) {
            let told = format!("`{word}` marks something unfinished");
            violations.push(Violation::new(&file.path, line, "unfinished", told));
        }
    }
    let without_std = WITHOUT_STD.iter().any(|folder| file.path.starts_with(folder));
    if without_std && !is_test(&file.path) {
        let uses = ["std::", "extern crate std"].into_iter().flat_map(|words| source.find(words));
        for (line, _) in uses.filter(|(_, test_only)| !test_only) {
            let told = "`std` in a crate that takes time, bytes and randomness from its caller";
            violations.push(Violation::new(&file.path, line, "std", told));
        }
    }
    violations
}

/// Files that a task has written, which say so on their first line.
fn is_generated(file: &SourceFile) -> bool {
    file.text.lines().next().is_some_and(|line| line.contains("generated by cargo xtask"))
}

/// A row of a table in a comment, which cannot go on in the next line.
fn is_table_row(line: &str) -> bool {
    line.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with('|')
}

/// Files that only tests are in.
fn is_test(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<(usize, String)> {
        let file = SourceFile { path: path.to_owned(), text: text.to_owned() };
        check(&file).into_iter().map(|it| (it.line, it.what)).collect()
    }

    #[test]
    fn unfinished_code_is_found_and_talk_about_it_is_not() {
        let text = "// no todo! here\nfn f() { todo!() }\nfn g() { dbg!(1); }\n";
        let expected = [(2, "unfinished".to_owned()), (3, "unfinished".to_owned())];
        assert_eq!(broken("src/a.rs", text), expected);
    }

    #[test]
    fn long_lines_functions_and_files_are_found() {
        let wide = format!("// {}\n", "x".repeat(98));
        assert_eq!(broken("src/a.rs", &wide), [(1, "line-width".to_owned())]);
        let table = format!("//! | {} |\n", "x".repeat(98));
        assert_eq!(broken("src/a.rs", &table), []);
        let text = format!("const A: &str = \"{}\";\n", "x".repeat(98));
        assert_eq!(broken("src/a.rs", &text), []);
        let long = format!("\nfn f() {{\n{}}}\n", "    g();\n".repeat(69));
        assert_eq!(broken("src/a.rs", &long), [(2, "function-length:f".to_owned())]);
        let many = "const A: u8 = 1;\n".repeat(501);
        assert_eq!(broken("src/a.rs", &many), [(1, "file-length".to_owned())]);
        assert_eq!(broken("crates/x/tests/a.rs", &many), []);
        let in_tests = format!("#[cfg(test)]\nmod tests {{\n{many}}}\n");
        assert_eq!(broken("src/a.rs", &in_tests), []);
        let generated = format!("// Fetch, generated by cargo xtask codegen.\n{many}");
        assert_eq!(broken("src/a.rs", &generated), []);
    }

    #[test]
    fn the_core_uses_no_standard_library_outside_its_tests() {
        let text = "use std::time::Instant;\n#[cfg(test)]\nmod tests {\n    use std::vec;\n}\n";
        assert_eq!(broken("crates/core/src/a.rs", text), [(1, "std".to_owned())]);
        assert_eq!(broken("crates/core/src/tests.rs", text), []);
        assert_eq!(broken("crates/client/src/a.rs", text), []);
    }

    #[test]
    fn paths_of_machines_and_hosts_of_packages_are_found() {
        let text = format!("see {}main and\n{}\n", MACHINE_PATHS[0], PACKAGE_HOSTS[0]);
        let expected = [(1, "machine-path".to_owned()), (2, "package-host".to_owned())];
        assert_eq!(broken("README.md", &text), expected);
        let lock = format!("{LOCK_SOURCE}\nsource = \"registry+https://elsewhere/\"\n");
        assert_eq!(broken("Cargo.lock", &lock), [(2, "package-host".to_owned())]);
    }
}
