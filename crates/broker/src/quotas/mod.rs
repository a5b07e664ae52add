//! Quotas of clients (KIP-13, KIP-55, KIP-546): who may send and fetch how many bytes a second of a
//! node, kept in a journal, and how long who exceeds it is kept waiting (KIP-219).

mod entity;
mod window;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use entity::{Entity, Name};

use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;
use entity::Share;
use window::Window;

/// Above so many clients those are forgotten that have been idle for a whole window.
const MAX_IDLE_CLIENTS: usize = 1000;

/// Quotas by their names in Kafka.
pub(crate) type Values = BTreeMap<String, f64>;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Limit {
    /// Bytes of Produce requests.
    Produce,
    /// Bytes of Fetch answers.
    Fetch,
}

impl Limit {
    fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
        }
    }
}

/// A client of a node, as far as its quota goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    pub(crate) node: i32,
    pub(crate) user: &'a str,
    pub(crate) client_id: &'a str,
}

/// All quotas, and what of them is used.
#[derive(Debug)]
pub(crate) struct Quotas {
    journal: Journal,
    known: BTreeMap<Entity, Values>,
    /// Those that share one quota are counted together, each node by itself.
    used: HashMap<(i32, Limit, Share), Window>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    entity: Entity,
    /// Empty: nothing is limited any more.
    values: Values,
}

impl Quotas {
    /// Reads the journal.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut known = BTreeMap::new();
        let journal = Journal::open(path, storage, &mut known, apply, all)?;
        Ok(Self { journal, known, used: HashMap::new() })
    }

    /// All entities that have quotas.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entity, &Values)> {
        self.known.iter()
    }

    /// The quotas that an entity has itself.
    pub(crate) fn of(&self, entity: &Entity) -> Values {
        self.known.get(entity).cloned().unwrap_or_default()
    }

    /// Writes down the quotas of an entity. Nothing has changed when that fails.
    pub(crate) fn set(&mut self, entity: Entity, values: Values) -> io::Result<()> {
        let line = Line { entity, values };
        self.journal.append(&to_lines([&line])?)?;
        apply(&mut self.known, line);
        let known = &self.known;
        self.journal.rewrite_if_large(|| all(known));
        Ok(())
    }

    /// The most bytes that a client may have at once without being kept waiting for sure.
    pub(crate) fn most_at_once(&self, limit: Limit, client: Client<'_>) -> Option<i32> {
        let (rate, _) = self.find(limit, client)?;
        // Too much for the type is the most that it holds.
        Some((rate * window::LEAST.as_secs_f64()) as i32)
    }

    /// Counts bytes of a client, and says how long it has to wait if they are too many.
    pub(crate) fn charge(
        &mut self,
        limit: Limit,
        client: Client<'_>,
        bytes: usize,
        now: Duration,
    ) -> Option<Duration> {
        let (rate, share) = self.find(limit, client)?;
        if self.used.len() >= MAX_IDLE_CLIENTS {
            self.used.retain(|_, window| !window.is_idle(now));
        }
        let window = self.used.entry((client.node, limit, share)).or_default();
        window.add(bytes as f64, now);
        window.excess(rate, now)
    }

    /// Takes bytes back that were counted just now, and are not sent.
    pub(crate) fn refund(&mut self, limit: Limit, client: Client<'_>, bytes: usize, now: Duration) {
        let found = self.find(limit, client);
        let window = found.and_then(|(_, share)| self.used.get_mut(&(client.node, limit, share)));
        if let Some(window) = window {
            window.add(-(bytes as f64), now);
        }
    }

    /// Whether anybody has a quota at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets what was sent and fetched of a node that has gone down.
    pub(crate) fn forget_node(&mut self, node: i32) {
        self.used.retain(|(of, ..), _| *of != node);
    }

    /// The quota that holds for a client, and with whom it shares that.
    fn find(&self, limit: Limit, client: Client<'_>) -> Option<(f64, Share)> {
        if self.known.is_empty() {
            return None;
        }
        let key = limit.key();
        let own = |entity: &Entity| self.known.get(entity)?.get(key).copied();
        let mut candidates = entity::candidates(client.user, client.client_id).into_iter();
        candidates.find_map(|(entity, share)| Some((own(&entity)?, share)))
    }
}

fn apply(known: &mut BTreeMap<Entity, Values>, line: Line) {
    match line.values.is_empty() {
        true => known.remove(&line.entity),
        false => known.insert(line.entity, line.values),
    };
}

