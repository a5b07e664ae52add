//! `cargo xtask flamegraph`: where the producer's time goes, as pictures in `docs/flamegraphs`.
//!
//! The example `throughput` of the client sends two workloads as fast as it goes to the embedded
//! broker, which discards them, while `perf` looks at the example and at nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::broker::Broker;
use crate::process::{self, Interrupt};
use crate::{install, workspace};

const USAGE: &str = "usage: cargo xtask flamegraph";
const PICTURES: &str = "docs/flamegraphs";
const PICTURE_BYTES: usize = 400 * 1000;
const TOPIC: &str = "flames";
const RECORDS: &str = "20000000";
const RECORD_BYTES: &str = "100";
/// Not a round number, so that samples do not fall in step with timers.
const SAMPLES_PER_SECOND: &str = "1999";

/// A workload: the picture's name, its title, and what the example is told.
type Workload = (&'static str, &'static str, &'static [&'static str]);

const WORKLOADS: [Workload; 2] = [
    ("plain", "100 B without key, not compressed", &["compression.type=none"]),
    ("lz4", "100 B with key, lz4", &["compression.type=lz4", "record.keys=10000"]),
];

/// What is told apart: the first that has a word in some frame of a sample takes it.
const SHARES: [(&str, &[&str]); 6] = [
    // The clock is read in a page that the kernel lends, without a system call.
    ("clock", &["clock_gettime"]),
    ("kernel (system calls, page faults)", &["_[k]"]),
    ("checksum", &["crc32c"]),
    ("compression", &["lz4_flex", "ompress"]),
    ("look-up of topics", &["ottla::table"]),
    ("append", &["append", "encode_into"]),
];

/// Makes the pictures and prints what took which share of the samples.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    if !args.is_empty() {
        return Err(USAGE.to_owned());
    }
    let interrupt = Interrupt::listen()?;
    let tools = Tools::find()?;
    let release = build(&interrupt)?;
    let folder = workspace::root()?.join(PICTURES);
    workspace::create_folder(&folder)?;
    let topic = ["--topic", &format!("{TOPIC}:12")];
    let broker = Broker::start_discarding(&release.join("ottla"), &topic)?;
    for (name, title, settings) in WORKLOADS {
        let profile = workspace::scratch()?.join(format!("flamegraph-{name}.perf"));
        let mut record = Command::new(&tools.perf);
        record.args(["record", "--freq", SAMPLES_PER_SECOND, "--call-graph", "fp", "--output"]);
        record.arg(&profile).arg("--").arg(release.join("examples/throughput"));
        record.args([broker.servers(), TOPIC, RECORDS, RECORD_BYTES]).args(settings);
        let status = process::run(&mut record, &interrupt)?;
        if !status.success() {
            let cure = "perf needs to be allowed to look (kernel.perf_event_paranoid, or root)";
            return Err(format!("perf ended with {status}; {cure}"));
        }
        let folded = tools.fold(&profile)?;
        let picture = tools.draw(&profile.with_extension("folded"), &folded, title)?;
        check(&picture)?;
        workspace::write(&folder.join(format!("{name}.svg")), picture)?;
        println!("{PICTURES}/{name}.svg: {title}\n{}", table(&folded));
    }
    Ok(ExitCode::SUCCESS)
}

/// The programs that make pictures.
struct Tools {
    perf: PathBuf,
    fold: PathBuf,
    draw: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let tool = |name: &str, cure: &str| {
            install::on_path(name).ok_or_else(|| format!("{name} is not installed ({cure})"))
        };
        let inferno = "cargo install inferno";
        Ok(Self {
            perf: tool("perf", "Debian: apt-get install linux-perf")?,
            fold: tool("inferno-collapse-perf", inferno)?,
            draw: tool("inferno-flamegraph", inferno)?,
        })
    }

    /// The samples, one line for each different stack: frames, a blank, how many.
    fn fold(&self, profile: &Path) -> Result<String, String> {
        let script = profile.with_extension("script");
        let read = ["script", "--no-inline", "--input"];
        workspace::write(&script, print(Command::new(&self.perf).args(read).arg(profile))?)?;
        print(Command::new(&self.fold).arg("--kernel").arg(script))
    }

    fn draw(&self, file: &Path, folded: &str, title: &str) -> Result<String, String> {
        workspace::write(file, folded)?;
        let how = ["--deterministic", "--colors", "rust", "--minwidth", "0.1", "--title", title];
        print(Command::new(&self.draw).args(how).arg(file))
    }
}

