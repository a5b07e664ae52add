//! What may be asked of a run.

use std::path::PathBuf;
use std::time::Duration;

use crate::controls::Negative;

pub(crate) const USAGE: &str = "usage: cargo xtask chaos [OPTIONS]

  --minutes M        how long faults go on [default: 5]
  --seed S           the faults' seed [default: from the clock]
  --rate N           records per second [default: 6000]
  --control NAME     only this negative control: lossy, duplicates
  --no-controls      no negative controls before the run
  --keep             keep history and logs even if all is well
  --json FILE        write the report there, too
  --check FOLDER     check what an earlier run has kept";

/// A run, as asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) minutes: f64,
    pub(crate) seed: Option<u64>,
    pub(crate) rate: f64,
    pub(crate) controls: Vec<Negative>,
    /// Nothing but the controls.
    pub(crate) only_controls: bool,
    pub(crate) keep: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) check: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            minutes: 5.0,
            seed: None,
            rate: 6000.0,
            controls: Negative::ALL.to_vec(),
            only_controls: false,
            keep: false,
            json: None,
            check: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value\n\n{USAGE}"));
            match arg.as_str() {
                "--minutes" => options.minutes = positive(arg, value()?)?,
                "--rate" => options.rate = positive(arg, value()?)?,
                "--seed" => options.seed = Some(seed(value()?)?),
                "--control" => {
                    options.controls = vec![negative(value()?)?];
                    options.only_controls = true;
                }
                "--no-controls" => options.controls.clear(),
                "--keep" => options.keep = true,
                "--json" => options.json = Some(value()?.into()),
                "--check" => options.check = Some(value()?.into()),
                "-h" | "--help" => return Err(USAGE.to_owned()),
                _ => return Err(format!("what is {arg}?\n\n{USAGE}")),
            }
        }
        Ok(options)
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs_f64(self.minutes * 60.0)
    }
}

fn positive(name: &str, text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err(format!("{name} takes a number above 0, not {text:?}")),
    }
}

fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("--seed takes a number, not {text:?}"))
}

fn negative(text: &str) -> Result<Negative, String> {
    let found = Negative::ALL.into_iter().find(|control| control.name() == text);
    found.ok_or_else(|| format!("there is no control {text:?}: lossy, duplicates"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args)
    }

    #[test]
    fn options_are_read_and_what_is_wrong_is_said() {
        let options = parse("--minutes 0.5 --seed 0x1f --no-controls").unwrap();
        assert_eq!((options.time(), options.seed), (Duration::from_secs(30), Some(31)));
        assert!(options.controls.is_empty());
        assert!(parse("--control lossy").unwrap().only_controls);
        for wrong in ["--minutes 0", "--minutes", "--seed x", "--control x", "--rate nan", "x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
