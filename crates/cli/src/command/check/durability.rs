//! What would be lost if the leader of a partition died right now, in plain words.

use ottla::Acks;
use serde_json::{Value, json};

use super::report::Step;
use crate::exit::Exit;

/// What it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Ours.
    pub(super) acks: Acks,
    /// Ours: `enable.idempotence`.
    pub(super) idempotence: bool,
    /// Copies of the partition that has the fewest.
    pub(super) replicas: usize,
    /// In-sync copies of the partition that has the fewest; `None` while there is no topic.
    pub(super) in_sync: Option<usize>,
    /// `min.insync.replicas`; `None` when it is not told.
    pub(super) min_in_sync: Option<usize>,
    /// `unclean.leader.election.enable`; `None` when it is not told.
    pub(super) unclean: Option<bool>,
}

/// What is gone after the leader of a partition died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    /// What no replica has yet, though it may have been told to be delivered.
    Unreplicated,
    /// All that the partition holds, unless the leader's disk comes back.
    Everything,
    /// Nothing, because nothing can be written.
    NothingWritten,
    Unknown,
}

impl Loss {
    fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Unreplicated => "unreplicated",
            Self::Everything => "everything",
            Self::NothingWritten => "nothing_written",
            Self::Unknown => "unknown",
        }
    }
}

/// The verdict on a topic.
pub(super) fn verdict(topic: &str, facts: &Facts) -> Step {
    let (step, loss) = match facts.acks {
        Acks::None => by_nobodys_word(topic, facts),
        Acks::Leader => by_the_leaders_word(topic, facts),
        Acks::All => by_all_words(topic, facts),
    };
    step.data(data(facts, loss))
}

const STEP: &str = "durability";
const ACKS_ALL: &str = "set acks=all (and leave enable.idempotence on)";

fn by_nobodys_word(topic: &str, facts: &Facts) -> (Step, Loss) {
    let seen = format!(
        "acks=0: a record is told to be delivered as soon as it is written to the connection, and \
         no broker has confirmed it. If the leader died now, what is on its way{} would be lost, \
         and nobody would be told",
        if facts.replicas > 1 { " and what no replica has yet" } else { "" },
    );
    (Step::warning(STEP, topic, seen + &alone(facts)).cure(ACKS_ALL), loss_beside(facts))
}

fn by_the_leaders_word(topic: &str, facts: &Facts) -> (Step, Loss) {
    let seen = format!(
        "acks=1, {}: a record is told to be delivered when only the leader has it. If the leader \
         died now, what no replica has yet would be lost",
        replicas(facts.replicas),
    );
    (Step::warning(STEP, topic, seen + &alone(facts)).cure(ACKS_ALL), loss_beside(facts))
}

/// What is lost whatever `acks` adds to it.
fn loss_beside(facts: &Facts) -> Loss {
    if facts.replicas <= 1 { Loss::Everything } else { Loss::Unreplicated }
}

fn alone(facts: &Facts) -> String {
    match facts.replicas {
        ..=1 => ". There is no other copy: everything in the partition would be gone with the \
                 leader's disk"
            .to_owned(),
        _ => String::new(),
    }
}

fn by_all_words(topic: &str, facts: &Facts) -> (Step, Loss) {
    let copies = replicas(facts.replicas);
    if facts.replicas <= 1 {
        let seen = "acks=all, 1 replica: there is no other copy. While the leader is down nothing \
                    can be written or read, and if its disk dies, everything is lost. What it had \
                    not written to the disk yet is lost with the machine";
        let cure = "use --replication 3 and --config min.insync.replicas=2 when the topic is \
                    created; kafka-reassign-partitions.sh gives an existing one more replicas";
        let seen = format!("{seen}{}", beyond(facts));
        return (Step::warning(STEP, topic, seen).cure(cure), Loss::Everything);
    }
    let Some(least) = facts.min_in_sync else {
        let why = format!(
            "acks=all, {copies}; the cluster does not tell min.insync.replicas: with 1, a record \
             may be told to be delivered when only the leader has it"
        );
        let step = Step::skipped(STEP, topic, why);
        return (step.cure("allow this client to DescribeConfigs on the topic"), Loss::Unknown);
    };
    // Brokers take it so, but for old ones.
    let needed = least.min(facts.replicas);
    match facts.in_sync {
        Some(in_sync) if in_sync < needed => {
            let seen = format!(
                "acks=all, {copies}, min.insync.replicas={least}: only {in_sync} in sync now, so \
                 records are refused (NOT_ENOUGH_REPLICAS) and sent again until the others have \
                 caught up or delivery.timeout.ms is over. What was told to be delivered is safe"
            );
            let cure = "bring the brokers of the other replicas back";
            let step = Step::failed(STEP, topic, seen, Exit::SomeFailed).cure(cure);
            (step, Loss::NothingWritten)
        }
        in_sync if least <= 1 => one_is_enough(topic, facts, in_sync),
        _ if least > facts.replicas => {
            let seen = format!("acks=all, {copies}, min.insync.replicas={least}{}", beyond(facts));
            let cure = format!("set min.insync.replicas={} on the topic", facts.replicas - 1);
            (Step::warning(STEP, topic, seen).cure(cure), Loss::Nothing)
        }
        _ => several_are_needed(topic, facts, least),
    }
}

