//! Large buffers for answers that nobody uses at the moment. A connection takes one for an answer
//! and gives it back: fresh memory costs as much as filling it, and each connection with one of its
//! own would cost too much memory. Each broker's connections are all on one thread.

use std::cell::RefCell;

/// More are not kept. One is enough while answers leave as fast as they come.
const MAX_BUFFERS: usize = 2;
/// Larger ones are not kept.
const MAX_BYTES: usize = 16 * 1024 * 1024;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, a large one if there is one.
pub(crate) fn take() -> Vec<u8> {
    SPARE.with_borrow_mut(|buffers| buffers.pop().unwrap_or_default())
}

/// Gives a buffer back.
pub(crate) fn give(mut buffer: Vec<u8>) {
    SPARE.with_borrow_mut(|buffers| {
        if buffers.len() < MAX_BUFFERS && buffer.capacity() <= MAX_BYTES {
            buffer.clear();
            buffers.push(buffer);
        }
    });
}

/// Gives the memory back to the system.
pub(crate) fn release() {
    SPARE.take();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_no_more_are_kept_than_are_needed() {
        assert_eq!(take().capacity(), 0);
        for _ in 0..5 {
            give(vec![1; 100]);
        }
        give(Vec::with_capacity(MAX_BYTES + 1));
        let taken = [take(), take(), take()];
        assert!(taken.iter().all(Vec::is_empty));
        assert_eq!(taken.map(|buffer| buffer.capacity()), [100, 100, 0]);
        give(vec![1; 100]);
        release();
        assert_eq!(take().capacity(), 0);
    }
}
