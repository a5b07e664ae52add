//! What tools have said of credentials of SCRAM (KIP-554), in a file, so that it outlives the
//! process.
//!
//! The file has what a server needs to check who knows a password, and no password.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::scram::{ScramHash, ScramKeys};
use super::users::Users;
use crate::error::StartError;
use crate::journal::{Journal, to_lines};
use crate::log::Storage;

/// The last word on each user and mechanism; none is that there is no such credential.
type Said = BTreeMap<(String, &'static str), Option<ScramKeys>>;

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct ScramJournal {
    journal: Journal,
    said: Said,
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    user: String,
    mechanism: String,
    credential: Option<Stored>,
}

/// Bytes are in base64.
#[derive(Serialize, Deserialize)]
struct Stored {
    iterations: u32,
    salt: String,
    stored_key: String,
    server_key: String,
}

impl ScramJournal {
    /// Reads the file.
    pub(crate) fn open(path: PathBuf, storage: Arc<dyn Storage>) -> Result<Self, StartError> {
        let mut said = Said::new();
        let mut is_damaged = false;
        let apply = |said: &mut Said, line: Line| is_damaged |= take(said, line).is_none();
        let journal = Journal::open(path.clone(), storage, &mut said, apply, all)?;
        if is_damaged {
            let reason = "a credential of SCRAM that is none".to_owned();
            return Err(StartError::Damaged { path, reason });
        }
        Ok(Self { journal, said })
    }

    /// Notes what a tool has said; nothing is noted when the disk fails.
    pub(crate) fn note(
        &mut self,
        user: &str,
        hash: ScramHash,
        keys: Option<&ScramKeys>,
    ) -> io::Result<()> {
        let key = (user.to_owned(), hash.mechanism());
        self.journal.append(&to_lines([line(&key, keys)])?)?;
        self.said.insert(key, keys.cloned());
        let said = &self.said;
        self.journal.rewrite_if_large(|| all(said));
        Ok(())
    }

    /// Tells users, who are as they were described at the start, what tools have said since.
    pub(crate) fn tell(&self, users: &mut Users) {
        for ((user, mechanism), keys) in &self.said {
            let Some(hash) = ScramHash::of_mechanism(mechanism) else {
                continue;
            };
            match keys {
                Some(keys) => users.set_scram(user, hash, keys.clone()),
                None => {
                    users.remove_scram(user, hash);
                }
            }
        }
    }
}

fn take(said: &mut Said, line: Line) -> Option<()> {
    let mechanism = ScramHash::of_mechanism(&line.mechanism)?.mechanism();
    let bytes = |text: String| STANDARD.decode(text).ok();
    let keys = match line.credential {
        None => None,
        Some(Stored { iterations, salt, stored_key, server_key }) => Some(ScramKeys::from_parts(
            iterations,
            bytes(salt)?,
            bytes(stored_key)?,
            bytes(server_key)?,
        )),
    };
    said.insert((line.user, mechanism), keys);
    Some(())
}

fn line((user, mechanism): &(String, &'static str), keys: Option<&ScramKeys>) -> Line {
    let credential = keys.map(|keys| Stored {
        iterations: keys.iterations,
        salt: STANDARD.encode(&keys.salt),
        stored_key: STANDARD.encode(keys.stored_key()),
        server_key: STANDARD.encode(keys.server_key()),
    });
    Line { user: user.clone(), mechanism: (*mechanism).to_owned(), credential }
}

fn all(said: &Said) -> io::Result<Vec<u8>> {
    to_lines(said.iter().map(|(key, keys)| line(key, keys.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::DiskStorage;

    fn open(dir: &tempfile::TempDir) -> Result<ScramJournal, StartError> {
        let storage = Arc::new(DiskStorage { is_durable: false });
        ScramJournal::open(dir.path().join("scram.jsonl"), storage)
    }

    #[test]
    fn the_last_word_holds_after_a_restart_and_no_password_is_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let keys = |password: &[u8]| ScramHash::Sha256.keys(password, b"salt", 4096);
        let mut journal = open(&dir).unwrap();
        journal.note("alice", ScramHash::Sha256, Some(&keys(b"first"))).unwrap();
        journal.note("alice", ScramHash::Sha256, Some(&keys(b"canary"))).unwrap();
        journal.note("bob", ScramHash::Sha512, None).unwrap();
        let mut users = Users::default();
        users.set("bob", "described").unwrap();
        for _ in 0..2 {
            open(&dir).unwrap().tell(&mut users);
            let alice = users.by_name("alice").unwrap().scram_keys(ScramHash::Sha256).unwrap();
            assert_eq!(alice.stored_key(), keys(b"canary").stored_key());
            assert_eq!(alice.server_key(), keys(b"canary").server_key());
            let bob = users.by_name("bob").unwrap();
            assert!(bob.scram_keys(ScramHash::Sha512).is_none() && bob.is_password("described"));
        }
        let text = std::fs::read_to_string(dir.path().join("scram.jsonl")).unwrap();
        assert!(text.contains("alice") && !text.contains("canary"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }

    #[test]
    fn what_is_no_credential_is_said_at_the_start() {
        for line in [
            r#"{"user":"a","mechanism":"SCRAM-SHA-1","credential":null}"#,
            r#"{"user":"a","mechanism":"SCRAM-SHA-256","credential":{"iterations":1,"salt":"?","stored_key":"","server_key":""}}"#,
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("scram.jsonl"), format!("{line}\n")).unwrap();
            let error = open(&dir).unwrap_err();
            assert!(matches!(error, StartError::Damaged { .. }), "{error}");
        }
    }
}
