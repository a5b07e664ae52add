//! Clusters that are met by TLS and SASL: the embedded broker.

use ottla_tests::secured::Secured;

fn secured() -> Result<Secured, String> {
    Ok(Secured::embedded())
}

#[path = "../secure/mod.rs"]
mod secure;
