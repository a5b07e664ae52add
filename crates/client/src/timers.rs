//! Deadlines for futures on any executor, by the timers of the I/O thread's runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::sync::RwLock;

/// The way to the I/O thread's timers.
pub(crate) struct Timers {
    runtime: tokio::runtime::Handle,
    /// The runtime may be gone. A timer of a runtime that has ended panics when it is looked at, so
    /// this is held while one is.
    ended: RwLock<bool>,
}

impl Timers {
    pub(crate) fn new(runtime: tokio::runtime::Handle) -> Self {
        Self { runtime, ended: RwLock::new(false) }
    }

    pub(crate) fn deadline(wait: Duration) -> tokio::time::Instant {
        tokio::time::Instant::now() + wait.min(Duration::from_secs(365 * 86_400))
    }

    /// The future's output, or nothing at the deadline. Works on any executor.
    ///
    /// After the end, nothing as well, unless the future is ready: whoever ends sees to it that
    /// what anybody waits for has come before.
    pub(crate) async fn until<F: Future>(
        &self,
        deadline: tokio::time::Instant,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut timer = None;
        poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            let ended = self.ended.read();
            if *ended {
                drop(ended);
                // It may have come since we looked.
                return match future.as_mut().poll(context) {
                    Poll::Ready(output) => Poll::Ready(Some(output)),
                    Poll::Pending => Poll::Ready(None),
                };
            }
            let timer = timer.get_or_insert_with(|| {
                let _timers = self.runtime.enter();
                Box::pin(tokio::time::sleep_until(deadline))
            });
            timer.as_mut().poll(context).map(|()| None)
        })
        .await
    }

    /// The runtime is about to end.
    pub(crate) fn end(&self) {
        *self.ended.write() = true;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::executor::block_on;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_wait_that_is_looked_at_after_the_runtime_has_ended_is_over_and_does_not_panic() {
        // It used to panic on the thread of whoever called flush while somebody else closed.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let timers = Timers::new(runtime.handle().clone());
        let mut runtime = Some(runtime);
        let mut looks = 0;
        let ends_under_us = poll_fn(|_| {
            looks += 1;
            timers.end();
            drop(runtime.take());
            Poll::<()>::Pending
        });
        assert_eq!(block_on(timers.until(Timers::deadline(LONG), ends_under_us)), None);
        assert_eq!(looks, 2);
        assert_eq!(block_on(timers.until(Timers::deadline(LONG), pending::<()>())), None);
        assert_eq!(block_on(timers.until(Timers::deadline(LONG), async { 7 })), Some(7));
    }
}
