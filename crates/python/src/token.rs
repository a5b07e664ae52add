//! Tokens for OAUTHBEARER from a function of Python's.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ottla::OauthToken;
use pyo3::prelude::*;

/// What the function gives: token, seconds since 1970 at its end, principal, extensions.
type Told = (String, f64, Option<String>, Vec<(String, String)>);

/// Calls `function`, on whichever thread wants a token.
pub(crate) fn from(
    function: Py<PyAny>,
) -> impl Fn() -> Result<OauthToken, Box<dyn Error + Send + Sync>> + Send + Sync + 'static {
    move || {
        // None once the interpreter ends, while a thread of ours is still at work.
        let told = Python::try_attach(|py| {
            let told = function.bind(py).call0().and_then(|told| told.extract::<Told>());
            told.map_err(|raised| words(py, &raised))
        });
        let (value, expires, principal, extensions) =
            told.unwrap_or_else(|| Err("the interpreter ends".to_owned()))?;
        let since = Duration::try_from_secs_f64(expires).unwrap_or_default();
        let expires_at = UNIX_EPOCH.checked_add(since).unwrap_or_else(far_away);
        let mut token = OauthToken::new(value, expires_at);
        if let Some(principal) = principal {
            token = token.principal(principal);
        }
        Ok(extensions.into_iter().fold(token, |token, (name, value)| token.extension(name, value)))
    }
}

/// Later than anybody will look at.
fn far_away() -> SystemTime {
    SystemTime::now() + Duration::from_secs(365 * 86_400)
}

/// The exception as its last line has it.
fn words(py: Python<'_>, raised: &PyErr) -> String {
    let kind = raised.get_type(py).name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    format!("{kind}: {}", raised.value(py))
}
