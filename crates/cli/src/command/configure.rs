//! A client's settings, checked before anything is started.

use ottla::config::{ConfigBuilder, ConfigError, find_key};
use ottla::{ProducerConfig, Security};

use crate::exit::Failure;
use crate::properties::Property;
use crate::talk::Talk;

/// The typed configuration, after which building the producer cannot fail for a setting.
pub(crate) fn configure(
    settings: &[Property],
    servers: &str,
    talk: &Talk,
) -> Result<ProducerConfig, Failure> {
    let mut builder = ConfigBuilder::default();
    for Property { name, value, place } in settings {
        builder.set(name, value).map_err(|error| wrong_setting(&error, place.as_deref()))?;
    }
    let config = builder
        .set("bootstrap.servers", servers)
        .and_then(|()| builder.build())
        .map_err(|error| wrong_setting(&error, place(settings, &error.key)))?;
    for (name, why) in builder.ignored() {
        talk.note(format_args!("setting {name} has no effect: {why}"));
    }
    if let Some(key) = builder.gives_up_idempotence_for() {
        talk.note(format_args!("idempotence is off because of {key}"));
    }
    Ok(config)
}

/// How brokers are met, for commands that do not produce. Other settings have no effect on them and
/// are taken if they are known, so that one file serves all commands.
pub(crate) fn security(settings: &[Property], servers: &str) -> Result<Security, Failure> {
    let concerns = |name: &str| find_key(name).is_none_or(|key| key.is_about_security());
    let settings_of_use = settings.iter().filter(|setting| concerns(&setting.name));
    let builder = settings_of_use
        .fold(Security::builder(), |builder, setting| builder.set(&setting.name, &setting.value));
    let built = builder.set("bootstrap.servers", servers).build();
    built.map_err(|error| wrong_setting(&error, place(settings, &error.key)))
}

/// Where a setting was made.
fn place<'a>(settings: &'a [Property], key: &str) -> Option<&'a str> {
    settings.iter().find(|setting| setting.name == key)?.place.as_deref()
}

fn wrong_setting(error: &ConfigError, place: Option<&str>) -> Failure {
    Failure::usage(format!("setting {error}")).at(place)
}
