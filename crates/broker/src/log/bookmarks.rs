//! Where the last readers of a segment ended, for those who go on there.

use std::collections::VecDeque;

/// Where in the file some offsets are, without a look at the index. Batches do not move while a
/// segment lasts.
#[derive(Debug, Default)]
pub(super) struct Bookmarks(VecDeque<(i64, u64)>);

impl Bookmarks {
    /// So many readers can follow the log of a partition without the index.
    const MAX_COUNT: usize = 8;

    /// Where to look for an offset: at the batch that holds it, or the first one behind it.
    pub(super) fn position_of(&self, offset: i64) -> Option<u64> {
        self.0.iter().find(|(of, _)| *of == offset).map(|(_, position)| *position)
    }

    pub(super) fn put(&mut self, offset: i64, position: u64) {
        if self.position_of(offset).is_none() {
            if self.0.len() == Self::MAX_COUNT {
                self.0.pop_front();
            }
            self.0.push_back((offset, position));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_places_are_known_and_each_once() {
        let mut bookmarks = Bookmarks::default();
        for offset in [1, 1, 2, 3, 4, 5, 6, 7, 8, 9] {
            bookmarks.put(offset, offset as u64 * 10);
        }
        assert_eq!(bookmarks.position_of(1), None);
        assert!((2..10).all(|offset| bookmarks.position_of(offset) == Some(offset as u64 * 10)));
    }
}
