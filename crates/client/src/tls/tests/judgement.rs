//! Which servers are believed.

use ottla_core::config::{TlsConfig, TlsVersion};

use super::super::{Tls, TlsErrorKind};
use super::pki::{self, Authority, Wanted, for_hosts};
use super::server::{BOTH, ONLY_1_2, ONLY_1_3, Server, config};
use super::{file, folder, logs, refused, says, tls, trusting};

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_server_of_a_trusted_authority_is_believed_for_its_names() {
    let authority = Authority::new("authority");
    let hosts = ["broker.test", "127.0.0.1", "::1", "*.wild.test"];
    let mut server = Server::start(config(&authority.issue(&for_hosts(&hosts)), BOTH, None)).await;
    let tls = tls(&trusting(&authority));
    for (host, sni) in [
        ("broker.test", Some("broker.test")),
        // The dot says that the name is complete; nobody else has it.
        ("broker.test.", Some("broker.test")),
        ("BROKER.test", Some("broker.test")),
        ("a.wild.test", Some("a.wild.test")),
        // Addresses are not announced (RFC 6066).
        ("127.0.0.1", None),
        ("[::1]", None),
        ("[::1%lo]", None),
    ] {
        let visit = server.visit(&tls, host).await;
        let visit = visit.unwrap_or_else(|error| panic!("{host}: {error}"));
        assert_eq!(visit.sni.map(|it| it.to_lowercase()).as_deref(), sni, "{host}");
    }
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_server_of_another_name_is_refused_with_the_names_that_it_has() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&for_hosts(&["broker.test", "127.0.0.1"]));
    let server = Server::start(config(&pair, BOTH, None)).await;
    let tls = tls(&trusting(&authority));
    for host in ["other.test", "127.0.0.2", "[::1]", "sub.broker.test", "broker.test.other"] {
        let error = server.connect(&tls, host).await.expect_err(host);
        assert_eq!(error.kind(), TlsErrorKind::Untrusted, "{error}");
        says(&error, &[host, "broker.test, 127.0.0.1", "advertised.listeners"]);
    }
}

