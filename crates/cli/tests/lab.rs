//! `ottla lab`: each experiment counts what it says it does, and keeps what the producer promises.

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::run;

/// The rows of an experiment with few records, each with exactly these names.
#[track_caller]
fn rows(experiment: &str, records: u64, names: &[&str]) -> Vec<Value> {
    let records = records.to_string();
    let said = run(["lab", experiment, "--json", "--records", &records]).exits(0);
    let [Value::Array(rows)] = &said.json()[..] else { panic!("one list: {}", said.text()) };
    assert_eq!(said.stderr, "");
    check_names(rows, names);
    rows.clone()
}

#[track_caller]
fn check_names(rows: &[Value], names: &[&str]) {
    for row in rows {
        let found: BTreeSet<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, names.iter().copied().collect(), "{row}");
    }
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap_or_else(|| panic!("no {name} in {row}"))
}

const ACKS: [&str; 7] = ["acks", "sent", "acknowledged", "lost", "duplicated", "p50_ms", "p99_ms"];

#[test]
fn acks_1_loses_what_acks_all_keeps_when_the_leader_dies() {
    let rows = rows("acks", 600, &ACKS);
    let acks: Vec<_> = rows.iter().map(|row| row["acks"].as_str().unwrap()).collect();
    assert_eq!(acks, ["0", "1", "all"]);
    for row in &rows {
        assert_eq!(number(row, "sent"), 600);
        assert!(number(row, "acknowledged") <= 600 && number(row, "acknowledged") > 300, "{row}");
        let ms = |name: &str| row[name].as_f64().unwrap();
        assert!(ms("p50_ms") <= ms("p99_ms"), "{row}");
    }
    assert!(number(&rows[1], "lost") >= 1, "{}", rows[1]);
    let all = &rows[2];
    assert_eq!((number(all, "acknowledged"), number(all, "lost")), (600, 0), "{all}");
    assert_eq!(number(all, "duplicated"), 0, "{all}");
}

#[test]
fn a_lost_answer_doubles_records_unless_idempotence_is_on() {
    let names =
        ["idempotence", "sent", "acknowledged", "answers_lost", "in_log", "duplicated", "lost"];
    let rows = rows("duplicates", 300, &names);
    let [off, on] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&off["idempotence"], &on["idempotence"]), (&false.into(), &true.into()));
    for row in [off, on] {
        assert!(number(row, "answers_lost") >= 1, "{row}");
        assert_eq!((number(row, "acknowledged"), number(row, "lost")), (300, 0), "{row}");
        assert_eq!(number(row, "in_log"), 300 + number(row, "duplicated"), "{row}");
    }
    assert!(number(off, "duplicated") >= number(off, "answers_lost"), "{off}");
    assert_eq!(number(on, "duplicated"), 0, "{on}");
}

#[test]
fn a_refused_request_changes_no_order() {
    let names = [
        "in_flight",
        "idempotence",
        "sent",
        "acknowledged",
        "refused",
        "requests",
        "out_of_order",
        "duplicated",
        "lost",
        "records_per_second",
    ];
    let rows = rows("ordering", 300, &names);
    let runs: Vec<_> =
        rows.iter().map(|row| (number(row, "in_flight"), &row["idempotence"])).collect();
    assert_eq!(runs, [(5, &false.into()), (1, &false.into()), (5, &true.into())]);
    for row in &rows {
        assert_eq!((number(row, "sent"), number(row, "acknowledged")), (300, 300), "{row}");
        assert!(number(row, "refused") >= 1, "{row}");
        assert!(number(row, "requests") > number(row, "refused"), "{row}");
        for never in ["out_of_order", "duplicated", "lost"] {
            assert_eq!(number(row, never), 0, "{row}");
        }
    }
}

#[test]
fn a_longer_linger_and_larger_batches_make_fewer_of_them() {
    let names = [
        "linger_ms",
        "batch_size",
        "sent",
        "acknowledged",
        "requests",
        "batches",
        "records_per_batch",
        "p50_ms",
        "p99_ms",
        "unthrottled_per_second",
    ];
    let rows = rows("batching", 500, &names);
    assert_eq!(rows.len(), 9);
    for row in &rows {
        assert_eq!((number(row, "sent"), number(row, "acknowledged")), (500, 500), "{row}");
        let batches = number(row, "batches");
        assert!((1..=500).contains(&batches) && number(row, "requests") <= batches, "{row}");
        let mean = row["records_per_batch"].as_f64().unwrap();
        assert!((mean * batches as f64 - 500.0).abs() <= 0.05 * batches as f64 + 1e-6, "{row}");
    }
    let batches = |linger: u64, size: u64| {
        let is_it =
            |row: &&Value| (number(row, "linger_ms"), number(row, "batch_size")) == (linger, size);
        number(rows.iter().find(is_it).unwrap(), "batches")
    };
    // A batch of 1 KiB has no room for 20 of these records, however long it waits.
    assert!(batches(50, 1024) >= 500 / 20, "{rows:?}");
    assert!(batches(50, 131_072) < batches(50, 1024), "{rows:?}");
}

