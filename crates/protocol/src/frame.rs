//! Cutting a stream of bytes into frames: a 4-byte length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};

use crate::header::LENGTH_PREFIX_SIZE;

/// The smallest frame: a correlation id must fit.
const MIN_FRAME_SIZE: usize = 4;

/// Collects the bytes of one connection and gives back whole frames.
///
/// A frame shares memory with the reader's buffer and is never copied. The buffer grows with
/// the bytes that arrive, not with the length that a peer claims.
#[derive(Debug)]
pub struct FrameReader {
    buffer: BytesMut,
    max_bytes: usize,
    frames_seen: bool,
    failed: Option<FrameError>,
}

/// Why the stream cannot be cut into frames. Nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is below zero.
    #[error("the peer announced a frame of {0} bytes")]
    NegativeSize(i32),
    /// The length leaves no room for a correlation id.
    #[error("the peer announced a frame of {0} bytes, too few for a correlation id")]
    TooSmall(i32),
    /// The length is over the limit.
    #[error("the peer announced a frame of {size} bytes, more than the limit of {max_bytes}")]
    TooLarge {
        /// The announced size in bytes.
        size: i32,
        /// The limit in bytes.
        max_bytes: usize,
    },
    /// The first bytes are those of another protocol.
    #[error("the peer speaks {0}, not Kafka: {advice}", advice = .0.advice())]
    OtherProtocol(OtherProtocol),
}

/// A protocol that is met where Kafka's was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherProtocol {
    /// A TLS record.
    Tls,
    /// An HTTP request or response, or a bare HTML page.
    Http,
    /// An SSH banner.
    Ssh,
    /// A line of text as mail, FTP, Redis and AMQP servers open or answer with.
    Text,
}

impl core::fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
            Self::Text => "a text protocol",
        })
    }
}

impl OtherProtocol {
    /// What to check, as a clause without a full stop.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Tls => "check security.protocol, one side uses TLS and the other does not",
            Self::Http | Self::Ssh | Self::Text => "check host and port",
        }
    }

    /// The protocol whose stream opens with these four bytes.
    fn detect(first: [u8; 4]) -> Option<Self> {
        match &first {
            // Record type (change cipher spec, alert, handshake, application data), version 3.x.
            [0x14..=0x17, 3, 0..=4, _] => Some(Self::Tls),
            b"HTTP" | b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"PRI " | b"CONN"
            | b"<htm" | b"<HTM" | b"<!do" | b"<!DO" => Some(Self::Http),
            b"SSH-" => Some(Self::Ssh),
            b"+PON" | b"+OK " | b"-ERR" | b"220 " | b"220-" | b"421 " | b"554 " | b"AMQP"
            | b"* OK" => Some(Self::Text),
            _ => None,
        }
    }
}

impl FrameReader {
    /// A reader that refuses frames over `max_bytes`, the length prefix not counted.
    pub fn new(max_bytes: usize) -> Self {
        Self { buffer: BytesMut::new(), max_bytes, frames_seen: false, failed: None }
    }

    /// The limit for one frame in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Changes the limit, for instance after authentication; it holds for the next frame that
    /// is taken.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
    }

    /// Takes bytes as they came from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer behind the frames, for a socket to read into directly.
    ///
    /// Only append to it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// How many bytes wait for the rest of their frame.
    pub fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame without its length prefix, `None` until more bytes are there.
    ///
    /// # Errors
    /// When the stream is not Kafka's. The error stays: each later call gives it again.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end at the first None")]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(prefix) = self.buffer.first_chunk::<LENGTH_PREFIX_SIZE>() else {
            return Ok(None);
        };
        let size = self.check_size(*prefix).inspect_err(|error| {
            // What follows is of no use to anybody.
            self.failed = Some(*error);
            self.buffer = BytesMut::new();
        })?;
        if self.buffer.len() - LENGTH_PREFIX_SIZE < size {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_PREFIX_SIZE);
        self.frames_seen = true;
        Ok(Some(self.buffer.split_to(size).freeze()))
    }

    fn check_size(&self, prefix: [u8; LENGTH_PREFIX_SIZE]) -> Result<usize, FrameError> {
        let size = i32::from_be_bytes(prefix);
        let over = usize::try_from(size).is_ok_and(|size| size > self.max_bytes);
        // The first frame is an ApiVersions exchange and small: the letters of another protocol
        // cannot be its length, whatever the limit is.
        if let Some(other) = OtherProtocol::detect(prefix).filter(|_| over || !self.frames_seen) {
            return Err(FrameError::OtherProtocol(other));
        }
        match usize::try_from(size) {
            Err(_) => Err(FrameError::NegativeSize(size)),
            Ok(0..MIN_FRAME_SIZE) => Err(FrameError::TooSmall(size)),
            Ok(_) if over => Err(FrameError::TooLarge { size, max_bytes: self.max_bytes }),
            Ok(size) => Ok(size),
        }
    }
}
