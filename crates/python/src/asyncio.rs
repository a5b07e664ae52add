//! `AsyncCore`: the producer for an event loop. Outcomes come to the loop in batches: whoever
//! settles one writes a byte into a pipe that the loop listens to.

use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla::Record;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::admin::Admin;
use crate::config::{self, Settings};
use crate::convert::{self, Payload, with_headers};
use crate::engine::{Engine, Limits, Rejected, Told};
use crate::pending::Report;
use crate::ready::{Due, Ready};
use crate::{classes, failure, fork};

/// Where a delivered record is.
#[pyclass(frozen, get_all, module = "ottla")]
pub(crate) struct RecordMetadata {
    /// The topic.
    topic: Py<PyAny>,
    /// The partition.
    partition: i32,
    /// The offset; None with acks=0.
    offset: Option<i64>,
    /// Milliseconds since the Unix epoch.
    timestamp_ms: i64,
}

#[pymethods]
impl RecordMetadata {
    fn __repr__(&self, py: Python<'_>) -> String {
        let offset = self.offset.map_or_else(|| "None".to_owned(), |offset| offset.to_string());
        format!(
            "RecordMetadata(topic={:?}, partition={}, offset={offset}, timestamp_ms={})",
            self.topic.bind(py).to_string(),
            self.partition,
            self.timestamp_ms
        )
    }
}

/// The native part of `AsyncProducer`. Its methods are called on the loop's thread.
#[pyclass(frozen, module = "ottla._native")]
pub(crate) struct AsyncCore {
    engine: Arc<Engine>,
    create_future: Py<PyAny>,
    /// `(server, why or None, code)`.
    on_server: Option<Py<PyAny>>,
    names: Names,
}

/// Names that are looked up for each record.
struct Names {
    done: Py<PyString>,
    set_result: Py<PyString>,
    set_exception: Py<PyString>,
}

#[pymethods]
impl AsyncCore {
    /// `signal` is the writing end of a pipe, which from now on belongs to the producer.
    #[new]
    #[expect(clippy::too_many_arguments, reason = "by name, from one place")]
    #[pyo3(signature = (config, create_future, signal, partitioner=None, *, topic_wait_ms=None,
        on_server=None, token=None))]
    fn new(
        py: Python<'_>,
        config: Settings,
        create_future: Py<PyAny>,
        signal: i32,
        partitioner: Option<Py<PyAny>>,
        topic_wait_ms: Option<u64>,
        on_server: Option<Py<PyAny>>,
        token: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        // SAFETY: the caller gives away a descriptor that is open and belongs to nobody else.
        let signal = unsafe { OwnedFd::from_raw_fd(signal) };
        let ready = Ready::new(Some(signal));
        let events = on_server.is_some().then_some(&ready);
        let producer = config::start(py, &config, (partitioner, token), events)?;
        let topic_wait = topic_wait_ms.map(Duration::from_millis);
        let engine = Engine::new(producer, ready, Limits { records: usize::MAX, topic_wait });
        let name = |name: &str| PyString::intern(py, name).unbind();
        let names = Names {
            done: name("done"),
            set_result: name("set_result"),
            set_exception: name("set_exception"),
        };
        Ok(Self { engine, create_future, on_server, names })
    }

    /// Takes a record; gives a future of its outcome.
    #[pyo3(signature = (topic, value=None, key=None, partition=None, timestamp_ms=None,
        headers=None))]
    #[expect(clippy::too_many_arguments, reason = "the fields of a record")]
    fn send<'py>(
        &self,
        py: Python<'py>,
        topic: &Bound<'py, PyString>,
        value: Option<&Bound<'py, PyAny>>,
        key: Option<&Bound<'py, PyAny>>,
        partition: Option<i32>,
        timestamp_ms: Option<i64>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        fork::check(self.engine.home)?;
        let bytes = convert::payload(value, "value")?;
        let key_bytes = convert::payload(key, "key")?;
        let mut record = Record::new("");
        record.value = bytes.as_ref().map(Payload::as_slice);
        record.key = key_bytes.as_ref().map(Payload::as_slice);
        record.partition = partition;
        record.timestamp_ms = timestamp_ms.map_or(Ok(None), convert::timestamp)?;
        let future = self.create_future.bind(py).call0()?;
        let report = Report {
            to: future.clone().unbind(),
            topic: topic.clone().into_any().unbind(),
            key: None,
            value: None,
            headers: None,
            produced_at: Instant::now(),
        };
        let sent = match headers.filter(|headers| !headers.is_none()) {
            None => self.engine.send(topic, &record, Some(report), true)?,
            Some(headers) => with_headers(headers, |headers| {
                self.engine.send(topic, &record.headers(headers), Some(report), true)
            })?,
        };
        match sent {
            Ok(()) | Err(Rejected::QueueFull) => Ok(future),
            Err(Rejected::Refused(why)) => {
                Err(PyErr::from_value(failure::native_error(py, false, &why)?))
            }
        }
    }

    /// Tells the futures whose records have their outcome. Returns how many there were.
    fn drain(&self, py: Python<'_>) -> PyResult<usize> {
        let served = self.engine.serve(
            |report, told, _| self.resolve(py, report, told),
            |due| match due {
                Due::Done(future) => self.set(py, &future, Ok(py.None().into_bound(py))),
                Due::Server(server, trouble) => self.tell_server(py, server, trouble),
                _ => Ok(()),
            },
        );
        // What came meanwhile found the queue not empty, and did not ring.
        if self.engine.ready.len() > 0 {
            self.engine.ready.ring();
        }
        served
    }

    /// Has `future` told when all that was sent before has its outcome; with `close` the producer
    /// takes nothing more, and ends.
    fn flush_later(&self, future: Py<PyAny>, close: bool) -> PyResult<()> {
        fork::check(self.engine.home)?;
        self.engine.flush_later(future, close);
        Ok(())
    }

    /// Asks the cluster, by the same TLS and SASL.
    fn admin(&self, servers: String) -> PyResult<Admin> {
        fork::check(self.engine.home)?;
        Ok(Admin::with(servers, self.engine.producer.security().clone()))
    }

    /// Uses another name and password from the next authentication on.
    fn set_sasl_credentials(&self, username: &str, password: &str) {
        self.engine.producer.security().set_sasl_credentials(username, password);
    }

    /// Gives up records.
    fn purge(&self, py: Python<'_>, queued: bool, in_flight: bool) {
        py.detach(|| self.engine.purge(queued, in_flight));
    }

    /// Gives up what is left, at once.
    fn abort(&self, py: Python<'_>) {
        py.detach(|| {
            self.engine.purge(true, true);
            self.engine.producer.blocking().close(Duration::ZERO);
        });
    }

    fn __len__(&self) -> usize {
        self.engine.len()
    }

    fn __bool__(&self) -> bool {
        true
    }
}

