//! A timer that is exact enough for gaps of a fraction of a millisecond.
//!
//! The runtime's own timers go off on the next whole millisecond. What is due later than a moment
//! may wait for that; what is due sooner has a timer of the operating system where there is one.

use std::time::Duration;

use ottla_core::time::Instant;

use crate::clock::Clock;

/// Up to here the runtime's timers are too coarse.
const MOMENT: Duration = Duration::from_millis(5);

/// The I/O thread's alarm clock.
pub(crate) struct Alarm {
    clock: Clock,
    /// None where the system has no such timer, or none left.
    exact: Option<exact::Timer>,
}

impl Alarm {
    /// An alarm by this clock. To be made, and used, inside of a runtime.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, exact: exact::Timer::new().ok() }
    }

    /// Waits until then; for ever without a time.
    pub(crate) async fn wait(&self, until: Option<Instant>) {
        let Some(until) = until else { return std::future::pending().await };
        let left = until - self.clock.now();
        if left < MOMENT
            && let Some(timer) = &self.exact
            && timer.wait(left).await.is_ok()
        {
            return;
        }
        tokio::time::sleep_until(self.clock.to_tokio(until)).await;
    }
}

#[cfg(target_os = "linux")]
mod exact {
    use std::io;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::net::unix::pipe::Receiver;

    /// A file descriptor that becomes readable when a time has passed: for the runtime, the reading
    /// end of a pipe.
    pub(super) struct Timer(Receiver);

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Receiver::from_owned_fd_unchecked(descriptor).map(Self)
        }

        /// Waits that long. A wait that was dropped leaves nothing behind: the next one sets the
        /// timer anew.
        pub(super) async fn wait(&self, left: Duration) -> io::Result<()> {
            // Zero would switch it off.
            let left = left.max(Duration::from_nanos(1));
            let value =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            loop {
                self.0.readable().await?;
                match self.0.try_read(&mut [0; 8]) {
                    Ok(_) => return Ok(()),
                    // It was left over from a wait that was dropped.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod exact {
    use std::io;
    use std::time::Duration;

    /// There is none here: the runtime's timers have to do.
    pub(super) enum Timer {}

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) async fn wait(&self, _left: Duration) -> io::Result<()> {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_alarm_never_goes_off_too_soon_even_after_one_that_was_not_waited_for() {
        let clock = Clock::new();
        let alarm = Alarm::new(clock);
        for micros in [0, 50, 300, 2000, 7000] {
            let until = clock.now() + Duration::from_micros(micros);
            alarm.wait(Some(until)).await;
            assert!(clock.now() >= until, "{micros} us");
            // It goes off while nobody looks.
            let soon = clock.now() + Duration::from_micros(20);
            let dropped = tokio::time::timeout(Duration::ZERO, alarm.wait(Some(soon))).await;
            drop(dropped);
            while clock.now() < soon {
                std::hint::spin_loop();
            }
        }
    }
}
