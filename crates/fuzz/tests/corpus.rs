//! Each target takes in its corpus, and some thousands of inputs that come of it by seed.

use ottla_fuzz::{Mutator, TARGETS, Target, corpus, target};

fn holds(name: &str) {
    let target: Target = target(name).expect("a target");
    let corpus = corpus(&target);
    for input in &corpus {
        (target.run)(input);
    }
    for seed in 0..u64::from(target.in_a_test) {
        let input = Mutator::new(seed).input(&corpus);
        if std::panic::catch_unwind(|| (target.run)(&input)).is_err() {
            panic!("{name}, mutation {seed}: {input:02x?}");
        }
    }
}

macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*
    };
}

targets! {
    any_stream_is_cut_into_the_same_frames_in_whatever_pieces_it_comes: "frames",
    any_message_that_can_be_read_can_be_written_and_reads_back_the_same: "messages",
    any_batch_is_read_or_refused: "batch",
    any_gzip_is_unpacked_within_its_limit_or_refused: "gzip",
    any_snappy_is_unpacked_within_its_limit_or_refused: "snappy",
    any_lz4_is_unpacked_within_its_limit_or_refused: "lz4",
    any_zstd_is_unpacked_within_its_limit_or_refused: "zstd",
    any_settings_are_taken_or_refused_with_a_reason: "settings",
    any_answers_of_a_broker_end_an_exchange_soon_and_complete_none_that_needs_a_proof: "sasl",
    any_spoilt_log_is_opened_or_refused: "recovery",
    any_operations_leave_each_record_with_one_outcome_and_no_memory_taken: "operations",
}

#[test]
fn every_target_has_its_name_once() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
