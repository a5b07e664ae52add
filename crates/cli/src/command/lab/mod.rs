//! `ottla lab`: experiments that show what the settings of a producer are worth.
//!
//! Each file below that is named after an experiment runs it and says what it shows. Nothing that
//! is shown is known beforehand: it is counted from what the producer told, from what the cluster
//! was asked, and from what a reader finds in the log.

mod acks;
mod batching;
mod context;
mod duplicates;
mod found;
mod keys;
mod load;
mod ordering;
mod page;
mod picture;
mod report;

use std::sync::Arc;

use clap::ValueEnum;

use self::context::{Ended, Lab};
use self::report::Report;
use crate::args::lab::{Experiment, LabPlan};
use crate::exit::{Exit, Failure};
use crate::signals::StopSignals;
use crate::talk::Talk;

/// Runs what was asked for, and shows it.
pub(crate) async fn run(plan: LabPlan, talk: &Talk) -> Result<Exit, Failure> {
    let mut signals = StopSignals::listen()
        .map_err(|error| Failure::usage(format!("signals cannot be handled: {error}")))?;
    if let Some(path) = &plan.html {
        page::check(path)?;
    }
    let experiments = match plan.experiment {
        Some(experiment) => vec![experiment],
        None => Experiment::value_variants().to_vec(),
    };
    let steps = experiments.iter().map(|experiment| steps(*experiment, plan.records)).sum();
    let lab = Arc::new(Lab::new(&plan, steps, talk));
    let (working, is_json) = (Arc::clone(&lab), plan.json);
    let mut work = tokio::task::spawn_blocking(move || run_all(&working, &experiments, is_json));
    let done = tokio::select! {
        done = &mut work => done,
        () = signals.next() => {
            lab.stop();
            work.await
        }
    };
    lab.end();
    let reports = match done.map_err(|error| Failure::new(Exit::SomeFailed, error.to_string()))? {
        Ok(reports) => reports,
        Err(Ended::Interrupted) => return Ok(Exit::Interrupted),
        Err(Ended::Failed(failure)) => return Err(failure),
    };
    if plan.json {
        super::print(json(&plan, &reports).as_bytes())?;
    }
    if let Some(path) = &plan.html {
        page::write(path, &plan, &reports)?;
        talk.note(format_args!("written: {}", path.display()));
    }
    let mut exit = Exit::Done;
    for report in reports.iter().filter(|report| report.is_broken) {
        talk.error(format_args!("{}: {}", report.name, report.sentence));
        exit = Exit::SomeFailed;
    }
    Ok(exit)
}

/// How many steps of the bar an experiment is.
fn steps(experiment: Experiment, records: u64) -> u64 {
    match experiment {
        Experiment::Acks => acks::steps(records),
        Experiment::Duplicates => duplicates::steps(records),
        Experiment::Ordering => ordering::steps(records),
        Experiment::Batching => batching::steps(records),
        Experiment::Keys => keys::steps(records),
    }
}

/// Runs experiments one after the other. Each is shown as text when it is over, unless JSON is
/// wanted.
fn run_all(lab: &Lab, experiments: &[Experiment], is_json: bool) -> Result<Vec<Report>, Ended> {
    let mut reports: Vec<Report> = Vec::new();
    for experiment in experiments {
        let report = match experiment {
            Experiment::Acks => acks::run(lab),
            Experiment::Duplicates => duplicates::run(lab),
            Experiment::Ordering => ordering::run(lab),
            Experiment::Batching => batching::run(lab),
            Experiment::Keys => keys::run(lab),
        }?;
        if !is_json {
            let space = if reports.is_empty() { "" } else { "\n" };
            let text = format!("{space}{}", report.text());
            if !lab.beside_bar(|| super::print(text.as_bytes()))? {
                return Ok(reports);
            }
        }
        reports.push(report);
    }
    Ok(reports)
}

/// A list of rows; for all experiments an object with their lists.
fn json(plan: &LabPlan, reports: &[Report]) -> String {
    if plan.experiment.is_some() {
        return reports.iter().map(|report| format!("{}\n", report.json)).collect();
    }
    let named = reports.iter().map(|report| format!("\"{}\":{}", report.name, report.json));
    format!("{{{}}}\n", named.collect::<Vec<_>>().join(","))
}
