//! Chance from a seed, so that a failure can be had again.

/// SplitMix64: small, and good enough to make up records.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Numbers from `OTTLA_TEST_SEED`, or from `usual` where that is not set. Prints the seed.
    ///
    /// # Panics
    /// When `OTTLA_TEST_SEED` is not a number.
    #[must_use]
    pub fn seeded(usual: u64) -> Self {
        let seed = match std::env::var("OTTLA_TEST_SEED") {
            Ok(seed) => seed.parse().expect("OTTLA_TEST_SEED is a number"),
            Err(_) => usual,
        };
        println!("OTTLA_TEST_SEED={seed}");
        Self(seed)
    }

    /// Always the same numbers.
    #[must_use]
    pub fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next_u64() % end as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Bytes without any pattern.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next_u64() as u8).collect()
    }

    /// Bytes as tests like them: now text, now noise, with NUL, line ends and broken UTF-8.
    pub fn awkward_bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = self.below(len_max + 1);
        match self.below(5) {
            0 => self.bytes(len),
            1 => vec![0; len],
            2 => b"\r\n\t\n".iter().copied().cycle().take(len).collect(),
            3 => [0xff, 0xc0, 0x80, 0xed, 0xa0].iter().copied().cycle().take(len).collect(),
            _ => "grüße, 世界! ".bytes().cycle().take(len).collect(),
        }
    }
}
