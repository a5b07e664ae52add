//! From settings to a producer.

use std::collections::HashMap;

use ottla::{ConfigError, Partitioner, Producer, Record, ServerEvent};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ready::{Due, Ready};
use std::sync::Arc;

pyo3::create_exception!(ottla, ConfigRefused, PyException, "A setting that is refused: key, why.");

/// A partitioner that is a function of Python's: `(topic, key, value, partition_count) -> int`.
struct PythonPartitioner(Py<PyAny>);

impl Partitioner for PythonPartitioner {
    fn partition(&self, record: &Record<'_>, partition_count: i32) -> i32 {
        // None once the interpreter ends, while a thread of ours is still at work.
        let told = Python::try_attach(|py| {
            let bytes = |bytes: Option<&[u8]>| bytes.map(|bytes| PyBytes::new(py, bytes));
            let arguments = (record.topic, bytes(record.key), bytes(record.value), partition_count);
            let told = self.0.bind(py).call1(arguments).and_then(|told| told.extract::<i32>());
            told.unwrap_or_else(|raised| {
                raised.write_unraisable(py, Some(self.0.bind(py)));
                -1
            })
        });
        told.unwrap_or(-1)
    }
}

/// A producer with these settings. Server events go to `ready`, if anybody wants them.
///
/// # Errors
/// `ConfigRefused` with key and reason.
pub(crate) fn start(
    py: Python<'_>,
    config: HashMap<String, String>,
    partitioner: Option<Py<PyAny>>,
    events: Option<&Arc<Ready>>,
) -> PyResult<Producer> {
    let mut keys: Vec<_> = config.into_iter().collect();
    keys.sort();
    let mut builder =
        keys.iter().fold(Producer::builder(), |builder, (key, value)| builder.set(key, value));
    if let Some(function) = partitioner {
        builder = builder.partitioner(PythonPartitioner(function));
    }
    if let Some(ready) = events.cloned() {
        builder = builder.on_server_event(move |event| match event {
            ServerEvent::Unreachable { server, why } => {
                ready.push(Due::Server((*server).to_owned(), Some((*why).to_owned())));
            }
            ServerEvent::Reachable { server } => {
                ready.push(Due::Server((*server).to_owned(), None));
            }
            ServerEvent::Throttled { node, broker, time } => {
                ready.push(Due::Throttled(*node, (*broker).to_owned(), time.as_secs_f64()));
            }
            _ => {}
        });
    }
    let producer = py.detach(|| builder.build()).map_err(refused)?;
    // As librdkafka does: the first record need not wait, and error_cb hears of servers that are
    // down though nothing is sent.
    producer.connect();
    Ok(producer)
}

fn refused(error: ConfigError) -> PyErr {
    ConfigRefused::new_err((error.key.to_string(), error.reason.to_string()))
}

/// The names of all settings that the library knows.
#[pyfunction]
pub(crate) fn known_settings() -> Vec<&'static str> {
    ottla::config::KEYS.iter().flat_map(ottla::config::KeySpec::names).collect()
}
