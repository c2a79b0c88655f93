//! The dense ids of trades that were seen, as ranges: which of the older ones come again.
//!
//! Without losses it is one range. It holds at most [`RANGES_MAX`] and forgets the lowest; a trade that it
//! has forgotten is judged by what is kept of the trades alone.

/// Ranges of ids, lowest first, that neither overlap nor touch.
#[derive(Debug, Default)]
pub(super) struct SeenIds(Vec<(u64, u64)>);

/// Ranges that are kept: so many losses back, repeated trades are recognised.
const RANGES_MAX: usize = 64;

impl SeenIds {
    /// Adds the ids `first..=last`.
    pub(super) fn add(&mut self, first: u64, last: u64) {
        // Most ids follow the last one.
        if let Some(range) = self.0.last_mut()
            && range.1.checked_add(1) == Some(first)
        {
            range.1 = last;
            return;
        }
        let touches = |&&(low, high): &&(u64, u64)| {
            low <= last.saturating_add(1) && first <= high.saturating_add(1)
        };
        let from = self
            .0
            .partition_point(|&(_, high)| high.saturating_add(1) < first);
        let count = self.0[from..].iter().take_while(touches).count();
        let merged = self.0[from..from + count]
            .iter()
            .fold((first, last), |to, range| {
                (to.0.min(range.0), to.1.max(range.1))
            });
        self.0.splice(from..from + count, [merged]);
        if self.0.len() > RANGES_MAX {
            self.0.remove(0);
        }
    }

    /// Whether an id was seen.
    pub(super) fn contains(&self, id: u64) -> bool {
        let at = self.0.partition_point(|&(_, high)| high < id);
        self.0.get(at).is_some_and(|&(low, _)| low <= id)
    }

    /// Whether an id was not seen, but others above it and below it were; of those below it only ids from
    /// `first` count.
    pub(super) fn is_hole(&self, id: u64, first: u64) -> bool {
        let at = self.0.partition_point(|&(_, high)| high < id);
        let below = at.checked_sub(1).and_then(|below| self.0.get(below));
        let is_below = below.is_some_and(|&(_, high)| high >= first);
        is_below && self.0.get(at).is_some_and(|&(low, _)| low > id)
    }

    /// Forgets all: numbers have started again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn it_knows_what_a_set_knows(adds in prop::collection::vec((0_u64..60, 0_u64..4), 0..40)) {
            let (mut seen, mut set) = (SeenIds::default(), HashSet::new());
            for (first, more) in adds {
                seen.add(first, first + more);
                set.extend(first..=first + more);
                for id in 0..70 {
                    prop_assert_eq!(seen.contains(id), set.contains(&id), "{}: {:?}", id, seen);
                    let first = 20;
                    let is_below = (first..id).any(|other| set.contains(&other));
                    let is_above = (id..70).any(|other| set.contains(&other));
                    let is_hole = !set.contains(&id) && is_below && is_above;
                    prop_assert_eq!(seen.is_hole(id, first), is_hole, "{}: {:?}", id, seen);
                }
                prop_assert!(seen.0.windows(2).all(|w| w[0].1 + 1 < w[1].0), "{:?}", seen);
            }
        }
    }

    #[test]
    fn the_lowest_ranges_are_forgotten_and_the_ends_hold() {
        let mut seen = SeenIds::default();
        for n in 0..100 {
            seen.add(10 * n, 10 * n);
        }
        assert!(!seen.contains(0) && seen.contains(990) && seen.contains(360));
        assert_eq!(seen.0.len(), RANGES_MAX);
        seen.add(u64::MAX, u64::MAX);
        seen.add(0, u64::MAX);
        assert_eq!(seen.0, [(0, u64::MAX)]);
    }
}
