//! Why a message could not be encoded or decoded.

use crate::{ApiKey, VersionRange};

/// Why bytes from a peer are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}at byte {offset}: {kind}", FieldPrefix(*.field))]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The field that was being read, as `Struct.field`, when known.
    pub field: Option<&'static str>,
    /// Where in the frame the reader stood, in bytes from its start.
    pub offset: usize,
}

/// What is wrong with bytes from a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the value does.
    #[error("needs {needed} bytes, {remaining} remain")]
    Truncated {
        /// Bytes that the value takes at least.
        needed: u64,
        /// Bytes that are there.
        remaining: usize,
    },
    /// A length or count below zero where null is not allowed.
    #[error("length {0} where a value must stand")]
    NegativeLength(i64),
    /// A string beyond Kafka's limit of 32,767 bytes.
    #[error("string of {0} bytes, more than 32767")]
    StringTooLong(u64),
    /// A string that is not UTF-8.
    #[error("string is not UTF-8")]
    InvalidUtf8,
    /// A variable-length integer with more bytes or bits than its type has.
    #[error("variable-length integer is too long")]
    OverlongVarint,
    /// Tagged fields that do not ascend strictly.
    #[error("tag {tag} after tag {previous}")]
    TagOrder {
        /// The tag that was read.
        tag: u32,
        /// The tag before it.
        previous: u32,
    },
    /// A tagged field whose content does not fill its announced size.
    #[error("tagged field {tag} leaves {unread} of its bytes unread")]
    TagSize {
        /// The tag of the field.
        tag: u32,
        /// Bytes that were announced and not used.
        unread: usize,
    },
    /// A version that the message does not have.
    #[error("version {version} is not in {supported}")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The versions that exist.
        supported: VersionRange,
    },
}

impl DecodeError {
    pub(crate) fn new(kind: DecodeErrorKind, offset: usize) -> Self {
        Self { kind, field: None, offset }
    }

    /// Names the field; the innermost name stays.
    fn in_field(mut self, field: &'static str) -> Self {
        self.field.get_or_insert(field);
        self
    }
}

/// Names the field that a result was read for.
pub(crate) trait InField<T> {
    fn field(self, field: &'static str) -> Result<T, DecodeError>;
}

impl<T> InField<T> for Result<T, DecodeError> {
    #[inline]
    fn field(self, field: &'static str) -> Self {
        self.map_err(|error| error.in_field(field))
    }
}

/// Why a message cannot be written in a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message does not have this version.
    #[error("{message} has no version {version}, only {supported}")]
    UnsupportedVersion {
        /// The message's name.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The versions that exist.
        supported: VersionRange,
    },
    /// A field holds something that the version cannot carry and that must not be dropped.
    #[error("{field} is set, but version {version} cannot carry it")]
    FieldNotInVersion {
        /// The field, as `Struct.field`.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null and must not be in this version.
    #[error("{field} is null, which version {version} does not allow")]
    NullNotInVersion {
        /// The field, as `Struct.field`.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, byte array or list is longer than its length field can say.
    #[error("{field} has length {length}, more than {max}")]
    TooLong {
        /// The field, as `Struct.field`.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The greatest length that can be written.
        max: usize,
    },
    /// The whole frame is larger than its length prefix can say.
    #[error("{api} version {version} makes a frame of {length} bytes, more than 2147483647")]
    FrameTooLarge {
        /// The API of the message.
        api: ApiKey,
        /// The version asked for.
        version: i16,
        /// The frame's size.
        length: usize,
    },
}

/// Writes `Struct.field ` before the place, or nothing.
struct FieldPrefix(Option<&'static str>);

impl core::fmt::Display for FieldPrefix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.map_or(Ok(()), |field| write!(f, "{field} "))
    }
}
