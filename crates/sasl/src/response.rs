//! Bytes for the broker.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use zeroize::Zeroizing;

/// A message for the broker. It may hold a secret: it is not shown, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Response(Zeroizing<Vec<u8>>);

impl Response {
    /// Takes bytes that never were in a smaller buffer, which nobody would have wiped.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Joins parts into a buffer that is large enough from the start.
    pub(crate) fn join(parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(part);
        }
        Self::new(bytes)
    }
}

impl Deref for Response {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Response {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
