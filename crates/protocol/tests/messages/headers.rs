//! Whole frames: length prefix, header of the right version, body.

use bytes::Bytes;
use ottla_protocol::frame::FrameReader;
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::messages::heartbeat::HeartbeatResponse;
use ottla_protocol::messages::metadata::{MetadataRequest, MetadataResponse};
use ottla_protocol::messages::produce::ProduceRequest;
use ottla_protocol::messages::{APIS, metadata};
use ottla_protocol::{
    ApiKey, EncodeError, Message, Reader, Request, RequestHeader, correlation_id, decode_response,
    encode_request, encode_response,
};

fn one_frame(bytes: &[u8]) -> Bytes {
    let mut reader = FrameReader::new(1 << 20);
    reader.push(bytes);
    let frame = reader.next().expect("a frame").expect("a whole frame");
    assert_eq!(reader.buffered_bytes(), 0);
    frame
}

fn request_frame<R: Request>(request: &R, version: i16) -> Bytes {
    let mut out = Vec::new();
    encode_request(request, version, 7, Some("me"), &mut out).unwrap();
    one_frame(&out)
}

#[test]
fn a_request_carries_header_version_1_until_it_is_flexible_and_2_from_then_on() {
    let old = request_frame(&MetadataRequest::default(), 8);
    assert_eq!(&old[..14], b"\0\x03\0\x08\0\0\0\x07\0\x02me\0\0");
    let flexible = request_frame(&MetadataRequest::default(), 9);
    // The client id keeps its two-byte length; an empty tag section follows, then a compact list.
    assert_eq!(&flexible[..14], b"\0\x03\0\x09\0\0\0\x07\0\x02me\0\x01");
}

#[test]
fn a_request_header_reads_back_in_every_version_of_every_api() {
    for api in APIS {
        let versions = api.versions().unwrap();
        for version in versions.min..=versions.max {
            for client_id in [Some("client".to_owned()), None] {
                let header = RequestHeader {
                    api_key: *api,
                    api_version: version,
                    correlation_id: i32::MIN,
                    client_id,
                };
                let mut out = Vec::new();
                header.encode(&mut out).unwrap();
                out.push(0x55);
                let frame = Bytes::from(out);
                let mut reader = Reader::new(&frame);
                assert_eq!(RequestHeader::decode(&mut reader), Ok(header));
                assert_eq!(reader.remaining(), 1, "{api} {version}");
            }
        }
    }
}

#[test]
fn a_request_header_of_an_unknown_api_can_still_be_answered() {
    let frame = Bytes::from_static(b"\x03\xe7\0\x63\0\0\0\x2a\xff\xff");
    let header = RequestHeader::decode(&mut Reader::new(&frame)).unwrap();
    assert_eq!((header.api_key, header.api_version), (ApiKey(999), 99));
    assert_eq!((header.correlation_id, header.client_id), (42, None));
}

#[test]
fn a_response_decodes_to_its_correlation_id_and_body() {
    let response = MetadataResponse { controller_id: 3, ..Default::default() };
    for version in [2, 8, 9, 13] {
        let mut out = Vec::new();
        encode_response(ApiKey::METADATA, version, -9, &response, &mut out).unwrap();
        let frame = one_frame(&out);
        assert_eq!(correlation_id(&frame), Some(-9));
        let decoded = decode_response::<MetadataRequest>(frame, version);
        assert_eq!(decoded, Ok((-9, response.clone())), "version {version}");
    }
}

#[test]
fn the_answer_to_api_versions_has_the_oldest_header_in_every_version() {
    let response = ApiVersionsResponse { error_code: 35, ..Default::default() };
    for version in 0..=4 {
        let mut out = Vec::new();
        encode_response(ApiKey::API_VERSIONS, version, 1, &response, &mut out).unwrap();
        // The error code follows the correlation id at once, without a tag section.
        assert_eq!(out[8..10], [0, 35], "version {version}");
        let decoded = decode_response::<ApiVersionsRequest>(one_frame(&out), version);
        assert_eq!(decoded, Ok((1, response.clone())));
    }
}

#[test]
fn an_unknown_tagged_field_is_skipped() {
    let response = HeartbeatResponse { throttle_time_ms: 5, error_code: 27 };
    let mut out = Vec::new();
    response.encode(&mut out, 4).unwrap();
    assert_eq!(out.pop(), Some(0));
    out.extend_from_slice(&[2, 9, 3, 1, 2, 3, 200, 1, 0]);
    let frame = Bytes::from(out);
    let mut reader = Reader::new(&frame);
    assert_eq!(HeartbeatResponse::decode(&mut reader, 4), Ok(response));
    assert_eq!(reader.remaining(), 0);
}

#[test]
fn a_request_that_cannot_be_written_leaves_the_buffer_as_it_was() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..Default::default() };
    let mut out = b"before".to_vec();
    let error = encode_request(&request, 3, 1, None, &mut out).unwrap_err();
    let field = "MetadataRequest.allow_auto_topic_creation";
    assert_eq!(error, EncodeError::FieldNotInVersion { field, version: 3 });
    assert_eq!(out, b"before");
}

#[test]
fn null_where_a_version_does_not_allow_it_is_refused_by_name() {
    let request = MetadataRequest { topics: None, ..Default::default() };
    let error = request.encode(&mut Vec::new(), 0).unwrap_err();
    let field = "MetadataRequest.topics";
    assert_eq!(error, EncodeError::NullNotInVersion { field, version: 0 });
    assert_eq!(request.encode(&mut Vec::new(), 1), Ok(()));
    let topic = metadata::MetadataRequestTopic { name: None, ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let error = request.encode(&mut Vec::new(), 9).unwrap_err();
    let field = "MetadataRequestTopic.name";
    assert_eq!(error, EncodeError::NullNotInVersion { field, version: 9 });
}

#[test]
fn a_version_outside_the_range_is_refused_both_ways() {
    let error = ProduceRequest::default().encode(&mut Vec::new(), 2).unwrap_err();
    assert_eq!(error.to_string(), "ProduceRequest has no version 2, only 3-13");
    let error = ProduceRequest::decode(&mut Reader::new(&Bytes::new()), 14).unwrap_err();
    assert_eq!(error.to_string(), "at byte 0: version 14 is not in 3-13");
}
