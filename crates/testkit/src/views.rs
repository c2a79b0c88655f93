//! The distinct states of a book's best levels, in the order in which they were seen.
//!
//! A state is kept as a digest: a recording has millions of levels, and two lists need only be
//! compared. Owns no book; who has one shows it level by level.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// How deep the views are that are compared.
pub const DEPTHS: [usize; 3] = [10, 50, 500];

/// Price and size at a scale of 18.
pub type Level = (i128, i128);

/// The best of both sides.
pub type Top = (Option<Level>, Option<Level>);

/// The distinct states that a book's best levels went through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Views {
    /// Digests by the index of [`DEPTHS`].
    pub states: [Vec<u64>; DEPTHS.len()],
}

impl Views {
    /// Notes the best levels to the depth of this index, if they differ from the last noted.
    pub fn note(&mut self, index: usize, bids: &[Level], asks: &[Level]) {
        let depth = DEPTHS[index];
        let mut digest = DefaultHasher::new();
        bids[..depth.min(bids.len())].hash(&mut digest);
        asks[..depth.min(asks.len())].hash(&mut digest);
        let digest = digest.finish();
        if self.states[index].last() != Some(&digest) {
            self.states[index].push(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_noted_when_its_depth_shows_something_new() {
        let mut views = Views::default();
        let mut bids: Vec<Level> = (0..60).map(|n| (100 - n, 1)).collect();
        for changed in [0, 30, 55] {
            bids[changed].1 += 1;
            for index in 0..DEPTHS.len() {
                views.note(index, &bids, &[]);
            }
        }
        assert_eq!(views.states.each_ref().map(Vec::len), [1, 2, 3]);
        // A level that changes sides is another state.
        views.note(2, &[], &bids);
        assert_eq!(views.states[2].len(), 4);
    }
}
