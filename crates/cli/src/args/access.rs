//! Who may use `ottla broker`, and how: the options about TLS, SASL and rules of access.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use ottla_broker::{Acl, Mechanism};

use super::words;
use crate::exit::Failure;

const USER_FORM: &str = "expected NAME:PASSWORD, with neither of them empty";

/// Options about access, as typed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct AccessArgs {
    /// Certificate to show to clients, with those that lead to its root, in PEM: turns TLS on
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// Private key of the certificate, in PEM without password
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// Let in only clients with a certificate of these authorities, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_client_ca: Option<PathBuf>,

    /// User who may log in (repeatable): turns SASL on. Others on this machine can see it, see
    /// --sasl-users
    #[arg(long = "sasl-user", value_name = "NAME:PASSWORD")]
    sasl_user: Vec<Secret>,

    /// File with a NAME:PASSWORD in each line: turns SASL on
    #[arg(long, value_name = "FILE")]
    sasl_users: Option<PathBuf>,

    /// SASL mechanism that clients may use (repeatable) [default: PLAIN and SCRAM if there are
    /// users, OAUTHBEARER if there are keys]
    #[arg(long = "sasl-mechanism", value_name = "MECHANISM")]
    sasl_mechanisms: Vec<Mechanism>,

    /// JSON Web Key Set that tokens are checked with: turns SASL on
    #[arg(long, value_name = "FILE")]
    oauth_keys: Option<PathBuf>,

    /// Let clients say anew who they are after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = words::seconds)]
    session_lifetime: Option<Duration>,

    /// What is not allowed (repeatable): [User:NAME] OPERATION RESOURCE, such as 'all topic:pay-*'
    #[arg(long = "deny", value_name = "RULE")]
    denied: Vec<Acl>,

    /// Who may do everything, whatever the ACLs say that tools have made (repeatable): User:NAME
    #[arg(long = "super-user", value_name = "PRINCIPAL", value_parser = principal)]
    super_users: Vec<String>,
}

/// A principal, as `User:alice` is.
fn principal(word: &str) -> Result<String, String> {
    match word.strip_prefix("User:") {
        Some(name) if !name.is_empty() => Ok(word.to_owned()),
        _ => Err("expected User:NAME, such as User:admin".to_owned()),
    }
}

/// A word that is not to be shown.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(Self(word.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// Options about access, checked.
#[derive(Debug)]
pub(crate) struct AccessPlan {
    pub(crate) tls: Option<TlsPlan>,
    pub(crate) sasl: Option<SaslPlan>,
    pub(crate) denied: Vec<Acl>,
    pub(crate) super_users: Vec<String>,
}

/// The files of TLS.
#[derive(Debug)]
pub(crate) struct TlsPlan {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
}

/// How clients say who they are.
#[derive(Debug)]
pub(crate) struct SaslPlan {
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) users: Vec<User>,
    pub(crate) oauth_keys: Option<PathBuf>,
    pub(crate) session_lifetime: Option<Duration>,
}

/// Who may log in.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AccessArgs {
    /// Checks the options against each other, and reads the users.
    pub(crate) fn resolve(self) -> Result<AccessPlan, Failure> {
        let mut users = Vec::new();
        for Secret(word) in &self.sasl_user {
            let user = user(word);
            users.push(user.ok_or_else(|| Failure::usage("--sasl-user").cure(USER_FORM))?);
        }
        if let Some(path) = &self.sasl_users {
            users.extend(users_of(path)?);
        }
        let tls = self.tls_certificate.zip(self.tls_key);
        Ok(AccessPlan {
            tls: tls.map(|(certificate, key)| TlsPlan {
                certificate,
                key,
                client_ca: self.tls_client_ca,
            }),
            sasl: sasl(self.sasl_mechanisms, users, self.oauth_keys, self.session_lifetime)?,
            denied: self.denied,
            super_users: self.super_users,
        })
    }
}

fn sasl(
    mechanisms: Vec<Mechanism>,
    users: Vec<User>,
    oauth_keys: Option<PathBuf>,
    session_lifetime: Option<Duration>,
) -> Result<Option<SaslPlan>, Failure> {
    let mechanisms = match mechanisms.is_empty() {
        false => mechanisms,
        true => {
            let by_password =
                [Mechanism::ScramSha512, Mechanism::ScramSha256, Mechanism::Plain].into_iter();
            let by_token = oauth_keys.is_some().then_some(Mechanism::OAuthBearer);
            by_password.filter(|_| !users.is_empty()).chain(by_token).collect()
        }
    };
    if mechanisms.is_empty() {
        return match session_lifetime {
            Some(_) => Err(Failure::usage("--session-lifetime is about clients that log in")
                .cure("let them with --sasl-users FILE or --oauth-keys FILE")),
            None => Ok(None),
        };
    }
    let has_token = mechanisms.contains(&Mechanism::OAuthBearer);
    let by_password = mechanisms.iter().find(|mechanism| **mechanism != Mechanism::OAuthBearer);
    match by_password {
        Some(mechanism) if users.is_empty() => {
            return Err(Failure::usage(format!("--sasl-mechanism {mechanism}: nobody can log in"))
                .cure("name users with --sasl-users FILE"));
        }
        None if !users.is_empty() => {
            return Err(Failure::usage("users log in with a password, OAUTHBEARER has none")
                .cure("add --sasl-mechanism PLAIN or SCRAM-SHA-512, or leave the users out"));
        }
        _ => {}
    }
    if oauth_keys.is_some() && !has_token {
        return Err(Failure::usage("--oauth-keys is about OAUTHBEARER")
            .cure("add --sasl-mechanism OAUTHBEARER"));
    }
    Ok(Some(SaslPlan { mechanisms, users, oauth_keys, session_lifetime }))
}

