//! From Python's values to borrowed bytes.

use std::ffi::c_char;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

unsafe extern "C" {
    // In the stable interface from 3.10 on, and exported unchanged by every CPython since 3.3. The
    // way that the interface of 3.9 offers makes a bytes object for each call.
    fn PyUnicode_AsUTF8AndSize(
        unicode: *mut ffi::PyObject,
        size: *mut ffi::Py_ssize_t,
    ) -> *const c_char;
}

/// The text of a string, which the string keeps for as long as it lives.
///
/// # Errors
/// It has lone surrogates, which UTF-8 cannot say.
#[inline]
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    let mut size: ffi::Py_ssize_t = 0;
    // SAFETY: the object is a string, and we hold the GIL.
    let bytes = unsafe { PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut size) };
    if bytes.is_null() {
        return Err(PyErr::fetch(text.py()));
    }
    // SAFETY: CPython gives so many bytes of valid UTF-8 and caches them in the string, which never
    // changes and lives as long as the borrow.
    Ok(unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), size as usize);
        std::str::from_utf8_unchecked(bytes)
    })
}

/// Key, value or header value: bytes that are borrowed where that is possible.
pub(crate) enum Payload<'a> {
    Borrowed(&'a [u8]),
    /// A copy of a buffer that may change.
    Copied(Vec<u8>),
}

impl Payload<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

/// The bytes of a str, bytes or bytes-like object; nothing for None.
///
/// # Errors
/// It is of another type.
#[inline]
pub(crate) fn payload<'a>(
    value: Option<&'a Bound<'_, PyAny>>,
    what: &str,
) -> PyResult<Option<Payload<'a>>> {
    let Some(value) = value else { return Ok(None) };
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Payload::Borrowed(bytes.as_bytes())));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Some(Payload::Borrowed(utf8(text)?.as_bytes())));
    }
    copied(value, what)
}

#[cold]
fn copied<'a>(value: &Bound<'_, PyAny>, what: &str) -> PyResult<Option<Payload<'a>>> {
    if value.is_none() {
        return Ok(None);
    }
    let type_name = value.get_type().name()?;
    if matches!(type_name.to_string_lossy().as_ref(), "bytearray" | "memoryview") {
        let bytes = value.py().get_type::<PyBytes>().call1((value,))?;
        return Ok(Some(Payload::Copied(bytes.extract()?)));
    }
    Err(PyTypeError::new_err(format!(
        "{what} must be str, bytes, a bytes-like object or None, not {type_name}"
    )))
}

/// Headers from a dict, or from a list of pairs.
///
/// # Errors
/// They are something else, or a key is no string, or a value is no bytes.
pub(crate) fn headers<'py>(
    value: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
    let pair = |pair: Bound<'py, PyAny>| -> PyResult<_> {
        let wrong = || PyTypeError::new_err("headers must be (key, value) tuples");
        let pair = pair.cast_into::<PyTuple>().map_err(|_| wrong())?;
        if pair.len() != 2 {
            return Err(wrong());
        }
        let (key, value) = (pair.get_item(0)?, pair.get_item(1)?);
        let key = key.cast_into::<PyString>().map_err(|_| {
            PyTypeError::new_err("header keys must be str; values str, bytes or None")
        })?;
        Ok((key, value))
    };
    if let Ok(dict) = value.cast::<PyDict>() {
        return dict.items().iter().map(pair).collect();
    }
    if let Ok(list) = value.cast::<PyList>() {
        return list.iter().map(pair).collect();
    }
    Err(PyTypeError::new_err("headers must be a dict or a list of (key, value) tuples"))
}

/// Seconds as Python says them, for ever if they are negative.
///
/// # Errors
/// It is not a number.
pub(crate) fn seconds(timeout: f64) -> PyResult<Option<std::time::Duration>> {
    if timeout.is_nan() {
        return Err(PyValueError::new_err("timeout must be a number of seconds, not NaN"));
    }
    if timeout < 0.0 {
        return Ok(None);
    }
    Ok(std::time::Duration::try_from_secs_f64(timeout).ok())
}

/// Milliseconds; 0 is now.
///
/// # Errors
/// They are negative.
pub(crate) fn timestamp(timestamp: i64) -> PyResult<Option<i64>> {
    match timestamp {
        0 => Ok(None),
        timestamp if timestamp > 0 => Ok(Some(timestamp)),
        _ => Err(PyValueError::new_err("timestamp must be milliseconds since 1970, or 0 for now")),
    }
}

/// Calls `send` with the headers as the library wants them.
///
/// # Errors
/// As [`headers`], and what `send` raises.
pub(crate) fn with_headers<T>(
    given: &Bound<'_, PyAny>,
    send: impl FnOnce(&[ottla::Header<'_>]) -> PyResult<T>,
) -> PyResult<T> {
    let pairs = headers(given)?;
    let mut borrowed = Vec::with_capacity(pairs.len());
    for (key, value) in &pairs {
        borrowed.push((utf8(key)?, payload(Some(value), "a header's value")?));
    }
    let headers: Vec<ottla::Header<'_>> = borrowed
        .iter()
        .map(|(key, value)| ottla::Header::new(key, value.as_ref().map(Payload::as_slice)))
        .collect();
    send(&headers)
}
