//! `cargo xtask sim`: many seeds, or one again.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ottla_sim::{Counts, PROFILES, Plan, Seen, run, run_told, shrink};

const USAGE: &str = "usage: cargo xtask sim [--seeds N] [--seed S] [--profile NAME] [--doublecheck]
                       [--no-shrink] [--tell] [--must-hit] [--close]

  --seeds N        so many seeds [default: 1000]
  --seed S         the first seed, 0x… or decimal; without --seeds, that one only
  --profile NAME   calm, network, nodes, topics, storm, modes; all in turn if none is named
  --doublecheck    runs each seed twice and compares what happened
  --no-shrink      does not look for a smaller run that fails as well
  --tell           prints what happens, for one seed
  --mutants        instead: switches on known bugs in the core, one after the other, and counts the
                   seeds until each is found; fails when one is not (built with that feature)
  --close          closes the producer in the middle of each run, and holds it to its deadline
  --must-hit       fails when something rare never happened
  --threads N      [default: as many as there are cores]

Prints the first seed before anything else. A seed that breaks a law is printed with its profile:
the same two give the same run again.";

struct Wanted {
    first: u64,
    seeds: u64,
    profile: Option<String>,
    doublecheck: bool,
    shrink: bool,
    tell: bool,
    must_hit: bool,
    close: bool,
    mutants: bool,
    threads: usize,
}

impl Wanted {
    fn plan(&self, seed: u64, profile: &str) -> Option<Plan> {
        let plan = Plan::new(seed, profile)?;
        Some(if self.close { plan.closed() } else { plan })
    }
}

fn number(text: Option<String>) -> Result<u64, String> {
    let text = text.ok_or(USAGE)?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text} is no number\n\n{USAGE}"))
}

fn wanted(mut args: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut seeds, mut seed) = (None, None);
    let mut wanted = Wanted {
        first: 0,
        seeds: 1000,
        profile: None,
        doublecheck: false,
        shrink: true,
        tell: false,
        must_hit: false,
        close: false,
        mutants: false,
        threads: cores,
    };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seeds" => seeds = Some(number(args.next())?),
            "--seed" => seed = Some(number(args.next())?),
            "--threads" => wanted.threads = number(args.next())?.max(1) as usize,
            "--profile" => {
                let name = args.next().ok_or(USAGE)?;
                if !PROFILES.contains(&name.as_str()) {
                    return Err(format!("no profile {name}: {}", PROFILES.join(", ")));
                }
                wanted.profile = Some(name);
            }
            "--doublecheck" => wanted.doublecheck = true,
            "--no-shrink" => wanted.shrink = false,
            "--tell" => wanted.tell = true,
            "--mutants" => wanted.mutants = true,
            "--must-hit" => wanted.must_hit = true,
            "--close" => wanted.close = true,
            _ => return Err(USAGE.to_owned()),
        }
    }
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
    wanted.first = seed.unwrap_or(clock as u64 >> 10);
    wanted.seeds = seeds.unwrap_or_else(|| if seed.is_some() { 1 } else { 1000 });
    Ok(wanted)
}

/// What all threads have found together.
#[derive(Default)]
struct Found {
    seen: Counts,
    virtual_time: Duration,
    records: u64,
    failures: Vec<(u64, String, String)>,
}

fn main() -> ExitCode {
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    println!("sim: first seed {:#x}, {} seeds", wanted.first, wanted.seeds);
    // A panic is a finding with its seed; the backtrace comes with `--seed`.
    if wanted.seeds > 1 {
        std::panic::set_hook(Box::new(|panic| {
            if std::thread::current().name() != Some("sim") {
                eprintln!("{panic}");
            }
        }));
    }
    if wanted.mutants {
        return mutants(&wanted);
    }
    let next = AtomicU64::new(0);
    let found = Mutex::new(Found::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            let named = std::thread::Builder::new().name("sim".to_owned());
            let spawned = named.spawn_scoped(scope, || work(&wanted, &next, &found));
            spawned.expect("a thread");
        }
    });
    let found = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    report(&wanted, &found, begun.elapsed())
}

#[cfg(not(feature = "mutants"))]
fn mutants(_wanted: &Wanted) -> ExitCode {
    eprintln!("sim: built without known bugs: cargo xtask sim --mutants builds it with them");
    ExitCode::from(2)
}

