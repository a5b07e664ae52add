//! `ProducerBase`: what `ottla.Producer` calls for every record. Names, order and defaults of the
//! arguments are those of `confluent_kafka.Producer`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ottla::Record;
use parking_lot::Mutex;
use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::admin::Admin;
use crate::columns::{BatchRow, Columns};
use crate::config::{self, Settings};
use crate::convert::{self, Payload, with_headers};
use crate::engine::{Engine, Limits, Rejected, Told};
use crate::failure::{self, code};
use crate::message::call_back;
use crate::pending::Report;
use crate::ready::{Due, Ready};
use crate::{classes, fork};

/// Python's signals are looked at this often while a thread waits.
const SLICE: Duration = Duration::from_millis(100);

/// What the producer calls besides callbacks of single records.
#[derive(Default)]
struct Hooks {
    /// For records without a callback of their own.
    on_delivery: Option<Py<PyAny>>,
    /// `(server, why or None, code)`.
    on_server: Option<Py<PyAny>>,
    /// `(broker, node id, seconds)`.
    on_throttle: Option<Py<PyAny>>,
    /// `()`, every so often.
    on_tick: Option<Py<PyAny>>,
}

/// The native part of a producer. What each record looks at is read without a lock.
#[pyclass(subclass, frozen, module = "ottla._native")]
#[derive(Default)]
pub(crate) struct ProducerBase {
    /// Set by `_start`, for good.
    engine: OnceLock<Arc<Engine>>,
    is_closed: AtomicBool,
    only_errors: AtomicBool,
    /// Whether `hooks.on_delivery` is there.
    has_on_delivery: AtomicBool,
    /// Whether `tick` is there.
    has_tick: AtomicBool,
    hooks: Mutex<Hooks>,
    tick: Mutex<Option<(Duration, Instant)>>,
}

/// The arguments of `produce`, as they came.
struct Arguments<'a, 'py> {
    topic: &'a Bound<'py, PyString>,
    value: Option<&'a Bound<'py, PyAny>>,
    key: Option<&'a Bound<'py, PyAny>>,
    partition: i32,
    callback: Option<&'a Bound<'py, PyAny>>,
    timestamp: i64,
    headers: Option<&'a Bound<'py, PyAny>>,
}

