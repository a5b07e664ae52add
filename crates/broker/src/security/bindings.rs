//! ACLs: rules of access that tools make and that are kept, as Kafka's StandardAuthorizer takes
//! them with `allow.everyone.if.no.acl.found` (KIP-11, KIP-290).
//!
//! Whatever no ACL is about everybody may use. What one is about may be used by those that an ACL
//! allows it and none denies it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acl::{On, Operation};
use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;

/// Stands for every name, principal's name or host.
pub(crate) const WILDCARD: &str = "*";
/// Every principal.
const EVERYBODY: &str = "User:*";
/// The name of the only cluster.
pub(crate) const CLUSTER_NAME: &str = "kafka-cluster";

/// Kafka's numbers for the parts of an ACL.
pub(crate) mod code {
    /// In a filter: it does not matter.
    pub(crate) const ANY: i8 = 1;

    pub(crate) const TOPIC: i8 = 2;
    pub(crate) const GROUP: i8 = 3;
    pub(crate) const CLUSTER: i8 = 4;
    pub(crate) const TRANSACTIONAL_ID: i8 = 5;
    /// Users, of whom delegation tokens may be made.
    pub(crate) const USER: i8 = 7;

    /// In a filter: every pattern that is about the name.
    pub(crate) const MATCH: i8 = 2;
    pub(crate) const LITERAL: i8 = 3;
    pub(crate) const PREFIXED: i8 = 4;

    pub(crate) const ALL: i8 = 2;
    /// The last operation, TWO_PHASE_COMMIT.
    pub(crate) const LAST_OPERATION: i8 = 15;

    pub(crate) const DENY: i8 = 2;
    pub(crate) const ALLOW: i8 = 3;
}

/// An ACL, with Kafka's numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binding {
    pub(crate) resource_type: i8,
    pub(crate) pattern_type: i8,
    pub(crate) name: String,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

/// What ACLs are looked for by. `None` and [`code::ANY`] take everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) resource_type: i8,
    pub(crate) pattern_type: i8,
    pub(crate) name: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) operation: i8,
    pub(crate) permission: i8,
}

/// Who wants to do something, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who<'a> {
    pub(crate) principal: &'a str,
    /// `None` where it is not known: ACLs for one host are not for it.
    pub(crate) host: Option<IpAddr>,
}

impl Binding {
    fn covers(&self, (resource_type, name): (i8, &str)) -> bool {
        self.resource_type == resource_type
            && match self.pattern_type {
                code::LITERAL => self.name == name || self.name == WILDCARD,
                _ => name.starts_with(&self.name),
            }
    }

    fn is_for(&self, who: Who<'_>, operation: Operation) -> bool {
        let is_host = |host: IpAddr| host.to_canonical().to_string() == self.host;
        (self.principal == who.principal || self.principal == EVERYBODY)
            && (self.host == WILDCARD || who.host.is_some_and(is_host))
            && self.is_about(operation)
    }

    /// To be allowed to use something is to be allowed to see it.
    fn is_about(&self, operation: Operation) -> bool {
        const SEE: [Operation; 4] =
            [Operation::Read, Operation::Write, Operation::Delete, Operation::Alter];
        let is = |operation: Operation| self.operation == operation as i8;
        let implies = self.permission == code::ALLOW
            && match operation {
                Operation::Describe => SEE.into_iter().any(is),
                Operation::DescribeConfigs => is(Operation::AlterConfigs),
                _ => false,
            };
        self.operation == code::ALL || is(operation) || implies
    }
}

impl Filter {
    pub(crate) fn takes(&self, binding: &Binding) -> bool {
        let is = |wanted: i8, present: i8| wanted == code::ANY || wanted == present;
        let named = |wanted: &Option<String>, present: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == present)
        };
        is(self.resource_type, binding.resource_type)
            && self.takes_pattern(binding)
            && named(&self.principal, &binding.principal)
            && named(&self.host, &binding.host)
            && is(self.operation, binding.operation)
            && is(self.permission, binding.permission)
    }

    fn takes_pattern(&self, binding: &Binding) -> bool {
        let is_of_any_type = matches!(self.pattern_type, code::ANY | code::MATCH);
        if !is_of_any_type && self.pattern_type != binding.pattern_type {
            return false;
        }
        let Some(name) = &self.name else {
            return true;
        };
        match self.pattern_type {
            code::MATCH => binding.covers((binding.resource_type, name)),
            _ => *name == binding.name,
        }
    }
}