/// Seeds until each bug is found, all profiles in turn.
#[cfg(feature = "mutants")]
fn mutants(wanted: &Wanted) -> ExitCode {
    use ottla_core::mutant::Mutant;
    let mut missed = 0;
    println!("| bug | seeds | found as |\n|---|---:|---|");
    for mutant in Mutant::ALL {
        mutant.switch_on();
        match find(wanted) {
            Some((seeds, violation)) => println!("| {mutant:?} | {seeds} | {violation} |"),
            None => {
                missed += 1;
                println!("| {mutant:?} | not in {} | |", wanted.seeds);
            }
        }
    }
    println!("sim: {missed} of {} bugs were not found", Mutant::ALL.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "mutants")]
fn find(wanted: &Wanted) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let first = Mutex::new(None::<(u64, String)>);
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            let named = std::thread::Builder::new().name("sim".to_owned());
            let search = || loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let seed = wanted.first.wrapping_add(number);
                let profile = PROFILES[(seed % PROFILES.len() as u64) as usize];
                let Some(plan) = Plan::new(seed, profile).filter(|_| number < wanted.seeds) else {
                    return;
                };
                if let Some(violation) = run(&plan).violation
                    && let Ok(mut first) = first.lock()
                {
                    next.store(wanted.seeds, Ordering::Relaxed);
                    if first.as_ref().is_none_or(|(found, _)| *found > number + 1) {
                        *first = Some((number + 1, violation));
                    }
                    return;
                }
            };
            named.spawn_scoped(scope, search).expect("a thread");
        }
    });
    first.into_inner().ok().flatten()
}

fn work(wanted: &Wanted, next: &AtomicU64, found: &Mutex<Found>) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= wanted.seeds {
            return;
        }
        let seed = wanted.first.wrapping_add(number);
        let profile = wanted.profile.as_deref();
        let profile = profile.unwrap_or(PROFILES[(seed % PROFILES.len() as u64) as usize]);
        let Some(plan) = wanted.plan(seed, profile) else { return };
        let report = run_told(&plan, wanted.tell);
        let mut violation = report.violation.clone();
        if wanted.doublecheck && violation.is_none() && run(&plan) != report {
            violation = Some("the same seed gave another run".to_owned());
        }
        let Ok(mut found) = found.lock() else { return };
        found.seen.add(&report.seen);
        found.virtual_time += report.virtual_time;
        found.records += report.records as u64;
        if let Some(violation) = violation {
            let close = if wanted.close { " --close" } else { "" };
            println!("FAILED: --seed {seed:#x} --profile {profile}{close}: {violation}");
            found.failures.push((seed, profile.to_owned(), violation));
            if found.failures.len() >= 20 {
                next.store(wanted.seeds, Ordering::Relaxed);
            }
        }
    }
}

fn report(wanted: &Wanted, found: &Found, took: Duration) -> ExitCode {
    let ran = wanted.seeds as f64 / took.as_secs_f64();
    println!(
        "sim: {} seeds, {} records, {:.1} virtual hours in {:.1} s: {ran:.0} seeds/s, {:.0} x real time",
        wanted.seeds,
        found.records,
        found.virtual_time.as_secs_f64() / 3600.0,
        took.as_secs_f64(),
        found.virtual_time.as_secs_f64() / took.as_secs_f64(),
    );
    let mut missed = Vec::new();
    for what in Seen::ALL {
        let count = found.seen.of(what);
        println!("  {count:>12}  {what:?}");
        if count == 0 {
            missed.push(format!("{what:?}"));
        }
    }
    if let Some((seed, profile, _)) = found.failures.first().filter(|_| wanted.shrink)
        && let Some(plan) = wanted.plan(*seed, profile)
    {
        let small = shrink(&plan);
        let violation = run(&small).violation.unwrap_or_default();
        println!("sim: the smallest run that fails as well: {small:#?}\n{violation}");
    }
    println!("sim: {} seeds broke a law", found.failures.len());
    if wanted.must_hit && !missed.is_empty() {
        println!("sim: never happened: {}", missed.join(", "));
    }
    let fine = found.failures.is_empty() && (!wanted.must_hit || missed.is_empty());
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