#[pymethods]
impl ProducerBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    /// Starts the producer with cleaned settings.
    #[pyo3(signature = (config, *, on_delivery=None, on_server=None, on_throttle=None, on_tick=None,
        tick_s=0.0, only_errors=false, queue_max_messages=100_000, topic_wait_ms=300_000,
        partitioner=None, token=None))]
    #[expect(clippy::too_many_arguments, reason = "by name, from one place")]
    fn _start(
        &self,
        py: Python<'_>,
        config: Settings,
        on_delivery: Option<Py<PyAny>>,
        on_server: Option<Py<PyAny>>,
        on_throttle: Option<Py<PyAny>>,
        on_tick: Option<Py<PyAny>>,
        tick_s: f64,
        only_errors: bool,
        queue_max_messages: usize,
        topic_wait_ms: u64,
        partitioner: Option<Py<PyAny>>,
        token: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let twice = || PyRuntimeError::new_err("Producer is already initialized");
        if self.engine.get().is_some() {
            return Err(twice());
        }
        let ready = Ready::new(None);
        let events = (on_server.is_some() || on_throttle.is_some()).then_some(&ready);
        let producer = config::start(py, &config, (partitioner, token), events)?;
        let topic_wait = Some(Duration::from_millis(topic_wait_ms));
        let engine =
            Engine::new(producer, ready, Limits { records: queue_max_messages, topic_wait });
        self.has_on_delivery.store(on_delivery.is_some(), Ordering::Relaxed);
        *self.hooks.lock() = Hooks { on_delivery, on_server, on_throttle, on_tick };
        self.only_errors.store(only_errors, Ordering::Relaxed);
        if let Some(every) = convert::seconds(tick_s)?.filter(|every| !every.is_zero()) {
            *self.tick.lock() = Some((every, Instant::now() + every));
            self.has_tick.store(true, Ordering::Relaxed);
        }
        self.engine.set(engine).map_err(|_| twice())
    }

    /// Takes a record, or raises; never waits. The outcome is told by poll() or flush().
    #[pyo3(signature = (topic, value=None, key=None, partition=-1, callback=None, on_delivery=None,
        timestamp=0, headers=None), text_signature = "($self, topic, value=None, key=None, \
        partition=-1, callback=None, on_delivery=None, timestamp=0, headers=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature that programs use")]
    fn produce(
        &self,
        topic: &Bound<'_, PyString>,
        value: Option<&Bound<'_, PyAny>>,
        key: Option<&Bound<'_, PyAny>>,
        partition: i32,
        callback: Option<&Bound<'_, PyAny>>,
        on_delivery: Option<&Bound<'_, PyAny>>,
        timestamp: i64,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let engine = self.engine()?;
        let callback = callback.or(on_delivery);
        let arguments = Arguments { topic, value, key, partition, callback, timestamp, headers };
        match self.send(engine, &arguments)? {
            Ok(()) => Ok(()),
            Err(rejected) => Err(rejection(topic.py(), &rejected)),
        }
    }

    /// Takes records given as dicts; those that are not taken get their KafkaError under `_error`.
    /// Returns how many were taken.
    #[pyo3(signature = (topic, messages, partition=-1, callback=None, on_delivery=None),
        text_signature = "($self, topic, messages, partition=-1, callback=None, on_delivery=None)")]
    fn produce_batch(
        &self,
        topic: &Bound<'_, PyString>,
        messages: &Bound<'_, PyAny>,
        partition: i32,
        callback: Option<&Bound<'_, PyAny>>,
        on_delivery: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let engine = self.engine()?;
        let common = callback.or(on_delivery);
        let messages = messages
            .cast::<PyList>()
            .map_err(|_| PyTypeError::new_err("messages must be a list"))?;
        let mut taken = 0;
        for (at, message) in messages.iter().enumerate() {
            let message = message.cast_into::<PyDict>().map_err(|_| {
                PyTypeError::new_err(format!("Message at index {at} must be a dict"))
            })?;
            let row = BatchRow::new(at, &message)?;
            let arguments = Arguments {
                topic,
                value: row.value.as_ref(),
                key: row.key.as_ref(),
                partition: row.partition.unwrap_or(partition),
                callback: row.callback.as_ref().or(common),
                timestamp: 0,
                headers: row.headers.as_ref(),
            };
            match self.send(engine, &arguments) {
                Ok(Ok(())) => taken += 1,
                Ok(Err(rejected)) => {
                    message.set_item("_error", rejection_error(topic.py(), &rejected)?)?;
                }
                Err(raised) => {
                    message.set_item("_error", classes::error_of(topic.py(), raised)?)?
                }
            }
        }
        Ok(taken)
    }

    /// Takes many values, and keys if there are any, in one call. Returns how many were taken: all,
    /// or those before the first for which there was no room.
    #[pyo3(signature = (topic, values, keys=None, *, partition=-1, timestamps=None, headers=None,
        on_delivery=None), text_signature = "($self, topic, values, keys=None, *, partition=-1, \
        timestamps=None, headers=None, on_delivery=None)")]
    #[expect(clippy::too_many_arguments, reason = "columns by name")]
    fn send_many(
        &self,
        topic: &Bound<'_, PyString>,
        values: &Bound<'_, PyAny>,
        keys: Option<&Bound<'_, PyAny>>,
        partition: i32,
        timestamps: Option<&Bound<'_, PyAny>>,
        headers: Option<&Bound<'_, PyAny>>,
        on_delivery: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let engine = self.engine()?;
        let columns = Columns::new(values, keys, timestamps, headers)?;
        let is_told = on_delivery.is_some_and(|to| !to.is_none())
            || self.has_on_delivery.load(Ordering::Relaxed);
        let first = if is_told { 0 } else { engine.send_columns(topic, partition, &columns)? };
        for at in first..columns.len() {
            let row = columns.row(at)?;
            let arguments = Arguments {
                topic,
                value: Some(&row.value),
                key: row.key.as_ref(),
                partition,
                callback: on_delivery,
                timestamp: row.timestamp,
                headers: row.headers.as_ref(),
            };
            match self.send(engine, &arguments)? {
                Ok(()) => {}
                Err(Rejected::QueueFull) => return Ok(at),
                Err(rejected) => return Err(rejection(topic.py(), &rejected)),
            }
        }
        Ok(columns.len())
    }

    /// Calls the callbacks that are due, after waiting for up to `timeout` seconds (for ever, if
    /// that is negative) for the first. Returns how many events there were.
    #[pyo3(signature = (timeout=-1.0), text_signature = "($self, timeout=-1.0)")]
    fn poll(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<usize> {
        let engine = self.engine()?;
        if timeout == Some(0.0) {
            // As most programs call it after each record: no look at the clock.
            return self.serve(py, engine);
        }
        let deadline = deadline(timeout)?;
        loop {
            let served = self.serve(py, engine)?;
            if served > 0 || is_over(deadline) {
                return Ok(served);
            }
            wait(py, &engine.ready, deadline)?;
        }
    }

    /// Sends what there is and calls callbacks until nothing is left or `timeout` seconds have
    /// passed. Returns how many records are left.
    #[pyo3(signature = (timeout=-1.0), text_signature = "($self, timeout=-1.0)")]
    fn flush(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<usize> {
        let engine = self.engine()?;
        self.flush_engine(py, engine, deadline(timeout)?)
    }

    /// Gives up records: those that wait, those that were sent and not answered, or both. They are
    /// reported by the next poll() or flush().
    #[pyo3(signature = (in_queue=true, in_flight=true, blocking=true))]
    fn purge(
        &self,
        py: Python<'_>,
        in_queue: bool,
        in_flight: bool,
        blocking: bool,
    ) -> PyResult<()> {
        // It takes but a moment, so that there is nothing not to wait for.
        let _ = blocking;
        let engine = self.engine()?;
        py.detach(|| engine.purge(in_queue, in_flight));
        Ok(())
    }

    /// Waits until all is delivered or has failed, and ends the producer. With a `timeout`, what is
    /// left after so many seconds is given up and reported.
    #[pyo3(signature = (timeout=-1.0), text_signature = "($self, timeout=-1.0)")]
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let Some(engine) = self.open_engine() else { return Ok(true) };
        fork::check(engine.home)?;
        let left = self.flush_engine(py, engine, deadline(timeout)?)?;
        self.is_closed.store(true, Ordering::Relaxed);
        if left > 0 {
            py.detach(|| engine.purge(true, true));
        }
        py.detach(|| engine.producer.blocking().close(Duration::ZERO));
        self.serve(py, engine)?;
        Ok(true)
    }

    fn __len__(&self) -> usize {
        self.open_engine().filter(|engine| engine.home.is_here()).map_or(0, |engine| engine.len())
    }

    fn __bool__(&self) -> bool {
        true
    }

    /// Counters, for stats_cb and for curious people.
    fn _metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.engine()?;
        let metrics = engine.producer.metrics();
        let told = PyDict::new(py);
        for (name, count) in [
            ("records_delivered", metrics.records_delivered),
            ("records_failed", metrics.records_failed),
            ("requests_sent", metrics.requests_sent),
            ("batches_sent", metrics.batches_sent),
            ("batch_bytes_sent", metrics.batch_bytes_sent),
            ("compressed_batches", metrics.compressed_batches),
            ("retries", metrics.retries),
            ("connections", metrics.connections),
            ("throttles", metrics.throttles),
            ("buffer_total_bytes", metrics.buffer_total_bytes as u64),
            ("buffer_available_bytes", metrics.buffer_available_bytes as u64),
            ("queue_length", engine.len() as u64),
        ] {
            told.set_item(name, count)?;
        }
        Ok(told)
    }

    /// Asks the cluster, by the same TLS and SASL.
    fn _admin(&self, servers: String) -> PyResult<Admin> {
        Ok(Admin::with(servers, self.engine()?.producer.security().clone()))
    }

    /// Uses another name and password from the next authentication on.
    fn set_sasl_credentials(&self, username: &str, password: &str) -> PyResult<()> {
        self.engine()?.producer.security().set_sasl_credentials(username, password);
        Ok(())
    }

    /// The topics that records were sent to.
    fn _topics(&self) -> PyResult<Vec<String>> {
        Ok(self.engine()?.topic_names())
    }

    /// Whether it can be used: it was started, is not closed, and this is its process.
    fn _is_open(&self) -> bool {
        self.open_engine().is_some_and(|engine| engine.home.is_here())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Somebody else holds it at this moment only if they are at work with it.
        let Some(hooks) = self.hooks.try_lock() else { return Ok(()) };
        visit.call(&hooks.on_delivery)?;
        visit.call(&hooks.on_server)?;
        visit.call(&hooks.on_throttle)?;
        visit.call(&hooks.on_tick)
    }

    fn __clear__(&self) {
        let hooks = std::mem::take(&mut *self.hooks.lock());
        drop(hooks);
    }
}

