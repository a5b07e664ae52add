//! Which partition a record goes to: by its key, or where the batch is that is being filled.

use ottla::Record;
use ottla_broker::Cluster;
use serde::Serialize;

use super::context::{Ended, Lab, Sender, TOPIC};
use super::found::{Seen, read};
use super::load::Contents;
use super::report::{Picture, Report, Table, json};
use crate::talk::{count, grouped};

const PARTITIONS: usize = 6;
const KEYS: u64 = 12;
/// Bytes of a batch: small, so that keyless records move on often.
const BATCH: &str = "1024";

/// The records of a key, or those without one.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    key: Option<String>,
    sent: u64,
    in_log: u64,
    /// How many partitions have some of them.
    partitions: u64,
    /// How many each partition has.
    spread: [u64; PARTITIONS],
}

/// Steps on the bar.
pub(super) fn steps(records: u64) -> u64 {
    2 * records
}

/// Sends as many records with keys as without.
pub(super) fn run(lab: &Lab) -> Result<Report, Ended> {
    lab.begin("keys");
    let mut rng = lab.rng();
    let mut name = |number: u32| format!("user-{}", number * 1000 + rng.between(0, 999));
    let names: Vec<String> = (0..KEYS).map(|number| name(number as u32)).collect();
    let rows = rows(lab.records, &names, &send(lab, &names)?);
    let cells = |row: &Row| {
        let spread = row.spread.map(grouped);
        let [a, b, c, d, e, f] = spread;
        let key = row.key.clone().unwrap_or_else(|| "(none)".to_owned());
        [key, grouped(row.sent), grouped(row.in_log), row.partitions.to_string(), a, b, c, d, e, f]
    };
    let heading = ["key", "sent", "in log", "partitions", "0", "1", "2", "3", "4", "5"];
    let name = |row: &Row| row.key.clone().unwrap_or_else(|| "(none)".to_owned());
    let (sentence, is_broken) = sentence(&rows);
    Ok(Report {
        name: "keys",
        question: "in which partitions are the records of a key, and those without one?",
        settings: vec![
            format!("1 node, {PARTITIONS} partitions; acks=all, partitioner=murmur2 (the default)"),
            format!(
                "{} with one of {KEYS} keys and {} without, half of each by one producer and half \
                 by another",
                count(lab.records, "record"),
                grouped(lab.records)
            ),
            format!("batch.size={BATCH}: a batch full, and records without a key go elsewhere"),
        ],
        table: Table::new(heading, &rows.iter().map(cells).collect::<Vec<_>>()),
        json: json(&rows)?,
        sentence,
        is_broken,
        pictures: vec![Picture::Grid {
            title: "records by key and partition".to_owned(),
            columns: (0..PARTITIONS).map(|partition| partition.to_string()).collect(),
            rows: rows.iter().map(|row| (name(row), row.spread.to_vec())).collect(),
        }],
    })
}

/// Sends the records with keys, then those without; each time every producer sends its half.
fn send(lab: &Lab, names: &[String]) -> Result<Vec<Seen>, Ended> {
    let cluster = lab.cluster(Cluster::builder().topic(TOPIC, PARTITIONS as i32))?;
    let settings = [("acks", "all"), ("batch.size", BATCH), ("compression.type", "none")];
    let senders = [lab.producer(&cluster, &settings)?, lab.producer(&cluster, &settings)?];
    let contents = Contents::of("keys", lab);
    let mut value = String::new();
    for number in 0..2 * lab.records {
        lab.go_on()?;
        contents.value(number, &mut value);
        let record = Record::new(TOPIC).value(&value);
        if number == lab.records {
            // What is still queued would keep records without a key away from a partition.
            settle(lab, &senders)?;
        }
        // Each key has records of both.
        let sender = &senders[(number / KEYS % 2) as usize];
        match key(number, lab.records, names) {
            Some(key) => sender.send(record.key(key))?,
            None => sender.send(record)?,
        }
        lab.step();
    }
    settle(lab, &senders)?;
    read(lab, &cluster, &contents)
}

fn settle(lab: &Lab, senders: &[Sender]) -> Result<(), Ended> {
    senders.iter().try_for_each(|sender| sender.settle(lab))
}

