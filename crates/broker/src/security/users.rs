//! Users with what proves them. Passwords themselves are not kept.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::scram::{ScramHash, ScramKeys};

/// As many as Kafka takes, which is also the least that it takes.
pub(crate) const SCRAM_ITERATIONS: u32 = 4096;
/// What is announced may be more, but nobody computes as long as that.
const MAX_COMPUTED_ITERATIONS: u32 = 100_000;

type HmacSha256 = Hmac<Sha256>;

/// The users of a cluster.
#[derive(Debug)]
pub(crate) struct Users {
    /// What clients of SCRAM are told; see [`Credential::new`].
    pub(crate) scram_iterations: u32,
    by_name: HashMap<String, Credential>,
    /// Delegation tokens (KIP-48) by their ids.
    tokens: HashMap<String, Credential>,
}

/// What proves a user, or the owner of a delegation token.
#[derive(Debug)]
pub(crate) struct Credential {
    /// Whom it proves.
    pub(crate) owner: String,
    /// Each is absent where that mechanism is not for it.
    plain: Option<PlainCheck>,
    sha_256: Option<ScramKeys>,
    sha_512: Option<ScramKeys>,
}

/// A password under a key of its own, which is enough to recognize it.
struct PlainCheck {
    key: [u8; 64],
    tag: [u8; 32],
}

impl Default for Users {
    fn default() -> Self {
        Self { scram_iterations: SCRAM_ITERATIONS, by_name: HashMap::new(), tokens: HashMap::new() }
    }
}

impl Users {
    /// Adds a user, or gives it another password.
    pub(crate) fn set(&mut self, name: &str, password: &str) -> Result<(), getrandom::Error> {
        self.insert(Credential::new(name, password, self.scram_iterations)?);
        Ok(())
    }

    pub(crate) fn insert(&mut self, credential: Credential) {
        self.by_name.insert(credential.owner.clone(), credential);
    }

    /// Gives a user, who need not be known, what proves it by SCRAM with one hash.
    pub(crate) fn set_scram(&mut self, name: &str, hash: ScramHash, keys: ScramKeys) {
        let credential = self.by_name.entry(name.to_owned()).or_insert_with(|| Credential {
            owner: name.to_owned(),
            plain: None,
            sha_256: None,
            sha_512: None,
        });
        *credential.scram_keys_mut(hash) = Some(keys);
    }

    /// Takes that away, and says whether there was any.
    pub(crate) fn remove_scram(&mut self, name: &str, hash: ScramHash) -> bool {
        let Some(credential) = self.by_name.get_mut(name) else {
            return false;
        };
        let was_there = credential.scram_keys_mut(hash).take().is_some();
        if credential.is_empty() {
            self.by_name.remove(name);
        }
        was_there
    }

    /// Everybody's names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Says whether there was such a user.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        self.by_name.remove(name).is_some()
    }

    /// Adds a delegation token: its id, its HMAC in base64 as clients have it, and its owner.
    pub(crate) fn set_token(
        &mut self,
        id: &str,
        hmac: &str,
        owner: &str,
    ) -> Result<(), getrandom::Error> {
        let credential = Credential::new(owner, hmac, self.scram_iterations)?;
        self.tokens.insert(id.to_owned(), credential);
        Ok(())
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Credential> {
        self.by_name.get(name)
    }

    pub(crate) fn token(&self, id: &str) -> Option<&Credential> {
        self.tokens.get(id)
    }
}

impl Credential {
    /// `iterations` are told to clients of SCRAM; no more than some are computed.
    pub(crate) fn new(
        owner: &str,
        password: &str,
        iterations: u32,
    ) -> Result<Self, getrandom::Error> {
        let keys = |hash: ScramHash| {
            let mut salt = [0; 24];
            getrandom::fill(&mut salt)?;
            let computed = iterations.clamp(1, MAX_COMPUTED_ITERATIONS);
            let mut keys = hash.keys(password.as_bytes(), &salt, computed);
            keys.iterations = iterations;
            Ok(keys)
        };
        Ok(Self {
            owner: owner.to_owned(),
            plain: Some(PlainCheck::new(password)?),
            sha_256: Some(keys(ScramHash::Sha256)?),
            sha_512: Some(keys(ScramHash::Sha512)?),
        })
    }