impl AsyncCore {
    fn tell_server(
        &self,
        py: Python<'_>,
        server: String,
        trouble: Option<(String, i32)>,
    ) -> PyResult<()> {
        let Some(hook) = &self.on_server else { return Ok(()) };
        let (why, code) = trouble.unzip();
        hook.call1(py, (server, why, code.unwrap_or_default())).map(drop)
    }

    fn resolve(&self, py: Python<'_>, report: Report, told: Told) -> PyResult<()> {
        let outcome = match told {
            Told::Outcome(Ok(metadata), partition) => {
                let topic = report.topic;
                let (offset, timestamp_ms) = (metadata.offset, metadata.timestamp_ms);
                let metadata = RecordMetadata { topic, partition, offset, timestamp_ms };
                Ok(Bound::new(py, metadata)?.into_any())
            }
            Told::Outcome(Err(why), _) => Err(failure::native_error(py, true, &why)?),
            Told::Purged | Told::TopicNotKnown => {
                let (kind, text) = match told {
                    Told::Purged => ("purged", "the program gave the record up (purge)"),
                    _ => ("timeout", "its time passed before its topic became known"),
                };
                let told = classes::Told {
                    text: text.to_owned(),
                    kind,
                    outcome: "not_persisted",
                    code: None,
                    attempts: 0,
                    broker: None,
                };
                Err(classes::native_error(py, true, &told)?)
            }
        };
        self.set(py, &report.to, outcome)
    }

    /// Sets a future, unless its task was cancelled meanwhile.
    fn set<'py>(
        &self,
        py: Python<'py>,
        future: &Py<PyAny>,
        outcome: Result<Bound<'py, PyAny>, Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let future = future.bind(py);
        if future.call_method0(self.names.done.bind(py))?.is_truthy()? {
            return Ok(());
        }
        match outcome {
            Ok(value) => future.call_method1(self.names.set_result.bind(py), (value,))?,
            Err(raised) => future.call_method1(self.names.set_exception.bind(py), (raised,))?,
        };
        Ok(())
    }
}