/// The key of a record, by its number.
fn key(number: u64, keyed: u64, names: &[String]) -> Option<&str> {
    let name = names.get((number % KEYS) as usize);
    name.filter(|_| number < keyed).map(String::as_str)
}

/// What was sent beside what was found: a row for each key, and one for no key.
fn rows(records: u64, names: &[String], seen: &[Seen]) -> Vec<Row> {
    let keys = names.iter().map(|name| Some(name.as_str())).chain([None]);
    let row = |wanted: Option<&str>| {
        let mut spread = [0; PARTITIONS];
        let with_key = |record: &&Seen| record.key.as_deref() == wanted.map(str::as_bytes);
        for record in seen.iter().filter(with_key) {
            let partition = usize::try_from(record.partition).ok();
            if let Some(found) = partition.and_then(|partition| spread.get_mut(partition)) {
                *found += 1;
            }
        }
        let sent = (0..2 * records).filter(|number| key(*number, records, names) == wanted);
        Row {
            key: wanted.map(str::to_owned),
            sent: sent.count() as u64,
            in_log: spread.iter().sum(),
            partitions: spread.iter().filter(|found| **found > 0).count() as u64,
            spread,
        }
    };
    keys.map(row).collect()
}

/// What the rows show, and whether a promise was broken.
fn sentence(rows: &[Row]) -> (String, bool) {
    let (keyed, keyless): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.key.is_some());
    if let Some(row) = keyed.iter().find(|row| row.partitions != 1) {
        let key = row.key.as_deref().unwrap_or_default();
        let sentence = format!(
            "The records of the key {key} are in {} partitions: a defect, which is worth a report.",
            row.partitions
        );
        return (sentence, true);
    }
    if let Some(row) = rows.iter().find(|row| row.sent != row.in_log) {
        let sentence = format!(
            "Of {} that were sent {} are in the log: a defect, which is worth a report.",
            count(row.sent, "record"),
            grouped(row.in_log)
        );
        return (sentence, true);
    }
    let Some(keyless) = keyless.first() else {
        return ("There is nothing to compare.".to_owned(), false);
    };
    let used = |partition: usize| keyed.iter().any(|row| row.spread[partition] > 0);
    let sentence = format!(
        "Each of {} keys has all its records in one partition, whichever producer sent them; the \
         keys fill {} of {PARTITIONS} partitions, and {} without a key are spread over {}, {} to \
         {} in each.",
        keyed.len(),
        (0..PARTITIONS).filter(|partition| used(*partition)).count(),
        count(keyless.in_log, "record"),
        keyless.partitions,
        grouped(keyless.spread.iter().copied().min().unwrap_or(0)),
        grouped(keyless.spread.iter().copied().max().unwrap_or(0)),
    );
    (sentence, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (0..KEYS).map(|number| format!("user-{number}")).collect()
    }

    fn seen(records: u64, names: &[String]) -> Vec<Seen> {
        let at = |number: u64| {
            let key = key(number, records, names).map(|key| key.as_bytes().to_vec());
            let partition = match &key {
                Some(_) => (number % KEYS / 4) as i32,
                None => (number % 6) as i32,
            };
            Seen { partition, key, number }
        };
        (0..2 * records).map(at).collect()
    }

    #[test]
    fn records_are_counted_by_key_and_partition() {
        let names = names();
        let rows = rows(120, &names, &seen(120, &names));
        assert_eq!(rows.len(), 13);
        assert!(rows[..12].iter().all(|row| (row.sent, row.in_log, row.partitions) == (10, 10, 1)));
        assert_eq!((rows[12].sent, rows[12].spread), (120, [20; 6]));
        let (said, broken) = sentence(&rows);
        assert!(said.contains("keys fill 3 of 6 partitions") && !broken, "{said}");
        assert!(said.ends_with("spread over 6, 20 to 20 in each."), "{said}");
    }

    #[test]
    fn a_key_in_two_partitions_and_a_record_that_is_missing_are_defects() {
        let names = names();
        let mut found = seen(120, &names);
        found[0].partition = 5;
        let (said, broken) = sentence(&rows(120, &names, &found));
        assert!(said.contains("user-0 are in 2 partitions") && broken, "{said}");
        let mut found = seen(120, &names);
        found.pop();
        let (said, broken) = sentence(&rows(120, &names, &found));
        assert!(said.contains("Of 120 records that were sent 119 are") && broken, "{said}");
    }
}
