//! Snappy in the xerial framing that Java's Kafka clients write, and raw snappy, which some other
//! clients write.
//!
//! ```text
//! stream  magic 82 'SNAPPY' 00 · version: 4 = 1 · compatible with: 4 = 1 · block…
//! block   length: 4 · one raw snappy block of at most 32 KiB of content
//! ```
//! All integers are big-endian.

use ottla_protocol::record::CompressionType;
use snap::raw;

use crate::blocks;
use crate::error::CodecError;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
const HEADER: [u8; 16] = *b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
const BLOCK_BYTES: usize = 32 * 1024;
/// A three-byte copy makes 64 bytes, and nothing in the format makes more of less.
const MAX_RATIO: usize = 64 / 3 + 1;

pub(crate) struct Encoder {
    encoder: raw::Encoder,
    gathered: Vec<u8>,
    packed: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            encoder: raw::Encoder::new(),
            gathered: Vec::new(),
            packed: vec![0; raw::max_compress_len(BLOCK_BYTES)],
        }
    }

    pub(crate) fn compress(
        &mut self,
        chunks: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let Self { encoder, gathered, packed } = self;
        out.extend_from_slice(&HEADER);
        blocks::for_each(chunks, BLOCK_BYTES, gathered, |block| {
            let len = encoder
                .compress(block, packed)
                .map_err(|_| CodecError::failed(CompressionType::Snappy, "no room for a block"))?;
            out.extend_from_slice(&(len as u32).to_be_bytes());
            out.extend_from_slice(&packed[..len]);
            Ok(())
        })
    }
}

fn corrupt(reason: &'static str) -> CodecError {
    CodecError::corrupt(CompressionType::Snappy, reason)
}

pub(crate) fn decompress(
    input: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    let mut decoder = raw::Decoder::new();
    if !input.starts_with(&MAGIC) {
        return unpack_block(&mut decoder, input, start, limit_bytes, out);
    }
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may follow each other. A length can not be taken for the magic: it would be
        // more than two gigabytes.
        if rest.starts_with(&MAGIC) {
            let (header, after) = rest
                .split_first_chunk::<{ HEADER.len() }>()
                .ok_or_else(|| corrupt("a stream's header is cut short"))?;
            let [.., a, b, c, d] = *header;
            if i32::from_be_bytes([a, b, c, d]) < 1 {
                return Err(corrupt("a stream version that does not exist"));
            }
            rest = after;
            continue;
        }
        let (len, after) =
            rest.split_first_chunk::<4>().ok_or_else(|| corrupt("a block's length is cut"))?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, after) =
            after.split_at_checked(len).ok_or_else(|| corrupt("a block is cut short"))?;
        unpack_block(&mut decoder, block, start, limit_bytes, out)?;
        rest = after;
    }
    Ok(())
}

/// Decompresses one raw block to the end of `out`, whose content begins at `start`.
fn unpack_block(
    decoder: &mut raw::Decoder,
    block: &[u8],
    start: usize,
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let len = raw::decompress_len(block).map_err(|_| corrupt("a block has no valid length"))?;
    let begin = out.len();
    if len > limit_bytes - (begin - start) {
        return Err(CodecError::limit(CompressionType::Snappy, limit_bytes));
    }
    if len > block.len().saturating_mul(MAX_RATIO) {
        return Err(corrupt("a block claims more content than its bytes can hold"));
    }
    out.resize(begin + len, 0);
    decoder
        .decompress(block, &mut out[begin..])
        .map_err(|_| corrupt("a block cannot be decompressed"))?;
    Ok(())
}
