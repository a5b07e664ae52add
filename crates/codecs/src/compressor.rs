use ottla_protocol::record::CompressionType;

use crate::codec::Codec;
use crate::error::CodecError;
use crate::{gzip, lz4, snappy, zstd};

/// Compresses batches one after the other, keeping tables, contexts and scratch space between
/// them. One belongs to each thread that compresses; what a codec needs is made on its first use.
#[derive(Default)]
pub struct Compressor {
    gzip: gzip::Encoder,
    snappy: Option<snappy::Encoder>,
    lz4: Option<lz4::Encoder>,
    zstd: Option<zstd::Encoder>,
}

impl Compressor {
    /// A compressor that holds no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the compressed form of `input` to `out`.
    ///
    /// `input` is the records section of one batch, in as many chunks as it happens to lie in; the
    /// result decompresses to all of them in order. With [`CompressionType::None`] the chunks are
    /// appended as they are. The result may be longer than the input, when that does not compress.
    ///
    /// # Errors
    ///
    /// [`CodecError::Failed`] when the codec cannot work, which takes a lack of memory. `out` is
    /// then as it was before.
    pub fn compress(
        &mut self,
        codec: &Codec,
        input: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let start = out.len();
        let result = self.append(codec, input, out);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn append(
        &mut self,
        codec: &Codec,
        input: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let level = codec.effective_level();
        match codec.compression {
            CompressionType::None => {
                input.iter().for_each(|chunk| out.extend_from_slice(chunk));
                Ok(())
            }
            CompressionType::Gzip => self.gzip.compress(input, level, out),
            CompressionType::Snappy => {
                self.snappy.get_or_insert_with(snappy::Encoder::new).compress(input, out)
            }
            CompressionType::Lz4 => {
                self.lz4.get_or_insert_with(lz4::Encoder::new).compress(input, out)
            }
            CompressionType::Zstd => {
                let encoder = match &mut self.zstd {
                    Some(encoder) => encoder,
                    none => none.insert(zstd::Encoder::new()?),
                };
                encoder.compress(input, level, out)
            }
        }
    }
}

impl core::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
