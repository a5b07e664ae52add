//! Who is on the stage in tests of security: users with their passwords, certificates, keys that
//! sign tokens. The task that starts Kafka takes this file in as well, so that a test finds the
//! same on every engine.

use std::path::Path;

use super::pki::{self, Authority, KeyKind, TokenKey, Validity, Wish};

/// The root that everybody trusts.
pub const ROOT: &str = "Ottla Test Root";
/// The root that nobody knows.
pub const STRANGER: &str = "Somebody Else's Root";
/// Whom tokens are for.
pub const AUDIENCE: &str = "ottla-tests";
/// Who gives them.
pub const ISSUER: &str = "https://issuer.test";
/// Whose they are.
pub const SUBJECT: &str = "service";
/// Users and their passwords, for PLAIN and for SCRAM. Each password stands nowhere else, so that
/// tests can look for it. (Without a comma: Kafka's tool could not take it.)
pub const USERS: [(&str, &str); 2] =
    [("alice", "wonder-7Qx2 land=!"), ("limited", "little-9Lk4-may-be-done")];
/// Those whom no rule binds, as Kafka's `super.users` has them.
pub const MAY_DO_EVERYTHING: &str =
    "User:ANONYMOUS;User:alice;User:client;User:CN=client;User:CN=client-rsa;User:service";

/// Writes certificates and keys into a folder, made anew each time.
///
/// # Errors
/// They cannot be made or written.
pub fn write_files(folder: &Path) -> Result<(), String> {
    write_certificates(folder)?;
    write_token_keys(folder)
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

/// Every file is PEM; what ends in `.pem` and has a key has its certificates behind it.
fn write_certificates(files: &Path) -> Result<(), String> {
    let write = |name: &str, content: String| write(&files.join(name), &content);
    let root = Authority::create(ROOT)?;
    let below = root.below("Ottla Test Intermediate")?;
    let stranger = Authority::create(STRANGER)?;
    write("ca.pem", root.certificate())?;
    write("ca.key", root.key())?;
    write("other-ca.pem", stranger.certificate())?;
    write("other-ca.key", stranger.key())?;
    let here: &[&str] = &["localhost", "127.0.0.1"];
    let server = Wish { name: "broker", hosts: here, validity: Validity::Now, key: KeyKind::Ec };
    let loopback: &[&str] = &["localhost", "127.0.0.1", "127.0.0.2"];
    let elsewhere: &[&str] = &["kafka.elsewhere.test"];
    for (name, authority, wish) in [
        ("server", &root, server.clone()),
        ("server-rsa", &root, Wish { key: KeyKind::Rsa, ..server.clone() }),
        ("server-below", &below, server.clone()),
        ("server-far", &root, Wish { hosts: loopback, ..server.clone() }),
        ("server-rotated", &root, Wish { hosts: loopback, ..server.clone() }),
        ("server-expired", &root, Wish { validity: Validity::Ended, ..server.clone() }),
        ("server-early", &root, Wish { validity: Validity::NotYet, ..server.clone() }),
        ("server-elsewhere", &root, Wish { hosts: elsewhere, ..server.clone() }),
        ("server-stranger", &stranger, server.clone()),
        ("server-named", &root, Wish { hosts: &["localhost"], ..server }),
    ] {
        write(&format!("{name}.pem"), authority.issue(&wish)?.both())?;
    }
    let client = Wish { name: "client", hosts: &[], validity: Validity::Now, key: KeyKind::Ec };
    for (name, authority, wish) in [
        ("client", &root, client.clone()),
        ("client-rsa", &root, Wish { name: "client-rsa", key: KeyKind::Rsa, ..client.clone() }),
        ("client-below", &below, client.clone()),
        ("client-expired", &root, Wish { validity: Validity::Ended, ..client.clone() }),
        ("client-stranger", &stranger, client.clone()),
        ("client-limited", &root, Wish { name: "limited", ..client }),
    ] {
        let issued = authority.issue(&wish)?;
        write(&format!("{name}.key"), issued.key.clone())?;
        write(&format!("{name}.crt"), issued.chain.clone())?;
        write(&format!("{name}.pem"), issued.both())?;
    }
    Ok(())
}

fn write_token_keys(files: &Path) -> Result<(), String> {
    let keys = [TokenKey::create("rsa", KeyKind::Rsa)?, TokenKey::create("ec", KeyKind::Ec)?];
    for key in &keys {
        write(&files.join(format!("token-{}.key", key.id)), &key.private)?;
    }
    // Nobody believes what this one signs.
    let stranger = TokenKey::create("stranger", KeyKind::Rsa)?;
    write(&files.join("token-stranger.key"), &stranger.private)?;
    write(&files.join("jwks.json"), &pki::key_set(&keys))
}
