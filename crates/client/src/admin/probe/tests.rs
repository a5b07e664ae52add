//! Servers that fail at each step.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use ottla_protocol::messages::api_versions::{ApiVersion, ApiVersionsResponse};

use super::{BrokerVersions, ProbeStep, probe};
use crate::admin::RequestErrorKind;
use crate::security::Security;
use crate::wire::scripted::{Answer, serve};

const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_broker_is_told_with_its_addresses_and_what_it_understands() {
    let address = serve(|asked| asked.with_our_versions()).await;
    let report = probe(&address, &Security::default(), TIMEOUT).await;
    assert!(report.failure.is_none(), "{:?}", report.failure);
    assert_eq!(report.addresses.len(), 1);
    assert_eq!(report.addresses[0].address.to_string(), address);
    assert_eq!(report.addresses[0].error, None);
    let versions = report.versions.unwrap();
    assert!(versions.is_idempotence_offered && versions.missing.is_empty());
    assert!(versions.release.is_some());
    assert!(report.session.is_none());
}

/// Laws: L9. Scenarios: E1.
#[tokio::test]
async fn a_name_that_nobody_knows_fails_at_the_first_step() {
    let report = probe("nowhere.invalid:9092", &Security::default(), TIMEOUT).await;
    let (step, error) = report.failure.unwrap();
    assert_eq!((step, error.kind()), (ProbeStep::Resolve, RequestErrorKind::Unreachable));
    assert!(error.to_string().contains("nowhere.invalid:9092"), "{error}");
    assert!(report.addresses.is_empty());
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_when_it_is_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = probe(&address.to_string(), &Security::default(), TIMEOUT).await;
    let (step, error) = report.failure.unwrap();
    assert_eq!((step, error.kind()), (ProbeStep::Connect, RequestErrorKind::Unreachable));
    assert!(report.addresses[0].error.is_some());
}

/// Laws: L11. Scenarios: A4.
#[tokio::test]
async fn a_server_of_another_kind_is_named_when_it_is_asked_for_versions() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let report = probe(&address, &Security::default(), TIMEOUT).await;
    let (step, error) = report.failure.unwrap();
    assert_eq!((step, error.kind()), (ProbeStep::Versions, RequestErrorKind::WrongService));
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let report = probe(&address, &Security::default(), Duration::from_millis(50)).await;
    let (step, error) = report.failure.unwrap();
    assert_eq!((step, error.kind()), (ProbeStep::Versions, RequestErrorKind::Unreachable));
}

#[tokio::test]
async fn a_listener_without_sasl_fails_at_that_step_and_its_versions_are_told() {
    let address = serve(|asked| match asked.api() {
        ottla_protocol::ApiKey::API_VERSIONS => asked.with_our_versions(),
        _ => Answer::Close,
    })
    .await;
    let security = Security::builder()
        .set("security.protocol", "SASL_PLAINTEXT")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", "u")
        .set("sasl.password", "hush-hush")
        .build()
        .unwrap();
    let report = probe(&address, &security, TIMEOUT).await;
    assert!(report.versions.is_some());
    let (step, error) = report.failure.clone().unwrap();
    assert_eq!(step, ProbeStep::Sasl);
    assert!(!format!("{report:?} {error}").contains("hush-hush"));
}

fn versions(rows: &[(i16, i16, i16)]) -> BrokerVersions {
    let row = |(api_key, min_version, max_version): &(i16, i16, i16)| ApiVersion {
        api_key: *api_key,
        min_version: *min_version,
        max_version: *max_version,
    };
    let api_keys = rows.iter().map(row).collect();
    BrokerVersions::of(&ApiVersionsResponse { api_keys, ..Default::default() })
}

#[test]
fn the_release_is_guessed_from_what_only_it_and_later_ones_understand() {
    assert_eq!(versions(&[(0, 0, 13), (1, 4, 18)]).release, Some("4.1"));
    assert_eq!(versions(&[(0, 0, 9), (1, 0, 12), (60, 0, 0)]).release, Some("2.8"));
    assert_eq!(versions(&[(0, 0, 3), (1, 0, 5)]).release, Some("0.11"));
    assert_eq!(versions(&[(0, 0, 2), (1, 0, 3)]).release, None);
}

#[test]
fn what_a_producer_needs_and_the_broker_lacks_is_named() {
    let old = versions(&[(0, 0, 2), (3, 0, 2), (22, 0, 0)]);
    assert_eq!(old.missing, ["Produce"]);
    assert!(old.is_idempotence_offered);
    let nothing = versions(&[]);
    assert_eq!(nothing.missing, ["Metadata", "Produce"]);
    assert!(!nothing.is_idempotence_offered);
}
