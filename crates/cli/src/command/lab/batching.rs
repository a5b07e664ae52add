//! How `linger.ms` and `batch.size` put records together, and what that is worth.

use ottla::Record;
use ottla_broker::{ApiKey, Cluster};
use serde::Serialize;

use super::context::{Ended, Lab, Sender, TOPIC, broken};
use super::load::{Contents, send_all};
use super::report::{Picture, Report, Table, json, ms};
use crate::pace::Pace;
use crate::talk::{count, grouped};

/// Records per second.
const RATE: f64 = 5000.0;
const LINGERS_MS: [u32; 3] = [0, 5, 50];
const SIZES: [u32; 3] = [1024, 16_384, 131_072];
/// How many records are sent as fast as they are taken: a multiple of `--records`, within reason.
const UNTHROTTLED: (u64, u64) = (10, 200_000);

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    linger_ms: u32,
    batch_size: u32,
    sent: u64,
    acknowledged: u64,
    requests: u64,
    batches: u64,
    records_per_batch: f64,
    p50_ms: f64,
    p99_ms: f64,
    unthrottled_per_second: f64,
}

/// Steps on the bar.
pub(super) fn steps(records: u64) -> u64 {
    9 * records
}

/// Runs with each linger and each size.
pub(super) fn run(lab: &Lab) -> Result<Report, Ended> {
    let mut rows = Vec::new();
    for linger_ms in LINGERS_MS {
        for batch_size in SIZES {
            rows.push(run_with(lab, linger_ms, batch_size)?);
        }
    }
    let cells = |row: &Row| {
        [
            row.linger_ms.to_string(),
            grouped(u64::from(row.batch_size)),
            grouped(row.sent),
            grouped(row.batches),
            format!("{:.1}", row.records_per_batch),
            ms(row.p50_ms),
            ms(row.p99_ms),
            grouped(row.unthrottled_per_second as u64),
        ]
    };
    let heading = [
        "linger.ms",
        "batch.size",
        "sent",
        "batches",
        "records per batch",
        "p50 ms",
        "p99 ms",
        "unthrottled/s",
    ];
    let bars = |title: &str, of: fn(&Row) -> f64| {
        let name = |row: &Row| {
            let size = grouped(u64::from(row.batch_size));
            format!("linger {} ms, batch {size} B", row.linger_ms)
        };
        let bars = rows.iter().map(|row| (name(row), of(row))).collect();
        Picture::Bars { title: title.to_owned(), bars }
    };
    Ok(Report {
        name: "batching",
        question: "what do linger.ms and batch.size do to batches, latency and throughput?",
        settings: vec![
            "1 node, 1 partition; acks=all, enable.idempotence=true, compression.type=none"
                .to_owned(),
            "linger.adaptive=false: by default linger.ms is an upper bound, and a batch leaves at \
             once while its broker is idle"
                .to_owned(),
            format!(
                "{} at {}/s; then {} as fast as they are taken (unthrottled)",
                count(lab.records, "record"),
                grouped(RATE as u64),
                grouped(unthrottled(lab)),
            ),
        ],
        table: Table::new(heading, &rows.iter().map(cells).collect::<Vec<_>>()),
        json: json(&rows)?,
        sentence: sentence(&rows),
        is_broken: rows.iter().any(|row| row.acknowledged < row.sent),
        pictures: vec![
            bars("records per batch", |row| row.records_per_batch),
            bars("latency, p50 in ms", |row| row.p50_ms),
            bars("records per second, unthrottled", |row| row.unthrottled_per_second),
        ],
    })
}

fn unthrottled(lab: &Lab) -> u64 {
    lab.records.saturating_mul(UNTHROTTLED.0).min(UNTHROTTLED.1)
}

