//! `Cluster`: the embedded broker, for tests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use ottla::reader::{ReadOptions, Reader, RequestError};
use ottla_broker::{ApiKey, ErrorCode, Fault, RandomFaults};
use parking_lot::Mutex;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::listeners::{INSIDE, Security};
use crate::message::{CREATE_TIME, Message};

/// An embedded broker on 127.0.0.1, on a port that the system chooses. It keeps its data in a
/// temporary folder, unless it is given one.
#[pyclass(frozen, module = "ottla")]
pub(crate) struct Cluster {
    running: Mutex<Option<ottla_broker::Cluster>>,
    servers: String,
    /// Where it is read without credentials.
    inside: String,
}

#[pymethods]
impl Cluster {
    #[new]
    #[pyo3(signature = (*, nodes=1, topics=None, min_insync_replicas=1, data_dir=None,
        auto_create_topics=true,
        tls_certificate=None, tls_key=None, tls_client_ca=None, sasl_mechanisms=None, users=None,
        session_lifetime_s=None))]
    #[expect(clippy::too_many_arguments, reason = "by name")]
    fn new(
        py: Python<'_>,
        nodes: usize,
        topics: Option<HashMap<String, i32>>,
        min_insync_replicas: i32,
        data_dir: Option<PathBuf>,
        auto_create_topics: bool,
        tls_certificate: Option<String>,
        tls_key: Option<String>,
        tls_client_ca: Option<String>,
        sasl_mechanisms: Option<Vec<String>>,
        users: Option<HashMap<String, String>>,
        session_lifetime_s: Option<f64>,
    ) -> PyResult<Self> {
        let users = users.unwrap_or_default();
        let security = Security {
            tls_certificate,
            tls_key,
            tls_client_ca,
            sasl_mechanisms,
            users,
            session_lifetime_s,
        };
        let mut builder = ottla_broker::Cluster::builder()
            .nodes(nodes)
            .min_insync_replicas(min_insync_replicas)
            .auto_create_topics(auto_create_topics);
        for (name, partitions) in topics.unwrap_or_default() {
            builder = builder.topic(name, partitions);
        }
        if let Some(folder) = data_dir {
            builder = builder.data_dir(folder);
        }
        let builder = security.describe(builder)?;
        let running = py.detach(|| builder.start());
        let running = running.map_err(|why| PyRuntimeError::new_err(why.to_string()))?;
        let servers = running.bootstrap_servers();
        let inside = running.servers_of(INSIDE).unwrap_or_else(|| servers.clone());
        Ok(Self { running: Mutex::new(Some(running)), servers, inside })
    }

    /// What a client puts into `bootstrap.servers`.
    #[getter]
    fn bootstrap_servers(&self) -> &str {
        &self.servers
    }

    /// Ends the broker. Ending it twice is fine.
    fn stop(&self, py: Python<'_>) {
        let running = self.running.lock().take();
        py.detach(|| running.map(ottla_broker::Cluster::stop));
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, py: Python<'_>, _raised: &Bound<'_, pyo3::types::PyTuple>) {
        self.stop(py);
    }

    /// Lets something go wrong with the next `times` requests (0 is all from now on) of one kind:
    /// an error code, a lost request or answer, a broken connection, or a delay.
    #[pyo3(signature = (api="Produce", *, error=None, lose_request=false, lose_answer=false,
        disconnect=false, delay_s=0.0, throttle_s=0.0, times=1, topic=None))]
    #[expect(clippy::too_many_arguments, reason = "by name")]
    fn inject(
        &self,
        api: &str,
        error: Option<i16>,
        lose_request: bool,
        lose_answer: bool,
        disconnect: bool,
        delay_s: f64,
        throttle_s: f64,
        times: u32,
        topic: Option<String>,
    ) -> PyResult<()> {
        let api = ApiKey::named(api)
            .ok_or_else(|| PyValueError::new_err("no such API; try Produce or Metadata"))?;
        let mut fault = Fault::on(api);
        fault = if times == 0 { fault.always() } else { fault.times(times) };
        if let Some(code) = error {
            fault = fault.error(ErrorCode(code));
        }
        if lose_request {
            fault = fault.drop_request();
        }
        if lose_answer {
            fault = fault.drop_response();
        }
        if disconnect {
            fault = fault.disconnect();
        }
        let seconds = |seconds: f64| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| PyValueError::new_err("a time is negative"))
        };
        if delay_s != 0.0 {
            fault = fault.delay(seconds(delay_s)?);
        }
        if throttle_s != 0.0 {
            fault = fault.throttle(seconds(throttle_s)?);
        }
        if let Some(topic) = topic {
            fault = fault.topic(topic);
        }
        self.with(|cluster| cluster.inject(fault))
    }

    /// Lets something go wrong by names and values, as `ottla control fault` takes them:
    /// `inject_parts(api="Produce", error="NOT_LEADER_OR_FOLLOWER", times=3)`.
    #[pyo3(signature = (**parts))]
    fn inject_parts(&self, parts: Option<HashMap<String, Bound<'_, PyAny>>>) -> PyResult<()> {
        let mut words = Vec::new();
        for (name, value) in parts.unwrap_or_default() {
            words.push((name, value.str()?.to_string()));
        }
        let words = words.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let fault = Fault::from_parts(words);
        let fault = fault.map_err(|why| PyValueError::new_err(why.to_string()))?;
        self.with(|cluster| cluster.inject(fault))
    }

    /// Lets about one request in so many meet a fault by chance.
    #[pyo3(signature = (seed, one_in=20))]
    fn inject_random(&self, seed: u64, one_in: u32) -> PyResult<()> {
        self.with(|cluster| cluster.inject_random(RandomFaults::new(seed).one_in(one_in)))
    }

    /// Does something to a node: `kill`, `stop`, `start`, `pause`, `resume`, `isolate`, `hold` and
    /// `release` (replication), `fill-disk`, `free-disk`.
    fn node(&self, py: Python<'_>, id: i32, what: &str) -> PyResult<()> {
        let act = ottla_broker::NodeAct::named(what).ok_or_else(|| {
            let all: Vec<&str> = ottla_broker::NodeAct::ALL.iter().map(|act| act.name()).collect();
            PyValueError::new_err(format!("{what} is none of {}", all.join(", ")))
        })?;
        let done = py.detach(|| self.with(|cluster| cluster.act(id, act)))?;
        done.map_err(|why| PyRuntimeError::new_err(why.to_string()))
    }

    /// Lets all nodes hear each other again.
    fn heal(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.with(ottla_broker::Cluster::heal))
    }

    /// The node that leads a partition, None while nobody does.
    fn leader(&self, topic: &str, partition: i32) -> PyResult<Option<i32>> {
        self.with(|cluster| cluster.partition(topic, partition).and_then(|state| state.leader))
    }

    /// Waits until every replica has everything and every partition is led. Says whether it came to
    /// be.
    #[pyo3(signature = (timeout_s=10.0))]
    fn wait_until_in_sync(&self, py: Python<'_>, timeout_s: f64) -> PyResult<bool> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| PyValueError::new_err("a time is negative"))?;
        py.detach(|| self.with(|cluster| cluster.wait_until_in_sync(timeout)))
    }

    /// Takes back all faults that have not happened yet.
    fn clear_faults(&self) -> PyResult<()> {
        self.with(ottla_broker::Cluster::clear_faults)
    }

    /// Adds a user, or gives it another password. Connections that are there stay.
    fn set_user(&self, name: &str, password: &str) -> PyResult<()> {
        let set = self.with(|cluster| cluster.set_user(name, password))?;
        set.map_err(|why| PyRuntimeError::new_err(why.to_string()))
    }

    /// The offset that the next record of a partition will get; None without such a partition.
    fn log_end_offset(&self, topic: &str, partition: i32) -> PyResult<Option<i64>> {
        self.with(|cluster| cluster.log_end_offset(topic, partition))
    }

    /// All records of a topic, by partition and offset.
    fn records<'py>(&self, py: Python<'py>, topic: &str) -> PyResult<Bound<'py, PyList>> {
        let read = py.detach(|| read(&self.inside, topic));
        let read = read.map_err(|why| PyRuntimeError::new_err(why.to_string()))?;
        let list = PyList::empty(py);
        let topic = PyString::new(py, topic);
        for record in read {
            list.append(Bound::new(py, record.message(py, &topic)?)?)?;
        }
        Ok(list)
    }
}

