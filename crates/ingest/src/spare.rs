//! Memory that is kept from message to message, so that frequent ones allocate nothing. That of a rare large message,
//! such as a whole book of megabytes, is not kept: each line would have it.

/// Memory of so many bytes is kept.
pub(crate) const SPARE_MAX: usize = 1 << 20;

/// Removes all items, and the memory if it is large.
pub(crate) fn clear<T>(items: &mut Vec<T>) {
    if items.capacity().saturating_mul(size_of::<T>()) > SPARE_MAX {
        *items = Vec::new();
    } else {
        items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_memory_is_kept() {
        let mut items = vec![0_u64; 1_000];
        clear(&mut items);
        assert!(items.is_empty() && items.capacity() >= 1_000);
        let mut items = vec![0_u64; SPARE_MAX / 8 + 1];
        clear(&mut items);
        assert_eq!(items.capacity(), 0);
    }
}
