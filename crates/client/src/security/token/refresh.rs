//! When a token is replaced although it is still good.

use std::time::Duration;

use ottla_core::config::RefreshConfig;
use ottla_core::rng::Rng;

/// After how much of its `life` a token is replaced, as Java's `sasl.login.refresh.*` have it:
/// after a share of it that varies a little, leaving `buffer` at its end and `min_period` at its
/// beginning if it has room for both.
pub(super) fn refresh_after(life: Duration, config: &RefreshConfig, rng: &mut Rng) -> Duration {
    let jitter = rng.below(u64::from(config.jitter_permille) + 1) as u32;
    let permille = (config.window_permille + jitter).min(1000);
    let share = life.saturating_mul(permille) / 1000;
    if config.min_period + config.buffer > life {
        return share;
    }
    share.min(life - config.buffer).max(config.min_period)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(life_s: u32, seed: u64) -> Duration {
        refresh_after(life_s * SECOND, &RefreshConfig::default(), &mut Rng::new(seed))
    }

    #[test]
    fn a_token_is_replaced_after_four_fifths_of_its_life_give_or_take_a_little() {
        let all: Vec<_> = (0..100).map(|seed| after(3600, seed)).collect();
        assert!(all.iter().all(|it| (2880 * SECOND..=3060 * SECOND).contains(it)), "{all:?}");
        assert!(all.iter().any(|it| *it != all[0]), "not all clients at once");
    }

    #[test]
    fn what_is_left_at_the_end_and_what_passes_at_the_beginning_count_if_there_is_room_for_both() {
        // Four fifths would leave less than the 300 s that shall be left.
        assert_eq!(after(900, 1), 600 * SECOND);
        // Nor may it be less than 60 s after the last.
        assert_eq!(after(360, 1), 60 * SECOND);
        // There is no room for both.
        assert!((80 * SECOND..=85 * SECOND).contains(&after(100, 1)));
        assert_eq!(after(0, 1), Duration::ZERO);
    }

    #[test]
    fn a_life_of_centuries_does_not_overflow() {
        let life = Duration::from_secs(u64::MAX);
        let after = refresh_after(life, &RefreshConfig::default(), &mut Rng::new(1));
        assert!(after < life);
    }
}
