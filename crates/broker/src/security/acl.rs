//! Rules of access. Everybody may do everything, but for what is denied.

use std::str::FromStr;

/// What may be done with a thing, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say all there is")]
pub enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}

impl Operation {
    const ALL: [(&str, Self); 10] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("create", Self::Create),
        ("delete", Self::Delete),
        ("alter", Self::Alter),
        ("describe", Self::Describe),
        ("cluster-action", Self::ClusterAction),
        ("describe-configs", Self::DescribeConfigs),
        ("alter-configs", Self::AlterConfigs),
        ("idempotent-write", Self::IdempotentWrite),
    ];

    /// Its place in the sets of bits that some answers carry.
    pub(crate) fn bit(self) -> i32 {
        1 << self as u8
    }
}

/// A rule that denies something: to whom, with what, and which operation.
///
/// As text, which `ottla broker --deny` takes: `[PRINCIPAL] OPERATION RESOURCE`. The operation is
/// `all` or one such as `write` and `idempotent-write`; the resource is `cluster`, or
/// `topic:NAME`, `group:NAME` or `transactional-id:NAME`, where a `*` at the end stands for
/// whatever follows.
///
/// # Examples
/// ```
/// use ottla_broker::{Acl, Cluster, Operation};
///
/// let cluster = Cluster::builder().topic("payments", 1).start()?;
/// let rule = Acl::topic("payments").operation(Operation::Write).principal("User:alice");
/// assert_eq!(rule, "User:alice write topic:payments".parse()?);
/// cluster.deny(rule.clone());
/// assert!(cluster.allow(&rule));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "it does nothing until a cluster has it"]
pub struct Acl {
    /// `None`: everybody.
    principal: Option<String>,
    resource: Resource,
    /// `None`: all of them.
    operation: Option<Operation>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    Topic(Pattern),
    Group(Pattern),
    TransactionalId(Pattern),
    Cluster,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Literal(String),
    Prefix(String),
}

/// A thing that somebody wants to do something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
}

impl Acl {
    /// About a topic, or with a `*` at the end about all whose names begin so.
    pub fn topic(name: impl AsRef<str>) -> Self {
        Self::of(Resource::Topic(Pattern::of(name.as_ref())))
    }

    /// About a consumer group, or with a `*` at the end about all whose names begin so.
    pub fn group(name: impl AsRef<str>) -> Self {
        Self::of(Resource::Group(Pattern::of(name.as_ref())))
    }

    /// About a transactional id, or with a `*` at the end about all that begin so.
    pub fn transactional_id(id: impl AsRef<str>) -> Self {
        Self::of(Resource::TransactionalId(Pattern::of(id.as_ref())))
    }

    /// About the cluster as a whole.
    pub fn cluster() -> Self {
        Self::of(Resource::Cluster)
    }

    fn of(resource: Resource) -> Self {
        Self { principal: None, resource, operation: None }
    }

    /// Only for this principal, such as `User:alice` or `User:ANONYMOUS`. Default: everybody.
    pub fn principal(self, principal: impl Into<String>) -> Self {
        Self { principal: Some(principal.into()), ..self }
    }

    /// Only this operation. Default: all.
    pub fn operation(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    fn is_for(&self, principal: &str, operation: Operation) -> bool {
        self.principal.as_deref().is_none_or(|name| name == principal)
            && self.operation.is_none_or(|own| own == operation)
    }
}

impl Pattern {
    fn of(name: &str) -> Self {
        match name.strip_suffix('*') {
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Literal(name.to_owned()),
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(own) => own == name,
            Self::Prefix(prefix) => name.starts_with(prefix),
        }
    }
}

impl Resource {
    fn covers(&self, thing: On<'_>) -> bool {
        match (self, thing) {
            (Self::Topic(pattern), On::Topic(name))
            | (Self::Group(pattern), On::Group(name))
            | (Self::TransactionalId(pattern), On::TransactionalId(name)) => pattern.matches(name),
            (Self::Cluster, On::Cluster) => true,
            _ => false,
        }
    }
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rule: expected [PRINCIPAL] OPERATION RESOURCE, as in \
     'User:alice write topic:orders', 'all topic:pay-*' or 'idempotent-write cluster'"
)]
pub struct NotARule(String);

