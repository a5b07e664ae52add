//! Cuts the chunks of a batch into the blocks of a block format (lz4, snappy).
//!
//! A long chunk is cut up where it lies. Short chunks, and what is left of long ones, are first
//! put together, since a small block compresses badly and costs a header.

/// A chunk with at least this many bytes left is worth a block of its own.
const OWN_BLOCK_BYTES: usize = 32 * 1024;

/// Calls `emit` with each block in order; no block is empty or longer than `block_bytes`.
/// `gathered` is scratch space, empty before and after.
pub(crate) fn for_each<E>(
    chunks: &[&[u8]],
    block_bytes: usize,
    gathered: &mut Vec<u8>,
    mut emit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    gathered.clear();
    for chunk in chunks {
        let mut rest = *chunk;
        while !rest.is_empty() {
            if gathered.is_empty() && rest.len() >= OWN_BLOCK_BYTES {
                let (block, after) = rest.split_at(rest.len().min(block_bytes));
                emit(block)?;
                rest = after;
                continue;
            }
            let (piece, after) = rest.split_at(rest.len().min(block_bytes - gathered.len()));
            gathered.extend_from_slice(piece);
            rest = after;
            if gathered.len() == block_bytes {
                emit(gathered)?;
                gathered.clear();
            }
        }
    }
    if !gathered.is_empty() {
        emit(gathered)?;
        gathered.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn block_sizes(chunk_sizes: &[usize], block_bytes: usize) -> Vec<usize> {
        let bytes: Vec<u8> = (0..chunk_sizes.iter().sum()).map(|i: usize| i as u8).collect();
        let mut rest = &bytes[..];
        let mut chunks = Vec::new();
        for size in chunk_sizes {
            let (chunk, after) = rest.split_at(*size);
            chunks.push(chunk);
            rest = after;
        }
        let mut sizes = Vec::new();
        let mut joined = Vec::new();
        for_each::<()>(&chunks, block_bytes, &mut Vec::new(), |block| {
            sizes.push(block.len());
            joined.extend_from_slice(block);
            Ok(())
        })
        .unwrap();
        assert_eq!(joined, bytes, "no byte is lost, doubled or moved");
        sizes
    }

    #[test]
    fn long_chunks_are_cut_where_they_lie() {
        assert_eq!(block_sizes(&[128 * KIB], 64 * KIB), [64 * KIB, 64 * KIB]);
        assert_eq!(block_sizes(&[100 * KIB], 64 * KIB), [64 * KIB, 36 * KIB]);
        assert_eq!(block_sizes(&[40 * KIB, 40 * KIB], 64 * KIB), [40 * KIB, 40 * KIB]);
    }

    #[test]
    fn short_chunks_share_a_block() {
        assert_eq!(block_sizes(&[10 * KIB; 8], 64 * KIB), [64 * KIB, 16 * KIB]);
        assert_eq!(block_sizes(&[100, 0, 28], 64 * KIB), [128]);
        assert_eq!(block_sizes(&[], 64 * KIB), [0; 0]);
        assert_eq!(block_sizes(&[0, 0], 64 * KIB), [0; 0]);
    }

    #[test]
    fn a_short_chunk_before_a_long_one_fills_up_its_block() {
        assert_eq!(block_sizes(&[KIB, 128 * KIB], 64 * KIB), [64 * KIB, 64 * KIB, KIB]);
        assert_eq!(block_sizes(&[40 * KIB; 2], 32 * KIB), [32 * KIB, 32 * KIB, 16 * KIB]);
    }
}
