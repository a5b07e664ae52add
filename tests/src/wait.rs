//! Waiting: for futures and for conditions, never for ever.

use std::future::Future;
use std::time::{Duration, Instant};

/// No wait of a test takes longer, whatever went wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a condition that nobody announces.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Runs a future on a runtime of this thread.
///
/// # Panics
/// When the future is not ready after [`PATIENCE`]: nothing waits for ever (law L9).
pub fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(in_time(future))
}

/// The future's output.
///
/// # Panics
/// When the future is not ready after [`PATIENCE`].
pub async fn in_time<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("not done after {PATIENCE:?}"),
    }
}

/// Looks again and again until `look` gives something.
///
/// # Panics
/// When it gives nothing for [`PATIENCE`].
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still no {what} after {PATIENCE:?}");
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// As [`until`], for a condition.
///
/// # Panics
/// As [`until`].
pub fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}
