//! A child of `fork` has none of its parent's threads: producers of the parent are of no use in it.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Called in the child after every fork of this process, by `os.register_at_fork`.
#[pyfunction]
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The process in which something was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Home(u32);

impl Home {
    /// This process.
    pub(crate) fn here() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this is still that process.
    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }

    /// # Errors
    /// This is a child of that process.
    pub(crate) fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this producer was made before the process was forked, and its threads stayed in the \
             parent: make a producer in the child",
        ))
    }
}
