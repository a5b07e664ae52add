//! What a lost answer does: the producer cannot know whether its records arrived, and sends again.

use ottla_broker::{ApiKey, Cluster, Fault};
use serde::Serialize;

use super::context::{Ended, Lab, TOPIC};
use super::found::{compare, read};
use super::load::{Contents, send_all};
use super::report::{Picture, Report, Table, json, on};
use crate::pace::Pace;
use crate::talk::{count, grouped};

/// Records per second.
const RATE: f64 = 1000.0;
/// An answer is lost after so many requests that were answered, a number between these.
const GAPS: (u32, u32) = (4, 9);
/// The most answers that are lost.
const MOST_LOST: u64 = 30;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    idempotence: bool,
    sent: u64,
    acknowledged: u64,
    answers_lost: u64,
    in_log: u64,
    duplicated: u64,
    lost: u64,
}

/// Steps on the bar.
pub(super) fn steps(records: u64) -> u64 {
    2 * records
}

/// Runs without idempotence and with it.
pub(super) fn run(lab: &Lab) -> Result<Report, Ended> {
    let rows = [run_with(lab, false)?, run_with(lab, true)?];
    let cells = |row: &Row| {
        [
            on(row.idempotence),
            grouped(row.sent),
            grouped(row.acknowledged),
            grouped(row.answers_lost),
            grouped(row.in_log),
            grouped(row.duplicated),
            grouped(row.lost),
        ]
    };
    let heading =
        ["idempotence", "sent", "acknowledged", "answers lost", "in log", "duplicated", "lost"];
    let bar =
        |row: &Row| (format!("enable.idempotence={}", row.idempotence), row.duplicated as f64);
    let (sentence, is_broken) = sentence(&rows);
    Ok(Report {
        name: "duplicates",
        question: "what is in the log twice when answers are lost?",
        settings: vec![
            "1 node, 1 partition; acks=all; retries as by default".to_owned(),
            format!(
                "{} at {}/s; after every {} to {} Produce requests the next is served, and the \
                 connection ends in place of its answer",
                count(lab.records, "record"),
                grouped(RATE as u64),
                GAPS.0,
                GAPS.1
            ),
        ],
        table: Table::new(heading, &rows.each_ref().map(cells)),
        json: json(&rows)?,
        sentence,
        is_broken,
        pictures: vec![Picture::Bars {
            title: "records that are in the log again".to_owned(),
            bars: rows.iter().map(bar).collect(),
        }],
    })
}

fn run_with(lab: &Lab, idempotence: bool) -> Result<Row, Ended> {
    lab.begin(&format!("enable.idempotence={idempotence}"));
    let cluster = lab.cluster(Cluster::builder().topic(TOPIC, 1))?;
    let value = idempotence.to_string();
    let sender = lab.producer(&cluster, &[("acks", "all"), ("enable.idempotence", &value)])?;
    let (mut rng, mut after) = (lab.rng(), 0);
    // Each request that a fault lets pass counts for those behind it as well.
    for _ in 0..(lab.records / 50).clamp(1, MOST_LOST) {
        after += rng.between(GAPS.0, GAPS.1);
        cluster.inject(Fault::on(ApiKey::PRODUCE).after(after).disconnect_after_apply());
    }
    let contents = Contents::of(format!("idempotence={idempotence}"), lab);
    let pace = Pace::begin(Some(RATE));
    let tally = send_all(lab, &sender, &contents, &pace, |_, _| Ok(()))?;
    let requests = cluster.requests();
    let hit = requests.iter().filter(|seen| seen.api == ApiKey::PRODUCE && seen.met_fault);
    let count = compare(&tally, &read(lab, &cluster, &contents)?);
    Ok(Row {
        idempotence,
        sent: lab.records,
        acknowledged: count.acknowledged,
        answers_lost: hit.count() as u64,
        in_log: count.in_log,
        duplicated: count.duplicated,
        lost: count.lost,
    })
}

/// What the rows show, and whether a promise was broken.
fn sentence([without, with]: &[Row; 2]) -> (String, bool) {
    if with.duplicated > 0 || with.lost > 0 || without.lost > 0 {
        let sentence = format!(
            "With idempotence {} are there again and {} are lost, and without it {} are lost: a \
             defect, which is worth a report.",
            count(with.duplicated, "record"),
            grouped(with.lost),
            grouped(without.lost)
        );
        return (sentence, true);
    }
    if without.duplicated == 0 {
        let sentence = format!(
            "{} lost this time and nothing is in the log twice: too few records for a lesson.",
            match without.answers_lost {
                1 => "1 answer was".to_owned(),
                lost => format!("{} answers were", grouped(lost)),
            }
        );
        return (sentence, false);
    }
    let sentence = format!(
        "{} left {} in the log a second time without idempotence; with it the broker knew what it \
         had after {}, and no record is there twice.",
        count(without.answers_lost, "lost answer"),
        count(without.duplicated, "record"),
        count(with.answers_lost, "lost answer"),
    );
    (sentence, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(idempotence: bool, answers_lost: u64, duplicated: u64, lost: u64) -> Row {
        let (sent, in_log) = (9, 9 + duplicated - lost);
        Row { idempotence, sent, acknowledged: 9, answers_lost, in_log, duplicated, lost }
    }

    #[test]
    fn the_sentence_says_what_the_rows_say() {
        let (said, broken) = sentence(&[row(false, 3, 7, 0), row(true, 4, 0, 0)]);
        assert!(said.starts_with("3 lost answers left 7 records") && !broken, "{said}");
        let (said, broken) = sentence(&[row(false, 1, 0, 0), row(true, 1, 0, 0)]);
        assert!(said.starts_with("1 answer was lost this time") && !broken, "{said}");
        for rows in [
            [row(false, 3, 7, 0), row(true, 4, 1, 0)],
            [row(false, 3, 7, 0), row(true, 4, 0, 1)],
            [row(false, 3, 7, 1), row(true, 4, 0, 0)],
        ] {
            assert!(sentence(&rows).1, "{rows:?}");
        }
    }
}