impl Cluster {
    fn with<T>(&self, act: impl FnOnce(&ottla_broker::Cluster) -> T) -> PyResult<T> {
        let running = self.running.lock();
        let running =
            running.as_ref().ok_or_else(|| PyRuntimeError::new_err("the cluster was stopped"))?;
        Ok(act(running))
    }
}

struct Read {
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Read {
    fn message(self, py: Python<'_>, topic: &Bound<'_, PyString>) -> PyResult<Message> {
        let bytes = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| PyBytes::new(py, &bytes).into_any().unbind())
        };
        let headers = PyList::empty(py);
        for (key, value) in self.headers {
            headers.append((key, bytes(value)))?;
        }
        Ok(Message {
            topic: Some(topic.clone().into_any().unbind()),
            partition: self.partition,
            offset: self.offset,
            key: bytes(self.key),
            value: bytes(self.value),
            headers: (!headers.is_empty()).then(|| headers.into_any().unbind()),
            timestamp: (CREATE_TIME, self.timestamp_ms),
            ..Message::blank()
        })
    }
}

fn read(servers: &str, topic: &str) -> Result<Vec<Read>, Box<dyn std::error::Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut seen = Vec::new();
    runtime.block_on(async {
        let options = ReadOptions::new().stop_at_end(true);
        let mut reader = Reader::open(servers, topic, options).await?;
        while let Some(records) = reader.next().await? {
            for record in records {
                let record = record?;
                let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                let header = record.headers().map(|header| {
                    (String::from_utf8_lossy(header.key).into_owned(), owned(header.value))
                });
                seen.push(Read {
                    partition: record.partition,
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms.unwrap_or(-1),
                    key: owned(record.key),
                    value: owned(record.value),
                    headers: header.collect(),
                });
            }
        }
        Ok::<(), RequestError>(())
    })?;
    seen.sort_by_key(|record| (record.partition, record.offset));
    Ok(seen)
}
