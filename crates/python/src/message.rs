//! `Message`: what a delivery callback is given.

use std::time::Instant;

use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use crate::convert::{self, Payload};
use crate::engine::Told;
use crate::failure::{self, code};
use crate::pending::Report;

/// `TIMESTAMP_CREATE_TIME` and `TIMESTAMP_LOG_APPEND_TIME`.
pub(crate) const CREATE_TIME: i32 = 1;

/// `OFFSET_INVALID`.
const OFFSET_INVALID: i64 = -1001;

/// A record and what became of it. Numbers below zero are told as None.
#[pyclass(module = "ottla", subclass)]
#[derive(Default)]
pub(crate) struct Message {
    pub(crate) topic: Option<Py<PyAny>>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Py<PyAny>>,
    pub(crate) value: Option<Py<PyAny>>,
    pub(crate) headers: Option<Py<PyAny>>,
    pub(crate) error: Option<Py<PyAny>>,
    /// Type and milliseconds.
    pub(crate) timestamp: (i32, i64),
    pub(crate) latency_s: f64,
    pub(crate) leader_epoch: i32,
    /// How often a share group was given the message.
    pub(crate) delivery_count: i16,
}

fn of(py: Python<'_>, value: Option<&Py<PyAny>>) -> Option<Py<PyAny>> {
    value.map(|value| value.clone_ref(py))
}

impl Message {
    /// Nothing is known yet.
    pub(crate) fn blank() -> Self {
        Self {
            partition: -1,
            offset: OFFSET_INVALID,
            latency_s: -1.0,
            leader_epoch: -1,
            delivery_count: -1,
            ..Self::default()
        }
    }
}

#[pymethods]
impl Message {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    #[pyo3(signature = (topic=None, partition=-1, offset=OFFSET_INVALID, key=None, value=None,
        headers=None, error=None, timestamp=None, latency=-1.0, leader_epoch=-1,
        delivery_count=-1))]
    #[expect(clippy::too_many_arguments, reason = "the keywords that programs use")]
    fn __init__(
        &mut self,
        topic: Option<Py<PyAny>>,
        partition: Option<i32>,
        offset: Option<i64>,
        key: Option<Py<PyAny>>,
        value: Option<Py<PyAny>>,
        headers: Option<Py<PyAny>>,
        error: Option<Py<PyAny>>,
        timestamp: Option<(i32, i64)>,
        latency: Option<f64>,
        leader_epoch: Option<i32>,
        delivery_count: Option<i16>,
    ) {
        *self = Self {
            topic,
            partition: partition.unwrap_or(-1),
            offset: offset.unwrap_or(OFFSET_INVALID),
            key,
            value,
            headers,
            error,
            timestamp: timestamp.unwrap_or_default(),
            latency_s: latency.unwrap_or(-1.0),
            leader_epoch: leader_epoch.unwrap_or(-1),
            delivery_count: delivery_count.filter(|count| *count > 0).unwrap_or(-1),
        };
    }

    fn topic(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        of(py, self.topic.as_ref())
    }

    fn partition(&self) -> Option<i32> {
        (self.partition >= 0).then_some(self.partition)
    }

    fn offset(&self) -> Option<i64> {
        (self.offset >= 0).then_some(self.offset)
    }

    fn key(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        of(py, self.key.as_ref())
    }

    fn value(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        of(py, self.value.as_ref())
    }

    fn headers(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        of(py, self.headers.as_ref())
    }

    fn error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        of(py, self.error.as_ref())
    }

    /// Type and milliseconds since the Unix epoch.
    fn timestamp(&self) -> (i32, i64) {
        self.timestamp
    }

    /// Seconds from produce() to the answer.
    fn latency(&self) -> Option<f64> {
        (self.latency_s >= 0.0).then_some(self.latency_s)
    }

    fn leader_epoch(&self) -> Option<i32> {
        (self.leader_epoch >= 0).then_some(self.leader_epoch)
    }

    /// How often a share group was given the message: none, for a message that was produced.
    fn delivery_count(&self) -> Option<i16> {
        (self.delivery_count > 0).then_some(self.delivery_count)
    }

    fn set_topic(&mut self, topic: Py<PyAny>) {
        self.topic = Some(topic);
    }

    fn set_key(&mut self, key: Option<Py<PyAny>>) {
        self.key = key;
    }

    fn set_value(&mut self, value: Option<Py<PyAny>>) {
        self.value = value;
    }

    fn set_headers(&mut self, headers: Option<Py<PyAny>>) {
        self.headers = headers;
    }

    fn set_error(&mut self, error: Option<Py<PyAny>>) {
        self.error = error;
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.value.as_ref().map_or(Ok(0), |value| value.bind(py).len())
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let topic = self.topic.as_ref().map(|topic| topic.bind(py).to_string());
        let topic = topic.unwrap_or_else(|| "None".to_owned());
        let number =
            |number: Option<i64>| number.map_or_else(|| "None".to_owned(), |n| n.to_string());
        let partition = number(self.partition().map(i64::from));
        let error = self.error.as_ref().map_or(String::new(), |error| format!(", {error}"));
        Ok(format!("<Message {topic} [{partition}] @ {}{error}>", number(self.offset())))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let this = slf.borrow();
        let arguments = (
            this.topic(py),
            this.partition,
            this.offset,
            this.key(py),
            this.value(py),
            this.headers(py),
            this.error(py),
            this.timestamp,
            this.latency_s,
            this.leader_epoch,
            this.delivery_count,
        );
        (py.get_type::<Self>(), arguments.into_pyobject(py)?).into_pyobject(py)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else { return Ok(false) };
        let other = other.borrow();
        let same = |one: &Option<Py<PyAny>>, other: &Option<Py<PyAny>>| match (one, other) {
            (None, None) => Ok(true),
            (Some(one), Some(other)) => one.bind(py).eq(other.bind(py)),
            _ => Ok(false),
        };
        Ok(self.partition == other.partition
            && self.offset == other.offset
            && self.timestamp == other.timestamp
            && same(&self.topic, &other.topic)?
            && same(&self.key, &other.key)?
            && same(&self.value, &other.value)?
            && same(&self.headers, &other.headers)?
            && same(&self.error, &other.error)?)
    }

    #[classattr]
    const __hash__: Option<Py<PyAny>> = None;

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // What a program may have set; the topic is a string.
        visit.call(&self.key)?;
        visit.call(&self.value)?;
        visit.call(&self.headers)?;
        visit.call(&self.error)
    }

    fn __clear__(&mut self) {
        *self = Self::blank();
    }
}