impl ProducerBase {
    /// The engine, unless the producer was closed or never started.
    #[inline]
    fn open_engine(&self) -> Option<&Arc<Engine>> {
        self.engine.get().filter(|_| !self.is_closed.load(Ordering::Relaxed))
    }

    #[inline]
    fn engine(&self) -> PyResult<&Arc<Engine>> {
        let Some(engine) = self.open_engine() else {
            return Err(PyRuntimeError::new_err(match self.engine.get() {
                Some(_) => "Producer has been closed",
                None => "Producer has been closed, or its __init__() was not called",
            }));
        };
        fork::check(engine.home)?;
        Ok(engine)
    }

    #[inline]
    fn send(
        &self,
        engine: &Arc<Engine>,
        arguments: &Arguments<'_, '_>,
    ) -> PyResult<Result<(), Rejected>> {
        let value = convert::payload(arguments.value, "value")?;
        let key = convert::payload(arguments.key, "key")?;
        let mut record = Record::new("");
        record.value = value.as_ref().map(Payload::as_slice);
        record.key = key.as_ref().map(Payload::as_slice);
        record.partition = partition(arguments)?;
        record.timestamp_ms = convert::timestamp(arguments.timestamp)?;
        let report = self.report(arguments)?;
        match arguments.headers.filter(|headers| !headers.is_none()) {
            None => engine.send(arguments.topic, &record, report, false),
            Some(headers) => with_headers(headers, |headers| {
                let record = record.headers(headers);
                engine.send(arguments.topic, &record, report, false)
            }),
        }
    }

