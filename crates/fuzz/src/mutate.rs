//! Inputs out of other inputs, by seed.

/// Makes inputs; the same seed makes the same ones.
pub struct Mutator {
    state: u64,
}

/// Numbers at which something changes.
const EDGES: [i64; 16] = [
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    -128,
    32_767,
    -32_768,
    65_535,
    0x7fff_ffff,
    -0x8000_0000,
    i64::MAX,
    i64::MIN,
];
/// No input grows beyond this.
const LEN_MAX: usize = 8192;

impl Mutator {
    /// Begins with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    /// An input that comes of one or two of the corpus.
    #[must_use]
    pub fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut data = match corpus.len() {
            0 => Vec::new(),
            count => corpus[self.below(count)].clone(),
        };
        for _ in 0..1 + self.below(4) {
            self.mutate(&mut data, corpus);
        }
        data.truncate(LEN_MAX);
        data
    }

    fn mutate(&mut self, data: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        match self.below(8) {
            0 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = data.get_mut(at) {
                    *byte = self.next() as u8;
                }
            }
            2 => {
                let width = [1, 2, 4, 8][self.below(4)];
                let edge = EDGES[self.below(EDGES.len())].to_be_bytes();
                let edge = &edge[8 - width..];
                data.iter_mut().skip(at).zip(edge).for_each(|(old, new)| *old = *new);
            }
            3 => {
                let count = 1 + self.below(8);
                let new: Vec<u8> = (0..count).map(|_| self.next() as u8).collect();
                data.splice(at..at, new);
            }
            4 => {
                let end = (at + 1 + self.below(16)).min(data.len());
                data.drain(at.min(end)..end);
            }
            5 => {
                let end = (at + 1 + self.below(64)).min(data.len());
                let again = data[at.min(end)..end].to_vec();
                let to = self.below(data.len() + 1);
                data.splice(to..to, again);
            }
            6 => data.truncate(at),
            _ => {
                if let Some(other) = corpus.get(self.below(corpus.len())) {
                    let from = self.below(other.len() + 1);
                    data.truncate(at);
                    data.extend_from_slice(&other[from..]);
                }
            }
        }
    }
}
