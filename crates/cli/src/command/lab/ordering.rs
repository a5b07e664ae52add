//! What a refused request does to the order of those behind it.

use ottla_broker::{ApiKey, Cluster, ErrorCode, Fault};
use serde::Serialize;

use super::context::{Ended, Lab, TOPIC};
use super::found::{compare, read};
use super::load::{Contents, send_all};
use super::report::{Picture, Report, Table, json, on};
use crate::pace::Pace;
use crate::talk::{count, grouped};

/// Bytes of a batch: small, so that there are many.
const BATCH: &str = "1024";
/// A request is refused after so many that were not, a number between these.
const GAPS: (u32, u32) = (3, 8);
/// The most requests that are refused.
const MOST_REFUSED: u64 = 30;

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    in_flight: u64,
    idempotence: bool,
    sent: u64,
    acknowledged: u64,
    refused: u64,
    requests: u64,
    out_of_order: u64,
    duplicated: u64,
    lost: u64,
    records_per_second: f64,
}

/// Steps on the bar.
pub(super) fn steps(records: u64) -> u64 {
    3 * records
}

/// Runs with several in flight and with one, without idempotence and with it.
pub(super) fn run(lab: &Lab) -> Result<Report, Ended> {
    let rows = [run_with(lab, 5, false)?, run_with(lab, 1, false)?, run_with(lab, 5, true)?];
    let cells = |row: &Row| {
        [
            row.in_flight.to_string(),
            on(row.idempotence),
            grouped(row.sent),
            grouped(row.acknowledged),
            grouped(row.refused),
            grouped(row.requests),
            grouped(row.out_of_order),
            grouped(row.duplicated),
            grouped(row.records_per_second as u64),
        ]
    };
    let heading = [
        "in flight",
        "idempotence",
        "sent",
        "acknowledged",
        "refused",
        "requests",
        "out of order",
        "duplicated",
        "records/s",
    ];
    let bars = |title: &str, of: fn(&Row) -> f64| {
        let name =
            |row: &Row| format!("{} in flight, idempotence {}", row.in_flight, on(row.idempotence));
        let bars = rows.iter().map(|row| (name(row), of(row))).collect();
        Picture::Bars { title: title.to_owned(), bars }
    };
    let (sentence, is_broken) = sentence(&rows);
    Ok(Report {
        name: "ordering",
        question: "do records stay in order when a request is refused for now?",
        settings: vec![
            format!("1 node, 1 partition; acks=all, batch.size={BATCH}, compression.type=none"),
            format!(
                "{} as fast as they are taken; after every {} to {} Produce requests the next is \
                 refused with NOT_ENOUGH_REPLICAS",
                count(lab.records, "record"),
                GAPS.0,
                GAPS.1
            ),
        ],
        table: Table::new(heading, &rows.each_ref().map(cells)),
        json: json(&rows)?,
        sentence,
        is_broken,
        pictures: vec![
            bars("records out of order", |row| row.out_of_order as f64),
            bars("records per second", |row| row.records_per_second),
        ],
    })
}

fn run_with(lab: &Lab, in_flight: u64, idempotence: bool) -> Result<Row, Ended> {
    lab.begin(&format!("{in_flight} in flight, enable.idempotence={idempotence}"));
    let cluster = lab.cluster(Cluster::builder().topic(TOPIC, 1))?;
    let (most, is_on) = (in_flight.to_string(), idempotence.to_string());
    let sender = lab.producer(
        &cluster,
        &[
            ("acks", "all"),
            ("max.in.flight.requests.per.connection", &most),
            ("enable.idempotence", &is_on),
            ("batch.size", BATCH),
            ("compression.type", "none"),
        ],
    )?;
    let (mut rng, mut after) = (lab.rng(), 0);
    for _ in 0..(lab.records / 50).clamp(1, MOST_REFUSED) {
        after += rng.between(GAPS.0, GAPS.1);
        let fault = Fault::on(ApiKey::PRODUCE).after(after);
        cluster.inject(fault.error(ErrorCode::NOT_ENOUGH_REPLICAS));
    }
    let contents = Contents::of(format!("{in_flight}/{idempotence}"), lab);
    let pace = Pace::begin(None);
    let tally = send_all(lab, &sender, &contents, &pace, |_, _| Ok(()))?;
    let seconds = pace.start.elapsed().as_secs_f64().max(1e-9);
    let requests = cluster.requests();
    let produces = || requests.iter().filter(|seen| seen.api == ApiKey::PRODUCE);
    let count = compare(&tally, &read(lab, &cluster, &contents)?);
    Ok(Row {
        in_flight,
        idempotence,
        sent: lab.records,
        acknowledged: count.acknowledged,
        refused: produces().filter(|seen| seen.met_fault).count() as u64,
        requests: produces().count() as u64,
        out_of_order: count.out_of_order,
        duplicated: count.duplicated,
        lost: count.lost,
        records_per_second: (count.acknowledged as f64 / seconds).round(),
    })
}

/// What the rows show, and whether a promise was broken.
fn sentence(rows: &[Row; 3]) -> (String, bool) {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>();
    let (late, twice, lost) =
        (sum(|row| row.out_of_order), sum(|row| row.duplicated), sum(|row| row.lost));
    if late > 0 || twice > 0 || lost > 0 {
        let sentence = format!(
            "{} out of order, {} twice in the log and {} lost: a defect, which is worth a report.",
            count(late, "record"),
            grouped(twice),
            grouped(lost)
        );
        return (sentence, true);
    }
    let refused = sum(|row| row.refused);
    if refused == 0 {
        return (
            "No request was refused this time: too few records for a lesson.".to_owned(),
            false,
        );
    }
    let sentence = format!(
        "{} changed the order of no record: without idempotence this producer has one batch of a \
         partition under way whatever max.in.flight says, where others that let five fly put the \
         refused one behind those that followed it, and with idempotence the broker takes batches \
         in the order of their sequence numbers only.",
        count(refused, "refused request"),
    );
    (sentence, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(refused: u64, out_of_order: u64) -> Row {
        Row {
            in_flight: 5,
            idempotence: true,
            sent: 9,
            acknowledged: 9,
            refused,
            requests: 9,
            out_of_order,
            duplicated: 0,
            lost: 0,
            records_per_second: 1.0,
        }
    }

    #[test]
    fn the_sentence_says_what_the_rows_say() {
        let (said, broken) = sentence(&[row(1, 0), row(1, 0), row(1, 0)]);
        assert!(
            said.starts_with("3 refused requests changed the order of no") && !broken,
            "{said}"
        );
        let (said, broken) = sentence(&[row(0, 0), row(0, 0), row(0, 0)]);
        assert!(said.starts_with("No request was refused") && !broken, "{said}");
        let (said, broken) = sentence(&[row(1, 2), row(1, 0), row(1, 0)]);
        assert!(said.starts_with("2 records out of order") && broken, "{said}");
    }
}
