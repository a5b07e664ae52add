//! What acknowledgements are worth: the leader dies in the middle, and what was acknowledged is
//! looked for in the log.

use std::thread;
use std::time::{Duration, Instant};

use ottla_broker::{Cluster, PartitionState};
use serde::Serialize;

use super::context::{Ended, Lab, TOPIC};
use super::found::{compare, read};
use super::load::{Contents, Tally, send_all};
use super::report::{Picture, Report, Table, json, ms};
use crate::pace::Pace;
use crate::talk::{count, grouped};

/// Records per second.
const RATE: f64 = 1000.0;
/// How long a follower waits before it asks its leader.
const DELAY: Duration = Duration::from_millis(20);
/// An acknowledgement by the leader that takes longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_micros(100);
/// How often acks=1 is tried, if the followers had everything when the leader died.
const TRIES: usize = 3;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    acks: &'static str,
    sent: u64,
    acknowledged: u64,
    lost: u64,
    duplicated: u64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Steps on the bar.
pub(super) fn steps(records: u64) -> u64 {
    3 * records
}

/// Runs with acks 0, 1 and all.
pub(super) fn run(lab: &Lab) -> Result<Report, Ended> {
    let mut rows = Vec::new();
    for acks in ["0", "1", "all"] {
        let mut row = run_with(lab, acks)?;
        for _ in 1..TRIES {
            if acks != "1" || row.lost > 0 {
                break;
            }
            lab.talk.detail("the followers had everything when the leader died: once more");
            row = run_with(lab, acks)?;
        }
        rows.push(row);
    }
    let cells = |row: &Row| {
        [
            row.acks.to_owned(),
            grouped(row.sent),
            grouped(row.acknowledged),
            grouped(row.lost),
            grouped(row.duplicated),
            ms(row.p50_ms),
            ms(row.p99_ms),
        ]
    };
    let heading = ["acks", "sent", "acknowledged", "lost", "duplicated", "p50 ms", "p99 ms"];
    let bars = |title: &str, of: fn(&Row) -> f64| Picture::Bars {
        title: title.to_owned(),
        bars: rows.iter().map(|row| (format!("acks={}", row.acks), of(row))).collect(),
    };
    let (sentence, is_broken) = sentence(&rows);
    Ok(Report {
        name: "acks",
        question: "what has a leader that dies lost of the records that were acknowledged?",
        settings: vec![
            format!(
                "3 nodes, 1 partition with 3 replicas, min.insync.replicas=2; followers ask every \
                 {} ms",
                DELAY.as_millis()
            ),
            format!(
                "{} at {}/s; half-way, when the leader has what no follower has, it is killed",
                count(lab.records, "record"),
                grouped(RATE as u64)
            ),
            "enable.idempotence=true with acks=all, false otherwise; retries as by default"
                .to_owned(),
            "max.in.flight.requests.per.connection=1, so that no request waits behind others; the \
             outage is in p99"
                .to_owned(),
        ],
        table: Table::new(heading, &rows.iter().map(cells).collect::<Vec<_>>()),
        json: json(&rows)?,
        sentence,
        is_broken,
        pictures: vec![
            bars("acknowledged records that were lost", |row| row.lost as f64),
            bars("latency, p50 in ms", |row| row.p50_ms),
        ],
    })
}

fn run_with(lab: &Lab, acks: &'static str) -> Result<Row, Ended> {
    lab.begin(&format!("acks={acks}"));
    let cluster = lab.cluster(
        Cluster::builder()
            .nodes(3)
            .topic_replicated(TOPIC, 1, 3)
            .min_insync_replicas(2)
            .replication_delay(DELAY),
    )?;
    let idempotence = if acks == "all" { "true" } else { "false" };
    let sender = lab.producer(
        &cluster,
        &[
            ("acks", acks),
            ("enable.idempotence", idempotence),
            ("max.in.flight.requests.per.connection", "1"),
        ],
    )?;
    let contents = Contents::of(format!("acks={acks}"), lab);
    let pace = Pace::begin(Some(RATE));
    let mut killed = None;
    let tally = send_all(lab, &sender, &contents, &pace, |number, tally| {
        if killed.is_some() || number < lab.records / 2 {
            return Ok(());
        }
        if acks == "1" {
            wait_told(lab, tally, number - 1)?;
        }
        let is_late = number >= lab.records * 9 / 10;
        let state = cluster.partition(TOPIC, 0);
        if let Some((leader, state)) = state.and_then(|state| Some((state.leader?, state)))
            && (is_late || is_ahead(&cluster, leader, &state, acks, tally))
        {
            cluster.kill_node(leader)?;
            killed = Some(leader);
        }
        Ok(())
    })?;
    if let Some(node) = killed {
        cluster.start_node(node)?;
    }
    lab.wait_for("the old leader follows", |slice| cluster.wait_until_in_sync(slice))?;
    let count = compare(&tally, &read(lab, &cluster, &contents)?);
    let [p50_ms, p99_ms] = tally.quantiles_ms([0.5, 0.99]);
    Ok(Row {
        acks,
        sent: lab.records,
        acknowledged: count.acknowledged,
        lost: count.lost,
        duplicated: count.duplicated,
        p50_ms,
        p99_ms,
    })
}

