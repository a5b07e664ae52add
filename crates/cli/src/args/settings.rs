//! Settings as they are typed: single ones, and files of them.

use std::path::{Path, PathBuf};

use clap::Args;

use super::target::{self, Target, TargetArgs};
use super::words::{self, Assignment};
use crate::exit::Failure;
use crate::properties::{self, Property, Settings};

const WARNINGS: &str = "durability.warnings";

/// Settings of the client, as typed.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Any setting of the client, by its Java or librdkafka name (repeatable); passwords belong
    /// into a file behind -F, since the command line is seen by others
    #[arg(short = 'X', long = "property", value_name = "NAME=VALUE")]
    #[arg(value_parser = words::setting)]
    properties: Vec<Assignment>,

    /// File of settings, in Java's or librdkafka's syntax; -X comes before it
    #[arg(short = 'F', long, value_name = "FILE")]
    properties_file: Option<PathBuf>,
}

impl SettingsArgs {
    /// Reads the file, and over it what is typed. `between` are those of other options.
    ///
    /// # Errors
    /// The file cannot be read, or what is typed is no setting.
    pub(crate) fn read(
        &self,
        between: impl IntoIterator<Item = Property>,
    ) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        add_file(&mut settings, self.properties_file.as_deref())?;
        between.into_iter().for_each(|property| settings.set(property));
        add(&mut settings, &self.properties)?;
        Ok(settings)
    }
}

/// Adds the settings of a file.
///
/// # Errors
/// It cannot be read.
pub(crate) fn add_file(settings: &mut Settings, path: Option<&Path>) -> Result<(), Failure> {
    if let Some(path) = path {
        properties::read(path)?.into_iter().for_each(|property| settings.set(property));
    }
    Ok(())
}

/// Adds what was typed.
///
/// # Errors
/// Something of it is no setting.
pub(crate) fn add(settings: &mut Settings, typed: &[Assignment]) -> Result<(), Failure> {
    for assignment in typed {
        let (name, value) = assignment.split().map_err(Failure::usage)?;
        settings.set(Property { name: name.to_owned(), value: value.to_owned(), place: None });
    }
    Ok(())
}

/// The cluster that the options name, or else the settings.
///
/// A broker in this process speaks plain text: what the settings say of TLS and SASL is for the
/// clusters outside, and left out.
///
/// # Errors
/// None is named, or what is named is no server.
pub(crate) fn target(args: &TargetArgs, settings: &mut Settings) -> Result<Target, Failure> {
    let configured = settings.take_servers();
    let target = match (args.target()?, configured) {
        (Some(target), _) => target,
        (None, Some(servers)) => target::servers_of(&servers.value)
            .map_err(|failure| failure.at(servers.place.as_deref()))?,
        (None, None) => args.required()?,
    };
    if matches!(target, Target::Embedded(_)) {
        settings.drop_security();
        // One broker keeps one replica: whoever has chosen it need not be told each time.
        if settings.list.iter().all(|it| it.name != WARNINGS) {
            let (name, value) = (WARNINGS.to_owned(), "false".to_owned());
            settings.set(Property { name, value, place: None });
        }
    }
    Ok(target)
}
