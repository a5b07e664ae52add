//! The simulator itself: what it promises of its runs.

use ottla_sim::{PROFILES, Plan, Seen, run};

#[test]
fn the_same_plan_gives_the_same_run() {
    for profile in PROFILES {
        for seed in 0..5 {
            let plan = Plan::new(seed, profile).expect("a profile");
            assert_eq!(run(&plan), run(&plan), "{profile}, seed {seed}");
        }
    }
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
        assert_eq!(report.seen.of(Seen::RecordDelivered), u64::from(plan.records), "seed {seed}");
        assert_eq!(report.seen.of(Seen::RecordMaybePersisted), 0, "seed {seed}");
    }
}

#[test]
fn a_profile_that_nobody_knows_is_none() {
    assert_eq!(Plan::new(1, "weather"), None);
}