/// `min.insync.replicas=1`: the leader alone may confirm.
fn one_is_enough(topic: &str, facts: &Facts, in_sync: Option<usize>) -> (Step, Loss) {
    let copies = replicas(facts.replicas);
    let rule = format!(
        "acks=all, {copies}, min.insync.replicas=1: a record is told to be delivered when only the \
         leader has it; if the other replicas are behind and the leader dies, it is lost"
    );
    let cure = "set min.insync.replicas=2 on the topic";
    let step = |seen: String| Step::warning(STEP, topic, seen + &unguarded(facts)).cure(cure);
    match in_sync {
        Some(1) if facts.unclean == Some(true) => {
            let seen = format!(
                "{rule}. Right now only the leader is in sync, and unclean.leader.election.enable \
                 lets a replica take over that lacks records: if the leader died now, they would be \
                 lost"
            );
            let cure = format!("{cure}, and unclean.leader.election.enable=false");
            let step = Step::failed(STEP, topic, seen, Exit::SomeFailed).cure(cure);
            (step, Loss::Unreplicated)
        }
        Some(1) => {
            let seen = format!(
                "{rule}. Right now only the leader is in sync: if it died now, the partition could \
                 not be used until it is back, and what only it has would be lost with its disk"
            );
            (step(seen), Loss::Unreplicated)
        }
        Some(now) => {
            let seen = format!(
                "{rule}. Right now {now} are in sync, and nothing would be lost; but nobody would \
                 say so when that changes"
            );
            (step(seen), Loss::Nothing)
        }
        None => (step(rule), Loss::Nothing),
    }
}

/// `min.insync.replicas` of two or more.
fn several_are_needed(topic: &str, facts: &Facts, least: usize) -> (Step, Loss) {
    let copies = replicas(facts.replicas);
    let now = facts.in_sync.map_or_else(String::new, |now| format!(" ({now} are in sync now)"));
    let mut seen = format!(
        "acks=all, {copies}, min.insync.replicas={least}: a record is told to be delivered when \
         {least} replicas or more have it{now}. If the leader died now, nothing would be lost"
    );
    if least == facts.replicas {
        seen.push_str("; but with any one replica down nothing can be written");
    }
    if facts.unclean == Some(true) {
        let seen = format!(
            "{seen}. If all of them died, unclean.leader.election.enable=true would let a replica \
             take over that lacks records, and these would be lost"
        );
        let cure = "set unclean.leader.election.enable=false on the topic";
        return (Step::warning(STEP, topic, seen + &unguarded(facts)).cure(cure), Loss::Nothing);
    }
    if facts.idempotence {
        return (Step::ok(STEP, topic, seen), Loss::Nothing);
    }
    let step = Step::warning(STEP, topic, seen + &unguarded(facts));
    (step.cure("leave enable.idempotence on"), Loss::Nothing)
}

/// What to say where more replicas must be in sync than there are.
fn beyond(facts: &Facts) -> String {
    match facts.min_in_sync {
        Some(least) if least > facts.replicas => format!(
            ". min.insync.replicas={least} is more than there are: newer brokers take it for {}, \
             and with any replica down refuse all records; older ones refuse them always \
             (NOT_ENOUGH_REPLICAS)",
            facts.replicas
        ),
        _ => String::new(),
    }
}

/// What to say where a retry may write twice.
fn unguarded(facts: &Facts) -> String {
    match facts.idempotence {
        true => String::new(),
        false => ". With enable.idempotence=false a retry may write records twice".to_owned(),
    }
}

fn replicas(count: usize) -> String {
    crate::talk::count(count as u64, "replica")
}

fn data(facts: &Facts, loss: Loss) -> Value {
    let acks = match facts.acks {
        Acks::None => "0",
        Acks::Leader => "1",
        Acks::All => "all",
    };
    json!({
        "acks": acks,
        "enable_idempotence": facts.idempotence,
        "replicas": facts.replicas,
        "in_sync": facts.in_sync,
        "min_insync_replicas": facts.min_in_sync,
        "unclean_leader_election": facts.unclean,
        "lost_if_leader_died": loss.word(),
    })
}

#[cfg(test)]
mod tests;