/// Waits a while until a record is acknowledged, so that the leader dies right after that.
fn wait_told(lab: &Lab, tally: &Tally, number: u64) -> Result<(), Ended> {
    let begin = Instant::now();
    while !tally.is_acknowledged(number) && begin.elapsed() < LONGEST_WAIT {
        lab.go_on()?;
        thread::sleep(NAP);
    }
    Ok(())
}

/// Whether the leader has records that no follower has; with acks=1, also one that was
/// acknowledged.
fn is_ahead(
    cluster: &Cluster,
    leader: i32,
    state: &PartitionState,
    acks: &str,
    tally: &Tally,
) -> bool {
    let newest = match acks {
        "1" => tally.newest_offset().map(|offset| offset + 1),
        _ => Some(state.log_end),
    };
    let followers = state.replicas.iter().filter(|node| **node != leader);
    let ends = followers.filter_map(|node| cluster.log_end_offset_on(*node, TOPIC, 0));
    ends.max().is_some_and(|end| newest.is_some_and(|newest| newest > end))
}

/// What the rows show, and whether a promise was broken.
fn sentence(rows: &[Row]) -> (String, bool) {
    let of = |acks: &str| rows.iter().find(|row| row.acks == acks);
    let (Some(none), Some(one), Some(all)) = (of("0"), of("1"), of("all")) else {
        return ("There is nothing to compare.".to_owned(), false);
    };
    if all.lost > 0 || all.duplicated > 0 {
        let (lost, duplicated) = (grouped(all.lost), grouped(all.duplicated));
        let sentence = format!(
            "acks=all lost {lost} and doubled {duplicated} records, which must not happen: a \
             defect, which is worth a report."
        );
        return (sentence, true);
    }
    if one.lost == 0 {
        let sentence = "This time nothing was lost at acks=1, since the followers had every \
                        acknowledged record before the leader died; another run will differ.";
        return (sentence.to_owned(), false);
    }
    let sentence = format!(
        "With the leader that died went {} at acks=1 and {} at acks=0; acks=all lost none and \
         doubled none, for a median wait of {} ms where acks=1 has {} ms.",
        count(one.lost, "acknowledged record"),
        grouped(none.lost),
        ms(all.p50_ms),
        ms(one.p50_ms),
    );
    (sentence, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(acks: &'static str, lost: u64, duplicated: u64) -> Row {
        Row { acks, sent: 9, acknowledged: 9, lost, duplicated, p50_ms: 1.0, p99_ms: 2.0 }
    }

    #[test]
    fn the_sentence_says_what_the_rows_say() {
        let (said, broken) = sentence(&[row("0", 5, 0), row("1", 1234, 1), row("all", 0, 0)]);
        assert!(said.contains("1,234 acknowledged records at acks=1 and 5 at acks=0"), "{said}");
        assert!(!broken);
        let (said, broken) = sentence(&[row("0", 5, 0), row("1", 0, 0), row("all", 0, 0)]);
        assert!(said.starts_with("This time nothing was lost at acks=1") && !broken, "{said}");
        for all in [row("all", 1, 0), row("all", 0, 1)] {
            let (said, broken) = sentence(&[row("0", 0, 0), row("1", 3, 0), all]);
            assert!(said.contains("a defect") && broken, "{said}");
        }
    }

    #[test]
    fn a_row_has_exactly_the_names_that_others_read() {
        assert_eq!(
            json(&[row("all", 0, 0)]).unwrap(),
            "[{\"acks\":\"all\",\"sent\":9,\"acknowledged\":9,\"lost\":0,\"duplicated\":0,\
             \"p50_ms\":1.0,\"p99_ms\":2.0}]"
        );
    }
}
