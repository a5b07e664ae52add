//! A client that speaks raw protocol messages over a blocking socket.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::Cluster;
use ottla_protocol::messages::api_versions::ApiVersionsRequest;
use ottla_protocol::messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, ProduceRequest, TopicProduceData,
};
use ottla_protocol::messages::sasl_authenticate::{
    SaslAuthenticateRequest, SaslAuthenticateResponse,
};
use ottla_protocol::messages::sasl_handshake::SaslHandshakeRequest;
use ottla_protocol::{Request, decode_response, encode_request};

use super::Batch;

/// How long a test waits for anything before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    pub stream: TcpStream,
    next_correlation_id: i32,
}

impl Client {
    pub fn connect(cluster: &Cluster) -> Self {
        Self::connect_to(&cluster.addresses()[0].to_string())
    }

    /// Connects to `host:port`.
    pub fn connect_to(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, next_correlation_id: 1 }
    }

    /// Sends a request and gives back its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let mut bytes = Vec::new();
        encode_request(request, version, id, Some("raw"), &mut bytes).expect("encodes");
        self.stream.write_all(&bytes).expect("sends");
        id
    }

    /// The answer to the request with this correlation id, which must be the next one.
    pub fn receive<R: Request>(&mut self, version: i16, id: i32) -> R::Response {
        let frame = self.frame().expect("an answer");
        let (correlation_id, response) = decode_response::<R>(frame, version).expect("decodes");
        assert_eq!(correlation_id, id);
        response
    }

    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request);
        self.receive::<R>(version, id)
    }

    /// Agrees on a mechanism and gives back the error code.
    pub fn handshake(&mut self, mechanism: &str) -> i16 {
        self.call(1, &SaslHandshakeRequest { mechanism: mechanism.to_owned() }).error_code
    }

    /// Passes a message to the mechanism.
    pub fn authenticate(&mut self, message: impl Into<Vec<u8>>) -> SaslAuthenticateResponse {
        self.call(2, &SaslAuthenticateRequest { auth_bytes: message.into().into() })
    }

    /// Says who it is by PLAIN, from the handshake on.
    pub fn log_in(&mut self, name: &str, password: &str) -> SaslAuthenticateResponse {
        assert_eq!(self.handshake("PLAIN"), 0);
        self.authenticate(format!("\0{name}\0{password}"))
    }

    /// Whether a request is still answered.
    pub fn is_served(&mut self) -> bool {
        let mut bytes = Vec::new();
        let id = self.next_correlation_id;
        encode_request(&ApiVersionsRequest::default(), 0, id, Some("raw"), &mut bytes)
            .expect("encodes");
        self.raw(&bytes);
        self.frame().is_some()
    }

    /// The next frame, `None` when the broker has closed the connection.
    pub fn frame(&mut self) -> Option<Bytes> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        // The broker may have closed the connection already.
        let _ = self.stream.write_all(bytes);
    }

    /// Whether the broker closes the connection without another word.
    pub fn is_closed_by_broker(&mut self) -> bool {
        self.frame().is_none() && self.stream.read(&mut [0]).map_or(true, |count| count == 0)
    }

    /// Whether nothing comes for a moment.
    pub fn hears_nothing(&mut self) -> bool {
        self.stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        let silent = self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        silent
    }

    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Produces one batch with acks=all, by name.
    pub fn produce(
        &mut self,
        topic: &str,
        partition: i32,
        batch: &Batch,
    ) -> PartitionProduceResponse {
        self.produce_bytes(12, topic, partition, batch.encode())
    }

    pub fn produce_bytes(
        &mut self,
        version: i16,
        topic: &str,
        partition: i32,
        bytes: Vec<u8>,
    ) -> PartitionProduceResponse {
        let response = self.call(version, &produce_request(-1, topic, partition, bytes));
        response.responses[0].partition_responses[0].clone()
    }

    /// Fetches one partition from `offset`, waiting at most `max_wait_ms` for a byte.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        max_wait_ms: i32,
    ) -> FetchResponse {
        self.call(11, &fetch_request(topic, partition, offset, max_wait_ms))
    }
}

/// ApiVersions as a client sends it that gives its name.
pub fn named_api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: "raw".to_owned(),
        client_software_version: "1".to_owned(),
    }
}

pub fn produce_request(acks: i16, topic: &str, partition: i32, bytes: Vec<u8>) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: partition,
                records: Some(bytes.into()),
            }],
            ..TopicProduceData::default()
        }],
    }
}

pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    FetchRequest {
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.to_owned(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20,
                ..FetchPartition::default()
            }],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    }
}
