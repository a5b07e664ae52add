//! Independent streams of chance: what one concern draws does not move what another draws.

use std::time::Duration;

use ottla_core::rng::Rng;

/// A stream.
pub(crate) struct Chance(Rng);

impl Chance {
    /// The stream of this name that belongs to `seed`.
    pub(crate) fn stream(seed: u64, name: &str) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in name.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(Rng::new(hash))
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0.below(bound)
    }

    /// True in `permille` of a thousand cases.
    pub(crate) fn permille(&mut self, permille: u32) -> bool {
        permille > 0 && self.below(1000) < u64::from(permille)
    }

    /// A time between two, in milliseconds, evenly.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        let micros = from * 1000 + self.below((to.saturating_sub(from) * 1000).max(1));
        Duration::from_micros(micros)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
