//! What openssl and keytool write.

use std::io::Write;
use std::process::Command;

use super::identity::cast;
use super::{CANARY, file, folder, refused, secret, shown, tls, trusting};

/// Whether a program did what it was asked for. Where it is missing, the test is left out: printed
/// and counted as everywhere, and not allowed where everything should be there.
fn run(program: &str, lines: &[&[&str]]) -> bool {
    match Command::new(program).args(lines.concat()).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{program} {lines:?}: {said}");
            true
        }
        Err(error) => {
            let line = format!("SKIPPED: {}: {program}: {error}\n", module_path!());
            let _ = std::io::stderr().write_all(line.as_bytes());
            if let Some(file) = std::env::var_os("OTTLA_TEST_SKIPS") {
                let counted = std::fs::OpenOptions::new().create(true).append(true).open(file);
                counted.and_then(|mut file| file.write_all(line.as_bytes())).expect("counted");
            }
            assert!(std::env::var_os("CI").is_none(), "CI is set, so nothing may be skipped");
            false
        }
    }
}

#[tokio::test]
async fn keys_and_stores_of_openssl_are_read_with_old_ciphers_as_well() {
    let (mut server, authority, pair) = cast().await;
    let folder = folder();
    let key = file(&folder, "key.pem", pair.key_pem());
    let chain = file(&folder, "chain.pem", pair.pem() + &authority.pem());
    let path = |name: &str| folder.path().join(name).to_str().expect("letters").to_owned();
    let pass = format!("pass:{CANARY}");
    let export = ["pkcs12", "-export", "-inkey", &key, "-in", &chain, "-passout", &pass, "-out"];
    let old = ["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"];
    for (name, cipher) in [("new.p12", &[][..]), ("old.p12", &old)] {
        let store = path(name);
        if !run("openssl", &[&export, &[&store], cipher]) {
            return;
        }
        let mut settings = trusting(&authority);
        settings.keystore_location = Some(store);
        settings.keystore_password = secret(CANARY);
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
    // Settings with the key that a line of openssl's makes, in a file of this name.
    let with_key = |name: &str, line: &[&str]| {
        let out = path(name);
        let line: Vec<&str> = line.iter().map(|it| if *it == name { &out } else { *it }).collect();
        run("openssl", &[&line]);
        let mut settings = trusting(&authority);
        settings.certificate_location = Some(chain.clone());
        settings.key_location = Some(out);
        settings.key_password = secret(CANARY);
        settings
    };
    let topk8 = ["pkcs8", "-topk8", "-in", &key, "-passout", &pass, "-out"];
    for (name, line) in [
        ("pbkdf2.pem", [&topk8[..], &["pbkdf2.pem", "-v2", "aes-256-cbc"]].concat()),
        ("des3.pem", [&topk8[..], &["des3.pem", "-v2", "des3"]].concat()),
        ("scrypt.pem", [&topk8[..], &["scrypt.pem", "-scrypt"]].concat()),
        ("sec1.pem", ["ec", "-in", &key, "-out", "sec1.pem"].to_vec()),
    ] {
        let settings = with_key(name, &line);
        shown(server.visit(&tls(&settings), "broker.test").await);
    }
    // Ways that are too weak for today are refused with the way out.
    for (name, line) in [
        ("pbes1.pem", [&topk8[..], &["pbes1.pem", "-v1", "PBE-SHA1-3DES"]].concat()),
        (
            "traditional.pem",
            ["ec", "-in", &key, "-aes128", "-passout", &pass, "-out", "traditional.pem"].to_vec(),
        ),
    ] {
        let settings = with_key(name, &line);
        let text = refused(&settings);
        assert!(text.contains("openssl pkcs8 -topk8"), "{text}");
    }
}

#[tokio::test]
async fn stores_of_keytool_are_read_and_those_of_its_old_format_refused() {
    let (mut server, authority, pair) = cast().await;
    let folder = folder();
    let path = |name: &str| folder.path().join(name).to_str().expect("letters").to_owned();
    let cipher = p12_keystore::EncryptionAlgorithm::PbeWithHmacSha256AndAes256;
    let ours = file(&folder, "ours.p12", pair.pkcs12(CANARY, cipher));
    let ca = file(&folder, "ca.pem", authority.pem());
    let (java, jks, trust) = (path("java.p12"), path("old.jks"), path("trust.p12"));
    let import = ["-importkeystore", "-srckeystore", &ours, "-srcstorepass", CANARY];
    let with = ["-deststorepass", CANARY, "-deststoretype"];
    if !run("keytool", &[&import, &["-destkeystore", &java], &with, &["PKCS12"]]) {
        return;
    }
    let trusts = ["-importcert", "-noprompt", "-alias", "ca", "-file", &ca, "-keystore", &trust];
    run("keytool", &[&trusts, &["-storepass", CANARY, "-storetype", "PKCS12"]]);
    let mut settings = trusting(&authority);
    settings.truststore_certificates = None;
    settings.truststore_location = Some(trust);
    settings.truststore_password = secret(CANARY);
    settings.keystore_location = Some(java);
    settings.keystore_password = secret(CANARY);
    shown(server.visit(&tls(&settings), "broker.test").await);
    run("keytool", &[&import, &["-destkeystore", &jks], &with, &["JKS"]]);
    settings.keystore_location = Some(jks);
    let text = refused(&settings);
    assert!(text.contains("-deststoretype PKCS12"), "{text}");
}