    #[inline]
    fn report(&self, arguments: &Arguments<'_, '_>) -> PyResult<Option<Report>> {
        let py = arguments.topic.py();
        let to = match arguments.callback.filter(|callback| !callback.is_none()) {
            Some(callback) => callback.clone().unbind(),
            None if !self.has_on_delivery.load(Ordering::Relaxed) => return Ok(None),
            None => match &self.hooks.lock().on_delivery {
                Some(callback) => callback.clone_ref(py),
                None => return Ok(None),
            },
        };
        let kept = |value: Option<&Bound<'_, PyAny>>| {
            value.filter(|value| !value.is_none()).map(|value| value.clone().unbind())
        };
        Ok(Some(Report {
            to,
            topic: arguments.topic.clone().into_any().unbind(),
            key: kept(arguments.key),
            value: kept(arguments.value),
            headers: kept(arguments.headers),
            produced_at: Instant::now(),
        }))
    }

    fn serve(&self, py: Python<'_>, engine: &Arc<Engine>) -> PyResult<usize> {
        // Statistics ask the producer, which a closed one does not answer.
        if self.has_tick.load(Ordering::Relaxed) && !self.is_closed.load(Ordering::Relaxed) {
            self.tick(py)?;
        }
        let only_errors = self.only_errors.load(Ordering::Relaxed);
        engine.serve(
            |report, told, at| match &told {
                Told::Outcome(Ok(_), _) if only_errors => Ok(()),
                _ => call_back(py, report, told, at),
            },
            |due| self.tell_other(py, due),
        )
    }

    fn tell_other(&self, py: Python<'_>, due: Due) -> PyResult<()> {
        let hooks = self.hooks.lock();
        let hook = match &due {
            Due::Server(..) => &hooks.on_server,
            Due::Throttled(..) => &hooks.on_throttle,
            _ => &None,
        };
        let hook = hook.as_ref().map(|hook| hook.clone_ref(py));
        drop(hooks);
        match (hook, due) {
            (Some(hook), Due::Server(server, trouble)) => {
                let (why, code) = trouble.unzip();
                hook.call1(py, (server, why, code.unwrap_or_default())).map(drop)
            }
            (Some(hook), Due::Throttled(node, broker, seconds)) => {
                hook.call1(py, (broker, node, seconds)).map(drop)
            }
            _ => Ok(()),
        }
    }

    fn tick(&self, py: Python<'_>) -> PyResult<()> {
        let is_due = match &mut *self.tick.lock() {
            Some((every, next)) if *next <= Instant::now() => {
                *next = Instant::now() + *every;
                true
            }
            _ => false,
        };
        if is_due {
            let hook = self.hooks.lock().on_tick.as_ref().map(|hook| hook.clone_ref(py));
            if let Some(hook) = hook {
                hook.call0(py)?;
            }
        }
        Ok(())
    }

    fn flush_engine(
        &self,
        py: Python<'_>,
        engine: &Arc<Engine>,
        deadline: Option<Instant>,
    ) -> PyResult<usize> {
        use std::task::{Context, Waker};
        let waker = Waker::from(Arc::clone(&engine.ready));
        loop {
            let forever = Duration::from_secs(30 * 86_400);
            let mut flushing = Box::pin(engine.producer.flush(forever));
            loop {
                // Everything is closed and on its way once the flush was polled.
                let polled = flushing.as_mut().poll(&mut Context::from_waker(&waker));
                self.serve(py, engine)?;
                let left = engine.len();
                if left == 0 || is_over(deadline) {
                    return Ok(left);
                }
                wait(py, &engine.ready, deadline)?;
                if polled.is_ready() {
                    break;
                }
            }
        }
    }
}

