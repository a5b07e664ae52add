//! A rate over the last seconds, as Kafka measures it.

use std::collections::VecDeque;
use std::time::Duration;

/// `quota.window.num`: so many samples make a rate.
const SAMPLES: u32 = 11;

/// `quota.window.size.seconds`: so long a sample is added to.
const SAMPLE: Duration = Duration::from_secs(1);

/// A rate is never over less than this: all samples but the one that is added to.
pub(super) const LEAST: Duration = Duration::from_secs(SAMPLES as u64 - 1);

/// A sample to which nothing was added for so long is forgotten.
const MEMORY: Duration = Duration::from_secs(SAMPLES as u64);

/// What was counted in one stretch of time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    began: Duration,
    last: Duration,
    sum: f64,
}

/// The samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Window {
    samples: VecDeque<Sample>,
}

impl Window {
    /// Counts something.
    pub(super) fn add(&mut self, value: f64, now: Duration) {
        match self.samples.back_mut() {
            Some(sample) if now.saturating_sub(sample.began) < SAMPLE => {
                sample.sum += value;
                sample.last = now;
            }
            _ => {
                // One more than count, for the one that the window has in part.
                if self.samples.len() > SAMPLES as usize {
                    self.samples.pop_front();
                }
                self.samples.push_back(Sample { began: now, last: now, sum: value });
            }
        }
    }

    /// How long nothing may be counted for the rate to come down to `rate` a second; `None` when it
    /// is not above.
    pub(super) fn excess(&mut self, rate: f64, now: Duration) -> Option<Duration> {
        self.samples.retain(|sample| now.saturating_sub(sample.last) < MEMORY);
        let began = self.samples.front()?.began;
        let mut span = now.saturating_sub(began);
        // As if it had begun with full samples.
        let full = u32::try_from(span.as_secs() / SAMPLE.as_secs()).unwrap_or(SAMPLES);
        span += SAMPLE * (SAMPLES - 1).saturating_sub(full);
        let seconds = span.as_secs_f64();
        let measured = self.samples.iter().map(|sample| sample.sum).sum::<f64>() / seconds;
        if measured <= rate {
            return None;
        }
        let wait_ms = ((measured - rate) / rate * seconds * 1000.0).round();
        // What is more than the field of an answer holds is the most that it holds.
        let wait_ms = wait_ms.min(f64::from(i32::MAX)) as u64;
        (wait_ms > 0).then(|| Duration::from_millis(wait_ms))
    }

    /// Whether nothing has come for so long that nothing is remembered.
    pub(super) fn is_idle(&self, now: Duration) -> bool {
        self.samples.back().is_none_or(|sample| now.saturating_sub(sample.last) >= MEMORY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(50_000 + ms)
    }

    fn ms(wait: Option<Duration>) -> Option<u128> {
        wait.map(|wait| wait.as_millis())
    }

    #[test]
    fn ten_seconds_worth_may_come_at_once_and_the_rest_is_waited_for() {
        let mut window = Window::default();
        window.add(10_000.0, at(0));
        assert_eq!(window.excess(1000.0, at(0)), None);
        window.add(500.0, at(0));
        // 10.5 kB in 10 s are 1050 a second: 5 % of 10 s.
        assert_eq!(ms(window.excess(1000.0, at(0))), Some(500));
        // After the half second the window is so much longer.
        assert_eq!(window.excess(1000.0, at(500)), None);
        window.add(-500.0, at(500));
        window.add(501.0, at(500));
        assert_eq!(ms(window.excess(1000.0, at(500))), Some(1));
    }

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let mut window = Window::default();
        window.add(20_000.0, at(0));
        assert_eq!(ms(window.excess(1000.0, at(0))), Some(10_000));
        for second in 1..=10 {
            window.add(10.0, at(second * 1000));
        }
        assert!(window.excess(1000.0, at(10_999)).is_some());
        assert_eq!(window.excess(1000.0, at(11_000)), None);
        assert!(!window.is_idle(at(20_999)) && window.is_idle(at(21_000)));
    }

    #[test]
    fn a_steady_rate_is_measured_as_it_is() {
        let mut window = Window::default();
        for tick in 0..1000 {
            window.add(50.0, at(tick * 100));
            let wait = window.excess(510.0, at(tick * 100));
            assert_eq!(wait, None, "{tick}");
        }
        assert!(window.excess(440.0, at(99_900)).is_some());
    }

    #[test]
    fn no_more_samples_are_kept_than_count() {
        let mut window = Window::default();
        for second in 0..100 {
            window.add(1.0, at(second * 1000));
        }
        assert_eq!(window.samples.len(), SAMPLES as usize + 1);
    }

    #[test]
    fn an_absurd_rate_is_no_panic() {
        let mut window = Window::default();
        window.add(f64::MAX, at(0));
        window.add(f64::MAX, at(0));
        assert_eq!(ms(window.excess(f64::MIN_POSITIVE, at(0))), Some(i32::MAX as u128));
    }
}
