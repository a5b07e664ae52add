//! Records as tests make and see them.

use std::collections::BTreeMap;

use ottla::{Header, Record};

use crate::rng::Rng;

/// A record to produce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The partition, where the test chooses it.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// A record as a reader found it in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970; `None` where the reader does not tell.
    pub timestamp_ms: Option<i64>,
    /// Whether the broker gave the timestamp; `None` where the reader does not tell.
    pub is_append_time: Option<bool>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers in order; `None` where the reader does not tell.
    pub headers: Option<Vec<(String, Option<Vec<u8>>)>>,
}

impl Made {
    /// A record with this value and nothing else.
    pub fn value(value: impl Into<Vec<u8>>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// The same with this key.
    #[must_use]
    pub fn key(self, key: impl Into<Vec<u8>>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// The same for this partition.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// A record of any kind that a producer must carry, with values of up to `len_max` bytes.
    pub fn any(rng: &mut Rng, partition_count: i32, len_max: usize) -> Self {
        let bytes = |rng: &mut Rng, len_max| match rng.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            _ => Some(rng.awkward_bytes(len_max)),
        };
        let headers = (0..rng.below(4))
            .map(|_| {
                let key = ["", "trace", "ключ", "a b=c,d"][rng.below(4)];
                (key.to_owned(), bytes(rng, 40))
            })
            .collect();
        Self {
            partition: Some(rng.below(partition_count as usize) as i32),
            key: bytes(rng, 60),
            value: bytes(rng, len_max),
            headers,
            timestamp_ms: rng.one_in(2).then(|| 1_600_000_000_000 + rng.below(1 << 36) as i64),
        }
    }

    /// Hands the record, borrowed for `topic`, to `give`.
    pub fn with<R>(&self, topic: &str, give: impl FnOnce(Record<'_>) -> R) -> R {
        let headers = self.borrowed_headers();
        give(self.borrow(topic, &headers))
    }

    /// The headers, borrowed.
    #[must_use]
    pub fn borrowed_headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(key, value)| Header::new(key, value.as_deref())).collect()
    }

    /// The record, borrowed.
    #[must_use]
    pub fn borrow<'a>(&'a self, topic: &'a str, headers: &'a [Header<'a>]) -> Record<'a> {
        let mut record = Record::new(topic).headers(headers);
        record.partition = self.partition;
        record.key = self.key.as_deref();
        record.value = self.value.as_deref();
        record.timestamp_ms = self.timestamp_ms;
        record
    }

    /// Whether `seen` is this record.
    #[must_use]
    pub fn is_seen_as(&self, seen: &Seen) -> bool {
        self.key == seen.key
            && self.value == seen.value
            && seen.headers.as_ref().is_none_or(|headers| *headers == self.headers)
            && self.partition.is_none_or(|partition| partition == seen.partition)
            && match (self.timestamp_ms, seen.timestamp_ms, seen.is_append_time) {
                (Some(made), Some(seen), Some(false) | None) => made == seen,
                _ => true,
            }
    }
}

/// Asserts that each partition holds exactly these records, in the order in which they were made:
/// nothing lost, nothing twice, nothing else (laws L2 and L3).
///
/// # Panics
/// When that is not so.
pub fn assert_same(made: &[Made], seen: &[Seen]) {
    let mut expected: BTreeMap<i32, Vec<&Made>> = BTreeMap::new();
    for record in made {
        let partition = record.partition.expect("the test knows the partition");
        expected.entry(partition).or_default().push(record);
    }
    let mut found: BTreeMap<i32, Vec<&Seen>> = BTreeMap::new();
    for record in seen {
        found.entry(record.partition).or_default().push(record);
    }
    assert_eq!(
        counts(&expected),
        counts(&found),
        "records per partition differ (made on the left, seen on the right)"
    );
    for (partition, records) in &expected {
        for (index, (made, seen)) in records.iter().zip(&found[partition]).enumerate() {
            assert_eq!(seen.offset, index as i64, "partition {partition} has a gap");
            assert!(made.is_seen_as(seen), "made {made:?}\nseen {seen:?}");
        }
    }
}

fn counts<T>(by_partition: &BTreeMap<i32, Vec<T>>) -> BTreeMap<i32, usize> {
    by_partition.iter().map(|(partition, records)| (*partition, records.len())).collect()
}

/// The values, as text, of one partition in the order of offsets.
#[must_use]
pub fn values(seen: &[Seen], partition: i32) -> Vec<String> {
    let of_partition = seen.iter().filter(|record| record.partition == partition);
    of_partition.map(Seen::text).collect()
}

impl Seen {
    /// The value as text.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().expect("a value")).into_owned()
    }
}