/// The ACLs of a cluster.
#[derive(Debug)]
pub(crate) struct Bindings {
    journal: Journal,
    known: BTreeSet<Binding>,
    /// Who may do everything, whatever the ACLs say.
    pub(crate) super_users: Vec<String>,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Add(Binding),
    Remove(Binding),
}

impl Bindings {
    /// Reads the journal.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut known = BTreeSet::new();
        let journal = Journal::open(path, storage, &mut known, apply, all)?;
        Ok(Self { journal, known, super_users: Vec::new() })
    }

    /// Whether nothing is forbidden to anybody.
    pub(crate) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Those that a filter takes, in order of what they are about.
    pub(crate) fn find(&self, filter: &Filter) -> Vec<Binding> {
        self.known.iter().filter(|binding| filter.takes(binding)).cloned().collect()
    }

    /// Adds ACLs; nothing has changed when the disk fails.
    pub(crate) fn add(&mut self, bindings: Vec<Binding>) -> io::Result<()> {
        let is_new = |binding: &Binding| !self.known.contains(binding);
        let new = bindings.into_iter().filter(is_new).map(Line::Add).collect();
        self.write(new)
    }

    /// Removes ACLs; nothing has changed when the disk fails.
    pub(crate) fn remove(&mut self, bindings: Vec<Binding>) -> io::Result<()> {
        let is_there = |binding: &Binding| self.known.contains(binding);
        let gone = bindings.into_iter().filter(is_there).map(Line::Remove).collect();
        self.write(gone)
    }

    fn write(&mut self, lines: Vec<Line>) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.journal.append(&to_lines(&lines)?)?;
        for line in lines {
            apply(&mut self.known, line);
        }
        let known = &self.known;
        self.journal.rewrite_if_large(|| all(known));
        Ok(())
    }

    pub(crate) fn allows(&self, who: Who<'_>, operation: Operation, thing: On<'_>) -> bool {
        let resource = match thing {
            On::Topic(name) => (code::TOPIC, name),
            On::Group(name) => (code::GROUP, name),
            On::TransactionalId(id) => (code::TRANSACTIONAL_ID, id),
            On::Cluster => (code::CLUSTER, CLUSTER_NAME),
        };
        if self.is_super(who) {
            return true;
        }
        let mut is_without = true;
        let mut is_allowed = false;
        for binding in self.known.iter().filter(|binding| binding.covers(resource)) {
            is_without = false;
            if binding.is_for(who, operation) {
                match binding.permission {
                    code::ALLOW => is_allowed = true,
                    _ => return false,
                }
            }
        }
        is_allowed || is_without
    }

    /// Whether there may be some topic that this can be done with: one that nobody has thought of,
    /// or one that an ACL allows.
    pub(crate) fn allows_some_topic(&self, who: Who<'_>, operation: Operation) -> bool {
        let is_allowed = |name: &str| self.allows(who, operation, On::Topic(name));
        let allowing = self.known.iter().filter(|binding| {
            let is_allowing = binding.permission == code::ALLOW;
            binding.resource_type == code::TOPIC && is_allowing && binding.is_for(who, operation)
        });
        self.is_super(who)
            || is_allowed("\u{0}")
            || allowing.into_iter().any(|binding| is_allowed(&binding.name))
    }

    fn is_super(&self, who: Who<'_>) -> bool {
        self.super_users.iter().any(|name| name == who.principal)
    }
}

fn apply(known: &mut BTreeSet<Binding>, line: Line) {
    match line {
        Line::Add(binding) => known.insert(binding),
        Line::Remove(binding) => known.remove(&binding),
    };
}