#[test]
fn all_records_of_a_key_are_in_one_partition() {
    let names = ["key", "sent", "in_log", "partitions", "spread"];
    let rows = rows("keys", 600, &names);
    let (keyed, keyless): (Vec<_>, Vec<_>) = rows.iter().partition(|row| !row["key"].is_null());
    assert_eq!((keyed.len(), keyless.len()), (12, 1));
    for row in &keyed {
        assert_eq!(number(row, "partitions"), 1, "{row}");
        assert_eq!((number(row, "sent"), number(row, "in_log")), (50, 50), "{row}");
    }
    let used = |row: &Value| {
        let spread = row["spread"].as_array().unwrap();
        assert_eq!(spread.len(), 6);
        spread.iter().position(|records| records != 0)
    };
    assert!(keyed.iter().map(|row| used(row)).collect::<BTreeSet<_>>().len() > 1, "{rows:?}");
    assert_eq!(number(keyless[0], "in_log"), 600);
    assert!(number(keyless[0], "partitions") > 1, "{}", keyless[0]);
}

#[test]
fn another_seed_gives_other_keys_and_the_same_one_the_same() {
    let keys = |seed: &str| -> Vec<Value> {
        let said = run(["lab", "keys", "--json", "--records", "100", "--seed", seed]).exits(0);
        let rows = &said.json()[0];
        rows.as_array().unwrap().iter().map(|row| row["key"].clone()).collect()
    };
    assert_eq!(keys("7"), keys("7"));
    assert_ne!(keys("7"), keys("8"));
}

#[test]
fn without_a_name_all_of_them_are_run_and_a_page_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("lab.html");
    let page_word = page.to_str().unwrap();
    let said = run(["lab", "--records", "100", "--json", "-q", "--html", page_word]).exits(0);
    let [Value::Object(all)] = &said.json()[..] else { panic!("one object") };
    let names = ["acks", "duplicates", "ordering", "batching", "keys"];
    assert_eq!(all.keys().map(String::as_str).collect::<Vec<_>>(), names);
    for (name, rows) in all {
        assert!(rows.as_array().is_some_and(|rows| !rows.is_empty()), "{name}");
    }
    check_names(all["acks"].as_array().unwrap(), &ACKS);
    let page = std::fs::read_to_string(page).unwrap();
    for name in names {
        assert!(page.contains(&format!("<h2>{name}: ")), "{name}");
    }
    assert!(page.ends_with("</html>\n"));
    assert!(page.matches("<svg").count() >= names.len());
    for outside in ["http", "src=", "href=", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_table_has_its_sentence_below_it() {
    let said = run(["lab", "keys", "--records", "1200"]).exits(0);
    let lines: Vec<&str> = said.text().lines().collect();
    assert!(lines[0].starts_with("keys: "), "{lines:?}");
    let heading = lines.iter().position(|line| line.starts_with("key ")).unwrap();
    assert!(lines[heading].contains("sent  in log  partitions"), "{lines:?}");
    assert!(lines[heading + 13].starts_with("(none)") && lines[heading + 13].contains("1,200"));
    assert!(lines[heading + 15].starts_with("Each of 12 keys has all its records"), "{lines:?}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{lines:?}");
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/lab.html");
    for (args, words) in [
        (&["ack"][..], "acks, duplicates, ordering, batching, keys"),
        (&["acks", "keys"], "unexpected argument"),
        (&["--records", "0"], "give a number from 100 to 100000"),
        (&["--records", "-1"], "give a number from 100 to 100000"),
        (&["--records", "100001"], "give a number from 100 to 100000"),
        (&["--records", "many"], "--records"),
        (&["--seed", "-1"], "--seed"),
        (&["--html", folder.path().to_str().unwrap()], "cannot be written"),
        (&["--html", missing.to_str().unwrap()], "cannot be written"),
        (&["--html"], "--html"),
    ] {
        let said = run(["lab"].iter().chain(args)).exits(2).says(words);
        assert_eq!(said.text(), "");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_at_once_and_nothing_is_left() {
    use std::process::Stdio;
    use support::{Lines, ottla, send_signal, until, wait};

    let folder = tempfile::tempdir().unwrap();
    let page = tempfile::tempdir().unwrap();
    let left = || std::fs::read_dir(folder.path()).unwrap().count();
    let mut command = ottla(["lab", "acks", "--records", "100000", "-v", "--html"]);
    command.arg(page.path().join("lab.html")).env("TMPDIR", folder.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let talk = Lines::of(child.stderr.take().unwrap());
    talk.wait_for("acks=0");
    until("the cluster has its folder", || (left() > 0).then_some(()));
    send_signal(&child, rustix::process::Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert_eq!(left(), 0);
    assert_eq!(std::fs::read_dir(page.path()).unwrap().count(), 0);
}
