//! Keys that sign something else than handshakes.

use std::sync::Arc;

use ottla_core::config::{ConfigError, Secret};
use rustls::sign::SigningKey;

use super::files::refuse;
use super::identity::Text;
use super::{key, suites};

/// The key of a PEM text that `setting` names, which is in the file at `path` or in the setting
/// itself.
///
/// # Errors
/// There is none, it is of a kind that is not known, or its password is missing or wrong.
pub(crate) fn signing_key(
    (setting, path): (&'static str, Option<&str>),
    pem: &[u8],
    (password_setting, password): (&str, Option<&Secret>),
) -> Result<Arc<dyn SigningKey>, ConfigError> {
    let text = Text { setting, path, bytes: pem };
    let key = key::from_pem(&text, password).map_err(|error| {
        // There the password is known by its name for TLS.
        let is_password = error.key == key::PASSWORD;
        if is_password { refuse(password_setting, error.reason) } else { error }
    })?;
    let loaded = suites::signing_key(&key.der());
    loaded.map_err(|_| text.refuse("the key is damaged, or of a kind that is not known here"))
}
