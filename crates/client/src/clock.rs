//! The real clocks: a monotonic one for timers, the wall's for record timestamps.

use std::sync::atomic::{AtomicI64, Ordering};

use ottla_core::time::Instant;

/// A monotonic clock that counts from its creation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    #[cfg_attr(all(test, ottla_model), expect(dead_code, reason = "its time is virtual"))]
    start: std::time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        #[cfg(all(test, ottla_model))]
        return crate::models::now();
        #[cfg(not(all(test, ottla_model)))]
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    #[cfg(not(all(test, ottla_model)))]
    /// The same instant on tokio's clock.
    pub(crate) fn to_tokio(self, at: Instant) -> tokio::time::Instant {
        let since = std::time::Duration::from_nanos(at.as_nanos());
        let far = std::time::Duration::from_secs(365 * 86_400);
        tokio::time::Instant::from_std(self.start + since.min(far))
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_millis() as i64)
}

/// The wall's clock for a thread that asks very often: reading the exact one takes a fifth of what
/// a small record costs.
///
/// The I/O thread notes the time whenever it is awake, which is all the time while records are
/// sent; the system's coarse clock limits how far behind it can be, to a tick of 1 to 10 ms.
#[derive(Debug, Default)]
#[repr(align(128))] // Written often: alone in its cache lines.
pub(crate) struct RecentWall {
    noted_ms: AtomicI64,
}

impl RecentWall {
    /// Notes the time.
    pub(crate) fn note(&self) {
        self.noted_ms.store(wall_ms(), Ordering::Relaxed);
    }

    /// Milliseconds since the Unix epoch, a moment ago.
    #[inline]
    pub(crate) fn ms(&self) -> i64 {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
            let coarse_ms = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
            coarse_ms.max(self.noted_ms.load(Ordering::Relaxed))
        }
        #[cfg(not(target_os = "linux"))]
        {
            wall_ms()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recent_time_is_at_most_a_tick_behind_and_never_ahead() {
        let recent = RecentWall::default();
        for note in [false, true] {
            if note {
                recent.note();
            }
            let (before, told, after) = (wall_ms(), recent.ms(), wall_ms());
            assert!(told <= after, "{told} is after {after}");
            assert!(told >= before - 11, "{told} is long before {before}");
        }
    }
}
