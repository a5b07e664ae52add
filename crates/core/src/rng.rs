//! A small seeded generator: the seed is an argument, so the same inputs give the same outputs.

use core::time::Duration;

/// SplitMix64. Not for secrets: it spreads back-offs and sticky choices.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 64×64 multiplication: no modulo, and a bias too small to matter here.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// `duration` ± 20 %.
    pub fn jitter(&mut self, duration: Duration) -> Duration {
        let permille = 800 + self.below(401);
        duration.saturating_mul(permille as u32) / 1000
    }
}

/// Exponential back-off with jitter (KIP-580): `base × 2^(attempt-1)`, at most `max`, ± 20 %.
///
/// `attempt` counts from 1.
pub fn backoff(rng: &mut Rng, base: Duration, max: Duration, attempt: u32) -> Duration {
    let doubled = base.saturating_mul(1_u32 << attempt.saturating_sub(1).min(20));
    rng.jitter(doubled.min(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Laws: L9. Scenarios: #48.
    #[test]
    fn backoff_doubles_up_to_its_maximum_and_jitters_by_a_fifth() {
        let mut rng = Rng::new(7);
        let (base, max) = (Duration::from_millis(100), Duration::from_millis(1000));
        for (attempt, middle_ms) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000)]
        {
            let wait_ms = backoff(&mut rng, base, max, attempt).as_millis();
            assert!(wait_ms >= middle_ms * 8 / 10 && wait_ms <= middle_ms * 12 / 10, "{wait_ms}");
        }
    }
}
