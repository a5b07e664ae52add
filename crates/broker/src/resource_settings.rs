//! Settings that tools give while the cluster runs to brokers, groups and subscriptions of client
//! metrics, kept in a journal. Those of topics are in the catalogue.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;
use crate::topic_config::Overrides;

/// What has settings of its own, beside topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Owner {
    /// By id; the one without a name is for all brokers.
    Broker,
    ClientMetrics,
    Group,
}

type Known = BTreeMap<Owner, BTreeMap<String, Overrides>>;

/// The settings of all of them.
#[derive(Debug)]
pub(crate) struct ResourceSettings {
    journal: Journal,
    known: Known,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    owner: Owner,
    name: String,
    /// All that it has; empty: it has none any more.
    settings: Overrides,
}

impl ResourceSettings {
    /// Reads the journal.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut known = Known::new();
        let journal = Journal::open(path, storage, &mut known, apply, all)?;
        Ok(Self { journal, known })
    }

    /// What one of them was given.
    pub(crate) fn of(&self, owner: Owner, name: &str) -> Option<&Overrides> {
        self.known.get(&owner)?.get(name)
    }

    /// The value that one of them was given for a setting.
    pub(crate) fn value(&self, owner: Owner, name: &str, setting: &str) -> Option<&str> {
        self.of(owner, name)?.get(setting).map(String::as_str)
    }

    /// The names of those that were given something, in order.
    pub(crate) fn names(&self, owner: Owner) -> impl Iterator<Item = &str> {
        self.known.get(&owner).into_iter().flat_map(|all| all.keys().map(String::as_str))
    }

    /// Writes down all settings of one of them. Nothing has changed when that fails.
    pub(crate) fn set(&mut self, owner: Owner, name: &str, settings: Overrides) -> io::Result<()> {
        let present = self.of(owner, name);
        if present.map_or(settings.is_empty(), |present| *present == settings) {
            return Ok(());
        }
        let line = Line { owner, name: name.to_owned(), settings };
        self.journal.append(&to_lines([&line])?)?;
        apply(&mut self.known, line);
        let known = &self.known;
        self.journal.rewrite_if_large(|| all(known));
        Ok(())
    }
}

fn apply(known: &mut Known, line: Line) {
    let of_kind = known.entry(line.owner).or_default();
    match line.settings.is_empty() {
        true => of_kind.remove(&line.name),
        false => of_kind.insert(line.name, line.settings),
    };
}

/// A line for each that has settings.
fn all(known: &Known) -> io::Result<Vec<u8>> {
    let lines = known.iter().flat_map(|(owner, of_kind)| {
        of_kind.iter().map(|(name, settings)| Line {
            owner: *owner,
            name: name.clone(),
            settings: settings.clone(),
        })
    });
    to_lines(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(dir: &std::path::Path) -> ResourceSettings {
        let storage = Arc::new(DiskStorage { is_durable: false });
        ResourceSettings::open(dir.join("resource-settings.jsonl"), storage).unwrap()
    }

    #[test]
    fn settings_outlive_a_restart_and_are_gone_when_they_were_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let given = Overrides::from([("a".to_owned(), "1".to_owned())]);
        let mut settings = open(dir.path());
        settings.set(Owner::Group, "g", given.clone()).unwrap();
        settings.set(Owner::Group, "gone", given.clone()).unwrap();
        settings.set(Owner::Broker, "", given.clone()).unwrap();
        settings.set(Owner::Group, "gone", Overrides::new()).unwrap();
        let settings = open(dir.path());
        assert_eq!(settings.names(Owner::Group).collect::<Vec<_>>(), ["g"]);
        assert_eq!(settings.value(Owner::Broker, "", "a"), Some("1"));
        assert_eq!(settings.value(Owner::Broker, "1", "a"), None);
        assert_eq!(settings.names(Owner::ClientMetrics).count(), 0);
    }
}
