use ottla_protocol::record::CompressionType;

use crate::error::CodecError;
use crate::{gzip, lz4, snappy, zstd};

/// Decompresses batches one after the other, keeping the contexts of gzip and zstd between them.
/// What a codec needs is made on its first use.
#[derive(Default)]
pub struct Decompressor {
    gzip: Option<gzip::Decoder>,
    zstd: Option<zstd::Decoder>,
}

impl Decompressor {
    /// A decompressor that holds no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends what `input` decompresses to to `out`, at most `limit_bytes` of it.
    ///
    /// `input` may be anything at all. While it is read, `out` never grows by more than
    /// `limit_bytes`, and it does not grow to a size for the reason alone that the input claims
    /// it. With [`CompressionType::None`] the input is appended as it is.
    ///
    /// # Errors
    ///
    /// [`CodecError::LimitExceeded`] when there is more content than `limit_bytes`,
    /// [`CodecError::Corrupt`] when the input is not valid in any framing that Kafka accepts for
    /// the codec, which includes bytes after its end, and [`CodecError::Failed`] for want of
    /// memory. `out` is then as it was before.
    pub fn decompress(
        &mut self,
        compression: CompressionType,
        input: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let start = out.len();
        let result = self.append(compression, input, limit_bytes, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn append(
        &mut self,
        compression: CompressionType,
        input: &[u8],
        limit_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        if input.is_empty() && compression != CompressionType::None {
            return Err(CodecError::corrupt(compression, "there are no bytes at all"));
        }
        match compression {
            CompressionType::None if input.len() > limit_bytes => {
                Err(CodecError::limit(compression, limit_bytes))
            }
            CompressionType::None => {
                out.extend_from_slice(input);
                Ok(())
            }
            CompressionType::Gzip => {
                let decoder = match &mut self.gzip {
                    Some(decoder) => decoder,
                    none => none.insert(gzip::Decoder::new()?),
                };
                decoder.decompress(input, limit_bytes, out)
            }
            CompressionType::Snappy => snappy::decompress(input, limit_bytes, out),
            CompressionType::Lz4 => lz4::decompress(input, limit_bytes, out),
            CompressionType::Zstd => {
                let decoder = match &mut self.zstd {
                    Some(decoder) => decoder,
                    none => none.insert(zstd::Decoder::new()?),
                };
                decoder.decompress(input, limit_bytes, out)
            }
        }
    }
}

impl core::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

/// Decompresses one batch. Who reads many keeps a [`Decompressor`], whose
/// [`decompress`](Decompressor::decompress) says what this does.
///
/// # Errors
///
/// As [`Decompressor::decompress`].
pub fn decompress(
    compression: CompressionType,
    input: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    Decompressor::new().decompress(compression, input, limit_bytes, out)
}
