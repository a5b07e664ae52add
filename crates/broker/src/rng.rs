//! Random numbers for ids, from one seed, so that a run can be repeated.

use ottla_protocol::Uuid;

/// SplitMix64: small, fast, and good enough for ids that nobody has to guess.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// An id that is not reserved and, as Kafka makes them, does not read like an option (`-…`).
    pub(crate) fn next_uuid(&mut self) -> Uuid {
        loop {
            let id = Uuid::from_halves(self.next_u64(), self.next_u64());
            let is_reserved = id.0[..15].iter().all(|byte| *byte == 0);
            if !is_reserved && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}
