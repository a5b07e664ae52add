//! What every generated message can do.

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::{ApiKey, Reader, VersionRange};

/// The body of a request or a response.
///
/// A field that a version does not have decodes as the schema's default. Encoding refuses a
/// version that cannot carry a field which is set, unless the schema allows the loss.
pub trait Message: Sized + Default + Clone + Debug + PartialEq {
    /// The versions of the schema.
    const VERSIONS: VersionRange;
    /// The first version with compact encodings and tagged fields, `i16::MAX` when none has.
    const FLEXIBLE_FROM: i16;

    /// Writes the body at the end of `out`.
    ///
    /// # Errors
    /// When `version` is not in [`Message::VERSIONS`] or cannot carry what is set. `out` then
    /// ends with a part of the message.
    fn encode(&self, out: &mut Vec<u8>, version: i16) -> Result<(), EncodeError>;

    /// Reads a body. Bytes after it stay in the reader.
    ///
    /// # Errors
    /// When `version` is not in [`Message::VERSIONS`] or the bytes are not such a message.
    fn decode(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;
}

/// The body of a request.
pub trait Request: Message {
    /// The API it belongs to.
    const API_KEY: ApiKey;
    /// What the broker answers with.
    type Response: Message;
}

/// Refuses to encode in a version that the message does not have.
pub(crate) fn check_encode<M: Message>(
    message: &'static str,
    version: i16,
) -> Result<(), EncodeError> {
    if M::VERSIONS.contains(version) {
        Ok(())
    } else {
        Err(EncodeError::UnsupportedVersion { message, version, supported: M::VERSIONS })
    }
}

/// Refuses to decode in a version that the message does not have.
pub(crate) fn check_decode<M: Message>(
    reader: &Reader<'_>,
    version: i16,
) -> Result<(), DecodeError> {
    if M::VERSIONS.contains(version) {
        return Ok(());
    }
    let kind = DecodeErrorKind::UnsupportedVersion { version, supported: M::VERSIONS };
    Err(DecodeError::new(kind, reader.position()))
}
