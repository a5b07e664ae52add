//! Time passes when the I/O thread has nothing else to do.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use ottla_core::time::Instant;

use crate::clock::Clock;

/// What is due later does not come: nobody's time runs out in a model unless the model says so.
const SOON: Duration = Duration::from_secs(2);

pub(crate) struct Alarm;

impl Alarm {
    pub(crate) fn new(_: Clock) -> Self {
        Self
    }

    pub(crate) async fn wait(&self, until: Option<Instant>) {
        let until = until.filter(|until| *until < crate::models::now() + SOON);
        let Some(until) = until else { return std::future::pending().await };
        let mut looks = 0;
        poll_fn(|context| {
            looks += 1;
            if looks > 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        crate::models::pass_until(until);
    }
}
