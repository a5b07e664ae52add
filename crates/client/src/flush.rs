//! Waiting until what was accepted is done.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::PartitionKey;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::error::FlushError;
use crate::mailbox::Command;
use crate::shared::Shared;
use crate::sync::Bug;
use crate::timers::Timers;

/// What became of all records of a producer, told when it is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Records delivered in the producer's life.
    pub delivered: u64,
    /// Records that failed in its life, those given up now included.
    pub failed: u64,
    /// Of those, given up now without having been sent: *not persisted*.
    pub unsent: u64,
    /// Of those, given up now after having been sent: *maybe persisted*.
    pub in_doubt: u64,
}

impl CloseReport {
    /// Whether nothing had to be given up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unsent == 0 && self.in_doubt == 0
    }
}

/// The least that the I/O thread gets to say what there is to wait for.
const ANSWER_GRACE: Duration = Duration::from_secs(5);

pub(crate) async fn flush(shared: &Arc<Shared>, wait: Duration) -> Result<(), FlushError> {
    if !shared.home.is_here() {
        return Err(FlushError::in_child());
    }
    let deadline = Timers::deadline(wait);
    let (sender, receiver) = oneshot::channel();
    shared.mailbox.command(Command::Flush(sender));
    // The deadline is for the records. The I/O thread says in a moment what there is, and a flush
    // of nothing succeeds however little time it has.
    let answered_by = deadline.max(Timers::deadline(ANSWER_GRACE));
    let batches = match shared.timers.until(answered_by, receiver).await {
        Some(Ok(batches)) => batches,
        // The I/O thread has ended, so that nothing is pending.
        Some(Err(_)) => return Ok(()),
        None => return Err(FlushError::pending(0)),
    };
    let all = async {
        for batch in &batches {
            Batch(Arc::clone(batch)).settled().await;
        }
    };
    let in_time = shared.timers.until(deadline, all).await.is_some();
    if in_time && called_back(shared, deadline).await {
        return Ok(());
    }
    Err(FlushError::pending(batches.iter().filter(|batch| !batch.is_settled()).count()))
}

/// Waits until the callbacks of everything that has its outcome were called; false when the
/// deadline came first. From within a callback there is nothing to wait for.
async fn called_back(shared: &Arc<Shared>, deadline: tokio::time::Instant) -> bool {
    if shared.callbacks.is_this_thread() || !shared.callbacks.was_used() {
        return true;
    }
    let (done, called) = oneshot::channel();
    // By way of the I/O thread: it settles a batch first and hands over its callbacks then.
    if Bug::MarksTooSoon.is_on() {
        shared.callbacks.mark(done);
    } else {
        shared.mailbox.command(Command::MarkCallbacks(done));
    }
    // Without an I/O thread the producer was closed, by somebody who waited for this already.
    shared.timers.until(deadline, called).await.is_some()
}

/// Gives up what waits, what is in flight, or both, of these partitions or of all; done when all of
/// it has its outcome.
pub(crate) async fn purge(
    shared: &Shared,
    queued: bool,
    in_flight: bool,
    partitions: Option<Vec<PartitionKey>>,
) {
    if !shared.home.is_here() {
        return;
    }
    let (done, purged) = oneshot::channel();
    shared.mailbox.command(Command::Purge { queued, in_flight, partitions, done });
    // Without an I/O thread the producer was closed, and nothing is left.
    let _ = purged.await;
}

/// The least that callbacks get when the records have used up the deadline.
const CALLBACK_GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn close(shared: &Arc<Shared>, wait: Duration) -> CloseReport {
    if !shared.home.is_here() {
        return CloseReport::default();
    }
    shared.close();
    let deadline = Timers::deadline(wait);
    // A flush that runs out of time leaves its records to the abort.
    let _ = flush(shared, wait).await;
    let (sender, receiver) = oneshot::channel();
    shared.mailbox.command(Command::Abort(sender));
    let Ok(report) = receiver.await else {
        // Closed before: what happened is in the counters.
        let stats = *shared.stats.lock();
        let (delivered, failed) = (stats.records_delivered, stats.records_failed);
        return CloseReport { delivered, failed, ..CloseReport::default() };
    };
    called_back(shared, deadline.max(Timers::deadline(CALLBACK_GRACE))).await;
    shared.mailbox.command(Command::End);
    report
}