fn partition(arguments: &Arguments<'_, '_>) -> PyResult<Option<i32>> {
    match arguments.partition {
        -1 => Ok(None),
        partition if partition >= 0 => Ok(Some(partition)),
        partition => {
            let text = format!(
                "Unable to produce message: partition {partition} is negative; -1 lets the \
                 partitioner choose"
            );
            Err(classes::raise(arguments.topic.py(), code::UNKNOWN_PARTITION, &text))
        }
    }
}

fn rejection_error<'py>(py: Python<'py>, rejected: &Rejected) -> PyResult<Bound<'py, PyAny>> {
    match rejected {
        Rejected::QueueFull => classes::kafka_error(py, -184, "Local: Queue full"),
        Rejected::Refused(error) => failure::kafka_error(py, error),
    }
}

#[cold]
fn rejection(py: Python<'_>, rejected: &Rejected) -> PyErr {
    match rejected {
        Rejected::QueueFull => PyBufferError::new_err("Local: Queue full"),
        Rejected::Refused(error) => {
            let text = format!("Unable to produce message: {error}");
            classes::raise(py, failure::code_of(error), &text)
        }
    }
}

/// When to stop waiting; `None` is never.
fn deadline(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let Some(timeout) = timeout else { return Ok(None) };
    Ok(convert::seconds(timeout)?.and_then(|timeout| Instant::now().checked_add(timeout)))
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Waits without the GIL, and lets Ctrl-C through.
fn wait(py: Python<'_>, ready: &Ready, deadline: Option<Instant>) -> PyResult<()> {
    let left = deadline.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()).min(SLICE));
    py.detach(|| ready.wait(left));
    py.check_signals()
}
