//! Those who wait for a topic to become known.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_core::error::Failure;
use tokio::sync::oneshot;

use crate::sync::{Bug, Mutex};
use crate::topic::TopicState;

pub(crate) type TopicAnswer = Result<Arc<TopicState>, Arc<Failure>>;

/// The line, by name of the topic.
#[derive(Default)]
pub(crate) struct TopicLine(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    waiting: HashMap<Arc<str>, Waiting>,
    /// Nobody will be told of a topic any more.
    ended: bool,
}

#[derive(Default)]
struct Waiting {
    waiters: Vec<oneshot::Sender<TopicAnswer>>,
    /// At so many, those who have gone away are taken out.
    tidy_at: usize,
}

impl TopicLine {
    /// Stands in line; true for the first, who has to ask for the topic. Once the line has ended
    /// the waiter is dropped, which tells it so.
    pub(crate) fn stand(
        &self,
        name: &Arc<str>,
        waiter: Option<oneshot::Sender<TopicAnswer>>,
    ) -> bool {
        let mut inner = self.0.lock();
        if inner.ended && !Bug::LateInLine.is_on() {
            return false;
        }
        let is_first = !inner.waiting.contains_key(name);
        let waiting = inner.waiting.entry(Arc::clone(name)).or_default();
        waiting.waiters.extend(waiter);
        waiting.tidy();
        is_first
    }

    /// Tells all who wait for this topic.
    pub(crate) fn tell(&self, name: &str, answer: &TopicAnswer) {
        let waiting = self.0.lock().waiting.remove(name).unwrap_or_default();
        for waiter in waiting.waiters {
            let _ = waiter.send(answer.clone());
        }
    }

    /// Nobody will be told any more, and whoever waits is told so.
    pub(crate) fn end(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        drop(waiting);
    }
}

impl Waiting {
    /// While no broker can be reached, a line may stand for days: who gives up must not stay in it.
    fn tidy(&mut self) {
        if self.waiters.len() > self.tidy_at {
            self.waiters.retain(|waiter| !waiter.is_closed());
            self.tidy_at = 2 * self.waiters.len() + 16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_up_waiting_for_a_topic_does_not_stay_in_its_line() {
        let line = TopicLine::default();
        let name: Arc<str> = "never-known".into();
        let (patient, mut told) = oneshot::channel();
        assert!(line.stand(&name, Some(patient)));
        for _ in 0..10_000 {
            assert!(!line.stand(&name, Some(oneshot::channel().0)));
        }
        let standing = line.0.lock().waiting[&name].waiters.len();
        assert!(standing < 40, "{standing}");
        assert!(told.try_recv().is_err());
        line.end();
        assert_eq!(told.try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
        let (late, mut told) = oneshot::channel();
        assert!(!line.stand(&name, Some(late)));
        assert_eq!(told.try_recv().err(), Some(oneshot::error::TryRecvError::Closed));
    }
}