/// A line for each entity.
fn all(known: &BTreeMap<Entity, Values>) -> io::Result<Vec<u8>> {
    let lines = known.iter();
    to_lines(lines.map(|(entity, values)| Line { entity: entity.clone(), values: values.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(dir: &std::path::Path) -> Quotas {
        let storage = Arc::new(DiskStorage { is_durable: false });
        Quotas::open(dir.join("client-quotas.jsonl"), storage).unwrap()
    }

    fn produce(rate: f64) -> Values {
        Values::from([(Limit::Produce.key().to_owned(), rate)])
    }

    fn named(name: &str) -> Option<Name> {
        Some(Name::Of(name.to_owned()))
    }

    const ALICE: Client<'static> = Client { node: 1, user: "alice", client_id: "app" };

    #[test]
    fn the_most_special_quota_holds_in_the_order_of_kafka() {
        let dir = tempfile::tempdir().unwrap();
        let mut quotas = open(dir.path());
        // From the least special to the most.
        let entities = [
            (None, Some(Name::Default)),
            (None, named("app")),
            (Some(Name::Default), None),
            (Some(Name::Default), Some(Name::Default)),
            (Some(Name::Default), named("app")),
            (named("alice"), None),
            (named("alice"), Some(Name::Default)),
            (named("alice"), named("app")),
        ];
        assert_eq!(quotas.find(Limit::Produce, ALICE), None);
        for (rate, (user, client_id)) in (1..).map(f64::from).zip(entities) {
            quotas.set(Entity { user, client_id }, produce(rate)).unwrap();
            let found = quotas.find(Limit::Produce, ALICE).map(|(rate, _)| rate);
            assert_eq!(found, Some(rate));
            assert_eq!(quotas.find(Limit::Fetch, ALICE), None);
        }
        let rate_of = |user, client_id| {
            let found = quotas.find(Limit::Produce, Client { node: 1, user, client_id });
            found.map(|(rate, _)| rate)
        };
        assert_eq!(rate_of("bob", "app"), Some(5.0));
        assert_eq!(rate_of("bob", "other"), Some(4.0));
        assert_eq!(rate_of("alice", "other"), Some(7.0));
        // Who has no client id has none of the quotas of client ids.
        assert_eq!(rate_of("alice", ""), Some(6.0));
        assert_eq!(rate_of("bob", ""), Some(3.0));
    }

    #[test]
    fn clients_share_the_quota_of_their_user_and_have_one_each_by_a_default() {
        let dir = tempfile::tempdir().unwrap();
        let mut quotas = open(dir.path());
        let now = Duration::from_secs(100);
        let other = Client { client_id: "other", ..ALICE };
        let of_user = Entity { user: named("alice"), client_id: None };
        quotas.set(of_user.clone(), produce(10.0)).unwrap();
        assert_eq!(quotas.charge(Limit::Produce, ALICE, 100, now), None);
        assert!(quotas.charge(Limit::Produce, other, 1, now).is_some());
        // Each node counts for itself.
        assert_eq!(quotas.charge(Limit::Produce, Client { node: 2, ..other }, 1, now), None);
        quotas.set(of_user, Values::new()).unwrap();
        assert!(quotas.is_empty());

        let by_default = Entity { user: None, client_id: Some(Name::Default) };
        quotas.set(by_default, produce(10.0)).unwrap();
        assert_eq!(quotas.charge(Limit::Produce, ALICE, 100, now), None);
        assert_eq!(quotas.charge(Limit::Produce, other, 1, now), None);
        assert!(quotas.charge(Limit::Produce, ALICE, 1, now).is_some());
        quotas.forget_node(1);
        assert_eq!(quotas.charge(Limit::Produce, ALICE, 1, now), None);
    }

    #[test]
    fn quotas_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (
            Entity { user: named("alice"), client_id: Some(Name::Default) },
            Entity { user: Some(Name::Default), client_id: None },
        );
        let mut quotas = open(dir.path());
        quotas.set(first.clone(), produce(1.5)).unwrap();
        quotas.set(second.clone(), produce(2.0)).unwrap();
        quotas.set(second.clone(), Values::new()).unwrap();
        let quotas = open(dir.path());
        assert_eq!(quotas.of(&first), produce(1.5));
        assert_eq!(quotas.iter().count(), 1);
    }

    #[test]
    fn no_more_clients_are_remembered_than_have_done_something_lately() {
        let dir = tempfile::tempdir().unwrap();
        let mut quotas = open(dir.path());
        let by_default = Entity { user: None, client_id: Some(Name::Default) };
        quotas.set(by_default, produce(10.0)).unwrap();
        for index in 0..5 * MAX_IDLE_CLIENTS {
            let client_id = format!("c{index}");
            let client = Client { client_id: &client_id, ..ALICE };
            quotas.charge(Limit::Produce, client, 1, Duration::from_millis(50 * index as u64));
        }
        assert!(quotas.used.len() <= MAX_IDLE_CLIENTS, "{}", quotas.used.len());
    }
}
