//! Whom a quota is for.

use serde::{Deserialize, Serialize};

/// A user or a client id by its name, or all that have no quota of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Name {
    Default,
    Of(String),
}

/// Whom a quota is for: users, client ids, or client ids of users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<Name>,
}

/// Those that are counted together: the clients of a user, or those of one id, or both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Share {
    user: Option<String>,
    client_id: Option<String>,
}

/// Whose quota holds for a client, the first that has one, and with whom it is then shared.
pub(super) fn candidates(user: &str, client_id: &str) -> Vec<(Entity, Share)> {
    let of = |name: &str| Some(Name::Of(name.to_owned()));
    let default = || Some(Name::Default);
    let pairs = [
        (of(user), of(client_id)),
        (of(user), default()),
        (of(user), None),
        (default(), of(client_id)),
        (default(), default()),
        (default(), None),
        (None, of(client_id)),
        (None, default()),
    ];
    let entities = pairs.into_iter().map(|(user, client_id)| Entity { user, client_id });
    // Who has no client id is none of the clients that have one.
    let entities = entities.filter(|entity| !client_id.is_empty() || entity.client_id.is_none());
    let share = |entity: &Entity| Share {
        user: entity.user.as_ref().map(|_| user.to_owned()),
        client_id: entity.client_id.as_ref().map(|_| client_id.to_owned()),
    };
    entities.map(|entity| (entity.clone(), share(&entity))).collect()
}
