//! `Admin`: topics and cluster, as plain dicts that the package makes its classes from.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use ottla::admin::{
    self, ClusterDescription, ConfigChange, ConfigDescription, ConfigResource, NewTopic,
    RequestError, RequestErrorKind,
};
use ottla::{ErrorCode, Security};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::classes;
use crate::config::{self, Settings};
use crate::failure::code;

/// Asks a cluster. Each call connects anew: it is not called often.
#[pyclass(frozen, module = "ottla._native")]
pub(crate) struct Admin {
    servers: String,
    security: Security,
}

#[pymethods]
impl Admin {
    /// `config` may hold other settings than those of TLS and SASL.
    #[new]
    #[pyo3(signature = (servers, config=None, token=None))]
    fn new(
        py: Python<'_>,
        servers: String,
        config: Option<Settings>,
        token: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let security = match config {
            Some(config) => config::security(py, &config, token)?,
            None => Security::default(),
        };
        Ok(Self { servers, security })
    }

    /// Uses another name and password from the next connection on.
    fn set_sasl_credentials(&self, username: &str, password: &str) {
        self.security.set_sasl_credentials(username, password);
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
    #[pyo3(signature = (name, partitions=None, replication=None, config=None, timeout_s=60.0,
        validate_only=false))]
    #[expect(clippy::too_many_arguments, reason = "by name, from one place")]
    fn create_topic(
        &self,
        py: Python<'_>,
        name: &str,
        partitions: Option<i32>,
        replication: Option<i16>,
        config: Option<HashMap<String, String>>,
        timeout_s: f64,
        validate_only: bool,
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
        self.ask(py, timeout_s, async |admin| {
            if validate_only {
                return admin.validate_topic(&topic).await;
            }
            admin.create_topic(&topic).await.map(drop)
        })
    }

    /// Gives a topic more partitions.
    #[pyo3(signature = (name, count, timeout_s=60.0, validate_only=false))]
    fn create_partitions(
        &self,
        py: Python<'_>,
        name: &str,
        count: i32,
        timeout_s: f64,
        validate_only: bool,
    ) -> PyResult<()> {
        self.ask(py, timeout_s, async |admin| {
            admin.create_partitions(name, count, validate_only).await
        })
    }

    /// Describes the settings of a topic, or of a broker by its id: name, value, source,
    /// is_read_only, is_sensitive, synonyms.
    #[pyo3(signature = (name, is_broker=false, timeout_s=60.0))]
    fn describe_configs<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        is_broker: bool,
        timeout_s: f64,
    ) -> PyResult<Bound<'py, PyList>> {
        let resource = resource(name, is_broker)?;
        let described =
            self.ask(py, timeout_s, async |admin| admin.describe_configs(&resource).await)?;
        let rows = described.into_iter().map(|config| {
            let ConfigDescription { name, value, source, synonyms, .. } = config;
            (name, value, source, config.is_read_only, config.is_sensitive, synonyms)
        });
        PyList::new(py, rows.collect::<Vec<_>>())
    }

    /// Changes settings: name, number of the operation, value.
    #[pyo3(signature = (name, is_broker, changes, timeout_s=60.0, validate_only=false))]
    fn alter_configs(
        &self,
        py: Python<'_>,
        name: &str,
        is_broker: bool,
        changes: Vec<(String, i32, Option<String>)>,
        timeout_s: f64,
        validate_only: bool,
    ) -> PyResult<()> {
        let resource = resource(name, is_broker)?;
        let changes: PyResult<Vec<_>> = changes.into_iter().map(change).collect();
        let changes = changes?;
        self.ask(py, timeout_s, async |admin| {
            admin.alter_configs(&resource, &changes, validate_only).await
        })
    }

    /// Deletes a topic.
    #[pyo3(signature = (name, timeout_s=60.0))]
    fn delete_topic(&self, py: Python<'_>, name: &str, timeout_s: f64) -> PyResult<()> {
        self.ask(py, timeout_s, async |admin| admin.delete_topic(name).await)
    }
}

fn resource(name: &str, is_broker: bool) -> PyResult<ConfigResource> {
    if !is_broker {
        return Ok(ConfigResource::Topic(name.to_owned()));
    }
    let id = name.parse().map_err(|_| {
        PyValueError::new_err(format!("a broker's resource name is its id, not {name:?}"))
    })?;
    Ok(ConfigResource::Broker(id))
}

fn change(
    (name, operation, value): (String, i32, Option<String>),
) -> PyResult<(String, ConfigChange)> {
    let needed = || PyValueError::new_err(format!("{name} needs a value"));
    let change = match operation {
        0 => ConfigChange::Set(value.ok_or_else(needed)?),
        1 => ConfigChange::Delete,
        2 => ConfigChange::Append(value.ok_or_else(needed)?),
        3 => ConfigChange::Subtract(value.ok_or_else(needed)?),
        _ => return Err(PyValueError::new_err(format!("{operation} is no AlterConfigOpType"))),
    };
    Ok((name, change))
}

impl Admin {
    /// Asks by the security of a producer.
    pub(crate) const fn with(servers: String, security: Security) -> Self {
        Self { servers, security }
    }

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
                let (servers, security) = (&self.servers, &self.security);
                let mut admin =
                    admin::Admin::connect_with(servers, security, timeout, |_| ()).await?;
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
        // Also where a broker said it by a code of its own: that is what error_cb is told, too.
        (_, RequestErrorKind::Authentication) => code::AUTHENTICATION,
        (Some(code), _) => i32::from(code.0),
        (None, RequestErrorKind::Unreachable | RequestErrorKind::WrongService) => code::TRANSPORT,
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