impl FromStr for Acl {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        parse(text).ok_or_else(|| NotARule(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Acl> {
    // From the end: the names in certificates have spaces.
    let (rest, resource) = text.trim().rsplit_once(' ')?;
    let acl = match resource.split_once(':') {
        None if resource == "cluster" => Acl::cluster(),
        Some(("topic", name)) if !name.is_empty() => Acl::topic(name),
        Some(("group", name)) if !name.is_empty() => Acl::group(name),
        Some(("transactional-id", id)) if !id.is_empty() => Acl::transactional_id(id),
        _ => return None,
    };
    let rest = rest.trim();
    let (principal, operation) = match rest.rsplit_once(' ') {
        Some((principal, operation)) => (Some(principal.trim()), operation),
        None => (None, rest),
    };
    let acl = match operation {
        "all" => acl,
        name => {
            let found = Operation::ALL.iter().find(|(known, _)| *known == name)?;
            acl.operation(found.1)
        }
    };
    match principal {
        None => Some(acl),
        Some(principal) => principal.starts_with("User:").then(|| acl.principal(principal)),
    }
}

/// The rules of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    denied: Vec<Acl>,
}

impl Rules {
    pub(crate) fn deny(&mut self, rule: Acl) {
        self.denied.push(rule);
    }

    /// Takes a rule back, and says whether there was one like it.
    pub(crate) fn allow(&mut self, rule: &Acl) -> bool {
        let before = self.denied.len();
        self.denied.retain(|denied| denied != rule);
        self.denied.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.denied.clear();
    }

    /// Whether there is nothing to look up.
    pub(crate) fn is_empty(&self) -> bool {
        self.denied.is_empty()
    }

    pub(crate) fn allows(&self, principal: &str, operation: Operation, thing: On<'_>) -> bool {
        let denies = |rule: &Acl| rule.is_for(principal, operation) && rule.resource.covers(thing);
        !self.denied.iter().any(denies)
    }

    /// Whether there may be some topic that this can be done with.
    pub(crate) fn allows_some_topic(&self, principal: &str, operation: Operation) -> bool {
        let every = Resource::Topic(Pattern::Prefix(String::new()));
        let denies = |rule: &Acl| rule.is_for(principal, operation) && rule.resource == every;
        !self.denied.iter().any(denies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_denies_what_it_names_and_nothing_else() {
        let mut rules = Rules::default();
        let rule = Acl::topic("pay-*").operation(Operation::Write).principal("User:alice");
        rules.deny(rule.clone());
        let allows = |rules: &Rules, who: &str, operation, on| rules.allows(who, operation, on);
        assert!(!allows(&rules, "User:alice", Operation::Write, On::Topic("pay-1")));
        assert!(allows(&rules, "User:bob", Operation::Write, On::Topic("pay-1")));
        assert!(allows(&rules, "User:alice", Operation::Describe, On::Topic("pay-1")));
        assert!(allows(&rules, "User:alice", Operation::Write, On::Topic("pay")));
        assert!(allows(&rules, "User:alice", Operation::Write, On::Group("pay-1")));
        assert!(allows(&rules, "User:alice", Operation::Write, On::Cluster));
        assert!(rules.allows_some_topic("User:alice", Operation::Write));
        assert!(rules.allow(&rule) && !rules.allow(&rule));
        assert!(rules.is_empty());
        rules.deny(Acl::topic("*"));
        assert!(!rules.allows_some_topic("User:alice", Operation::Write));
    }

    #[test]
    fn rules_are_read_as_they_are_written() {
        for (text, rule) in [
            ("all topic:t", Acl::topic("t")),
            ("write topic:t*", Acl::topic("t*").operation(Operation::Write)),
            ("idempotent-write cluster", Acl::cluster().operation(Operation::IdempotentWrite)),
            (
                " User:CN=a b,OU=c  read  group:g ",
                Acl::group("g").operation(Operation::Read).principal("User:CN=a b,OU=c"),
            ),
            ("describe transactional-id:x:y", {
                Acl::transactional_id("x:y").operation(Operation::Describe)
            }),
        ] {
            assert_eq!(text.parse(), Ok(rule), "{text}");
        }
        for text in [
            "",
            "cluster",
            "write",
            "write topic:",
            "write topics:t",
            "alice write topic:t",
            "User:alice topic:t",
            "scribble topic:t",
            "write cluster:1",
        ] {
            let error = text.parse::<Acl>().unwrap_err();
            assert!(error.to_string().contains("User:alice write topic:orders"), "{error}");
        }
    }
}
