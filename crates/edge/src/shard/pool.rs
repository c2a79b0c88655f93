//! The pool: bytes that are kept because at least one socket is full.
//!
//! The bytes of a turn are in blocks of the publisher and in the turn's own memory, and are freed at the
//! end of the turn. The frames for full sockets are copied from there once, for any number of full
//! sockets. So a few hundred bytes never keep a whole block alive, and the memory for slow clients is
//! known exactly.
//!
//! # Limits
//! The pool itself has no limit. The [shard](super) checks [`Pool::bytes`] after each turn. While the
//! pool is above its limit, the shard resyncs the clients that are furthest behind.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes that are kept, once however many refer to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool(Arc<AtomicUsize>);

/// Bytes that are subtracted from the count when there are no more references to them.
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
