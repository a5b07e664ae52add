//! The simulator itself: what it promises of its runs.

use std::time::Duration;

use ottla_sim::{Close, PROFILES, Plan, Report, Seen, run};

/// Runs so many seeds of a profile, each plan changed a little, which break no law.
fn lawful(profile: &str, seeds: u64, change: fn(&mut Plan)) -> Vec<Report> {
    let report = |seed| {
        let mut plan = Plan::new(seed, profile).expect("a profile");
        change(&mut plan);
        let report = run(&plan);
        assert_eq!(report.violation, None, "--seed {seed:#x} --profile {profile}");
        report
    };
    (0..seeds).map(report).collect()
}

fn count(reports: &[Report], what: Seen) -> u64 {
    reports.iter().map(|report| report.seen.of(what)).sum()
}

#[test]
fn the_same_plan_gives_the_same_run() {
    for profile in PROFILES {
        for seed in 0..5 {
            let plan = Plan::new(seed, profile).expect("a profile");
            assert_eq!(run(&plan), run(&plan), "{profile}, seed {seed}");
        }
    }
}

/// Laws: L3, L4, L5. Scenarios: F19, F20, bug-4.
#[test]
fn leaders_that_pause_and_move_with_batches_under_way_and_new_epochs_break_no_law() {
    let reports = lawful("storm", 150, |_| ());
    for what in
        [Seen::LeaderMovedInFlight, Seen::NodePaused, Seen::EpochBumped, Seen::DuplicateRecognized]
    {
        assert!(count(&reports, what) > 20, "{what:?}");
    }
}

/// Laws: L1, L4. Scenarios: E5, #27.
#[test]
fn answers_that_are_lost_on_their_way_break_no_law() {
    let reports = lawful("network", 100, |_| ());
    assert!(count(&reports, Seen::AnswerLost) > 100 && count(&reports, Seen::BlackHole) > 20);
    assert!(count(&reports, Seen::DuplicateRecognized) > 20);
}

/// Laws: L1, L8. Scenarios: #71, #74, F9, F10, F11.
#[test]
fn topics_that_grow_and_are_created_anew_break_no_law() {
    let reports = lawful("topics", 100, |_| ());
    for what in [Seen::TopicRecreated, Seen::UnknownTopicId, Seen::PartitionsAdded] {
        assert!(count(&reports, what) > 20, "{what:?}");
    }
}

/// The test of the test: where a leader acknowledges alone, what it takes along is seen as lost.
/// Laws: L2. Scenarios: F18, F7.
#[test]
fn what_two_replicas_have_outlives_a_leader_and_what_one_has_is_seen_to_be_lost() {
    let nodes = lawful("nodes", 100, |plan| plan.min_insync = 2);
    assert!(count(&nodes, Seen::NodeCrashed) > 20 && count(&nodes, Seen::FollowerTruncated) > 20);
    let mut lost = 0;
    for seed in 0..100 {
        let mut plan = Plan::new(seed, "nodes").expect("a profile");
        plan.idempotent = false;
        for (key, value) in &mut plan.settings {
            match *key {
                "acks" => *value = "1".to_owned(),
                "enable.idempotence" => *value = "false".to_owned(),
                _ => (),
            }
        }
        // The plan says still that acknowledged records stay.
        let violation = run(&plan).violation;
        lost += u32::from(violation.is_some_and(|told| told.contains("as was told (L2)")));
    }
    assert!(lost > 5, "{lost} of 100 runs lose a record");
}

#[test]
fn another_seed_gives_another_run() {
    let trace = |seed| run(&Plan::new(seed, "storm").expect("a profile")).trace;
    assert_ne!(trace(1), trace(2));
}

#[test]
fn no_law_is_broken_under_any_profile() {
    for profile in PROFILES {
        for seed in 0..50 {
            let plan = Plan::new(seed, profile).expect("a profile");
            assert_eq!(run(&plan).violation, None, "--seed {seed:#x} --profile {profile}");
        }
    }
}

#[test]
fn where_nothing_goes_wrong_every_record_is_delivered_unless_it_was_given_up() {
    for seed in 0..20 {
        let plan = Plan { purges: false, ..Plan::new(seed, "calm").expect("a profile") };
        let report = run(&plan);
        // What the plan says, and one for each partition at the end.
        assert!(report.records > plan.records as usize, "seed {seed}");
        assert_eq!(report.seen.of(Seen::RecordDelivered), report.records as u64, "seed {seed}");
        assert_eq!(report.seen.of(Seen::RecordMaybePersisted), 0, "seed {seed}");
    }
}

#[test]
fn a_profile_that_nobody_knows_is_none() {
    assert_eq!(Plan::new(1, "weather"), None);
}

/// Laws: L1, L9, L10. Scenarios: bug-26, bug-32, #104, #111.
#[test]
fn a_close_at_any_step_ends_within_its_deadline_and_every_outcome_is_told_and_true() {
    for (seed, profile) in (0..).zip(PROFILES) {
        let mut plan = Plan::new(seed, profile).expect("a profile");
        plan.records = 25;
        let steps = run(&plan).steps;
        // With no time, with a little, and with all that a record may take: then it is a flush.
        let all = plan.delivery_timeout + Duration::from_secs(1);
        for within in [Duration::ZERO, Duration::from_millis(200), all] {
            for at_step in 0..steps.min(400) {
                let closed = Plan { close: Some(Close { at_step, within }), ..plan.clone() };
                let told = run(&closed).violation;
                assert_eq!(
                    told, None,
                    "seed {seed} {profile}, at step {at_step} within {within:?}"
                );
            }
        }
    }
}

/// Laws: L1, L2, L9. Scenarios: bug-26.
#[test]
fn runs_that_are_closed_at_some_step_break_no_law() {
    let mut doubts = 0;
    for profile in PROFILES {
        for seed in 0..60 {
            let plan = Plan::new(seed, profile).expect("a profile").closed();
            let report = run(&plan);
            assert_eq!(report.violation, None, "--close --seed {seed:#x} --profile {profile}");
            doubts += report.seen.of(Seen::RecordMaybePersisted);
        }
    }
    assert!(doubts > 100, "{doubts} records were given up in flight");
}
