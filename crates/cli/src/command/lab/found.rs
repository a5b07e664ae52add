//! What is in the log in the end, as a reader sees it.

use std::collections::HashMap;
use std::time::Duration;

use ottla::reader::{ReadOptions, Reader};
use ottla_broker::Cluster;

use super::context::{Ended, Lab, TOPIC, broken};
use super::load::{Contents, Tally};
use crate::command::failure;

/// How long the cluster may take to answer a reader.
const PATIENCE: Duration = Duration::from_secs(10);

/// A record in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) partition: i32,
    pub(super) key: Option<Vec<u8>>,
    pub(super) number: u64,
}

/// Reads the topic from its beginning to its end; records of a partition are in order.
///
/// # Errors
/// Also when there is something that was not sent.
pub(super) fn read(lab: &Lab, cluster: &Cluster, contents: &Contents) -> Result<Vec<Seen>, Ended> {
    lab.handle.block_on(async {
        let options = ReadOptions::new().stop_at_end(true).timeout(PATIENCE);
        let servers = cluster.bootstrap_servers();
        let mut reader = Reader::open(&servers, TOPIC, options).await.map_err(failure)?;
        let mut seen = Vec::new();
        while let Some(records) = reader.next().await.map_err(failure)? {
            for record in records {
                let record = record.map_err(failure)?;
                let number = record.value.and_then(|value| contents.number(value));
                let Some(number) = number else {
                    let (partition, offset) = (record.partition, record.offset);
                    return Err(broken(format!(
                        "partition {partition} has a record at offset {offset} that was not sent"
                    )));
                };
                let (partition, key) = (record.partition, record.key.map(<[u8]>::to_vec));
                seen.push(Seen { partition, key, number });
            }
            lab.go_on()?;
        }
        Ok(seen)
    })
}

/// What was sent beside what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Count {
    pub(super) acknowledged: u64,
    /// Records in the log, each as often as it is there.
    pub(super) in_log: u64,
    /// Acknowledged, and not in the log.
    pub(super) lost: u64,
    /// How many of those in the log are there again.
    pub(super) duplicated: u64,
    /// Records that come, for the first time, behind one that was sent later, in one partition.
    pub(super) out_of_order: u64,
}

/// Holds the log against what the producer said.
pub(super) fn compare(tally: &Tally, seen: &[Seen]) -> Count {
    let told = tally.acknowledged();
    let mut times: HashMap<u64, u64> = HashMap::new();
    let mut newest: HashMap<i32, u64> = HashMap::new();
    let mut count = Count::default();
    for record in seen {
        let before = times.entry(record.number).or_default();
        *before += 1;
        count.in_log += 1;
        if *before > 1 {
            count.duplicated += 1;
            continue;
        }
        let newest = newest.entry(record.partition).or_default();
        count.out_of_order += u64::from(record.number < *newest);
        *newest = record.number.max(*newest);
    }
    for (number, told) in (0..).zip(told) {
        if told {
            count.acknowledged += 1;
            count.lost += u64::from(!times.contains_key(&number));
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(numbers: &[u64]) -> Vec<Seen> {
        let at = |number: &u64| Seen { partition: 0, key: None, number: *number };
        numbers.iter().map(at).collect()
    }

    #[test]
    fn what_is_lost_twice_there_or_out_of_order_is_counted() {
        let tally = Tally::told(&[true, true, false, true, true]);
        let count = compare(&tally, &seen(&[1, 0, 1, 3, 3, 3]));
        let expected =
            Count { acknowledged: 4, in_log: 6, lost: 1, duplicated: 3, out_of_order: 1 };
        assert_eq!(count, expected);
    }

    #[test]
    fn order_is_a_matter_of_one_partition() {
        let tally = Tally::told(&[true; 3]);
        let mut seen = seen(&[2, 0, 1]);
        seen[0].partition = 1;
        assert_eq!(compare(&tally, &seen).out_of_order, 0);
    }
}