/// What a program prints.
fn print(command: &mut Command) -> Result<String, String> {
    let told = process::output(command.stdin(Stdio::null()))?;
    let name = command.get_program().to_string_lossy().into_owned();
    if !told.status.success() {
        let words = String::from_utf8_lossy(&told.stderr).into_owned();
        return Err(format!("{name} ended with {}: {}", told.status, words.trim()));
    }
    Ok(String::from_utf8_lossy(&told.stdout).into_owned())
}

/// Builds example and broker as a release, but with frame pointers, by which perf finds callers;
/// gives the folder they are in.
fn build(interrupt: &Interrupt) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.map_or_else(workspace::scratch, Ok)?.join("flamegraph");
    let mut build = Command::new(workspace::cargo());
    build.args(["build", "--release", "--package", "ottla-cli", "--package", "ottla"]);
    build.args(["--bin", "ottla", "--example", "throughput"]).arg("--target-dir").arg(&target);
    build.env("RUSTFLAGS", "-C force-frame-pointers=yes").current_dir(workspace::root()?);
    let status = process::run(&mut build, interrupt)?;
    if status.success() { Ok(target.join("release")) } else { Err("it does not build".to_owned()) }
}

/// A picture in the tree is small, and says nothing of the machine that it was made on.
fn check(picture: &str) -> Result<(), String> {
    if picture.len() > PICTURE_BYTES {
        return Err(format!("a picture has {} bytes, {PICTURE_BYTES} are allowed", picture.len()));
    }
    let root = workspace::root()?.display().to_string();
    let home = std::env::var("HOME").unwrap_or_default();
    let mut paths = [root, home].into_iter().filter(|path| path.len() > 1);
    match paths.find(|path| picture.contains(&format!("{path}/"))) {
        Some(path) => Err(format!("the picture has a path of this machine in it: {path}")),
        None => Ok(()),
    }
}

/// Which share of all samples went where, a line for each.
fn table(folded: &str) -> String {
    let mut counts = [0_u64; SHARES.len() + 1];
    for line in folded.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        let Ok(count) = count.parse::<u64>() else { continue };
        let place = SHARES.iter().position(|(_, words)| words.iter().any(|w| stack.contains(w)));
        counts[place.unwrap_or(SHARES.len())] += count;
    }
    let all: u64 = counts.iter().sum::<u64>().max(1);
    let names = SHARES.iter().map(|(name, _)| *name).chain(["everything else"]);
    let line = |(name, count): (&str, &u64)| {
        format!("{name:<36} {:>5.1} %\n", *count as f64 * 100.0 / all as f64)
    };
    names.zip(&counts).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_first_share_that_it_has_a_word_of() {
        let folded = "t;main;append_to;memmove 2\nt;main;append_to;__vdso_clock_gettime_[k] 1\n\
                      io;writev;tcp_sendmsg_[k] 4\nt;main 1\n";
        let told = table(folded);
        let share = |name: &str| {
            let line = told.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().rev().nth(1).unwrap().to_owned()
        };
        assert_eq!(share("append"), "25.0");
        assert_eq!(share("clock"), "12.5");
        assert_eq!(share("kernel"), "50.0");
        assert_eq!(share("everything else"), "12.5");
    }

    #[test]
    fn a_picture_that_is_too_large_or_names_the_machine_is_refused() {
        assert_eq!(check("<svg/>"), Ok(()));
        assert!(check(&" ".repeat(PICTURE_BYTES + 1)).is_err());
        let path = workspace::root().unwrap().join("crates/core").display().to_string();
        assert!(check(&format!("<svg>{path}</svg>")).unwrap_err().contains("machine"));
    }
}
