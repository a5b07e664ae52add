use ottla_protocol::record::CompressionType;
use thiserror::Error;

/// Why a batch could not be compressed or decompressed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The compressed bytes break the rules of their format: cut short, damaged, or made by
    /// something that is not the codec they are said to be of.
    #[error("{compression} data is damaged: {reason}")]
    Corrupt {
        /// The codec the data was read as.
        compression: CompressionType,
        /// What was wrong, in words.
        reason: &'static str,
    },
    /// The data would grow past the limit given by the caller.
    #[error("{compression} data decompresses to more than the limit of {limit_bytes} bytes")]
    LimitExceeded {
        /// The codec the data was read as.
        compression: CompressionType,
        /// The limit that was given, in bytes.
        limit_bytes: usize,
    },
    /// The codec itself could not do its work, for instance for want of memory.
    #[error("{compression} failed: {reason}")]
    Failed {
        /// The codec that was at work.
        compression: CompressionType,
        /// What the codec said.
        reason: &'static str,
    },
}

impl CodecError {
    pub(crate) fn corrupt(compression: CompressionType, reason: &'static str) -> Self {
        Self::Corrupt { compression, reason }
    }

    pub(crate) fn limit(compression: CompressionType, limit_bytes: usize) -> Self {
        Self::LimitExceeded { compression, limit_bytes }
    }

    pub(crate) fn failed(compression: CompressionType, reason: &'static str) -> Self {
        Self::Failed { compression, reason }
    }
}