/// A subject's common name was a host name once.
/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_certificate_without_names_is_for_no_host() {
    let authority = Authority::new("authority");
    let wanted = Wanted { name: "broker.test", hosts: Vec::new(), ..Wanted::default() };
    let server = Server::start(config(&authority.issue(&wanted), BOTH, None)).await;
    let error = server.connect(&tls(&trusting(&authority)), "broker.test").await;
    says(&error.expect_err("no names"), &["names no host at all", "common name"]);
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn certificates_out_of_their_time_are_refused_with_their_date_and_our_clock() {
    let authority = Authority::new("authority");
    let tls = tls(&trusting(&authority));
    let expired = Wanted { from_days: -30, to_days: -2, ..Wanted::default() };
    let early = Wanted { from_days: 2, to_days: 30, ..Wanted::default() };
    for (wanted, words) in [
        (expired, ["ran out at 20", "clock says 20", "CN=broker (issued by CN=authority)"]),
        (early, ["is not valid before 20", "clock says 20", "is one of the two clocks wrong?"]),
    ] {
        let server = Server::start(config(&authority.issue(&wanted), BOTH, None)).await;
        let error = server.connect(&tls, "broker.test").await.expect_err("out of its time");
        assert_eq!(error.kind(), TlsErrorKind::Untrusted);
        says(&error, &words);
    }
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_server_of_another_authority_is_refused_with_what_to_trust() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    for versions in [ONLY_1_2, ONLY_1_3] {
        let server = Server::start(config(&theirs.issue(&Wanted::default()), versions, None)).await;
        let error = server.connect(&tls(&trusting(&ours)), "broker.test").await;
        let error = error.expect_err("nobody vouches");
        assert_eq!(error.kind(), TlsErrorKind::Untrusted);
        says(&error, &["CN=broker", "CN=theirs", "ssl.truststore.location (ssl.ca.location)"]);
        says(&error, &["nobody in ssl.truststore.certificates vouches"]);
    }
}

/// Laws: none. Scenarios: S9, S10.
#[tokio::test]
async fn an_authority_that_was_replaced_by_one_of_the_same_name_is_told_apart() {
    let (old, new) = (Authority::new("authority"), Authority::new("authority"));
    let server = Server::start(config(&new.issue(&Wanted::default()), BOTH, None)).await;
    let error = server.connect(&tls(&trusting(&old)), "broker.test").await;
    let error = error.expect_err("another key");
    assert_eq!(error.kind(), TlsErrorKind::Untrusted);
    says(&error, &["CN=authority", "another of the same name", "ssl.ca.location"]);
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn who_names_no_authority_trusts_those_of_the_system_and_no_others() {
    let Ok(tls) = Tls::new(&TlsConfig::default()) else {
        // Machines without authorities say what to do, and that is all that they can do.
        assert!(refused(&TlsConfig::default()).contains("ca-certificates"));
        return;
    };
    let theirs = Authority::new("theirs");
    let server = Server::start(config(&theirs.issue(&Wanted::default()), BOTH, None)).await;
    let error = server.connect(&tls, "broker.test").await.expect_err("nobody vouches");
    says(&error, &["nobody in the system's authorities vouches", "CN=theirs"]);
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_chain_is_followed_to_the_authority_and_missed_when_it_is_not_sent() {
    let root = Authority::new("root");
    let between = root.below("between");
    let mut pair = between.issue(&Wanted::default());
    let alone = Server::start(config(&pair, BOTH, None)).await;
    pair.chain.push(between.der().clone());
    let mut whole = Server::start(config(&pair, BOTH, None)).await;
    let tls = tls(&trusting(&root));
    whole.visit(&tls, "broker.test").await.expect("a whole chain");
    let session = Tls::describe(&whole.connect(&tls, "broker.test").await.expect("connected"));
    let subjects: Vec<_> = session.certificates.iter().map(|it| it.subject.as_str()).collect();
    assert_eq!(subjects, ["CN=broker", "CN=between"]);
    let error = alone.connect(&tls, "broker.test").await.expect_err("half a chain");
    says(&error, &["the server sent no other certificate with it", "CN=between"]);
}

/// As small set-ups have it, with a certificate of `openssl req -x509` or of `keytool -genkeypair`.
/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn a_certificate_that_is_itself_in_the_truststore_is_believed_for_its_names_and_time() {
    for is_ca in [true, false] {
        let pair = pki::self_signed(&Wanted::default(), is_ca);
        let mut server = Server::start(config(&pair, BOTH, None)).await;
        let mut settings = TlsConfig::default();
        settings.truststore_certificates = Some(pair.pem());
        let trusted = tls(&settings);
        server.visit(&trusted, "broker.test").await.expect("it is in the truststore");
        let error = server.connect(&trusted, "other.test").await.expect_err("another name");
        says(&error, &["is for broker.test"]);
        // Another of the same subject is not it.
        let other = pki::self_signed(&Wanted::default(), is_ca);
        settings.truststore_certificates = Some(other.pem());
        let error = server.connect(&tls(&settings), "broker.test").await.expect_err("another");
        assert_eq!(error.kind(), TlsErrorKind::Untrusted, "{error}");
        says(&error, &["ssl.truststore.location"]);
        let expired = Wanted { from_days: -30, to_days: -2, ..Wanted::default() };
        let pair = pki::self_signed(&expired, is_ca);
        let server = Server::start(config(&pair, BOTH, None)).await;
        settings.truststore_certificates = Some(pair.pem());
        let error = server.connect(&tls(&settings), "broker.test").await.expect_err("too old");
        says(&error, &["ran out at 20"]);
    }
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn turning_judgement_off_needs_a_loud_setting_and_is_told_in_the_log() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let expired = Wanted { from_days: -30, to_days: -2, ..Wanted::default() };
    let mut server = Server::start(config(&theirs.issue(&expired), BOTH, None)).await;
    let mut settings = trusting(&ours);
    let (_, lines) = logs::of(|| tls(&settings));
    assert_eq!(lines, Vec::<String>::new());
    settings.verify_certificate = false;
    let (off, lines) = logs::of(|| tls(&settings));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("WARN") && lines[0].contains("verification=false"), "{lines:?}");
    server.visit(&off, "other.test").await.expect("nobody looks");
}

/// Laws: none. Scenarios: S9.
#[tokio::test]
async fn without_the_look_at_the_name_everything_else_is_still_looked_at() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let mut settings = trusting(&ours);
    settings.verify_host_name = false;
    let (tls, lines) = logs::of(|| tls(&settings));
    assert!(lines[0].contains("ssl.endpoint.identification.algorithm"), "{lines:?}");
    let mut server = Server::start(config(&ours.issue(&Wanted::default()), BOTH, None)).await;
    server.visit(&tls, "other.test").await.expect("names do not count");
    let expired = Wanted { from_days: -30, to_days: -2, ..Wanted::default() };
    for pair in [theirs.issue(&Wanted::default()), ours.issue(&expired)] {
        let server = Server::start(config(&pair, BOTH, None)).await;
        let error = server.connect(&tls, "other.test").await.expect_err("everything else counts");
        assert_eq!(error.kind(), TlsErrorKind::Untrusted);
    }
}

#[tokio::test]
async fn a_certificate_that_was_taken_back_is_refused_by_the_list() {
    let authority = Authority::new("authority");
    let [bad, good] =
        ["bad", "good"].map(|name| authority.issue(&Wanted { name, ..Wanted::default() }));
    let folder = folder();
    let mut settings = trusting(&authority);
    let path = file(&folder, "list.pem", authority.revoke(&[&bad.serial], 60));
    settings.crl_location = Some(path.clone());
    let tls = tls(&settings);
    let mut to_good = Server::start(config(&good, BOTH, None)).await;
    let to_bad = Server::start(config(&bad, BOTH, None)).await;
    to_good.visit(&tls, "broker.test").await.expect("not in the list");
    let error = to_bad.connect(&tls, "broker.test").await.expect_err("in the list");
    says(&error, &["CN=bad", "was taken back"]);
    // An old list, or that of somebody else, says nothing.
    std::fs::write(&path, authority.revoke(&[], 10)).expect("written");
    let error = to_good.connect(&tls, "broker.test").await.expect_err("an old list");
    says(&error, &["should have been renewed", "ssl.crl.location"]);
    std::fs::write(&path, Authority::new("other").revoke(&[], 60)).expect("written");
    let error = to_good.connect(&tls, "broker.test").await.expect_err("no list");
    says(&error, &["ssl.crl.location has no list of the issuer"]);
}

#[tokio::test]
async fn what_was_agreed_on_is_told() {
    let authority = Authority::new("authority");
    let pair = authority.issue(&for_hosts(&["broker.test", "127.0.0.1"]));
    let tls = tls(&trusting(&authority));
    for (versions, version, suite) in [
        (ONLY_1_2, TlsVersion::V1_2, "TLS_ECDHE_ECDSA_WITH_"),
        (ONLY_1_3, TlsVersion::V1_3, "TLS_AES_"),
    ] {
        let server = Server::start(config(&pair, versions, None)).await;
        let session = Tls::describe(&server.connect(&tls, "broker.test").await.expect("connected"));
        assert_eq!(session.version, version);
        assert!(session.cipher_suite.starts_with(suite), "{session:?}");
        let own = &session.certificates[0];
        assert_eq!((own.subject.as_str(), own.issuer.as_str()), ("CN=broker", "CN=authority"));
        assert_eq!(own.names, ["broker.test", "127.0.0.1"]);
        let days = own.not_after.duration_since(own.not_before).expect("a life").as_secs() / 86_400;
        assert_eq!(days, 101);
    }
}
