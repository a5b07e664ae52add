//! Negative controls: runs in which records must be lost or doubled. A check that does not see it
//! is blind, and what it says of other runs is worth nothing.

use std::path::Path;
use std::time::Duration;

use ottla_tests::proxy::Way;

use crate::check::{Verdict, Wrong, check};
use crate::control::Control;
use crate::load::{Load, Sender, Topic};
use crate::nodes::Node;
use crate::read::read;

/// How long outcomes may take once all is well.
const FLUSH_WITHIN: Duration = Duration::from_secs(90);
const MOMENT: Duration = Duration::from_millis(1500);

/// A way to break the promise on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Negative {
    /// `acks=1`, and the leader dies with what nobody has copied.
    Lossy,
    /// No idempotence, and answers are lost.
    Duplicates,
}

impl Negative {
    pub(crate) const ALL: [Self; 2] = [Self::Lossy, Self::Duplicates];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lossy => "lossy",
            Self::Duplicates => "duplicates",
        }
    }

    /// What has to be seen.
    fn wrong(self) -> Wrong {
        match self {
            Self::Lossy => Wrong::Lost,
            Self::Duplicates => Wrong::Twice,
        }
    }

    /// Runs it; what was seen, as a sentence.
    ///
    /// # Errors
    /// It could not be run, or the check has not seen what is wrong.
    pub(crate) fn run(self, control: &Control, python: &Path) -> Result<String, String> {
        let topic = Topic { name: format!("control-{}", self.name()), partitions: 1 };
        control.create(&topic.name, topic.partitions)?;
        control.wait_until_well(&[&topic.name])?;
        let load = match self {
            Self::Lossy => lose(control, &topic)?,
            Self::Duplicates => double(control, &topic)?,
        };
        let history = load.finish(FLUSH_WITHIN)?;
        let servers = control.nodes().servers();
        let log = read(python, &servers, &topic.name)?;
        let verdict = check(&history, &[(topic.name, log)].into());
        self.judge(&verdict)
    }

    fn judge(self, verdict: &Verdict) -> Result<String, String> {
        let seen = verdict.count(self.wrong());
        let delivered = verdict.delivered;
        match (self, seen) {
            (_, 0) => Err(format!(
                "control {}: of {delivered} delivered records none is {}: the run is invalid",
                self.name(),
                self.wrong().name()
            )),
            (Self::Lossy, lost) => Ok(format!(
                "acks=1: saw {lost} of {delivered} acknowledged records lost, as it must"
            )),
            (Self::Duplicates, twice) => Ok(format!(
                "no idempotence: saw {twice} repetitions of {delivered} acknowledged records, \
                 as it must"
            )),
        }
    }
}

fn start(
    control: &Control,
    topic: &Topic,
    settings: &[(&'static str, &'static str)],
) -> Result<Load, String> {
    let sender = Sender {
        settings: settings.to_vec(),
        topics: vec![0],
        rate: 1000.0,
        purges_every: None,
        idempotent: false,
    };
    Load::start(&control.nodes().detours(), vec![topic.clone()], &[sender])
}

/// The followers stand still while the leader takes records, and lead when it is dead: they were in
/// sync when anybody last looked, for those who keep the list stood still as well.
fn lose(control: &Control, topic: &Topic) -> Result<Load, String> {
    let mut load = start(control, topic, &[("acks", "1"), ("enable.idempotence", "false")])?;
    control.rest(MOMENT)?;
    let id = control.leader(&topic.name, 0).ok_or("the topic has no leader")?;
    let nodes = control.nodes();
    let leader = nodes.get(id).ok_or("a leader that is none of ours")?;
    let followers = || nodes.all.iter().filter(|node| node.id != id);
    followers().for_each(Node::pause);
    let rested = control.rest(2 * MOMENT);
    leader.kill();
    followers().for_each(Node::resume);
    rested?;
    // The others have to notice that it is away before it comes back, or it will lead again.
    while control.leader(&topic.name, 0).is_none_or(|now| now == id) {
        control.rest(Duration::from_millis(200))?;
    }
    nodes.start(leader)?;
    control.rest(MOMENT)?;
    load.stop()?;
    control.wait_until_well(&[&topic.name])?;
    Ok(load)
}

/// What was written is not acknowledged, and is sent again.
fn double(control: &Control, topic: &Topic) -> Result<Load, String> {
    let settings = [("enable.idempotence", "false"), ("request.timeout.ms", "1000")];
    let mut load = start(control, topic, &settings)?;
    control.rest(MOMENT)?;
    for node in &control.nodes().all {
        node.proxy.swallow(Way::Back);
    }
    let rested = control.rest(2 * MOMENT);
    for node in &control.nodes().all {
        node.proxy.heal();
    }
    rested?;
    control.rest(MOMENT)?;
    load.stop()?;
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_in_which_nothing_is_seen_makes_the_run_invalid() {
        let mut verdict = Verdict { delivered: 5, ..Verdict::default() };
        for negative in Negative::ALL {
            assert!(negative.judge(&verdict).unwrap_err().contains("invalid"));
        }
        verdict.wrong.insert(Wrong::Lost, 2);
        assert!(Negative::Lossy.judge(&verdict).unwrap().contains("saw 2 of 5"));
        assert!(Negative::Duplicates.judge(&verdict).is_err(), "loss is no repetition");
    }
}
