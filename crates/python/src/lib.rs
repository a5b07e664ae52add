//! The native half of the Python package `ottla`: it converts, releases the GIL and calls the Rust
//! library. What is not called for every record is in Python, in `python/ottla`.

#![warn(missing_docs)]

mod admin;
mod asyncio;
mod classes;
mod cluster;
mod columns;
mod config;
mod convert;
mod deferred;
mod engine;
mod failure;
mod fork;
mod listeners;
mod message;
mod pending;
mod producer;
mod ready;
mod token;

use pyo3::prelude::*;

/// `ottla._native`.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::admin::Admin;
    #[pymodule_export]
    use super::asyncio::{AsyncCore, RecordMetadata};
    #[pymodule_export]
    use super::classes::register;
    #[pymodule_export]
    use super::cluster::Cluster;
    #[pymodule_export]
    use super::config::{known_settings, warnings_of};
    #[pymodule_export]
    use super::message::Message;
    #[pymodule_export]
    use super::partitioners::{consistent, fnv1a, murmur2};
    #[pymodule_export]
    use super::producer::ProducerBase;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("ConfigRefused", module.py().get_type::<super::config::ConfigRefused>())?;
        module.add("VERSION", env!("CARGO_PKG_VERSION"))
    }
}

mod partitioners {
    use ottla::PartitionerKind;
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    fn of(kind: PartitionerKind, key: &[u8], partition_count: i32) -> PyResult<i32> {
        if partition_count < 1 {
            return Err(PyValueError::new_err("partition_count must be > 0"));
        }
        kind.partition_of_key(key, partition_count)
            .ok_or_else(|| PyValueError::new_err("this partitioner does not hash keys"))
    }

    /// The partition that Java's partitioner gives a key.
    #[pyfunction]
    pub(crate) fn murmur2(key: &[u8], partition_count: i32) -> PyResult<i32> {
        of(PartitionerKind::Murmur2, key, partition_count)
    }

    /// The partition that librdkafka's `consistent` (CRC32) gives a key.
    #[pyfunction]
    pub(crate) fn consistent(key: &[u8], partition_count: i32) -> PyResult<i32> {
        of(PartitionerKind::Consistent, key, partition_count)
    }

    /// The partition that Sarama's hash (FNV-1a) gives a key.
    #[pyfunction]
    pub(crate) fn fnv1a(key: &[u8], partition_count: i32) -> PyResult<i32> {
        of(PartitionerKind::Fnv1a, key, partition_count)
    }
}
