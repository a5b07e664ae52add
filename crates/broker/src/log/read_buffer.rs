//! Memory that records are read into, used again and again: fresh memory costs as much as the
//! reading, since the system gives it page by page, and clears it.

use std::cell::RefCell;
use std::io;

use bytes::Bytes;

/// Smaller ones are not worth it.
const MIN_BYTES: usize = 16 * 1024;
/// Larger ones are not kept.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// No more is kept in all.
const MAX_KEPT_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept { buffers: Vec::new(), bytes: 0 }) };
}

/// Buffers that nobody holds, each filled with what was read last.
struct Kept {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Kept {
    /// The smallest that is large enough.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fitting = self.buffers.iter().enumerate().filter(|(_, buffer)| buffer.len() >= length);
        let (place, _) = fitting.min_by_key(|(_, buffer)| buffer.len())?;
        let buffer = self.buffers.swap_remove(place);
        self.bytes -= buffer.len();
        Some(buffer)
    }
}

/// A buffer that goes back to those that are kept.
struct Lent(Vec<u8>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // At the end of the thread there is nowhere to put it.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.bytes + buffer.len() <= MAX_KEPT_BYTES {
                kept.bytes += buffer.len();
                kept.buffers.push(buffer);
            }
        });
    }
}

/// So many bytes as `fill` leaves them.
///
/// # Errors
/// Those of `fill`.
pub(super) fn filled(
    length: usize,
    fill: impl FnOnce(&mut [u8]) -> io::Result<()>,
) -> io::Result<Bytes> {
    if !(MIN_BYTES..=MAX_BYTES).contains(&length) {
        let mut bytes = vec![0; length];
        fill(&mut bytes)?;
        return Ok(bytes.into());
    }
    let kept = KEPT.with_borrow_mut(|kept| kept.take(length));
    // A power of two, so that most are of a size.
    let mut lent = Lent(kept.unwrap_or_else(|| vec![0; length.next_power_of_two()]));
    fill(&mut lent.0[..length])?;
    Ok(Bytes::from_owner(lent).slice(..length))
}

/// Gives the memory back to the system that nobody holds.
pub(crate) fn release() {
    KEPT.with_borrow_mut(|kept| *kept = Kept { buffers: Vec::new(), bytes: 0 });
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn read(length: usize, byte: u8) -> Bytes {
        let fill = |bytes: &mut [u8]| {
            bytes.fill(byte);
            Ok(())
        };
        filled(length, fill).unwrap()
    }

    #[test]
    fn what_is_held_stays_as_it_is_and_what_is_not_is_used_again() {
        let (first, second) = (read(MIB, 1), read(MIB, 2));
        let place = second.as_ptr();
        let part = second.slice(10..20);
        drop(second);
        let third = read(MIB, 3);
        assert_ne!(third.as_ptr(), place);
        assert!(first.iter().all(|byte| *byte == 1) && part.iter().all(|byte| *byte == 2));
        drop(part);
        let fourth = read(MIB - 7, 4);
        assert_eq!((fourth.as_ptr(), fourth.len()), (place, MIB - 7));
        assert!(fourth.iter().all(|byte| *byte == 4));
    }

    #[test]
    fn no_more_is_kept_than_is_of_use_and_all_of_it_is_given_back() {
        let many: Vec<Bytes> = (0..20).map(|_| read(MIB, 0)).collect();
        drop(many);
        drop([read(MAX_BYTES + 1, 0), read(MIN_BYTES - 1, 0)]);
        let kept = || KEPT.with_borrow(|kept| (kept.buffers.len(), kept.bytes));
        assert_eq!(kept(), (8, MAX_KEPT_BYTES));
        release();
        assert_eq!(kept(), (0, 0));
    }

    #[test]
    fn a_failure_is_told_and_costs_no_buffer() {
        release();
        let failed = filled(MIB, |_| Err(io::ErrorKind::UnexpectedEof.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(KEPT.with_borrow(|kept| kept.buffers.len()), 1);
    }
}
