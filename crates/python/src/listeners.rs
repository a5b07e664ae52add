//! TLS and SASL of the embedded broker, as `Cluster` is given them.

use std::collections::HashMap;
use std::time::Duration;

use ottla_broker::{ClusterBuilder, Listener, Mechanism, Sasl, Tls};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The listener by which `Cluster.records` reads where clients need credentials.
pub(crate) const INSIDE: &str = "INSIDE";

/// What clients meet and have to bring.
pub(crate) struct Security {
    pub(crate) tls_certificate: Option<String>,
    pub(crate) tls_key: Option<String>,
    pub(crate) tls_client_ca: Option<String>,
    pub(crate) sasl_mechanisms: Option<Vec<String>>,
    pub(crate) users: HashMap<String, String>,
    pub(crate) session_lifetime_s: Option<f64>,
}

impl Security {
    /// Describes a cluster with this security.
    ///
    /// # Errors
    /// `ValueError`, where something makes no sense or belongs to something that is not there.
    pub(crate) fn describe(self, mut builder: ClusterBuilder) -> PyResult<ClusterBuilder> {
        let is_plain = self.tls_certificate.is_none() && self.sasl_mechanisms.is_none();
        builder = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => {
                let tls = Tls::new(certificate, key);
                builder.tls(match self.tls_client_ca {
                    Some(authorities) => {
                        tls.client_ca(authorities).require_client_certificate(true)
                    }
                    None => tls,
                })
            }
            (None, None) if self.tls_client_ca.is_none() => builder,
            _ => return Err(wrong("tls_certificate and tls_key belong together")),
        };
        if let Some(names) = &self.sasl_mechanisms {
            let mechanisms: Result<Vec<Mechanism>, _> =
                names.iter().map(|name| name.parse()).collect();
            let mut sasl = Sasl::new(mechanisms.map_err(|why| wrong(&why.to_string()))?);
            if let Some(seconds) = self.session_lifetime_s {
                let lifetime = Duration::try_from_secs_f64(seconds);
                let lifetime = lifetime.map_err(|_| wrong("session_lifetime_s is negative"))?;
                sasl = sasl.connections_max_reauth(lifetime);
            }
            builder = builder.sasl(sasl);
        } else if !self.users.is_empty() || self.session_lifetime_s.is_some() {
            return Err(wrong("users and session_lifetime_s are of use with sasl_mechanisms"));
        }
        for (name, password) in self.users {
            builder = builder.user(name, password);
        }
        Ok(if is_plain { builder } else { builder.listener(Listener::new(INSIDE)) })
    }
}

fn wrong(why: &str) -> PyErr {
    PyValueError::new_err(why.to_owned())
}
