//! Inputs that are kept: those that reached something new, and those that broke something once.
//!
//! Each target has one file, in which each line is an input in hexadecimal digits. Behind `#`
//! stands why it is there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

fn file(target: &Target) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    folder.join(format!("{}.hex", target.name))
}

fn input(line: &str) -> Option<Vec<u8>> {
    let digits = line.split('#').next()?.trim().as_bytes();
    let byte = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    if digits.is_empty() || digits.len() % 2 == 1 {
        return None;
    }
    digits.chunks(2).map(byte).collect()
}

/// All inputs of a target: its seeds, and the lines of its file in their order.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.seeds)();
    let kept = fs::read_to_string(file(target)).unwrap_or_default();
    inputs.extend(kept.lines().filter_map(input));
    inputs
}

/// Writes all inputs of a target into files of their own, as libFuzzer wants them.
///
/// # Errors
/// What the disk says.
pub fn unpack(target: &Target, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (number, input) in corpus(target).iter().enumerate() {
        fs::write(folder.join(format!("kept-{number}")), input)?;
    }
    Ok(())
}

/// Puts the files of a folder in the place of what was kept; lines that say why they are there
/// stay.
///
/// # Errors
/// What the disk says.
pub fn pack(target: &Target, folder: &Path) -> io::Result<()> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder)? {
        inputs.push(fs::read(entry?.path())?);
    }
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let kept = fs::read_to_string(file(target)).unwrap_or_default();
    let reasoned = kept.lines().filter(|line| line.contains('#')).map(str::to_owned);
    let hex = |input: &Vec<u8>| input.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines = reasoned.chain(inputs.iter().filter(|input| !input.is_empty()).map(hex));
    let text: String = lines.map(|line| line + "\n").collect();
    fs::write(file(target), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_input_and_may_say_why_it_is_there() {
        assert_eq!(input("00ff10"), Some(vec![0, 255, 16]));
        assert_eq!(input("0a # panicked once"), Some(vec![10]));
        assert_eq!((input("# nothing"), input(""), input("0")), (None, None, None));
    }
}
