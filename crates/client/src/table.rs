//! Tables that producing threads read without a lock while another thread adds to them.
//!
//! Nothing is ever taken out, so a reader needs no guard and no count of readers: what it was given
//! stays for as long as the table does. A read is a few plain loads.

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Bug, Mutex, OnceLock};

/// The first block of a list has so many places, each further one twice as many.
const FIRST_BLOCK: usize = 16;
/// Enough blocks for every partition number that there is.
const BLOCKS: usize = 28;

type Places<T> = Box<[OnceLock<T>]>;

fn places<T>(count: usize) -> Places<T> {
    (0..count).map(|_| OnceLock::new()).collect()
}

/// A list whose entries stay where they are while it grows.
pub(crate) struct GrowingList<T> {
    len: AtomicUsize,
    blocks: [OnceLock<Places<T>>; BLOCKS],
}

impl<T> GrowingList<T> {
    pub(crate) fn new(entries: impl IntoIterator<Item = T>) -> Self {
        let list =
            Self { len: AtomicUsize::new(0), blocks: std::array::from_fn(|_| OnceLock::new()) };
        list.replace_len(entries);
        list
    }

    /// How many entries there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// An entry; none beyond the end.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len() {
            return None;
        }
        let (block, place) = place_of(index);
        self.blocks[block].get()?.get(place)?.get()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Makes the list as long as `entries`. Places that are taken already keep what they have.
    pub(crate) fn replace_len(&self, entries: impl IntoIterator<Item = T>) {
        let mut len = 0;
        let entries = entries.into_iter();
        if Bug::LenFirst.is_on() {
            self.len.store(entries.size_hint().0, Ordering::Release);
        }
        for (index, entry) in entries.enumerate() {
            let (block, place) = place_of(index);
            let places = self.blocks[block].get_or_init(|| places(FIRST_BLOCK << block));
            let _ = places[place].set(entry);
            len = index + 1;
        }
        self.len.store(len, Ordering::Release);
    }
}

/// In which block an entry is, and where in it.
#[inline]
const fn place_of(index: usize) -> (usize, usize) {
    let block = ((index / FIRST_BLOCK) + 1).ilog2() as usize;
    (block, index - FIRST_BLOCK * ((1 << block) - 1))
}

/// Tables of up to 2^31 places.
const GENERATIONS: usize = 28;

/// Something that is found by a name of its own.
pub(crate) trait Named {
    fn name(&self) -> &str;
}

/// Entries by name. When it is half full a table of twice the size takes its place; those before
/// it stay for whoever is reading them, and take together as much room as the newest.
pub(crate) struct NameTable<T> {
    hasher: foldhash::fast::RandomState,
    newest: AtomicUsize,
    generations: [OnceLock<Places<T>>; GENERATIONS],
    /// How many entries there are; held while one is added.
    count: Mutex<usize>,
}

impl<T> Default for NameTable<T> {
    fn default() -> Self {
        Self {
            hasher: foldhash::fast::RandomState::default(),
            newest: AtomicUsize::new(0),
            generations: std::array::from_fn(|_| OnceLock::new()),
            count: Mutex::new(0),
        }
    }
}

impl<T: Named + Clone> NameTable<T> {
    /// The entry of that name.
    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<&T> {
        let places = self.generations[self.newest.load(Ordering::Acquire)].get()?;
        self.place(places, name).get()
    }

    /// Adds an entry, unless there is one of that name.
    pub(crate) fn add(&self, entry: T) {
        let mut count = self.count.lock();
        let newest = self.newest.load(Ordering::Relaxed);
        let old = self.generations[newest].get_or_init(|| places(FIRST_BLOCK));
        let (mut next, mut table) = (newest, old);
        if (*count + 1) * 2 > old.len() && newest + 1 < GENERATIONS {
            next = newest + 1;
            table = self.generations[next].get_or_init(|| places(old.len() * 2));
            if Bug::NewestFirst.is_on() {
                self.newest.store(next, Ordering::Release);
            }
            for known in old.iter().filter_map(OnceLock::get) {
                let _ = self.place(table, known.name()).set(known.clone());
            }
        }
        if self.place(table, entry.name()).set(entry).is_ok() {
            *count += 1;
        }
        self.newest.store(next, Ordering::Release);
    }

    /// Where the entry of that name is, or would be: at least half of the places are empty.
    #[inline]
    fn place<'a>(&self, places: &'a [OnceLock<T>], name: &str) -> &'a OnceLock<T> {
        use std::hash::BuildHasher;
        let mask = places.len() - 1;
        let mut at = self.hasher.hash_one(name) as usize & mask;
        while places[at].get().is_some_and(|entry| entry.name() != name) {
            at = (at + 1) & mask;
        }
        &places[at]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    impl Named for Arc<str> {
        fn name(&self) -> &str {
            self
        }
    }

    #[test]
    fn entries_of_a_list_stay_where_they_are_while_it_grows() {
        let list = GrowingList::new(0..3);
        let first: *const i32 = list.get(0).unwrap();
        list.replace_len(0..100_000);
        assert_eq!(list.len(), 100_000);
        assert!(list.iter().copied().eq(0..100_000));
        assert_eq!(first, std::ptr::from_ref(list.get(0).unwrap()));
        assert_eq!(list.get(100_000), None);
    }

    #[test]
    fn a_list_can_become_shorter_and_long_again_with_the_entries_it_had() {
        let list = GrowingList::new([1, 2, 3]);
        list.replace_len([7]);
        assert!(list.iter().eq(&[1]));
        list.replace_len([7, 8, 9, 10]);
        assert!(list.iter().eq(&[1, 2, 3, 10]));
    }

    #[test]
    fn every_name_is_found_however_many_there_are() {
        let table = NameTable::<Arc<str>>::default();
        assert!(table.find("topic-0").is_none());
        for n in 0..5000 {
            table.add(format!("topic-{n}").into());
            assert!(table.find(&format!("topic-{}", n / 2)).is_some());
            assert!(table.find(&format!("topic-{}", n + 1)).is_none());
        }
    }

    #[test]
    fn a_name_that_is_there_keeps_its_entry() {
        let table = NameTable::<Arc<str>>::default();
        table.add("page-views".into());
        let first = Arc::clone(table.find("page-views").unwrap());
        table.add("page-views".into());
        assert!(Arc::ptr_eq(&first, table.find("page-views").unwrap()));
    }

    #[test]
    fn readers_find_what_was_there_before_they_began_while_others_are_added() {
        let table = NameTable::<Arc<str>>::default();
        let written = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..2000 {
                    table.add(format!("topic-{n}").into());
                    written.store(n + 1, Ordering::Release);
                }
            });
            while written.load(Ordering::Acquire) < 2000 {
                let seen = written.load(Ordering::Acquire);
                for n in (0..seen).rev().take(3) {
                    assert!(table.find(&format!("topic-{n}")).is_some(), "{n} of {seen}");
                }
            }
        });
    }
}