fn user(word: &str) -> Option<User> {
    let (name, password) = word.split_once(':')?;
    let is_whole = !name.is_empty() && !password.is_empty();
    is_whole.then(|| User { name: name.to_owned(), password: password.to_owned() })
}

/// Reads a file of users. Lines that are empty or begin with `#` are passed over.
fn users_of(path: &Path) -> Result<Vec<User>, Failure> {
    let path_text = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--sasl-users {path_text}: {error}")))?;
    let mut users = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        // Never the line itself: it may hold a password.
        users.push(user(line).ok_or_else(|| {
            let number = index + 1;
            Failure::usage(format!("--sasl-users {path_text}, line {number}")).cure(USER_FORM)
        })?);
    }
    if users.is_empty() {
        return Err(Failure::usage(format!("--sasl-users {path_text}: there are none in it")));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn plan(words: &[&str]) -> Result<AccessPlan, String> {
        let alone = Alone::try_parse_from(["ottla"].iter().chain(words));
        let alone = alone.map_err(|error| error.to_string())?;
        alone.access.resolve().map_err(|failure| failure.to_string())
    }

    fn mechanisms(words: &[&str]) -> Vec<&'static str> {
        let sasl = plan(words).unwrap().sasl;
        sasl.map_or_else(Vec::new, |sasl| sasl.mechanisms.iter().map(|m| m.name()).collect())
    }

    #[test]
    fn without_options_everybody_may_come() {
        let plan = plan(&[]).unwrap();
        assert!(plan.tls.is_none() && plan.sasl.is_none() && plan.denied.is_empty());
    }

    #[test]
    fn users_and_keys_decide_which_mechanisms_there_are() {
        let scram_and_plain = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"];
        assert_eq!(mechanisms(&["--sasl-user", "a:b:c"]), scram_and_plain);
        assert_eq!(mechanisms(&["--oauth-keys", "k"]), ["OAUTHBEARER"]);
        let one = ["--sasl-user", "a:b", "--sasl-mechanism", "PLAIN"];
        assert_eq!(mechanisms(&one), ["PLAIN"]);
        assert_eq!(mechanisms(&["--sasl-mechanism", "OAUTHBEARER"]), ["OAUTHBEARER"]);
    }

    #[test]
    fn users_are_read_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# who\nalice:a secret: with colons\n\nbob:b\n").unwrap();
        let path = file.path().to_str().unwrap();
        let users = plan(&["--sasl-users", path]).unwrap().sasl.unwrap().users;
        let read: Vec<_> = users.iter().map(|u| (u.name.as_str(), u.password.as_str())).collect();
        assert_eq!(read, [("alice", "a secret: with colons"), ("bob", "b")]);
        for wrong in ["", "alice", "alice:", ":canary"] {
            std::fs::write(file.path(), format!("# who\n{wrong}")).unwrap();
            let refused = plan(&["--sasl-users", path]).unwrap_err();
            assert!(refused.contains(path) && !refused.contains("canary"), "{refused}");
        }
        assert!(plan(&["--sasl-users", "/nonexistent"]).unwrap_err().contains("/nonexistent"));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (words, expected) in [
            (&["--tls-key", "k"][..], "--tls-certificate"),
            (&["--tls-certificate", "c"], "--tls-key"),
            (&["--tls-client-ca", "c"], "--tls-certificate"),
            (&["--sasl-mechanism", "PLAIN"], "--sasl-users"),
            (&["--sasl-mechanism", "GSSAPI"], "expected PLAIN"),
            (&["--sasl-user", "a:b", "--sasl-mechanism", "OAUTHBEARER"], "password"),
            (
                &["--sasl-user", "a:b", "--sasl-mechanism", "PLAIN", "--oauth-keys", "k"],
                "--sasl-mechanism OAUTHBEARER",
            ),
            (&["--session-lifetime", "5"], "--sasl-users"),
            (&["--deny", "everything"], "User:alice write topic:orders"),
        ] {
            let refused = plan(words).unwrap_err();
            assert!(refused.contains(expected), "{words:?}: {refused}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let refused = plan(&["--sasl-user", "canary"]).unwrap_err();
        assert!(refused.contains("NAME:PASSWORD") && !refused.contains("canary"), "{refused}");
        let alone = Alone::parse_from(["ottla", "--sasl-user", "alice:canary"]);
        let shown = format!("{alone:?} {:?}", plan(&["--sasl-user", "alice:canary"]));
        assert!(shown.contains("alice") && !shown.contains("canary"), "{shown}");
    }
}
