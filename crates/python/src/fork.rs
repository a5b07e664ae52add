//! A child of `fork` has none of its parent's threads: producers of the parent are of no use in it.

use ottla_fork::Home;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// # Errors
/// This is a child of that process.
pub(crate) fn check(home: Home) -> PyResult<()> {
    if home.is_here() {
        return Ok(());
    }
    Err(PyRuntimeError::new_err(
        "this producer was made before the process was forked, and its threads stayed in the \
         parent: make a producer in the child",
    ))
}