fn all(known: &BTreeSet<Binding>) -> io::Result<Vec<u8>> {
    to_lines(known.iter().cloned().map(Line::Add))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(dir: &std::path::Path) -> Bindings {
        let storage = Arc::new(DiskStorage { is_durable: false });
        Bindings::open(dir.join("acls.jsonl"), storage).unwrap()
    }

    fn binding(name: &str, principal: &str, operation: i8, permission: i8) -> Binding {
        Binding {
            resource_type: code::TOPIC,
            pattern_type: code::LITERAL,
            name: name.to_owned(),
            principal: principal.to_owned(),
            host: WILDCARD.to_owned(),
            operation,
            permission,
        }
    }

    fn who(principal: &str) -> Who<'_> {
        Who { principal, host: Some(IpAddr::from([127, 0, 0, 1])) }
    }

    const ALICE: &str = "User:alice";
    const BOB: &str = "User:bob";
    const READ: i8 = Operation::Read as i8;

    #[test]
    fn what_an_acl_is_about_is_for_those_that_it_allows_and_the_rest_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let mut acls = open(dir.path());
        let may = |acls: &Bindings, user, operation, topic| {
            acls.allows(who(user), operation, On::Topic(topic))
        };
        acls.add(vec![binding("t", ALICE, READ, code::ALLOW)]).unwrap();
        assert!(may(&acls, ALICE, Operation::Read, "t"));
        // Who may read may see, and may not write.
        assert!(may(&acls, ALICE, Operation::Describe, "t"));
        assert!(!may(&acls, ALICE, Operation::Write, "t"));
        assert!(!may(&acls, BOB, Operation::Read, "t"));
        assert!(may(&acls, BOB, Operation::Read, "other"));
        assert!(acls.allows(who(BOB), Operation::Read, On::Group("t")));
        assert!(acls.allows(who(BOB), Operation::Alter, On::Cluster));
        acls.super_users.push(BOB.to_owned());
        assert!(may(&acls, BOB, Operation::Write, "t"));
    }

    #[test]
    fn what_is_denied_is_denied_whatever_is_allowed_and_denial_implies_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut acls = open(dir.path());
        let prefixed = |pattern: &str, user, permission| Binding {
            pattern_type: code::PREFIXED,
            ..binding(pattern, user, code::ALL, permission)
        };
        acls.add(vec![
            prefixed("pay-", EVERYBODY, code::ALLOW),
            binding("pay-1", ALICE, READ, code::DENY),
            Binding { host: "10.0.0.1".to_owned(), ..binding("pay-2", BOB, READ, code::DENY) },
        ])
        .unwrap();
        let may = |user, operation, topic| acls.allows(who(user), operation, On::Topic(topic));
        assert!(!may(ALICE, Operation::Read, "pay-1"));
        assert!(may(ALICE, Operation::Describe, "pay-1"));
        assert!(may(ALICE, Operation::Read, "pay-2"));
        // That one is for another host.
        assert!(may(BOB, Operation::Read, "pay-2"));
    }

    #[test]
    fn some_topic_is_one_that_no_acl_is_about_or_one_that_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let mut acls = open(dir.path());
        let some = |acls: &Bindings, user| acls.allows_some_topic(who(user), Operation::Read);
        assert!(some(&acls, BOB));
        acls.add(vec![binding(WILDCARD, ALICE, READ, code::ALLOW)]).unwrap();
        assert!(some(&acls, ALICE) && !some(&acls, BOB));
        acls.add(vec![binding("t", BOB, READ, code::ALLOW)]).unwrap();
        assert!(some(&acls, BOB));
    }

    #[test]
    fn filters_take_what_kafka_takes() {
        let any = Filter {
            resource_type: code::ANY,
            pattern_type: code::ANY,
            name: None,
            principal: None,
            host: None,
            operation: code::ANY,
            permission: code::ANY,
        };
        let literal = binding("pay-1", ALICE, READ, code::ALLOW);
        let prefixed =
            Binding { pattern_type: code::PREFIXED, name: "pay-".to_owned(), ..literal.clone() };
        let wild = Binding { name: WILDCARD.to_owned(), ..literal.clone() };
        let all = [&literal, &prefixed, &wild];
        let taken = |filter: &Filter| all.map(|binding| filter.takes(binding));
        let named = |name: &str, pattern_type| Filter {
            name: Some(name.to_owned()),
            pattern_type,
            ..any.clone()
        };
        assert_eq!(taken(&any), [true; 3]);
        assert_eq!(taken(&named("pay-1", code::ANY)), [true, false, false]);
        assert_eq!(taken(&named("pay-1", code::MATCH)), [true, true, true]);
        assert_eq!(taken(&named("pay-1", code::PREFIXED)), [false; 3]);
        assert_eq!(taken(&named("pay-", code::PREFIXED)), [false, true, false]);
        assert_eq!(taken(&named("*", code::LITERAL)), [false, false, true]);
        let of_bob = Filter { principal: Some(BOB.to_owned()), ..any.clone() };
        assert_eq!(taken(&of_bob), [false; 3]);
        assert_eq!(taken(&Filter { permission: code::DENY, ..any }), [false; 3]);
    }

    #[test]
    fn acls_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) =
            (binding("a", ALICE, READ, code::ALLOW), binding("b", BOB, READ, code::DENY));
        let mut acls = open(dir.path());
        acls.add(vec![first.clone(), second.clone(), first.clone()]).unwrap();
        acls.remove(vec![second.clone()]).unwrap();
        acls.remove(vec![second]).unwrap();
        assert_eq!(open(dir.path()).known, BTreeSet::from([first]));
    }
}
