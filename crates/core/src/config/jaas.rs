//! `sasl.jaas.config`, as it stands in Java clients' configurations.

use alloc::string::{String, ToString};

use super::security::SaslConfig;

/// Takes what the options of a login module say.
pub(super) fn apply(_sasl: &mut SaslConfig, _value: &str) -> Result<(), String> {
    Err("it is not understood yet".to_string())
}
