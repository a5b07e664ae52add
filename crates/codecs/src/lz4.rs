//! The LZ4 frame format as Kafka writes and reads it, over the block compressor of `lz4_flex`.
//!
//! ```text
//! frame   magic 04 22 4D 18 · FLG · BD · [content size: 8] · header check: 1
//!         block…  · end mark 00 00 00 00 · [content check: 4]
//! block   length: 4, high bit set when stored · bytes · [block check: 4]
//! FLG     version 01 · independent · block check · content size · content check · 0 · dictionary
//! BD      0 · largest block (4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB) · 0000
//! ```

use lz4_flex::block::{self, CompressTable, DecompressError};
use ottla_protocol::record::CompressionType;

use crate::blocks;
use crate::error::CodecError;
use crate::xxh32::xxh32;

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4D, 0x18];
/// Version 1, independent blocks of at most 64 KiB, nothing else; 0x82 is the header's check.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4D, 0x18, 0x60, 0x40, 0x82];
const END_MARK: [u8; 4] = [0; 4];
const STORED: u32 = 1 << 31;
/// The most that one compressed byte can stand for: a match length byte of 255.
const MAX_RATIO: usize = 255;
const BLOCK_BYTES: usize = 64 * 1024;

pub(crate) struct Encoder {
    table: CompressTable,
    gathered: Vec<u8>,
    /// Where a block is compressed to before its length is known. Copying the result is cheaper
    /// than zeroing room for the worst case at the end of the output for each block.
    packed: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self {
            table: CompressTable::large(),
            gathered: Vec::new(),
            packed: vec![0; block::get_maximum_output_size(BLOCK_BYTES)],
        }
    }

    pub(crate) fn compress(
        &mut self,
        chunks: &[&[u8]],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let Self { table, gathered, packed } = self;
        out.extend_from_slice(&HEADER);
        blocks::for_each(chunks, BLOCK_BYTES, gathered, |block| {
            let packed_len = block::compress_into_with_table(block, packed, table)
                .map_err(|_| CodecError::failed(CompressionType::Lz4, "no room for a block"))?;
            if packed_len < block.len() {
                out.extend_from_slice(&(packed_len as u32).to_le_bytes());
                out.extend_from_slice(&packed[..packed_len]);
            } else {
                out.extend_from_slice(&(block.len() as u32 | STORED).to_le_bytes());
                out.extend_from_slice(block);
            }
            Ok(())
        })?;
        out.extend_from_slice(&END_MARK);
        Ok(())
    }
}

fn corrupt(reason: &'static str) -> CodecError {
    CodecError::corrupt(CompressionType::Lz4, reason)
}

/// Takes `N` bytes off the front of `input`.
fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], CodecError> {
    let (head, rest) =
        input.split_first_chunk::<N>().ok_or_else(|| corrupt("it ends too early"))?;
    *input = rest;
    Ok(*head)
}

/// What a frame's header says.
struct Header {
    block_check: bool,
    content_check: bool,
    content_size: Option<u64>,
    max_block_bytes: usize,
}

impl Header {
    fn read(input: &mut &[u8]) -> Result<Self, CodecError> {
        if take::<4>(input)? != MAGIC {
            return Err(corrupt("it does not begin as an lz4 frame"));
        }
        let described = *input;
        let [flags, block_descriptor] = take::<2>(input)?;
        if flags >> 6 != 1 {
            return Err(corrupt("a frame version that does not exist"));
        }
        if flags & 0b10_0000 == 0 {
            return Err(corrupt("its blocks depend on each other, which Kafka does not allow"));
        }
        if flags & 0b11 != 0 {
            return Err(corrupt("a dictionary or a reserved flag is asked for"));
        }
        let max_block_bytes = match block_descriptor {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return Err(corrupt("a block size that does not exist")),
        };
        let content_size = match flags & 0b1000 {
            0 => None,
            _ => Some(u64::from_le_bytes(take::<8>(input)?)),
        };
        let described = &described[..described.len() - input.len()];
        let [check] = take::<1>(input)?;
        if check != (xxh32(described) >> 8) as u8 {
            return Err(corrupt("the header's checksum does not match"));
        }
        Ok(Self {
            block_check: flags & 0b1_0000 != 0,
            content_check: flags & 0b100 != 0,
            content_size,
            max_block_bytes,
        })
    }
}

pub(crate) fn decompress(
    mut input: &[u8],
    limit_bytes: usize,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let start = out.len();
    let header = Header::read(&mut input)?;
    if header.content_size.is_some_and(|size| size > limit_bytes as u64) {
        return Err(CodecError::limit(CompressionType::Lz4, limit_bytes));
    }
    loop {
        let word = u32::from_le_bytes(take::<4>(&mut input)?);
        if word == 0 {
            break;
        }
        let (stored, len) = (word & STORED != 0, (word & !STORED) as usize);
        if len > header.max_block_bytes {
            return Err(corrupt("a block is longer than the header allows"));
        }
        let (block, rest) =
            input.split_at_checked(len).ok_or_else(|| corrupt("a block is cut short"))?;
        input = rest;
        if header.block_check && take::<4>(&mut input)? != xxh32(block).to_le_bytes() {
            return Err(corrupt("a block's checksum does not match"));
        }
        let room = limit_bytes - (out.len() - start);
        let over_limit = || CodecError::limit(CompressionType::Lz4, limit_bytes);
        if !stored {
            unpack_block(block, header.max_block_bytes, room, out, over_limit)?;
        } else if len <= room {
            out.extend_from_slice(block);
        } else {
            return Err(over_limit());
        }
    }
    let content = &out[start..];
    if header.content_size.is_some_and(|size| size != content.len() as u64) {
        return Err(corrupt("the content is not as long as the header says"));
    }
    if header.content_check && take::<4>(&mut input)? != xxh32(content).to_le_bytes() {
        return Err(corrupt("the content's checksum does not match"));
    }
    if !input.is_empty() {
        return Err(corrupt("bytes follow the end of the frame"));
    }
    Ok(())
}

/// Decompresses one block to the end of `out`, where the limit leaves `room`.
fn unpack_block(
    block: &[u8],
    max_block_bytes: usize,
    room: usize,
    out: &mut Vec<u8>,
    over_limit: impl Fn() -> CodecError,
) -> Result<(), CodecError> {
    let start = out.len();
    let possible = max_block_bytes.min(block.len().saturating_mul(MAX_RATIO));
    out.resize(start + possible.min(room), 0);
    match block::decompress_into(block, &mut out[start..]) {
        Ok(len) => {
            out.truncate(start + len);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if possible > room => Err(over_limit()),
        Err(DecompressError::OutputTooSmall { .. }) => {
            Err(corrupt("a block's content is longer than the header allows"))
        }
        Err(_) => Err(corrupt("a block cannot be decompressed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_carries_its_own_checksum() {
        assert_eq!(HEADER[6], (xxh32(&HEADER[4..6]) >> 8) as u8);
        assert_eq!(HEADER[..4], MAGIC);
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        // The squares of a large odd number: their high bytes follow each other in no pattern.
        let noise: Vec<u8> = (1..=1_000u64)
            .map(|i| (i * i).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()[7])
            .collect();
        let mut out = Vec::new();
        Encoder::new().compress(&[&noise], &mut out).unwrap();
        assert_eq!(out.len(), HEADER.len() + 4 + noise.len() + END_MARK.len());
        assert_eq!(out[HEADER.len() + 3], 0x80, "the block's length has the high bit");
    }
}
