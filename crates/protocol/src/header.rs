//! Request and response headers, and whole frames.
//!
//! Requests use header version 2 when their version is flexible and 1 otherwise. Responses use
//! header version 1 when flexible and 0 otherwise, except ApiVersions: its answer must be
//! readable by a client that does not know the broker's versions yet, so its header is always
//! version 0.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::InField;
use crate::{ApiKey, DecodeError, EncodeError, Message, Reader, Request, write};

/// Bytes of the length prefix that opens every frame.
pub const LENGTH_PREFIX_SIZE: usize = 4;

/// What stands before the body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API that is asked.
    pub api_key: ApiKey,
    /// The version that the body is written in, and that the answer must be written in.
    pub api_version: i16,
    /// The number that the answer will repeat.
    pub correlation_id: i32,
    /// The name that the client gives itself.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Reads a header. The reader then stands at the body.
    ///
    /// An API or version that this crate does not know is not an error, so that the caller can
    /// answer it: its header is taken as version 1 for an unknown API.
    ///
    /// # Errors
    /// When the bytes are not a header.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let api_key = ApiKey(reader.i16().field("RequestHeader.request_api_key")?);
        let api_version = reader.i16().field("RequestHeader.request_api_version")?;
        let correlation_id = reader.i32().field("RequestHeader.correlation_id")?;
        // The client id keeps its old encoding in every header version.
        let client_id = reader.nullable_string(false).field("RequestHeader.client_id")?;
        if api_key.is_flexible(api_version) {
            reader.skip_tagged_fields().field("RequestHeader")?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header at the end of `out`, without a length prefix.
    ///
    /// # Errors
    /// When the client id is longer than 32,767 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let client_id = self.client_id.as_deref();
        encode_request_header(self.api_key, self.api_version, self.correlation_id, client_id, out)
    }
}

/// Writes a request header at the end of `out`, without a length prefix.
///
/// # Errors
/// When the client id is longer than 32,767 bytes.
pub fn encode_request_header(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write::i16(out, api_key.0);
    write::i16(out, version);
    write::i32(out, correlation_id);
    write::nullable_string(out, client_id, false, "RequestHeader.client_id")?;
    if api_key.is_flexible(version) {
        write::no_tagged_fields(out);
    }
    Ok(())
}

/// Whether the header of a response closes with tagged fields.
pub fn response_header_is_flexible(api_key: ApiKey, version: i16) -> bool {
    api_key != ApiKey::API_VERSIONS && api_key.is_flexible(version)
}

/// Writes a whole request at the end of `out`: length prefix, header and body.
///
/// # Errors
/// When the body cannot be written in `version`; `out` is then as it was.
pub fn encode_request<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode_frame(R::API_KEY, version, out, |out| {
        encode_request_header(R::API_KEY, version, correlation_id, client_id, out)?;
        request.encode(out, version)
    })
}

/// Writes a whole response at the end of `out`: length prefix, header and body.
///
/// # Errors
/// When the body cannot be written in `version`; `out` is then as it was.
pub fn encode_response<M: Message>(
    api_key: ApiKey,
    version: i16,
    correlation_id: i32,
    message: &M,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    encode_frame(api_key, version, out, |out| {
        write::i32(out, correlation_id);
        if response_header_is_flexible(api_key, version) {
            write::no_tagged_fields(out);
        }
        message.encode(out, version)
    })
}

/// Writes what `content` writes behind its length.
fn encode_frame(
    api: ApiKey,
    version: i16,
    out: &mut Vec<u8>,
    content: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write::i32(out, 0);
    let written = content(out).and_then(|()| {
        let length = out.len() - start - LENGTH_PREFIX_SIZE;
        i32::try_from(length).map_err(|_| EncodeError::FrameTooLarge { api, version, length })
    });
    match written {
        Ok(length) => {
            out[start..start + LENGTH_PREFIX_SIZE].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// The correlation id that opens a response, `None` when the frame is too short for one.
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|bytes| i32::from_be_bytes(*bytes))
}

/// Reads a whole response out of a frame without its length prefix: the correlation id and the
/// body.
///
/// Bytes after the body are ignored: a newer broker may have put something there.
///
/// # Errors
/// When the frame is not such a response.
pub fn decode_response<R: Request>(
    frame: Bytes,
    version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let mut reader = Reader::new(&frame);
    let correlation_id = reader.i32().field("ResponseHeader.correlation_id")?;
    if response_header_is_flexible(R::API_KEY, version) {
        reader.skip_tagged_fields().field("ResponseHeader")?;
    }
    let response = R::Response::decode(&mut reader, version)?;
    Ok((correlation_id, response))
}
