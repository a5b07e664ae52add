//! How much memory a decompressor may take for output whose size only the input claims to know.
//!
//! A claim is believed as far as the bytes present make it likely; past that, room is taken step
//! by step, each step double the last, until the data fits or the limit is reached. A lie so costs
//! the reader at most twice the work of the truth, and never memory up front.

/// A claimed size up to this many times the input is believed at once.
const LIKELY_RATIO: usize = 32;
/// The least first step, in bytes: small inputs may well be compressed better than by 32.
const FIRST_STEP: usize = 64 * 1024;

/// Room for the first try, in bytes, at most `limit`.
pub(crate) fn first(claimed: Option<usize>, input_len: usize, limit: usize) -> usize {
    let likely = input_len.saturating_mul(LIKELY_RATIO).max(FIRST_STEP);
    match claimed {
        Some(size) => size.min(likely),
        None => input_len.saturating_mul(4).max(FIRST_STEP),
    }
    .min(limit)
}

/// Room for the try after one that failed with `room`, or `None` at the limit.
pub(crate) fn next(room: usize, limit: usize) -> Option<usize> {
    (room < limit).then(|| room.saturating_mul(2).max(FIRST_STEP).min(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_without_bytes_behind_it_is_given_little() {
        assert_eq!(first(Some(1 << 40), 20, usize::MAX), FIRST_STEP);
        assert_eq!(first(Some(1 << 40), 1 << 20, usize::MAX), 32 << 20);
        assert_eq!(first(Some(100_000), 50_000, usize::MAX), 100_000);
        assert_eq!(first(None, 50_000, 70_000), 70_000);
    }

    #[test]
    fn steps_double_and_end_exactly_at_the_limit() {
        let mut room = first(None, 10, 1_000_000);
        let mut steps = vec![room];
        while let Some(more) = next(room, 1_000_000) {
            room = more;
            steps.push(room);
        }
        assert_eq!(steps, [65_536, 131_072, 262_144, 524_288, 1_000_000]);
        assert_eq!(next(0, 10), Some(10));
        assert_eq!(next(0, 0), None);
    }
}
