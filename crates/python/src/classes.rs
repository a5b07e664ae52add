//! Classes of the package that are written in Python and made from here: it hands them over when
//! it is imported.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

struct Classes {
    kafka_error: Py<PyAny>,
    kafka_exception: Py<PyAny>,
    delivery_error: Py<PyAny>,
    send_error: Py<PyAny>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Takes the package's classes.
#[pyfunction]
#[pyo3(name = "_register")]
pub(crate) fn register(
    py: Python<'_>,
    kafka_error: Py<PyAny>,
    kafka_exception: Py<PyAny>,
    delivery_error: Py<PyAny>,
    send_error: Py<PyAny>,
) {
    let classes = Classes { kafka_error, kafka_exception, delivery_error, send_error };
    // A second import finds the first one's classes.
    let _ = CLASSES.set(py, classes);
}

fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get(py).ok_or_else(|| PyRuntimeError::new_err("import ottla, not ottla._native"))
}

/// `KafkaError(code, text)`.
pub(crate) fn kafka_error<'py>(
    py: Python<'py>,
    code: i32,
    text: &str,
) -> PyResult<Bound<'py, PyAny>> {
    classes(py)?.kafka_error.bind(py).call1((code, text))
}

/// `KafkaException(error)`, to be raised.
pub(crate) fn kafka_exception(error: &Bound<'_, PyAny>) -> PyErr {
    let py = error.py();
    let made = classes(py).and_then(|all| all.kafka_exception.bind(py).call1((error,)));
    made.map_or_else(|why| why, PyErr::from_value)
}

/// Raised with a code and a text.
pub(crate) fn raise(py: Python<'_>, code: i32, text: &str) -> PyErr {
    kafka_error(py, code, text).map_or_else(|why| why, |error| kafka_exception(&error))
}

/// The `KafkaError` of an exception that carries one.
///
/// # Errors
/// The exception itself, if it is of another kind.
pub(crate) fn error_of(py: Python<'_>, raised: PyErr) -> PyResult<Bound<'_, PyAny>> {
    if raised.matches(py, classes(py)?.kafka_exception.bind(py))? {
        return raised.value(py).getattr("args")?.get_item(0);
    }
    Err(raised)
}

/// What is told of a failure to the native interface.
pub(crate) struct Told<'a> {
    pub(crate) text: String,
    pub(crate) kind: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) code: Option<i32>,
    pub(crate) attempts: u32,
    pub(crate) broker: Option<&'a str>,
}

/// `DeliveryError(…)` for a record that was accepted, `SendError(…)` for one that was not.
pub(crate) fn native_error<'py>(
    py: Python<'py>,
    accepted: bool,
    told: &Told<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = classes(py)?;
    let class = if accepted { &classes.delivery_error } else { &classes.send_error };
    class.bind(py).call1((
        told.text.as_str(),
        told.kind,
        told.outcome,
        told.code,
        told.attempts,
        told.broker,
    ))
}