/// Calls a record's callback. `seen_at` is when its outcome was seen.
pub(crate) fn call_back(
    py: Python<'_>,
    report: Report,
    told: Told,
    seen_at: Instant,
) -> PyResult<()> {
    let mut message = Message {
        topic: Some(report.topic),
        key: as_bytes(py, report.key)?,
        value: as_bytes(py, report.value)?,
        headers: report.headers.map(|headers| as_pairs(py, headers)).transpose()?,
        ..Message::blank()
    };
    let error = match told {
        Told::Outcome(Ok(metadata), partition) => {
            message.partition = partition;
            message.offset = metadata.offset.unwrap_or(OFFSET_INVALID);
            message.timestamp = (CREATE_TIME, metadata.timestamp_ms);
            message.latency_s = seen_at.saturating_duration_since(report.produced_at).as_secs_f64();
            None
        }
        Told::Outcome(Err(error), partition) => {
            message.partition = partition;
            Some(failure::kafka_error(py, &error)?)
        }
        Told::Purged => Some(failure::unsent(py, code::PURGE_QUEUE, "Local: Purged in queue")?),
        Told::TopicNotKnown => Some(failure::unsent(
            py,
            code::MSG_TIMED_OUT,
            "Local: Message timed out: message.timeout.ms passed before the topic became known; is \
             a broker of bootstrap.servers within reach, and does the topic exist?",
        )?),
    };
    message.error = error.as_ref().map(|error| error.clone().unbind());
    report.to.bind(py).call1((error, Bound::new(py, message)?))?;
    Ok(())
}

/// What was given as text is told as the bytes that were sent.
fn as_bytes(py: Python<'_>, value: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let Some(value) = value else { return Ok(None) };
    let bound = value.bind(py);
    if bound.is_instance_of::<PyBytes>() {
        return Ok(Some(value));
    }
    let bytes = convert::payload(Some(bound), "value")?;
    let bytes = bytes.as_ref().map_or(&[][..], Payload::as_slice);
    Ok(Some(PyBytes::new(py, bytes).into_any().unbind()))
}

/// Headers as consumers see them: a list of pairs, values in bytes.
fn as_pairs(py: Python<'_>, headers: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let list = PyList::empty(py);
    for (key, value) in convert::headers(headers.bind(py))? {
        let value = if value.is_none() { None } else { Some(value.unbind()) };
        list.append((key, as_bytes(py, value)?))?;
    }
    Ok(list.into_any().unbind())
}
