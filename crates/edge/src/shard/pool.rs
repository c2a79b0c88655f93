//! The pool: bytes that are kept because some socket is full.
//!
//! What a turn writes lives in blocks of the publisher and in the turn's own room, and is let go at the
//! turn's end. What a full socket could not take is copied out of there once, however many full
//! sockets wait for it: so a few hundred bytes never hold on to a whole block, and what slow clients
//! cost is known exactly.
//!
//! # Limits
//! The pool itself has none: the [shard](super) looks at [`Pool::bytes`] after each turn, and lets those
//! who are furthest behind start over while it is over its limit.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes that are kept, once however many refer to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<AtomicUsize>);

/// Bytes that are taken off the count when nobody refers to them any more.
struct Kept {
    bytes: Box<[u8]>,
    pool: Pool,
}

impl Pool {
    /// A copy of `bytes` that counts until its last reference is dropped.
    pub(crate) fn keep(&self, bytes: &[u8]) -> Bytes {
        // Relaxed, here and below: a count of one thread's own; atomic only because `Bytes` could be
        // sent elsewhere.
        self.0.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Kept {
            bytes: bytes.into(),
            pool: self.clone(),
        })
    }

    /// Bytes that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.pool.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_counts_once_until_nobody_refers_to_it() {
        let pool = Pool::default();
        let kept = pool.keep(b"some frames");
        let (other, part) = (kept.clone(), kept.slice(5..));
        assert_eq!((pool.bytes(), &part[..]), (11, &b"frames"[..]));
        drop((kept, other));
        assert_eq!(pool.bytes(), 11);
        drop(part);
        assert_eq!(pool.bytes(), 0);
    }
}
