//! The topics that a member wants: by their names, by a regular expression, or by both.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::Uuid;

use crate::pattern::Pattern;

/// What a group has to know of the topics.
pub(crate) trait Topics {
    /// Id and number of partitions.
    fn topic(&self, name: &str) -> Option<(Uuid, i32)>;

    /// The names for which `is_wanted` holds, of those that somebody may describe.
    fn matching(&self, principal: &str, is_wanted: &dyn Fn(&str) -> bool) -> BTreeSet<String>;
}

/// What a member has subscribed to, and what that is at present.
#[derive(Clone, Debug, Default)]
pub(super) struct Subscription {
    pub(super) names: BTreeSet<String>,
    pub(super) pattern: Option<Pattern>,
    matching: BTreeSet<String>,
    topics: BTreeMap<Uuid, i32>,
}

impl Subscription {
    /// One from before a restart, with the topics that it came to then.
    pub(super) fn restored(
        names: BTreeSet<String>,
        pattern: Option<Pattern>,
        topics: BTreeMap<Uuid, i32>,
    ) -> Self {
        Self { names, pattern, matching: BTreeSet::new(), topics }
    }

    /// Takes over what a heartbeat says. Says whether that is something else than before.
    pub(super) fn update(
        &mut self,
        names: Option<Vec<String>>,
        pattern: Option<Option<Pattern>>,
    ) -> bool {
        let mut has_changed = false;
        if let Some(names) = names {
            let names = names.into_iter().collect();
            has_changed |= self.names != names;
            self.names = names;
        }
        if let Some(pattern) = pattern {
            has_changed |= self.pattern != pattern;
            self.pattern = pattern;
        }
        has_changed
    }

    /// Looks at the topics anew. Says whether they are others, or have other partitions.
    pub(super) fn resolve(&mut self, principal: &str, topics: &dyn Topics) -> bool {
        self.matching = match &self.pattern {
            Some(pattern) => topics.matching(principal, &|name| pattern.matches(name)),
            None => BTreeSet::new(),
        };
        let wanted = self.names.union(&self.matching);
        let resolved = wanted.filter_map(|name| topics.topic(name)).collect();
        let has_changed = self.topics != resolved;
        self.topics = resolved;
        has_changed
    }

    /// The topics that there are, with the number of their partitions.
    pub(super) fn topics(&self) -> &BTreeMap<Uuid, i32> {
        &self.topics
    }

    pub(super) fn includes(&self, name: &str) -> bool {
        self.names.contains(name) || self.matching.contains(name)
    }
}
