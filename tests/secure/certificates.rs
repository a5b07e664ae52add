//! Certificates and keys in every form in which people have them.

use std::path::Path;
use std::process::Command;

use ottla_tests::secured::{Secured, Settings, with};
use ottla_tests::{needs, tools};
use tempfile::TempDir;

use super::{delivers, secured};

/// Opens the files below, and may be shown to nobody.
const PASSWORD: &str = "canary-8Hd2-of-a-key";

fn openssl(arguments: &[&str], files: &[(&str, &Path)]) -> Result<(), String> {
    let mut openssl = Command::new(tools::find("OTTLA_TEST_OPENSSL", "openssl")?);
    openssl.args(arguments);
    for (flag, file) in files {
        openssl.arg(flag).arg(file);
    }
    let _ = tools::output(&mut openssl, b"");
    Ok(())
}

/// The settings of a client with a certificate, given by `more`, for the listener that wants one.
fn mutual(secured: &Secured, more: &[(&str, &str)]) -> Settings {
    with(secured.settings("mutual"), more)
}

#[test]
fn a_client_shows_the_certificate_of_two_files() {
    let secured = secured!();
    for name in ["client", "client-rsa", "client-below"] {
        let (chain, key) = (format!("{name}.crt"), format!("{name}.key"));
        let (chain, key) = (secured.file(&chain), secured.file(&key));
        let more = [("ssl.certificate.location", &chain[..]), ("ssl.key.location", &key[..])];
        delivers(&secured, &mutual(&secured, &more));
    }
}

#[test]
fn a_client_shows_the_certificate_of_one_file() {
    let secured = secured!();
    let keystore = secured.file("client.pem");
    let more = [("ssl.keystore.type", "PEM"), ("ssl.keystore.location", &keystore)];
    delivers(&secured, &mutual(&secured, &more));
}

/// KIP-651; in files of properties the lines are often joined.
#[test]
fn a_client_shows_the_certificate_that_stands_in_its_settings() {
    let secured = secured!();
    let (ca, chain) = (secured.text("ca.pem"), secured.text("client.crt"));
    let key = secured.text("client.key");
    let joined = |text: &str| text.trim().replace('\n', " ");
    for (ca, chain, key) in
        [(ca.clone(), chain.clone(), key.clone()), (joined(&ca), joined(&chain), joined(&key))]
    {
        let mut settings = mutual(
            &secured,
            &[
                ("ssl.truststore.type", "PEM"),
                ("ssl.truststore.certificates", &ca),
                ("ssl.keystore.type", "PEM"),
                ("ssl.keystore.certificate.chain", &chain),
                ("ssl.keystore.key", &key),
            ],
        );
        settings.retain(|(key, _)| key != "ssl.ca.location");
        delivers(&secured, &settings);
    }
}

#[test]
fn a_client_opens_a_key_that_has_a_password() {
    let secured = secured!();
    let folder = TempDir::new().expect("a folder");
    let plain = secured.file("client.key");
    let key = folder.path().join("client.key");
    for cipher in ["aes-256-cbc", "aes-128-cbc", "des3"] {
        let words = ["pkcs8", "-topk8", "-v2", cipher, "-passout", &format!("pass:{PASSWORD}")];
        needs!(openssl(&words, &[("-in", plain.as_ref()), ("-out", &key)]));
        let (chain, key) = (secured.file("client.crt"), key.display().to_string());
        let more = [
            ("ssl.certificate.location", &chain[..]),
            ("ssl.key.location", &key[..]),
            ("ssl.key.password", PASSWORD),
        ];
        delivers(&secured, &mutual(&secured, &more));
    }
}

/// Both ways in which openssl has written these files, and the one of Java's.
#[test]
fn a_client_opens_pkcs12_files_of_openssl_and_of_java() {
    let secured = secured!();
    let folder = TempDir::new().expect("a folder");
    let store = folder.path().join("client.p12");
    let (key, chain) = (secured.file("client.key"), secured.file("client.crt"));
    let pass = format!("pass:{PASSWORD}");
    for old in [false, true] {
        let mut words = vec!["pkcs12", "-export", "-passout", &pass, "-name", "client"];
        if old {
            // What openssl wrote before version 3, and Java before 17.
            words.extend(["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES"]);
            words.extend(["-macalg", "sha1"]);
        }
        let files: [(&str, &Path); 3] =
            [("-inkey", key.as_ref()), ("-in", chain.as_ref()), ("-out", &store)];
        needs!(openssl(&words, &files));
        opens(&secured, &store);
    }
    let java = folder.path().join("java.p12");
    let keytool = needs!(tools::find("OTTLA_TEST_KEYTOOL", "keytool"));
    let mut keytool = Command::new(keytool);
    keytool.args(["-importkeystore", "-noprompt", "-srcstoretype", "PKCS12"]);
    keytool.args(["-deststoretype", "PKCS12", "-srcstorepass", PASSWORD]);
    keytool.args(["-deststorepass", PASSWORD]);
    keytool.arg("-srckeystore").arg(&store).arg("-destkeystore").arg(&java);
    let _ = tools::output(&mut keytool, b"");
    opens(&secured, &java);
}

fn opens(secured: &Secured, store: &Path) {
    let store = store.display().to_string();
    let more = [
        ("ssl.keystore.type", "PKCS12"),
        ("ssl.keystore.location", &store[..]),
        ("ssl.keystore.password", PASSWORD),
    ];
    delivers(secured, &mutual(secured, &more));
}

/// The truststore as Java has it.
#[test]
fn a_client_trusts_whom_a_pkcs12_file_of_javas_names() {
    let secured = secured!();
    let folder = TempDir::new().expect("a folder");
    let store = folder.path().join("truststore.p12");
    let keytool = needs!(tools::find("OTTLA_TEST_KEYTOOL", "keytool"));
    let mut keytool = Command::new(keytool);
    keytool.args(["-importcert", "-noprompt", "-alias", "root", "-storetype", "PKCS12"]);
    keytool.args(["-storepass", PASSWORD, "-file", &secured.file("ca.pem")]);
    keytool.arg("-keystore").arg(&store);
    let _ = tools::output(&mut keytool, b"");
    let store = store.display().to_string();
    let mut settings = with(
        secured.settings("ssl"),
        &[
            ("ssl.truststore.type", "PKCS12"),
            ("ssl.truststore.location", &store),
            ("ssl.truststore.password", PASSWORD),
        ],
    );
    settings.retain(|(key, _)| key != "ssl.ca.location");
    delivers(&secured, &settings);
}

/// The host of the bootstrap servers is an address, that of the certificate a name, and the broker
/// sends clients to the name: for the first connection only the host check is in the way.
/// Laws: L9. Scenarios: S9.
#[test]
fn a_certificate_holds_for_the_hosts_that_it_names() {
    let secured = secured!();
    delivers(&secured, &secured.settings("named"));
    let elsewhere = secured.settings("elsewhere");
    let unchecked = [("ssl.endpoint.identification.algorithm", "none")];
    delivers(&secured, &with(elsewhere, &unchecked));
}
