//! Memory for frames: large chunks that are cut into blocks and used again.
//!
//! Frames are made on the pipeline's thread and dropped on a shard's thread. General allocators then keep
//! much memory. So blocks are cut from chunks of a fixed size. When all blocks of a chunk have been
//! dropped, the chunk is filled again; in the steady state nothing is allocated.
//!
//! # Limits
//! At most [`CHUNKS_KEPT`] chunks are kept for re-use; a larger burst allocates and frees chunks.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;

/// Bytes of a chunk: some hundred frames, and small enough that a straggler pins little.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks kept for re-use: 16 MiB, more than a shard ring's worth of frames at ordinary rates.
pub const CHUNKS_KEPT: usize = 64;

/// Where blocks come from.
#[derive(Debug, Default)]
pub struct Chunks {
    current: BytesMut,
    /// The empty tails of filled chunks, oldest first: each becomes whole again when all blocks that
    /// were cut from it are gone.
    filled: VecDeque<BytesMut>,
}

impl Chunks {
    /// Copies `bytes` into a block that can be shared.
    pub fn seal(&mut self, bytes: &[u8]) -> Bytes {
        if self.current.capacity() < bytes.len() {
            self.turn_over(bytes.len());
        }
        self.current.extend_from_slice(bytes);
        self.current.split().freeze()
    }

    fn turn_over(&mut self, need: usize) {
        let mut next = BytesMut::new();
        if need <= CHUNK_BYTES {
            // The oldest is the likeliest to be free; a few more, in case a straggler pins it.
            for _ in 0..self.filled.len().min(4) {
                let Some(mut tail) = self.filled.pop_front() else {
                    break;
                };
                if tail.try_reclaim(CHUNK_BYTES) {
                    next = tail;
                    break;
                }
                self.filled.push_back(tail);
            }
        }
        if next.capacity() < need {
            next = BytesMut::with_capacity(need.max(CHUNK_BYTES));
        }
        let tail = std::mem::replace(&mut self.current, next);
        if self.filled.len() < CHUNKS_KEPT {
            self.filled.push_back(tail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_was_sealed() {
        let mut chunks = Chunks::default();
        let blocks: Vec<_> = (0..5_000_u32)
            .map(|i| chunks.seal(&i.to_le_bytes().repeat(50)))
            .collect();
        for (i, block) in blocks.iter().enumerate() {
            assert_eq!(**block, (i as u32).to_le_bytes().repeat(50));
        }
        assert_eq!(
            chunks.seal(&vec![7; CHUNK_BYTES * 2]).len(),
            CHUNK_BYTES * 2
        );
    }

    #[test]
    fn a_chunk_is_used_again_when_its_blocks_are_gone() {
        let mut chunks = Chunks::default();
        let bytes = [1; 1000];
        let mut seen = std::collections::HashSet::new();
        for _ in 0..20 * CHUNK_BYTES / bytes.len() {
            seen.insert(chunks.seal(&bytes).as_ptr() as usize / CHUNK_BYTES);
        }
        // Twenty chunks' worth of blocks, each dropped at once, touched the memory of a few chunks.
        assert!(seen.len() <= 6, "{} regions", seen.len());
    }
}
