//! Where each key of the dirty section was written last.

use std::collections::HashMap;

/// How much the map may take before it stops, in bytes. Kafka gives its own 128 MiB for all logs
/// that it cleans at a time; here it is one.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What an entry takes beside the bytes of its key: the slot, and what the allocator adds.
const ENTRY_BYTES: usize = 64;

/// Keys with the offset of the last record that has each.
#[derive(Debug)]
pub(super) struct KeyMap {
    last_offsets: HashMap<Box<[u8]>, i64>,
    bytes: usize,
    max_bytes: usize,
}

impl Default for KeyMap {
    fn default() -> Self {
        Self::with_room(MAX_BYTES)
    }
}

impl KeyMap {
    pub(super) fn with_room(max_bytes: usize) -> Self {
        Self { last_offsets: HashMap::new(), bytes: 0, max_bytes }
    }

    /// Notes a record. Offsets come in order.
    pub(super) fn note(&mut self, key: &[u8], offset: i64) {
        if let Some(last) = self.last_offsets.get_mut(key) {
            *last = offset;
            return;
        }
        self.bytes = self.bytes.saturating_add(key.len() + ENTRY_BYTES);
        self.last_offsets.insert(key.into(), offset);
    }

    /// Whether no further batch should be noted.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.max_bytes
    }

    /// Whether no record behind `offset` has this key, as far as the map goes.
    pub(super) fn is_last(&self, key: &[u8], offset: i64) -> bool {
        self.last_offsets.get(key).is_none_or(|last| *last <= offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_a_key_counts_and_one_that_is_not_there_is_nobodys() {
        let mut map = KeyMap::default();
        for (key, offset) in [("a", 3), ("b", 4), ("a", 9)] {
            map.note(key.as_bytes(), offset);
        }
        assert!(!map.is_last(b"a", 3) && map.is_last(b"a", 9));
        assert!(map.is_last(b"b", 4) && map.is_last(b"c", 0));
    }

    #[test]
    fn it_is_full_by_the_bytes_of_its_keys_and_a_known_key_takes_none() {
        let mut map = KeyMap::with_room(2 * (ENTRY_BYTES + 10));
        map.note(&[1; 10], 0);
        map.note(&[1; 10], 1);
        assert!(!map.is_full());
        map.note(&[2; 10], 2);
        assert!(map.is_full());
    }
}
