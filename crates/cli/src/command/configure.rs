//! A producer's settings, checked before anything is started.

use ottla::ProducerConfig;
use ottla::config::{ConfigBuilder, ConfigError};

use crate::exit::Failure;
use crate::properties::Property;
use crate::talk::Talk;

/// The typed configuration, after which building the producer cannot fail for a setting.
pub(crate) fn configure(
    settings: &[Property],
    servers: &str,
    talk: &Talk,
) -> Result<ProducerConfig, Failure> {
    let place = |key: &str| {
        let setting = settings.iter().find(|setting| setting.name == key)?;
        setting.place.as_deref()
    };
    let mut builder = ConfigBuilder::default();
    for Property { name, value, place } in settings {
        builder.set(name, value).map_err(|error| wrong_setting(&error, place.as_deref()))?;
    }
    let config = builder
        .set("bootstrap.servers", servers)
        .and_then(|()| builder.build())
        .map_err(|error| wrong_setting(&error, place(&error.key)))?;
    for (name, why) in builder.ignored() {
        talk.note(format_args!("setting {name} has no effect: {why}"));
    }
    if let Some(key) = builder.gives_up_idempotence_for() {
        talk.note(format_args!("idempotence is off because of {key}"));
    }
    Ok(config)
}

fn wrong_setting(error: &ConfigError, place: Option<&str>) -> Failure {
    Failure::usage(format!("setting {error}")).at(place)
}
