//! The records: JSON events that look alike and are not, the same in every adapter.

use std::fmt::Write;

use crate::Workload;

/// So many different values are sent in turn.
const VALUES: usize = 1000;
/// Where the generator (xorshift, 13-7-17) begins.
const SEED: u64 = 88_172_645_463_325_252;
const ACTIONS: [&str; 5] = ["login", "logout", "view", "click", "buy"];
/// The oldest event.
const FIRST_MS: u64 = 1_700_000_000_000;

/// All values and keys of a workload, made before it begins.
pub struct Source {
    topics: Vec<String>,
    keys: Vec<String>,
    values: Vec<Vec<u8>>,
}

/// What a record is made of.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its key.
    pub key: Option<&'a str>,
    /// Its value.
    pub value: &'a [u8],
}

impl Source {
    /// The records of this workload.
    #[must_use]
    pub fn new(workload: &Workload) -> Self {
        let keys = (0..workload.keys).map(|key| format!("user_{key}")).collect();
        Self { topics: workload.topics.clone(), keys, values: values(workload.size) }
    }

    /// The record with this number.
    #[must_use]
    pub fn item(&self, number: u64) -> Item<'_> {
        let at = |len: usize| (number % len as u64) as usize;
        let key = (!self.keys.is_empty()).then(|| self.keys[at(self.keys.len())].as_str());
        let topic = match self.topics.len() {
            1 => &self.topics[0],
            len => &self.topics[at(len)],
        };
        Item { topic, key, value: &self.values[at(VALUES)] }
    }
}

fn values(size: usize) -> Vec<Vec<u8>> {
    let mut state = SEED;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let value = |_| {
        let mut text = String::new();
        while text.len() < size {
            let (user, action) = (below(10_000), ACTIONS[below(5) as usize]);
            let (amount, page, ms) = (below(100_000), below(1000), FIRST_MS + below(100_000_000));
            // Writing to a `String` cannot fail.
            let _ = write!(
                text,
                "{{\"user\":\"user_{user}\",\"action\":\"{action}\",\"amount\":{amount},\
                 \"url\":\"/home/{page}\",\"ts\":{ms}}},"
            );
        }
        text.truncate(size);
        text.into_bytes()
    };
    (0..VALUES).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_size_and_differ() {
        let values = values(100);
        assert!(values.iter().all(|value| value.len() == 100));
        let different: std::collections::BTreeSet<_> = values.iter().collect();
        assert_eq!(different.len(), VALUES);
        let first = String::from_utf8_lossy(&values[0]);
        assert!(first.starts_with("{\"user\":\"user_"), "{first}");
    }
}
