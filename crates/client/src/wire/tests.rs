//! Connections to servers that are old, wrong, or fall silent.

use std::time::Duration;

use ottla_protocol::messages::api_versions::ApiVersionsResponse;
use ottla_protocol::messages::metadata::{MetadataResponse, MetadataResponseBroker};
use ottla_protocol::{ApiKey, ErrorCode};

use super::link::Link;
use super::scripted::{Answer, serve};
use super::{Brokers, RequestErrorKind};
use crate::security::Security;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Laws: L9. Scenarios: #91, B-7.
#[tokio::test]
async fn an_old_broker_is_asked_again_in_the_version_that_all_know() {
    let mut versions = Vec::new();
    let address = serve(move |asked| {
        versions.push(asked.header.api_version);
        if versions.len() == 1 {
            let refusal = ApiVersionsResponse {
                error_code: ErrorCode::UNSUPPORTED_VERSION.0,
                ..Default::default()
            };
            return asked.with_version(&refusal, 0);
        }
        assert_eq!(versions, [3, 0]);
        asked.with_our_versions()
    })
    .await;
    let link = Link::open(&address, &Security::default(), TIMEOUT).await.unwrap();
    assert!(!link.is_broken());
}

#[tokio::test]
async fn a_broker_that_closes_at_once_is_suspected_to_be_none() {
    let address = serve(|_| Answer::Close).await;
    let error = Link::open(&address, &Security::default(), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Unreachable);
    assert!(error.to_string().contains("is this the port of a Kafka broker?"), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_request_breaks_the_connection() {
    let address = serve(|asked| match asked.with_our_versions() {
        Answer::Frame(mut frame) => {
            frame[7] ^= 1;
            Answer::Frame(frame)
        }
        close => close,
    })
    .await;
    let error = Link::open(&address, &Security::default(), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Garbled);
}

#[tokio::test]
async fn what_a_broker_does_not_offer_is_not_asked() {
    let address = serve(|asked| asked.with(&ApiVersionsResponse::default())).await;
    let link = Link::open(&address, &Security::default(), TIMEOUT).await.unwrap();
    let error = link
        .version_up_to::<ottla_protocol::messages::metadata::MetadataRequest>(i16::MAX)
        .unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Unsupported);
    assert!(error.to_string().contains("Metadata"), "{error}");
}

#[tokio::test]
async fn a_connection_that_was_lost_is_made_anew() {
    let mut count = 0;
    let address = serve(move |asked| match asked.api() {
        ApiKey::API_VERSIONS => asked.with_our_versions(),
        _ => {
            count += 1;
            if count == 1 { Answer::Close } else { asked.with(&MetadataResponse::default()) }
        }
    })
    .await;
    let mut brokers =
        Brokers::connect(&address, &Security::default(), TIMEOUT, |_| ()).await.unwrap();
    let error = brokers.metadata(None).await.unwrap_err();
    assert!(error.to_string().contains("SASL"), "{error}");
    assert!(brokers.metadata(None).await.is_ok());
}

#[tokio::test]
async fn one_server_that_answers_is_enough() {
    let address = serve(|asked| asked.with_our_versions()).await;
    let servers = format!("127.0.0.1:1,{address}");
    let brokers = Brokers::connect(&servers, &Security::default(), TIMEOUT, |_| ()).await.unwrap();
    assert_eq!(brokers.server(), address);
}

#[tokio::test]
async fn an_advertised_address_that_leads_nowhere_is_named() {
    let address = serve(|asked| match asked.api() {
        ApiKey::API_VERSIONS => asked.with_our_versions(),
        _ => {
            let host = "127.0.0.1".to_owned();
            let broker = MetadataResponseBroker { node_id: 7, host, port: 1, rack: None };
            asked.with(&MetadataResponse { brokers: vec![broker], ..Default::default() })
        }
    })
    .await;
    let mut brokers =
        Brokers::connect(&address, &Security::default(), TIMEOUT, |_| ()).await.unwrap();
    let error = brokers.reach_one().await.unwrap_err().to_string();
    assert!(error.contains("advertised.listeners") && error.contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn silence_is_an_error_within_the_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let error =
        Link::open(&address, &Security::default(), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Unreachable);
    assert!(error.to_string().contains("did not answer ApiVersions"), "{error}");
}
