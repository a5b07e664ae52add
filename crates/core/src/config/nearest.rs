//! The name that a misspelt one probably meant.

use alloc::vec;
use alloc::vec::Vec;

/// No name is as long, whatever slipped into it. Comparing takes time with each letter.
const NAME_BYTES_MAX: usize = 100;

/// The candidate with the fewest edits to `name`, when it is near enough to be a likely slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let simple = |s: &str| -> Vec<char> {
        s.chars()
            .map(|c| if matches!(c, '_' | '-') { '.' } else { c.to_ascii_lowercase() })
            .collect()
    };
    let wanted = simple(name);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &simple(candidate)), candidate))
        .min()
        .filter(|(edits, _)| *edits <= 2.max(wanted.len() / 3))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let swap = row[j] + usize::from(x != y);
            next.push(swap.min(row[j + 1] + 1).min(next[j] + 1));
        }
        row = next;
    }
    row[b.len()]
}
