//! What becomes of an answer on its way to the client.

use super::Fault;
use crate::rng::Rng;

/// The length that stands before every answer.
const PREFIX: usize = size_of::<i32>();

/// Numbers that readers of lengths and counts stumble over.
const STUMBLES: [u32; 6] = [u32::MAX, 0x7fff_ffff, 0x8000_0000, 0, 0xffff, 0x7fff];

impl Fault {
    /// Does to an answer, which stands in `answer` behind its first `from` bytes, what becomes of
    /// it on its way. Says whether the connection ends with it.
    pub(crate) fn spoil(&self, answer: &mut Vec<u8>, from: usize, rng: &mut Rng) -> bool {
        let body = from + PREFIX;
        let bits = answer.len().saturating_sub(body) as u64 * 8;
        for _ in 0..self.flipped_bits.min(u32::try_from(bits).unwrap_or(u32::MAX)) {
            let bit = (rng.next_u64() % bits) as usize;
            answer[body + bit / 8] ^= 1 << (bit % 8);
        }
        if self.is_malformed && answer.len() > body {
            malform(answer, from, rng);
        }
        if self.repeats_answer {
            answer.extend_from_within(from..);
        }
        if let Some(bytes) = self.cut_after_bytes {
            answer.truncate(from + bytes.min(answer.len() - from));
        }
        self.cut_after_bytes.is_some()
    }
}

/// Makes an answer one that no broker would give, in one of several ways.
fn malform(answer: &mut Vec<u8>, from: usize, rng: &mut Rng) {
    let mut below = |limit: usize| (rng.next_u64() % limit.max(1) as u64) as usize;
    let body = from + PREFIX;
    let length = answer.len() - body;
    let at = body + below(length);
    let few = 1 + below(16);
    match below(6) {
        // A number in it that is a length, perhaps.
        0 | 1 => {
            let number = STUMBLES[below(STUMBLES.len())].to_be_bytes();
            let width = [1, 2, 4][below(3)];
            let end = (at + width).min(answer.len());
            answer[at..end].copy_from_slice(&number[..end - at]);
        }
        // A variable-length number without an end.
        2 => {
            let end = (at + few).min(answer.len());
            answer[at..end].fill(0xff);
        }
        // Too many bytes, or too few, under the right length.
        3 => {
            let bytes: Vec<u8> = (0..few).map(|_| below(256) as u8).collect();
            answer.splice(at..at, bytes);
            tell_length(answer, from);
        }
        4 => {
            answer.drain(at..(at + few).min(answer.len()));
            tell_length(answer, from);
        }
        // A frame of another length than it says: less than nothing, far more, a little less.
        _ => {
            let told = [-1, i32::MAX, i32::try_from(length.saturating_sub(few)).unwrap_or(0)];
            answer[from..body].copy_from_slice(&told[below(told.len())].to_be_bytes());
        }
    }
}

fn tell_length(answer: &mut [u8], from: usize) {
    let length = i32::try_from(answer.len() - from - PREFIX).unwrap_or(i32::MAX);
    answer[from..from + PREFIX].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use ottla_protocol::ApiKey;

    use super::*;

    fn spoilt(fault: &Fault, seed: u64) -> Vec<u8> {
        let mut answer = b"before".to_vec();
        answer.extend(20_i32.to_be_bytes());
        answer.extend([7; 20]);
        fault.spoil(&mut answer, 6, &mut Rng::new(seed));
        assert_eq!(&answer[..6], b"before");
        answer.split_off(6)
    }

    #[test]
    fn a_seed_malforms_an_answer_in_one_way_and_other_seeds_in_others() {
        let fault = Fault::on(ApiKey::METADATA).malformed_answer();
        let whole = spoilt(&Fault::on_any(), 0);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let answer = spoilt(&fault, seed);
            assert_eq!(answer, spoilt(&fault, seed));
            assert!(answer.len() >= PREFIX);
            seen.insert(answer);
        }
        // A number may have been what it was made, now and then.
        assert!(seen.len() > 200, "{}", seen.len());
        let lengths: Vec<i32> =
            seen.iter().map(|answer| i32::from_be_bytes(*answer.first_chunk().unwrap())).collect();
        assert!(lengths.contains(&-1) && lengths.contains(&i32::MAX));
        assert!(seen.iter().any(|answer| answer.len() > whole.len()));
        assert!(seen.iter().any(|answer| answer.len() < whole.len()));
    }

    #[test]
    fn an_answer_that_is_repeated_comes_twice_as_it_is() {
        let whole = spoilt(&Fault::on_any(), 0);
        let twice = spoilt(&Fault::on(ApiKey::METADATA).repeat_answer(), 0);
        assert_eq!(twice, [whole.clone(), whole].concat());
    }
}
