//! Many records in one call: columns of `send_many`, messages of `produce_batch`.

use ottla::{Record, Topic};
use pyo3::exceptions::{PyNotImplementedError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::convert::{self, Payload};

/// A column of values, and those that go with it.
pub(crate) struct Columns<'py> {
    values: Bound<'py, PyList>,
    keys: Option<Bound<'py, PyList>>,
    timestamps: Option<Bound<'py, PyList>>,
    headers: Option<Bound<'py, PyAny>>,
    /// Headers for each record, instead of the same for all.
    headers_each: Option<Bound<'py, PyList>>,
}

pub(crate) struct Row<'py> {
    pub(crate) value: Bound<'py, PyAny>,
    pub(crate) key: Option<Bound<'py, PyAny>>,
    pub(crate) timestamp: i64,
    pub(crate) headers: Option<Bound<'py, PyAny>>,
}

impl<'py> Columns<'py> {
    pub(crate) fn new(
        values: &Bound<'py, PyAny>,
        keys: Option<&Bound<'py, PyAny>>,
        timestamps: Option<&Bound<'py, PyAny>>,
        headers: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let values = list(values, "values")?;
        let same_length = |column: Option<&Bound<'py, PyAny>>, what: &str| {
            let Some(column) = column.filter(|column| !column.is_none()) else { return Ok(None) };
            let column = list(column, what)?;
            if column.len() != values.len() {
                let (len, values) = (column.len(), values.len());
                let told = format!("{what} has {len} entries, values has {values}");
                return Err(PyValueError::new_err(told));
            }
            Ok(Some(column))
        };
        let keys = same_length(keys, "keys")?;
        let timestamps = same_length(timestamps, "timestamps")?;
        let headers = headers.filter(|headers| !headers.is_none()).cloned();
        // A list of pairs is the headers of all; a list of dicts or lists those of each.
        let each = match headers.as_ref().and_then(|headers| headers.cast::<PyList>().ok()) {
            Some(list) if !list.iter().all(|item| item.is_instance_of::<PyTuple>()) => {
                same_length(headers.as_ref(), "headers")?
            }
            _ => None,
        };
        let headers = if each.is_some() { None } else { headers };
        Ok(Self { values, keys, timestamps, headers, headers_each: each })
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    #[inline]
    pub(crate) fn row(&self, at: usize) -> PyResult<Row<'py>> {
        let item = |column: &Option<Bound<'py, PyList>>| {
            column.as_ref().map(|column| column.get_item(at)).transpose()
        };
        let timestamp = item(&self.timestamps)?.filter(|timestamp| !timestamp.is_none());
        Ok(Row {
            value: self.values.get_item(at)?,
            key: item(&self.keys)?,
            timestamp: timestamp.map_or(Ok(0), |timestamp| timestamp.extract())?,
            headers: match &self.headers {
                Some(headers) => Some(headers.clone()),
                None => item(&self.headers_each)?,
            },
        })
    }
}

impl Columns<'_> {
    /// Whether any record has headers.
    pub(crate) const fn have_headers(&self) -> bool {
        self.headers.is_some() || self.headers_each.is_some()
    }

    /// Sends a record without its headers; whether it was taken.
    #[inline]
    pub(crate) fn send(&self, at: usize, partition: i32, topic: &Topic) -> PyResult<bool> {
        let row = self.row(at)?;
        let value = convert::payload(Some(&row.value), "value")?;
        let key = convert::payload(row.key.as_ref(), "key")?;
        let mut record = Record::new("");
        record.value = value.as_ref().map(Payload::as_slice);
        record.key = key.as_ref().map(Payload::as_slice);
        record.partition = (partition >= 0).then_some(partition);
        record.timestamp_ms = convert::timestamp(row.timestamp)?;
        Ok(topic.try_send(record).is_ok())
    }
}

/// A message of `produce_batch`.
pub(crate) struct BatchRow<'py> {
    pub(crate) value: Option<Bound<'py, PyAny>>,
    pub(crate) key: Option<Bound<'py, PyAny>>,
    pub(crate) headers: Option<Bound<'py, PyAny>>,
    pub(crate) partition: Option<i32>,
    pub(crate) callback: Option<Bound<'py, PyAny>>,
}

impl<'py> BatchRow<'py> {
    pub(crate) fn new(at: usize, message: &Bound<'py, PyDict>) -> PyResult<Self> {
        let get = |name: &str| -> PyResult<Option<Bound<'py, PyAny>>> {
            Ok(message.get_item(name)?.filter(|value| !value.is_none()))
        };
        let bytes = |name: &str| -> PyResult<Option<Bound<'py, PyAny>>> {
            let found = get(name)?;
            convert::payload(found.as_ref(), name).map_err(|raised| {
                let text = format!("Message {name} at index {at} must be bytes or str: {raised}");
                PyTypeError::new_err(text)
            })?;
            Ok(found)
        };
        if get("timestamp")?.is_some() {
            return Err(PyNotImplementedError::new_err(
                "Message timestamps are not currently supported in produce_batch(), as in \
                 confluent_kafka: send_many(timestamps=[…]) takes them, and produce()",
            ));
        }
        let partition = get("partition")?.map(|number| number.extract::<i32>()).transpose();
        Ok(Self {
            value: bytes("value")?,
            key: bytes("key")?,
            headers: get("headers")?,
            partition: partition.map_err(|_| {
                PyTypeError::new_err(format!("Message partition at index {at} must be int"))
            })?,
            callback: get("callback")?.map_or_else(|| get("on_delivery"), |own| Ok(Some(own)))?,
        })
    }
}

/// The list itself, or one of what can be gone through.
fn list<'py>(column: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyList>> {
    if let Ok(list) = column.cast::<PyList>() {
        return Ok(list.clone());
    }
    if column.is_instance_of::<PyString>() || column.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(format!("{what} must be a list of str or bytes")));
    }
    let list = PyList::empty(column.py());
    for item in column.try_iter()? {
        list.append(item?)?;
    }
    Ok(list)
}
