//! The whole table: acks, replicas, those in sync, how many must be, and unclean elections.

use super::super::report::Status;
use super::*;

fn facts(acks: Acks, replicas: usize, in_sync: usize, least: usize, unclean: bool) -> Facts {
    Facts {
        acks,
        idempotence: acks == Acks::All,
        replicas,
        in_sync: Some(in_sync),
        min_in_sync: Some(least),
        unclean: Some(unclean),
    }
}

fn judged(facts: &Facts) -> (Status, String) {
    let step = verdict("t", facts);
    assert_eq!(step.step, "durability");
    // What is not well has a cure.
    assert_eq!(step.status == Status::Ok, step.cure.is_none(), "{step:?}");
    (step.status, step.data["lost_if_leader_died"].as_str().unwrap().to_owned())
}

#[test]
fn every_row_of_the_table_has_its_verdict() {
    use Acks::{All, Leader, None};
    use Status::{Failed, Ok, Warning};
    let rows = [
        (None, 1, 1, 1, false, Warning, "everything"),
        (None, 3, 3, 2, false, Warning, "unreplicated"),
        (Leader, 1, 1, 1, false, Warning, "everything"),
        (Leader, 3, 3, 2, false, Warning, "unreplicated"),
        (Leader, 3, 1, 1, true, Warning, "unreplicated"),
        (All, 1, 1, 1, false, Warning, "everything"),
        (All, 1, 1, 2, false, Warning, "everything"),
        (All, 3, 3, 1, false, Warning, "nothing"),
        (All, 3, 2, 1, true, Warning, "nothing"),
        (All, 3, 1, 1, false, Warning, "unreplicated"),
        (All, 3, 1, 1, true, Failed, "unreplicated"),
        (All, 3, 0, 1, false, Failed, "nothing_written"),
        (All, 3, 3, 2, false, Ok, "nothing"),
        (All, 3, 2, 2, false, Ok, "nothing"),
        (All, 3, 3, 2, true, Warning, "nothing"),
        (All, 3, 1, 2, false, Failed, "nothing_written"),
        (All, 3, 3, 3, false, Ok, "nothing"),
        (All, 3, 2, 3, false, Failed, "nothing_written"),
        (All, 3, 3, 4, false, Warning, "nothing"),
        (All, 3, 2, 4, false, Failed, "nothing_written"),
        (All, 2, 2, 2, false, Ok, "nothing"),
    ];
    for (acks, replicas, in_sync, least, unclean, status, loss) in rows {
        let facts = facts(acks, replicas, in_sync, least, unclean);
        assert_eq!(judged(&facts), (status, loss.to_owned()), "{facts:?}");
    }
}

#[test]
fn the_leader_alone_is_said_to_be_enough_when_it_is() {
    let step = verdict("t", &facts(Acks::All, 3, 3, 1, false));
    assert!(step.seen.starts_with("acks=all, 3 replicas, min.insync.replicas=1: "), "{step:?}");
    assert_eq!(step.cure.as_deref(), Some("set min.insync.replicas=2 on the topic"));
}

#[test]
fn more_replicas_in_sync_than_there_are_is_said_to_depend_on_the_broker() {
    for replicas in [1, 3] {
        let step = verdict("t", &facts(Acks::All, replicas, replicas, 4, false));
        assert!(step.seen.contains("older ones refuse them always"), "{step:?}");
    }
}

#[test]
fn what_the_cluster_does_not_tell_is_not_judged() {
    let untold = Facts { min_in_sync: None, ..facts(Acks::All, 3, 3, 2, false) };
    assert_eq!(judged(&untold), (Status::Skipped, "unknown".to_owned()));
    let no_topic_yet = Facts { in_sync: None, ..facts(Acks::All, 3, 0, 2, false) };
    assert_eq!(judged(&no_topic_yet), (Status::Ok, "nothing".to_owned()));
}

#[test]
fn a_producer_that_may_write_twice_is_warned() {
    let plain = Facts { idempotence: false, ..facts(Acks::All, 3, 3, 2, false) };
    let step = verdict("t", &plain);
    assert_eq!(step.status, Status::Warning);
    assert!(step.seen.contains("twice"), "{step:?}");
}
