//! One connection to one broker, one request at a time.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::frame::{FrameError, FrameReader};
use ottla_protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{
    ApiKey, ErrorCode, Message, Reader, Request, VersionRange, correlation_id, decode_response,
    encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::error::{RequestError, RequestErrorKind};
use super::probe;
use crate::net::ConnectError;
use crate::security::{Security, Stream};

/// The correlation id of the first request. Any number will do for a broker; these bytes end a
/// line, so that an HTTP server, which waits for one, answers at once and shows what it is.
const FIRST_CORRELATION_ID: i32 = i32::from_be_bytes(*b"\r\n\r\n");

/// Room for an answer to ApiVersions, which comes from a server that may be anything.
const FIRST_FRAME_BYTES: usize = 512 * 1024;

/// Room for any other answer. A fetch returns at least one whole batch, however large its topic
/// allows it to be.
const FRAME_BYTES: usize = 512 * 1024 * 1024;

/// The version that a broker of any age understands, at least well enough to say that it is older.
const API_VERSIONS_VERSION: i16 = 3;

/// A connection to a broker whose versions are known.
pub(crate) struct Link {
    server: String,
    security: Security,
    stream: Stream,
    frames: FrameReader,
    versions: HashMap<ApiKey, VersionRange>,
    next_correlation_id: i32,
    timeout: Duration,
    is_broken: bool,
    /// When the broker lets go of it (KIP-368).
    session_end: Option<Instant>,
}

/// A request that was sent and whose answer has not been read.
#[must_use]
pub(crate) struct Sent<R> {
    correlation_id: i32,
    version: i16,
    request: PhantomData<R>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Link {
    /// Connects and asks for the broker's versions. `timeout` holds for this, and for each later
    /// request.
    ///
    /// # Errors
    /// When nothing answers, or something that is no Kafka broker.
    pub(crate) async fn open(
        server: &str,
        security: &Security,
        timeout: Duration,
    ) -> Result<Self, RequestError> {
        let deadline = Instant::now() + timeout;
        let stream = dial(server, security, timeout).await?;
        let mut link = Self::over(server, stream, security);
        link.negotiate(deadline.duration_since(Instant::now())).await?;
        link.timeout = timeout;
        link.log_in().await?;
        Ok(link)
    }

    /// A connection on which nothing was said yet.
    pub(crate) fn over(server: &str, stream: Stream, security: &Security) -> Self {
        Self {
            server: server.to_owned(),
            security: security.clone(),
            stream,
            frames: FrameReader::new(FIRST_FRAME_BYTES),
            versions: HashMap::new(),
            next_correlation_id: FIRST_CORRELATION_ID,
            timeout: Duration::ZERO,
            is_broken: false,
            session_end: None,
        }
    }

    /// Learns which versions the broker speaks, within `timeout`. This comes first.
    ///
    /// # Errors
    /// When nothing answers, or something that is no Kafka broker.
    pub(crate) async fn negotiate(
        &mut self,
        timeout: Duration,
    ) -> Result<ApiVersionsResponse, RequestError> {
        // A server that keeps silent is looked at more closely, which must fit in too.
        self.timeout = timeout - probe::PATIENCE.min(timeout / 2);
        let patience = (!self.security.protocol().uses_tls()).then_some(timeout / 2);
        let response = self.ask_versions(patience).await?;
        let ranges = response.api_keys.iter();
        self.versions = ranges
            .map(|api| (ApiKey(api.api_key), VersionRange::new(api.min_version, api.max_version)))
            .collect();
        Ok(response)
    }

    /// Says who we are, if the settings want it; after that anything may be asked. Gives the time
    /// after which the broker lets go of the connection, if there is one.
    ///
    /// # Errors
    /// When one side does not accept the other.
    pub(crate) async fn log_in(&mut self) -> Result<Option<Duration>, RequestError> {
        let security = self.security.clone();
        let lifetime = match security.uses_sasl() {
            true => self.authenticate(&security).await?,
            false => None,
        };
        self.frames.set_max_bytes(FRAME_BYTES);
        Ok(lifetime)
    }

    /// The server as it was named: `host:port`.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// Changes how long each later request may take.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Whether the connection is of no more use.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken || self.session_end.is_some_and(|end| end <= Instant::now())
    }

    /// The broker lets go of the connection after this time, so it is not used so long.
    pub(super) fn set_session(&mut self, lifetime: Duration) {
        self.session_end = Instant::now().checked_add(lifetime.mul_f64(0.9));
    }

    /// The highest version of a request that both sides know, at most `limit`.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn version_up_to<R: Request>(&self, limit: i16) -> Result<i16, RequestError> {
        let api = R::API_KEY;
        let ours = api.versions().unwrap_or(R::VERSIONS);
        let ours = VersionRange::new(ours.min, ours.max.min(limit));
        let theirs = self.versions.get(&api).copied();
        theirs.and_then(|theirs| ours.negotiate(theirs)).ok_or_else(|| {
            let has = theirs.map_or_else(
                || "does not offer it".to_owned(),
                |theirs| format!("offers versions {theirs}, this client speaks {ours}"),
            );
            RequestError::new(
                RequestErrorKind::Unsupported,
                format!("{} cannot be asked for {api}: it {has}", self.server),
            )
        })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When the broker does not know a version that we know, or no answer comes, or one that
    /// cannot be understood.
    pub(crate) async fn call<R: Request>(
        &mut self,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        let version = self.version_up_to::<R>(i16::MAX)?;
        let sent = self.send(request, version).await?;
        self.receive(sent).await
    }

    /// Sends a request whose answer is read later, before the next one is sent.
    ///
    /// # Errors
    /// When the request cannot be written in this version, or not be sent.
    pub(crate) async fn send<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Sent<R>, RequestError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        // Enough for what may hold a secret not to be copied when the frame grows.
        let mut frame = Zeroizing::new(Vec::with_capacity(16 << 10));
        let client_id = Some("ottla");
        encode_request(request, version, correlation_id, client_id, &mut frame).map_err(
            |error| {
                RequestError::new(
                    RequestErrorKind::Unsupported,
                    format!("{}: {error}", self.server),
                )
            },
        )?;
        let deadline = Instant::now() + self.timeout;
        // Until the answer is read, whoever drops this future leaves the connection unusable.
        self.is_broken = true;
        let write = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await
        };
        match timeout_at(deadline, write).await {
            Ok(Ok(())) => Ok(Sent { correlation_id, version, request: PhantomData }),
            Ok(Err(error)) => Err(self.broke::<R>(&error)),
            Err(_) => Err(self.late::<R>()),
        }
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When none comes, or one that cannot be understood.
    pub(crate) async fn receive<R: Request>(
        &mut self,
        sent: Sent<R>,
    ) -> Result<R::Response, RequestError> {
        let frame = self.receive_frame::<R>(sent.correlation_id).await?;
        let decoded = decode_response::<R>(frame, sent.version);
        let (_, response) = decoded.map_err(|error| self.garbled::<R>(error))?;
        self.is_broken = false;
        Ok(response)
    }

    async fn receive_frame<R: Request>(&mut self, expected: i32) -> Result<Bytes, RequestError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            if let Some(frame) = self.frames.next().map_err(|error| self.not_kafka(error))? {
                return match correlation_id(&frame) {
                    Some(id) if id == expected => Ok(frame),
                    _ => Err(self.garbled::<R>("it answers another request")),
                };
            }
            match timeout_at(deadline, self.stream.read_buf(self.frames.buffer_mut())).await {
                Ok(Ok(0)) => return Err(self.lost::<R>("the server closed the connection")),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.broke::<R>(&error)),
                Err(_) => return Err(self.late::<R>()),
            }
        }
    }

    /// The first exchange. Whatever goes wrong in it may be due to a server that is no broker.
    async fn ask_versions(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<ApiVersionsResponse, RequestError> {
        let ours = ApiVersionsRequest {
            client_software_name: "ottla".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut request = ours;
        for version in [API_VERSIONS_VERSION, 0] {
            let sent = match self.send(&request, version).await {
                Ok(sent) => self.receive_versions(sent).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(Some(response)) => return Ok(response),
                Ok(None) => request = ApiVersionsRequest::default(),
                Err(error) => return Err(self.suspect(error, patience).await),
            }
        }
        let message = format!("{} does not say which versions it speaks", self.server);
        Err(RequestError::new(RequestErrorKind::Unsupported, message))
    }

    /// Reads the answer, `None` when the broker is too old for the request's version: it then
    /// answers in version 0 whatever it was asked in.
    async fn receive_versions(
        &mut self,
        sent: Sent<ApiVersionsRequest>,
    ) -> Result<Option<ApiVersionsResponse>, RequestError> {
        let frame = self.receive_frame::<ApiVersionsRequest>(sent.correlation_id).await?;
        let body = frame.slice(size_of::<i32>()..);
        let mut reader = Reader::new(&body);
        let code = reader.i16().map(ErrorCode);
        let code = code.map_err(|error| self.garbled::<ApiVersionsRequest>(error))?;
        self.is_broken = false;
        match code {
            ErrorCode::UNSUPPORTED_VERSION => Ok(None),
            code if !code.is_ok() => {
                let what = format!("{} does not say which versions it speaks", self.server);
                Err(RequestError::refused(&what, code, None))
            }
            _ => ApiVersionsResponse::decode(&mut Reader::new(&body), sent.version)
                .map(Some)
                .map_err(|error| self.garbled::<ApiVersionsRequest>(error)),
        }
    }

    /// Looks closer at a server that closed the connection or kept silent at the first request.
    async fn suspect(&self, error: RequestError, patience: Option<Duration>) -> RequestError {
        let Some(patience) = patience.filter(|_| error.kind() == RequestErrorKind::Unreachable)
        else {
            return error;
        };
        if probe::speaks_tls(&self.server, patience).await {
            return RequestError::new(
                RequestErrorKind::WrongService,
                format!(
                    "{} speaks TLS, and this client was told to speak plain text: check the port \
                     and security.protocol",
                    self.server
                ),
            );
        }
        error.after("; is this the port of a Kafka broker?")
    }

    fn late<R: Request>(&mut self) -> RequestError {
        self.is_broken = true;
        RequestError::unreachable(format!(
            "{} took the connection and did not answer {} within {}",
            self.server,
            R::API_KEY,
            seconds(self.timeout)
        ))
    }

    fn broke<R: Request>(&mut self, error: &io::Error) -> RequestError {
        match self.security.explain(&self.server, error) {
            Some(why) if why.is_refusal() => {
                self.is_broken = true;
                RequestError::new(RequestErrorKind::Authentication, why.to_string())
            }
            Some(why) => self.lost::<R>(&why.to_string()),
            None => self.lost::<R>(&error.to_string()),
        }
    }

    fn lost<R: Request>(&mut self, reason: &str) -> RequestError {
        self.is_broken = true;
        RequestError::unreachable(format!(
            "the connection to {} was lost while asking for {}: {reason}",
            self.server,
            R::API_KEY
        ))
    }

    fn garbled<R: Request>(&mut self, reason: impl fmt::Display) -> RequestError {
        self.is_broken = true;
        RequestError::new(
            RequestErrorKind::Garbled,
            format!(
                "{} gave an answer to {} that makes no sense: {reason}",
                self.server,
                R::API_KEY
            ),
        )
    }

    fn not_kafka(&mut self, error: FrameError) -> RequestError {
        self.is_broken = true;
        let server = &self.server;
        let message = match error {
            FrameError::OtherProtocol(other) => {
                format!("{server} speaks {other}, not Kafka: {}", other.advice())
            }
            other => format!("{server} does not speak Kafka: {other}"),
        };
        RequestError::new(RequestErrorKind::WrongService, message)
    }
}

/// Opens a TCP connection within `timeout`. An address that swallows packets gets half of it, so
/// that another one of the same name has its turn.
async fn dial(
    server: &str,
    security: &Security,
    timeout: Duration,
) -> Result<Stream, RequestError> {
    let dialled = tokio::time::timeout(timeout, security.open(server, timeout / 2)).await;
    match dialled {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(RequestError::unreachable(format!(
            "cannot connect to {server}: no answer within {}",
            seconds(timeout)
        ))),
    }
}

impl From<ConnectError> for RequestError {
    fn from(error: ConnectError) -> Self {
        let kind = if error.is_wrong_service() {
            RequestErrorKind::WrongService
        } else if error.is_refusal() {
            RequestErrorKind::Authentication
        } else {
            RequestErrorKind::Unreachable
        };
        Self::new(kind, error.to_string())
    }
}

/// A duration as a user would say it: `10 s`, `0.5 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}
