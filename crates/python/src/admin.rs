//! `Admin`: topics and cluster, as plain dicts that the package makes its classes from.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use ottla::ErrorCode;
use ottla::admin::{self, ClusterDescription, NewTopic, RequestError, RequestErrorKind};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::classes;
use crate::failure::code;

/// Asks a cluster. Each call connects anew: it is not called often.
#[pyclass(frozen, module = "ottla._native")]
pub(crate) struct Admin {
    servers: String,
}

#[pymethods]
impl Admin {
    #[new]
    const fn new(servers: String) -> Self {
        Self { servers }
    }

    /// Brokers and topics, all or only these.
    #[pyo3(signature = (topics=None, timeout_s=60.0))]
    fn describe_cluster<'py>(
        &self,
        py: Python<'py>,
        topics: Option<Vec<String>>,
        timeout_s: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let names: Option<Vec<&str>> =
            topics.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let described =
            self.ask(py, timeout_s, async |admin| admin.describe_cluster(names.as_deref()).await)?;
        cluster(py, &described)
    }

    /// Creates a topic.
    #[pyo3(signature = (name, partitions=None, replication=None, config=None, timeout_s=60.0))]
    fn create_topic(
        &self,
        py: Python<'_>,
        name: &str,
        partitions: Option<i32>,
        replication: Option<i16>,
        config: Option<HashMap<String, String>>,
        timeout_s: f64,
    ) -> PyResult<()> {
        let mut topic = NewTopic::new(name);
        if let Some(partitions) = partitions {
            topic = topic.partitions(partitions);
        }
        if let Some(replication) = replication {
            topic = topic.replication(replication);
        }
        for (key, value) in config.unwrap_or_default() {
            topic = topic.config(key, value);
        }
        self.ask(py, timeout_s, async |admin| admin.create_topic(&topic).await.map(drop))
    }

    /// Deletes a topic.
    #[pyo3(signature = (name, timeout_s=60.0))]
    fn delete_topic(&self, py: Python<'_>, name: &str, timeout_s: f64) -> PyResult<()> {
        self.ask(py, timeout_s, async |admin| admin.delete_topic(name).await)
    }

    /// The settings of a topic: name, value.
    #[pyo3(signature = (name, timeout_s=60.0))]
    fn topic_configs<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        timeout_s: f64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let described = self.ask(py, timeout_s, async |admin| admin.describe_topic(name).await)?;
        let configs = PyDict::new(py);
        for entry in described.configs.unwrap_or_default() {
            configs.set_item(entry.name, entry.value)?;
        }
        Ok(configs)
    }
}

impl Admin {
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        timeout_s: f64,
        ask: impl AsyncFnOnce(&mut admin::Admin) -> Result<T, RequestError> + Send,
    ) -> PyResult<T> {
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::MAX);
        let timeout = timeout.min(Duration::from_secs(86_400));
        let told = py.detach(|| {
            on_a_runtime(async {
                let mut admin = admin::Admin::connect(&self.servers, timeout).await?;
                ask(&mut admin).await
            })
        });
        match told {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(why)) => Err(classes::raise(py, code_of(&why), &why.to_string())),
            Err(why) => Err(classes::raise(py, code::FAIL, &why.to_string())),
        }
    }
}

fn on_a_runtime<F: Future>(future: F) -> std::io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(future))
}

fn code_of(error: &RequestError) -> i32 {
    match (error.code(), error.kind()) {
        (Some(code), _) => i32::from(code.0),
        (None, RequestErrorKind::Unreachable) => code::TRANSPORT,
        (None, _) => code::FAIL,
    }
}

fn number(code: Option<ErrorCode>) -> Option<(i16, &'static str)> {
    code.map(|code| (code.0, code.message()))
}

fn cluster<'py>(py: Python<'py>, told: &ClusterDescription) -> PyResult<Bound<'py, PyDict>> {
    let cluster = PyDict::new(py);
    cluster.set_item("cluster_id", told.cluster_id.as_deref())?;
    cluster.set_item("controller_id", told.controller)?;
    let brokers = PyList::empty(py);
    for broker in &told.brokers {
        brokers.append((broker.id, &broker.host, broker.port, broker.rack.as_deref()))?;
    }
    cluster.set_item("brokers", brokers)?;
    let topics = PyList::empty(py);
    for topic in &told.topics {
        let partitions = PyList::empty(py);
        for partition in &topic.partitions {
            partitions.append((
                partition.partition,
                partition.leader,
                &partition.replicas,
                &partition.isr,
                number(partition.error),
            ))?;
        }
        topics.append((&topic.name, number(topic.error), topic.is_internal, partitions))?;
    }
    cluster.set_item("topics", topics)?;
    Ok(cluster)
}
