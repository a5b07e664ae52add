//! Runs fuzz targets for a while: `ottla-fuzz --seconds 60 [--target NAME] [--seed N]`.
//!
//! For libFuzzer, `--unpack FOLDER` writes a target's inputs into files, and `--pack FOLDER` keeps
//! the files of a folder in their place.
//!
//! Inputs come of the corpus by seed. The seed is printed first; an input that breaks a promise is
//! printed and written to `target/fuzz`, for a place in the corpus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_fuzz::{Mutator, TARGETS, Target, corpus, pack, target, unpack};

/// An input that takes longer is as bad as a panic.
const SLOW: Duration = Duration::from_secs(10);

struct Options {
    seconds: u64,
    targets: Vec<Target>,
    seed: u64,
    unpack: Option<PathBuf>,
    pack: Option<PathBuf>,
}

fn options() -> Result<Options, String> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let mut options =
        Options { seconds: 60, targets: TARGETS.to_vec(), seed: clock, unpack: None, pack: None };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{name} wants a number, not {value}"));
        match name.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--unpack" => options.unpack = Some(value.into()),
            "--pack" => options.pack = Some(value.into()),
            "--target" => {
                let names = || TARGETS.map(|target| target.name).join(", ");
                let found = target(&value);
                options.targets =
                    vec![found.ok_or_else(|| format!("there are the targets {}", names()))?];
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(options)
}

/// Whether the target holds for so long.
fn run(target: &Target, seconds: u64, seed: u64) -> bool {
    let corpus = corpus(target);
    let mut mutator = Mutator::new(seed);
    let begin = Instant::now();
    let (mut executions, mut holds, mut slowest) = (0_u64, true, Duration::ZERO);
    for input in &corpus {
        holds &= holds_for(target, input);
    }
    while holds && begin.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..64 {
            let input = mutator.input(&corpus);
            let started = Instant::now();
            holds &= holds_for(target, &input);
            executions += 1;
            let took = started.elapsed();
            slowest = slowest.max(took);
            if took > SLOW {
                holds = false;
                keep(target, &input, "takes too long");
            }
            if !holds {
                break;
            }
        }
    }
    let took = begin.elapsed().as_secs_f64();
    println!(
        "{}: {executions} executions of {} inputs in {took:.0} s, the slowest {:.3} s",
        target.name,
        corpus.len(),
        slowest.as_secs_f64()
    );
    holds
}

fn exchange(options: &Options) -> std::io::Result<()> {
    for target in &options.targets {
        if let Some(folder) = &options.unpack {
            unpack(target, folder)?;
        }
        if let Some(folder) = &options.pack {
            pack(target, folder)?;
        }
    }
    Ok(())
}

fn holds_for(target: &Target, input: &[u8]) -> bool {
    let holds = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_ok();
    if !holds {
        keep(target, input, "breaks a promise");
    }
    holds
}

fn keep(target: &Target, input: &[u8], what: &str) {
    let path = format!("target/fuzz/{}-{:x}", target.name, input.len());
    let kept = std::fs::create_dir_all("target/fuzz").and_then(|()| std::fs::write(&path, input));
    println!("{}: {what}: {input:02x?}", target.name);
    match kept {
        Ok(()) => println!("{}: kept in {path}", target.name),
        Err(error) => println!("{}: cannot be kept in {path}: {error}", target.name),
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("ottla-fuzz: {why}");
            return ExitCode::from(2);
        }
    };
    if options.unpack.is_some() || options.pack.is_some() {
        return match exchange(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("ottla-fuzz: {error}");
                ExitCode::FAILURE
            }
        };
    }
    println!("fuzz: seed {}", options.seed);
    let mut broken = 0;
    for target in &options.targets {
        broken += usize::from(!run(target, options.seconds, options.seed));
    }
    println!("fuzz: {broken} of {} targets break a promise", options.targets.len());
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
