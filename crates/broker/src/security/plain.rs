//! PLAIN (RFC 4616): `[authzid] NUL name NUL password`, in Kafka's words where it is refused.

use super::session::Step;
use super::users::Users;

/// Judges the only message of the exchange.
pub(super) fn step(message: &[u8], users: &Users) -> Step {
    let Ok(message) = std::str::from_utf8(message) else {
        return Step::refused("Invalid SASL/PLAIN response: not UTF-8");
    };
    let parts: Vec<&str> = message.splitn(4, '\0').collect();
    let [authorization_id, name, password] = parts[..] else {
        return Step::refused(format!(
            "Invalid SASL/PLAIN response: expected 3 tokens, got {}",
            parts.len()
        ));
    };
    if name.is_empty() {
        return Step::refused("Authentication failed: username not specified");
    }
    if password.is_empty() {
        return Step::refused("Authentication failed: password not specified");
    }
    if !users.by_name(name).is_some_and(|user| user.is_password(password)) {
        return Step::refused("Authentication failed: Invalid username or password");
    }
    if !authorization_id.is_empty() && authorization_id != name {
        return Step::refused(
            "Authentication failed: Client requested an authorization id that is different from \
             username",
        );
    }
    Step::Proven { name: name.to_owned(), answer: Vec::new(), expires_unix_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_its_password_is_believed() {
        let mut users = Users::default();
        users.set("alice", "se=cret,ü").unwrap();
        let judge = |message: &str| match step(message.as_bytes(), &users) {
            Step::Proven { name, .. } => name,
            Step::Refused(reason) => reason.into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(judge("\0alice\0se=cret,ü"), "alice");
        assert_eq!(judge("alice\0alice\0se=cret,ü"), "alice");
        for (message, expected) in [
            ("\0alice\0secret", "Invalid username or password"),
            ("\0bob\0se=cret,ü", "Invalid username or password"),
            ("bob\0alice\0se=cret,ü", "authorization id"),
            ("\0\0se=cret,ü", "username not specified"),
            ("\0alice\0", "password not specified"),
            ("alice", "expected 3 tokens, got 1"),
            ("", "expected 3 tokens, got 1"),
            ("\0alice\0se=cret,ü\0", "expected 3 tokens, got 4"),
        ] {
            let said = judge(message);
            assert!(said.contains(expected), "{message:?}: {said}");
        }
        let binary = step(b"\0alice\0\xff", &users);
        assert!(matches!(binary, Step::Refused(_)), "{binary:?}");
    }
}
