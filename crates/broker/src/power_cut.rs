//! The end of a node's machine: what was not on the medium is lost, as far as chance has it.

use std::path::PathBuf;

use crate::log::Storage;
use crate::nodes::Nodes;
use crate::rng::Rng;
use crate::time::Now;

/// A file of which only a front part is known to be on the medium.
#[derive(Debug)]
pub(crate) struct Unflushed {
    pub(crate) path: PathBuf,
    pub(crate) flushed_bytes: u64,
}

impl Nodes {
    /// Ends a node as a power cut ends its machine. Of what its logs had not flushed, some is lost,
    /// from some place on: cut off, or zeros where it was.
    pub(crate) fn cut_power(&mut self, id: i32, now: Now) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        let (disk, mut unflushed) = (node.disk.clone(), Vec::new());
        for replica in node.partitions.iter_mut() {
            unflushed.extend(replica.log.unflushed());
        }
        self.kill(id, now);
        for file in unflushed {
            if let Err(error) = lose(&*disk.storage(), &file, &mut self.rng) {
                tracing::warn!(path = %file.path.display(), %error, "nothing of it was lost");
            }
        }
    }
}

/// Loses what comes behind some place of a file that was not flushed.
fn lose(storage: &dyn Storage, file: &Unflushed, rng: &mut Rng) -> std::io::Result<()> {
    /// A file system keeps whole blocks.
    const BLOCK_BYTES: u64 = 512;
    let stored = storage.open(&file.path)?;
    let size = stored.size()?;
    let left = size.saturating_sub(file.flushed_bytes);
    if left == 0 {
        return Ok(());
    }
    let kept = file.flushed_bytes + rng.next_u64() % (left + 1);
    let kept = (kept / BLOCK_BYTES * BLOCK_BYTES).max(file.flushed_bytes);
    stored.truncate(kept)?;
    if rng.next_u64().is_multiple_of(3) {
        // The length was written down, the bytes were not.
        stored.append(&[&vec![0; usize::try_from(size - kept).unwrap_or_default()]])?;
    }
    Ok(())
}
