//! What arrived, counted by topic and partition.

use std::sync::Arc;

use serde::Serialize;

use crate::talk::grouped;

/// Counts deliveries by topic and partition.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    topics: Vec<Topic>,
    /// The topic of the last delivery: the next one is mostly of the same.
    last: usize,
    delivered: u64,
}

#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    /// By partition number.
    partitions: Vec<Tally>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    records: u64,
    first_offset: Option<i64>,
    last_offset: Option<i64>,
}

/// One partition's line of the report.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Row {
    pub(crate) topic: String,
    pub(crate) partition: usize,
    pub(crate) records: u64,
    /// Not known with acks=0.
    pub(crate) first_offset: Option<i64>,
    pub(crate) last_offset: Option<i64>,
}

impl Summary {
    /// Counts one record.
    pub(crate) fn add(&mut self, topic: &Arc<str>, partition: i32, offset: Option<i64>) {
        self.delivered += 1;
        let is_last = self.topics.get(self.last).is_some_and(|last| Arc::ptr_eq(&last.name, topic));
        if !is_last {
            let known = self.topics.iter().position(|known| known.name == *topic);
            self.last = known.unwrap_or_else(|| {
                self.topics.push(Topic { name: Arc::clone(topic), partitions: Vec::new() });
                self.topics.len() - 1
            });
        }
        let Ok(partition) = usize::try_from(partition) else { return };
        let tallies = &mut self.topics[self.last].partitions;
        if partition >= tallies.len() {
            tallies.resize(partition + 1, Tally::default());
        }
        let tally = &mut tallies[partition];
        tally.records += 1;
        if let Some(offset) = offset {
            tally.first_offset = Some(tally.first_offset.map_or(offset, |first| first.min(offset)));
            tally.last_offset = Some(tally.last_offset.map_or(offset, |last| last.max(offset)));
        }
    }

    /// How many records were counted.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The counts by topic, as first met, and partition.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let rows = self.topics.iter().flat_map(|topic| {
            let tallies = topic.partitions.iter().enumerate();
            tallies.filter(|(_, tally)| tally.records > 0).map(|(partition, tally)| Row {
                topic: topic.name.to_string(),
                partition,
                records: tally.records,
                first_offset: tally.first_offset,
                last_offset: tally.last_offset,
            })
        });
        rows.collect()
    }
}

/// Lays out rows as a table, its heading first; nothing for no rows.
pub(crate) fn table(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let offset = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |o| o.to_string());
    let cells = |row: &Row| {
        [
            row.topic.clone(),
            row.partition.to_string(),
            grouped(row.records),
            offset(row.first_offset),
            offset(row.last_offset),
        ]
    };
    let heading = ["topic", "partition", "records", "first offset", "last offset"];
    layout(&heading.map(str::to_owned), &rows.iter().map(cells).collect::<Vec<_>>())
}

/// Lays out cells in columns, the first to the left and the others to the right.
pub(crate) fn layout<const N: usize>(heading: &[String; N], rows: &[[String; N]]) -> Vec<String> {
    let all = || std::iter::once(heading).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        all().map(|row| row[column].chars().count()).max().unwrap_or(0)
    });
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            match column {
                0 => line.push_str(&format!("{cell:<width$}")),
                _ => line.push_str(&format!("  {cell:>width$}")),
            }
        }
        line.trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_topic_and_partition() {
        let mut summary = Summary::default();
        let (views, users): (Arc<str>, Arc<str>) = ("page-views".into(), "user-events".into());
        summary.add(&views, 2, Some(7));
        summary.add(&users, 0, None);
        summary.add(&views, 2, Some(8));
        summary.add(&views, 0, Some(3));
        assert_eq!(summary.delivered(), 4);
        let row = |topic: &str, partition, records, first_offset, last_offset| Row {
            topic: topic.to_owned(),
            partition,
            records,
            first_offset,
            last_offset,
        };
        assert_eq!(
            summary.rows(),
            [
                row("page-views", 0, 1, Some(3), Some(3)),
                row("page-views", 2, 2, Some(7), Some(8)),
                row("user-events", 0, 1, None, None),
            ]
        );
        assert_eq!(
            table(&summary.rows()),
            [
                "topic        partition  records  first offset  last offset",
                "page-views           0        1             3            3",
                "page-views           2        2             7            8",
                "user-events          0        1             -            -",
            ]
        );
    }
}
