//! How often a request names the same thing.

use std::collections::HashMap;
use std::hash::Hash;

/// What is named, with how often. Kafka refuses what is named more than once.
pub(super) fn counted<K: Eq + Hash>(named: impl Iterator<Item = K>) -> HashMap<K, usize> {
    let mut counts = HashMap::new();
    for name in named {
        *counts.entry(name).or_default() += 1;
    }
    counts
}
