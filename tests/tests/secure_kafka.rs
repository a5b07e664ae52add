//! Clusters that are met by TLS and SASL: real Kafka.

use ottla_tests::secured::Secured;

fn secured() -> Result<Secured, String> {
    Secured::kafka()
}

#[path = "../secure/mod.rs"]
mod secure;

// The embedded broker does not speak Kerberos.
#[path = "../secure/kerberos.rs"]
mod kerberos;