    /// Whether this is the password, in a time that does not depend on how much of it is right.
    pub(crate) fn is_password(&self, password: &str) -> bool {
        self.plain.as_ref().is_some_and(|plain| plain.matches(password))
    }

    pub(crate) fn scram_keys(&self, hash: ScramHash) -> Option<&ScramKeys> {
        match hash {
            ScramHash::Sha256 => self.sha_256.as_ref(),
            ScramHash::Sha512 => self.sha_512.as_ref(),
        }
    }

    fn scram_keys_mut(&mut self, hash: ScramHash) -> &mut Option<ScramKeys> {
        match hash {
            ScramHash::Sha256 => &mut self.sha_256,
            ScramHash::Sha512 => &mut self.sha_512,
        }
    }

    fn is_empty(&self) -> bool {
        self.plain.is_none() && self.sha_256.is_none() && self.sha_512.is_none()
    }
}

impl PlainCheck {
    fn new(password: &str) -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        let mut tag = [0; 32];
        tag.copy_from_slice(&mac(&key, password).finalize().into_bytes());
        Ok(Self { key, tag })
    }

    fn matches(&self, password: &str) -> bool {
        mac(&self.key, password).verify_slice(&self.tag).is_ok()
    }
}

impl std::fmt::Debug for PlainCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainCheck")
    }
}

fn mac(key: &[u8; 64], password: &str) -> HmacSha256 {
    let mut mac = <HmacSha256 as KeyInit>::new(&(*key).into());
    mac.update(password.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_known_by_its_newest_password_only() {
        let mut users = Users::default();
        users.set("alice", "one").unwrap();
        users.set("alice", "two").unwrap();
        let alice = users.by_name("alice").unwrap();
        assert!(alice.is_password("two"));
        for wrong in ["one", "", "two\0", "tw", "TWO"] {
            assert!(!alice.is_password(wrong), "{wrong:?}");
        }
        assert!(users.by_name("bob").is_none());
        assert!(users.remove("alice") && !users.remove("alice"));
        assert!(users.by_name("alice").is_none());
    }

    #[test]
    fn what_is_kept_of_a_password_does_not_show_it() {
        let mut users = Users::default();
        users.set("alice", "canary-in-a-coal-mine").unwrap();
        users.set_token("id", "canary-in-a-coal-mine", "bob").unwrap();
        let shown = format!("{users:?}");
        assert!(shown.contains("alice") && !shown.contains("canary"), "{shown}");
        let keys = users.by_name("alice").unwrap().scram_keys(ScramHash::Sha256).unwrap();
        assert!(!shown.contains(&format!("{:?}", keys.stored_key())), "{shown}");
    }

    #[test]
    fn what_proves_a_user_by_one_mechanism_says_nothing_of_the_others() {
        let mut users = Users::default();
        users.set("alice", "one").unwrap();
        let salted = ScramHash::Sha256.keys(b"two", b"salt", 4096);
        users.set_scram("alice", ScramHash::Sha256, salted.clone());
        users.set_scram("bob", ScramHash::Sha256, salted);
        let alice = users.by_name("alice").unwrap();
        assert!(alice.is_password("one"));
        assert_eq!(alice.scram_keys(ScramHash::Sha256).unwrap().salt, b"salt");
        assert_ne!(alice.scram_keys(ScramHash::Sha512).unwrap().salt, b"salt");
        let bob = users.by_name("bob").unwrap();
        assert!(!bob.is_password("two") && bob.scram_keys(ScramHash::Sha512).is_none());
        assert!(!users.remove_scram("bob", ScramHash::Sha512));
        assert!(users.remove_scram("bob", ScramHash::Sha256));
        assert!(users.by_name("bob").is_none());
    }
}
