//! Servers that do not take us, or do not speak TLS.

use std::io;

use ottla_core::config::TlsVersion;

use super::super::{TlsError, TlsErrorKind};
use super::pki::{Authority, Wanted, client};
use super::server::{ONLY_1_2, ONLY_1_3, Server, answering, config, dial, listen};
use super::{known_as, says, tls, trusting};

/// Laws: L11. Scenarios: A4.
#[tokio::test]
async fn a_server_that_speaks_something_else_is_told_apart_with_the_setting_to_change() {
    let tls = tls(&trusting(&Authority::new("authority")));
    let cases: [(&[u8], &str); 5] = [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it speaks SSH"),
        (b"220 mail.test ESMTP\r\n", "it answers with text"),
        (&[0, 0, 0, 10, 0, 0, 0, 1, 0, 35, 0, 0, 0, 0], "something else"),
        (b"", "closed the connection instead of speaking TLS"),
    ];
    for (answer, words) in cases {
        let address = answering(answer).await;
        let error = tls.connect("broker.test:9093", dial(address).await).await;
        let error = error.expect_err("no TLS");
        assert_eq!(error.kind(), TlsErrorKind::WrongService, "{error}");
        says(&error, &["broker.test:9093", words]);
        says(&error, &["security.protocol to PLAINTEXT or SASL_PLAINTEXT"]);
    }
}

/// What a broker does with a listener that is not TLS: our greeting is a request of a length that
/// it does not take, and what it has not read makes the end a reset.
/// Laws: L11. Scenarios: A4.
#[tokio::test]
async fn a_server_that_resets_the_connection_is_asked_whether_it_speaks_plain_text() {
    let tls = tls(&trusting(&Authority::new("authority")));
    let (listener, address) = listen().await;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("somebody");
        stream.readable().await.expect("something");
        drop(stream);
    });
    let error = tls.connect("broker.test:9093", dial(address).await).await.expect_err("no TLS");
    server.await.expect("done");
    assert_eq!(error.kind(), TlsErrorKind::WrongService, "{error}");
    says(&error, &["closed the connection instead of speaking TLS", "plain text?"]);
}

#[tokio::test]
async fn a_broker_that_wants_a_certificate_is_told_apart_in_each_version() {
    let (authority, other) = (Authority::new("authority"), Authority::new("other"));
    let broker = authority.issue(&Wanted::default());
    for versions in [ONLY_1_2, ONLY_1_3] {
        let mut server = Server::start(config(&broker, versions, Some(&authority))).await;
        let error = server.visit(&tls(&trusting(&authority)), "broker.test").await;
        let error = error.expect_err("no certificate");
        assert!(matches!(error.kind(), TlsErrorKind::Refused | TlsErrorKind::Incompatible));
        says(&error, &["client certificate", "set ssl.keystore.location"]);
        // One that nobody there knows.
        let stranger = other.issue(&client("amara"));
        let error = server.visit(&tls(&known_as(&authority, &stranger)), "broker.test").await;
        let error = error.expect_err("unknown");
        assert_eq!(error.kind(), TlsErrorKind::Refused, "{error}");
        says(&error, &["CN=amara (issued by CN=other)"]);
        // One that has run out.
        let old = authority.issue(&Wanted { from_days: -9, to_days: -1, ..client("amara") });
        let error = server.visit(&tls(&known_as(&authority, &old)), "broker.test").await;
        let error = error.expect_err("too old");
        assert_eq!(error.kind(), TlsErrorKind::Refused, "{error}");
        says(&error, &["CN=amara", "is not valid now: it is from 20", "certificate_expired"]);
    }
}

#[tokio::test]
async fn a_broker_without_our_versions_is_told_apart_by_the_setting() {
    let authority = Authority::new("authority");
    let broker = authority.issue(&Wanted::default());
    for (theirs, ours, name) in
        [(ONLY_1_2, TlsVersion::V1_3, "TLSv1.3"), (ONLY_1_3, TlsVersion::V1_2, "TLSv1.2")]
    {
        let server = Server::start(config(&broker, theirs, None)).await;
        let mut settings = trusting(&authority);
        settings.versions = vec![ours];
        let error = server.connect(&tls(&settings), "broker.test").await.expect_err("no version");
        assert_eq!(error.kind(), TlsErrorKind::Incompatible, "{error}");
        says(&error, &["ssl.enabled.protocols", &format!("({name})")]);
    }
}

#[tokio::test]
async fn cipher_suites_are_chosen_by_their_standard_names_and_by_those_of_openssl() {
    let authority = Authority::new("authority");
    let broker = authority.issue(&Wanted::default());
    for (versions, wanted, suite) in [
        (ONLY_1_3, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
        (ONLY_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ] {
        let server = Server::start(config(&broker, versions, None)).await;
        let mut settings = trusting(&authority);
        settings.cipher_suites = vec![wanted.to_owned()];
        let stream = server.connect(&tls(&settings), "broker.test").await.expect("connected");
        assert_eq!(super::Tls::describe(&stream).cipher_suite, suite);
        // A suite for a key of another kind.
        settings.cipher_suites = vec!["ECDHE-RSA-AES128-GCM-SHA256".into()];
        settings.versions = vec![TlsVersion::V1_2];
        let error = server.connect(&tls(&settings), "broker.test").await.expect_err("no suite");
        assert_eq!(error.kind(), TlsErrorKind::Incompatible, "{error}");
        says(&error, &["ssl.enabled.protocols"]);
    }
}

#[tokio::test]
async fn a_name_that_no_certificate_can_have_is_refused_before_anything_is_sent() {
    let tls = tls(&trusting(&Authority::new("authority")));
    let (listener, address) = listen().await;
    for server in ["käfka:9093", "a..b:9093", ":9093", "[::g]:9093"] {
        let error: TlsError =
            tls.connect(server, dial(address).await).await.expect_err("no such name");
        assert_eq!(error.kind(), TlsErrorKind::Name);
        says(&error, &["cannot use TLS with", server]);
        let (mut stream, _) = listener.accept().await.expect("somebody");
        let nothing = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 8]).await;
        assert_eq!(nothing.expect("an end"), 0);
    }
}

#[test]
fn errors_without_a_meaning_in_tls_are_told_as_they_are() {
    let tls = tls(&trusting(&Authority::new("authority")));
    let error = io::Error::new(io::ErrorKind::TimedOut, "no answer");
    let error = tls.explain("broker.test:9093", &error);
    assert_eq!(error.kind(), TlsErrorKind::Lost);
    says(&error, &["the connection to broker.test:9093 broke: no answer"]);
}
