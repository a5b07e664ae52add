//! Short deadlines may pass at any moment, long ones never do.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A deadline as far away as this is for whoever waits for ever.
const LONG: Duration = Duration::from_secs(30);

pub(crate) struct Timers;

impl Timers {
    pub(crate) fn new(_: tokio::runtime::Handle) -> Self {
        Self
    }

    pub(crate) fn deadline(wait: Duration) -> tokio::time::Instant {
        tokio::time::Instant::now() + wait.min(Duration::from_secs(365 * 86_400))
    }

    pub(crate) async fn until<F: Future>(
        &self,
        deadline: tokio::time::Instant,
        future: F,
    ) -> Option<F::Output> {
        let is_long = deadline > tokio::time::Instant::now() + LONG / 2;
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if is_long => Poll::Pending,
            Poll::Pending if crate::models::perhaps(3) => Poll::Ready(None),
            Poll::Pending => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await
    }

    pub(crate) fn end(&self) {}
}
