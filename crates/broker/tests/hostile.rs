//! Bytes that no client sends: the connection closes, and the broker goes on for everybody else.

mod common;

use std::io::Write;
use std::net::TcpStream;

use common::Batch;
use common::client::{Client, PATIENCE, produce_request};
use ottla_broker::{ApiKey, Cluster, ErrorCode};
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::{APIS, metadata::MetadataRequest};
use ottla_protocol::{Message, Reader, RequestHeader, encode_request};

fn cluster() -> Cluster {
    Cluster::builder().topic("t", 1).max_request_bytes(1 << 20).start().expect("starts")
}

fn assert_serves(cluster: &Cluster) {
    let answer = Client::connect(cluster).produce("t", 0, &Batch::numbered(1));
    assert_eq!(answer.error_code, 0);
}

/// A frame of a header and a body that may be anything.
fn frame(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let header =
        RequestHeader { api_key: api, api_version: version, correlation_id: 1, client_id: None };
    let mut content = Vec::new();
    header.encode(&mut content).expect("encodes");
    content.extend_from_slice(body);
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&content);
    bytes
}

#[test]
fn what_is_no_frame_closes_the_connection() {
    let cluster = cluster();
    let cases: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &[0xff, 0xff, 0xff, 0xff],
        &[0x80, 0, 0, 0],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0x10, 0, 1],
    ];
    for bytes in cases {
        let mut client = Client::connect(&cluster);
        client.raw(bytes);
        assert!(client.is_closed_by_broker(), "{bytes:?}");
    }
    assert_serves(&cluster);
}

#[test]
fn a_frame_that_never_ends_takes_no_memory_and_no_turn() {
    let cluster = cluster();
    let waiting: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(cluster.addresses()[0]).unwrap();
            stream.write_all(&[0, 0x0f, 0xff, 0xff, 0, 0, 0]).unwrap();
            stream
        })
        .collect();
    assert_serves(&cluster);
    drop(waiting);
    assert_serves(&cluster);
}

#[test]
fn unknown_apis_and_versions_close_the_connection() {
    let cluster = cluster();
    for (api, version) in
        [(-1, 0), (999, 0), (i16::MAX, 7), (0, 2), (0, 14), (1, 3), (3, 99), (3, -1), (18, -5)]
    {
        let mut client = Client::connect(&cluster);
        client.raw(&frame(ApiKey(api), version, &[0; 20]));
        if api == ApiKey::API_VERSIONS.0 {
            assert!(client.frame().is_some());
        } else {
            assert!(client.is_closed_by_broker(), "{api} {version}");
        }
    }
    assert_serves(&cluster);
}

#[test]
fn api_versions_answers_a_version_from_the_future_in_version_0() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    client.raw(&frame(ApiKey::API_VERSIONS, 77, b"whatever"));
    let answer = client.frame().unwrap();
    let mut reader = Reader::new(&answer);
    reader.i32().unwrap();
    let response = ApiVersionsResponse::decode(&mut reader, 0).unwrap();
    assert_eq!(response.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    let own = &response.api_keys[0];
    assert_eq!((own.api_key, own.min_version, own.max_version), (18, 0, 4));
    // And the connection is still good for another try.
    let request = ApiVersionsRequest {
        client_software_name: "test".to_owned(),
        client_software_version: "1".to_owned(),
    };
    let response = client.call(4, &request);
    assert_eq!(response.error_code, 0);
    let produce = response.api_keys.iter().find(|row| row.api_key == 0).unwrap();
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
}

#[test]
fn a_body_of_garbage_or_cut_short_closes_the_connection_for_every_api_and_version() {
    let cluster = cluster();
    let response = Client::connect(&cluster).call(0, &ApiVersionsRequest::default());
    let bodies: [&[u8]; 6] =
        [&[], &[0xff; 64], &[0x7f; 64], &[0x80; 64], &[0; 3], b"\x00\x00\x00\x01\x7f\xff\xff\xff"];
    for row in response.api_keys {
        let api = ApiKey(row.api_key);
        let Some(versions) = api.versions() else { continue };
        for version in versions.min..=versions.max {
            for body in bodies {
                let mut client = Client::connect(&cluster);
                client.raw(&frame(api, version, body));
                client.stream.shutdown(std::net::Shutdown::Write).unwrap();
                // An answer or none; what matters is that the broker is through with it.
                while client.frame().is_some() {}
            }
        }
    }
    assert_serves(&cluster);
}

