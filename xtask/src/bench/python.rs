//! `cargo xtask bench --python`: the Python package beside `confluent_kafka`.

use std::process::Command;

use super::engines::Engine;
use super::page;
use crate::process::{self, Interrupt};
use crate::{python, workspace};

const BEGIN: &str = "<!-- begin: written by cargo xtask bench --python -->";
const END: &str = "<!-- end: written by cargo xtask bench --python -->";

/// Measures against a broker that discards and writes the page's part.
pub(super) fn run(rounds: usize, quick: bool, interrupt: &Interrupt) -> Result<(), String> {
    let root = workspace::root()?;
    let ottla = super::adapters::build_ottla(interrupt)?;
    let (python, _) = python::build(true, interrupt)?;
    let broker = Engine::Discard.start(&ottla, interrupt)?;
    let records = if quick { "200000" } else { "1000000" };
    let mut compare = Command::new(python);
    compare.arg(root.join("bench/python/compare.py")).args([&broker.servers, records]);
    compare.arg(rounds.to_string());
    let told = process::output(&mut compare)?;
    let tables = String::from_utf8(told.stdout).map_err(|why| why.to_string())?;
    print!("{tables}");
    let text = format!("{BEGIN}\n\n{}\n{tables}\n{END}", page::machine(rounds)?);
    let path = root.join("docs/benchmarks.md");
    let page = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    workspace::write(&path, page::replaced(&page, &text, (BEGIN, END))?)
}