fn run_with(lab: &Lab, linger_ms: u32, batch_size: u32) -> Result<Row, Ended> {
    lab.begin(&format!("linger.ms={linger_ms}, batch.size={batch_size}"));
    let cluster = lab.cluster(Cluster::builder().topic(TOPIC, 1))?;
    let (linger, size) = (linger_ms.to_string(), batch_size.to_string());
    let sender = lab.producer(
        &cluster,
        &[
            ("linger.ms", &linger),
            ("batch.size", &size),
            ("linger.adaptive", "false"),
            ("compression.type", "none"),
        ],
    )?;
    let contents = Contents::of("batching", lab);
    let tally = send_all(lab, &sender, &contents, &Pace::begin(Some(RATE)), |_, _| Ok(()))?;
    let requests = cluster.requests();
    let produces = || requests.iter().filter(|seen| seen.api == ApiKey::PRODUCE);
    let batches = produces().filter_map(|seen| seen.produce.as_ref()).flat_map(|p| &p.batches);
    let sizes: Vec<u64> =
        batches.map(|batch| u64::from(batch.record_count.unsigned_abs())).collect();
    let (sent, batches) = (sizes.iter().sum::<u64>(), sizes.len() as u64);
    let [p50_ms, p99_ms] = tally.quantiles_ms([0.5, 0.99]);
    Ok(Row {
        linger_ms,
        batch_size,
        sent: lab.records,
        acknowledged: tally.acknowledged().iter().filter(|told| **told).count() as u64,
        requests: produces().count() as u64,
        batches,
        records_per_batch: (sent as f64 / batches.max(1) as f64 * 10.0).round() / 10.0,
        p50_ms,
        p99_ms,
        unthrottled_per_second: speed(lab, &sender, &contents)?,
    })
}

/// Records per second when nothing holds them up.
fn speed(lab: &Lab, sender: &Sender, contents: &Contents) -> Result<f64, Ended> {
    let (records, mut value) = (unthrottled(lab), String::new());
    contents.value(0, &mut value);
    let before = sender.producer.metrics();
    let pace = Pace::begin(None);
    for number in 0..records {
        if number % 1000 == 0 {
            lab.go_on()?;
        }
        sender.send(Record::new(TOPIC).value(&value))?;
    }
    sender.settle(lab)?;
    let seconds = pace.start.elapsed().as_secs_f64().max(1e-9);
    let delivered = sender.producer.metrics().records_delivered - before.records_delivered;
    match delivered == records {
        true => Ok((records as f64 / seconds).round()),
        false => {
            Err(broken(format!("{} of {} arrived", grouped(delivered), count(records, "record"))))
        }
    }
}

/// What the rows show.
fn sentence(rows: &[Row]) -> String {
    let of = |linger_ms, batch_size| {
        rows.iter().find(|row| (row.linger_ms, row.batch_size) == (linger_ms, batch_size))
    };
    let ([least, .., most], [small, .., large]) = (LINGERS_MS, SIZES);
    let (Some(eager), Some(patient), Some(cut)) =
        (of(least, large), of(most, large), of(most, small))
    else {
        return "There is nothing to compare.".to_owned();
    };
    if patient.batches >= eager.batches {
        return "This time a longer linger did not make fewer batches: the machine was busy, or \
                there were too few records."
            .to_owned();
    }
    format!(
        "With batch.size={large}, linger.ms={most} makes {} of what linger.ms={least} sends as {}, \
         and the median record waits {} ms in place of {} ms; batch.size={small} ends that wait \
         early, with {}.",
        batches(patient.batches),
        grouped(eager.batches),
        ms(patient.p50_ms),
        ms(eager.p50_ms),
        batches(cut.batches),
    )
}

fn batches(number: u64) -> String {
    match number {
        1 => "1 batch".to_owned(),
        _ => format!("{} batches", grouped(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(linger_ms: u32, batch_size: u32, batches: u64) -> Row {
        Row {
            linger_ms,
            batch_size,
            sent: 9,
            acknowledged: 9,
            requests: batches,
            batches,
            records_per_batch: 1.0,
            p50_ms: 1.0,
            p99_ms: 1.0,
            unthrottled_per_second: 1.0,
        }
    }

    #[test]
    fn the_sentence_says_what_the_rows_say() {
        let said = sentence(&[row(0, 131_072, 900), row(50, 131_072, 1), row(50, 1024, 99)]);
        assert!(said.contains("makes 1 batch of what linger.ms=0 sends as 900"), "{said}");
        assert!(said.ends_with("with 99 batches."), "{said}");
        let said = sentence(&[row(0, 131_072, 9), row(50, 131_072, 9), row(50, 1024, 9)]);
        assert!(said.starts_with("This time a longer linger did not"), "{said}");
    }
}