#[test]
fn a_count_that_is_only_announced_is_not_believed() {
    let cluster = cluster();
    // Metadata 1 with two thousand million topics, Produce 3 with as many topics.
    let mut produce = vec![0xff, 0xff, 0, 1, 0, 0, 0, 1];
    produce.extend_from_slice(&i32::MAX.to_be_bytes());
    for (api, version, body) in
        [(ApiKey::METADATA, 1, i32::MAX.to_be_bytes().to_vec()), (ApiKey::PRODUCE, 3, produce)]
    {
        let mut client = Client::connect(&cluster);
        client.raw(&frame(api, version, &body));
        assert!(client.is_closed_by_broker(), "{api}");
    }
    assert_serves(&cluster);
}

#[test]
fn every_api_of_the_messages_is_served_or_not_advertised() {
    let cluster = cluster();
    let response = Client::connect(&cluster).call(
        3,
        &ApiVersionsRequest {
            client_software_name: "test".to_owned(),
            client_software_version: "1.0".to_owned(),
        },
    );
    for row in &response.api_keys {
        assert!(APIS.contains(&ApiKey(row.api_key)), "{}", row.api_key);
    }
    let is_advertised = |api: ApiKey| response.api_keys.iter().any(|row| row.api_key == api.0);
    for api in APIS.iter().copied().filter(|api| !is_advertised(*api)) {
        let mut client = Client::connect(&cluster);
        client.raw(&frame(api, 0, &[]));
        assert!(client.is_closed_by_broker(), "{api}");
    }
}

#[test]
fn connections_over_the_limit_are_closed_and_make_room_when_others_go() {
    let cluster = Cluster::builder().max_connections(2).start().unwrap();
    let mut first = Client::connect(&cluster);
    let mut second = Client::connect(&cluster);
    first.call(0, &ApiVersionsRequest::default());
    second.call(0, &ApiVersionsRequest::default());
    let mut third = Client::connect(&cluster);
    assert!(third.is_closed_by_broker());
    first.close();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let mut next = Client::connect(&cluster);
        let id = 1;
        let mut bytes = Vec::new();
        encode_request(&ApiVersionsRequest::default(), 0, id, None, &mut bytes).unwrap();
        next.raw(&bytes);
        if next.frame().is_some() {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "no room was made");
        std::thread::yield_now();
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let cluster =
        Cluster::builder().max_idle(std::time::Duration::from_millis(30)).start().unwrap();
    let mut client = Client::connect(&cluster);
    client.call(0, &ApiVersionsRequest::default());
    assert!(client.is_closed_by_broker());
}

#[test]
fn a_request_in_small_pieces_is_one_request() {
    let cluster = cluster();
    let mut client = Client::connect(&cluster);
    let mut bytes = Vec::new();
    let request = produce_request(1, "t", 0, Batch::numbered(5).encode());
    encode_request(&request, 9, 1, Some("slow"), &mut bytes).unwrap();
    encode_request(&MetadataRequest::default(), 9, 2, Some("slow"), &mut bytes).unwrap();
    for piece in bytes.chunks(3) {
        client.raw(piece);
    }
    assert!(client.frame().is_some() && client.frame().is_some());
    assert_eq!(cluster.log_end_offset("t", 0), Some(5));
}

#[test]
fn a_client_that_goes_away_while_it_waits_leaves_nothing_behind() {
    let cluster = cluster();
    for _ in 0..20 {
        let mut client = Client::connect(&cluster);
        client.send(11, &common::client::fetch_request("t", 0, 0, 60_000));
        client.close();
    }
    assert_serves(&cluster);
}
