//! From settings to a producer.

use std::collections::HashMap;

use ottla::config::{ConfigBuilder, Secret};
use ottla::{ConfigError, Partitioner, Producer, Record, Security, ServerEvent};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure::code_of_trouble;
use crate::ready::{Due, Ready};
use crate::token;
use std::sync::Arc;

pyo3::create_exception!(ottla, ConfigRefused, PyException, "A setting that is refused: key, why.");

/// Settings as they came, by their names. Any of them may be a password: they are wiped with it.
pub(crate) struct Settings(Vec<(String, Secret)>);

impl<'py> FromPyObject<'_, 'py> for Settings {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let texts: HashMap<String, String> = given.extract()?;
        let mut settings: Vec<_> =
            texts.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
        settings.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Self(settings))
    }
}

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
    settings: &Settings,
    (partitioner, token): (Option<Py<PyAny>>, Option<Py<PyAny>>),
    events: Option<&Arc<Ready>>,
) -> PyResult<Producer> {
    let mut builder = Producer::builder();
    for (key, value) in &settings.0 {
        builder = builder.set(key, value.expose());
    }
    if let Some(function) = partitioner {
        builder = builder.partitioner(PythonPartitioner(function));
    }
    if let Some(function) = token {
        builder = builder.oauth_token(token::from(function));
    }
    if let Some(ready) = events.cloned() {
        builder = builder.on_server_event(move |event| match event {
            ServerEvent::Unreachable { server, why, trouble } => {
                let why = ((*why).to_owned(), code_of_trouble(*trouble));
                ready.push(Due::Server((*server).to_owned(), Some(why)));
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

/// How brokers are met by these settings.
///
/// # Errors
/// `ConfigRefused` with key and reason.
pub(crate) fn security(
    py: Python<'_>,
    settings: &Settings,
    token: Option<Py<PyAny>>,
) -> PyResult<Security> {
    let mut builder = Security::builder();
    for (key, value) in &settings.0 {
        builder = builder.set(key, value.expose());
    }
    if let Some(function) = token {
        builder = builder.oauth_token(token::from(function));
    }
    py.detach(|| builder.build()).map_err(refused)
}

fn refused(error: ConfigError) -> PyErr {
    ConfigRefused::new_err((error.key.to_string(), error.reason.to_string()))
}

/// Settings of TLS and SASL that are allowed and deserve a word, each with the reason.
#[pyfunction]
pub(crate) fn warnings_of(config: Settings) -> Vec<(String, &'static str)> {
    let mut builder = ConfigBuilder::default();
    for (key, value) in &config.0 {
        // What is refused is told by whoever starts something with it.
        let _ = builder.set(key, value.expose());
    }
    let ignored = builder.ignored().iter().filter(|(key, _)| key.starts_with("ssl."));
    let mut told: Vec<(String, &'static str)> = ignored.cloned().collect();
    told.extend(builder.warnings().into_iter().map(|(key, why)| (key.to_owned(), why)));
    told
}

/// The names of each setting that the library knows, the one that its errors use first.
#[pyfunction]
pub(crate) fn known_settings() -> Vec<Vec<&'static str>> {
    ottla::config::KEYS.iter().map(|key| key.names().collect()).collect()
}
