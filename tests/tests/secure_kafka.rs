//! Clusters that are met by TLS and SASL: real Kafka.

use ottla_tests::secured::Secured;

fn secured() -> Result<Secured, String> {
    Secured::kafka()
}

#[path = "../secure/mod.rs"]
mod secure;
