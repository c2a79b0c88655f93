//! Random numbers that depend on the seed alone: the same on every machine and with every version of any
//! library, so that a seed in a bug report stays a reproduction.

use std::time::Duration;

/// A generator (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

// === impl Random ===

impl Random {
    /// A generator for one part of a simulation; parts do not disturb each other.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        let mut random = Self {
            state: seed ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93),
        };
        random.next();
        random
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        (wide >> 64) as u64
    }

    /// A number from the least to the most, both included.
    pub(crate) fn between(&mut self, least: i64, most: i64) -> i64 {
        let width = u64::try_from(most - least).unwrap_or(0) + 1;
        least + i64::try_from(self.below(width)).unwrap_or(0)
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of a list; `None` of an empty list.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let index = self.below(list.len() as u64);
        list.get(usize::try_from(index).unwrap_or(0))
    }

    /// A number with this mean and an exponential distribution, within a few per cent.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        // -log2 of a number between 0 and 1, in steps of 1/1024: whole part by leading zeros, then linear.
        let drawn = self.next() | 1;
        let zeros = u64::from(drawn.leading_zeros());
        let fraction = (drawn << zeros << 1) >> 54;
        let log2 = zeros * 1024 + (1024 - fraction);
        // ln 2 = 0.693; the line above the curve of log2 is too low by 0.0573 on average.
        let wide = u128::from(mean) * u128::from(log2 - 57.min(log2)) * 693 / 1024 / 1000;
        u64::try_from(wide).unwrap_or(u64::MAX)
    }

    /// A time with this mean, and at least a microsecond.
    pub(crate) fn wait(&mut self, mean: Duration) -> Duration {
        let mean = u64::try_from(mean.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.exponential(mean).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_bounds_are_kept() {
        let mut random = Random::new(7, 1);
        let sum: u64 = (0..100_000).map(|_| random.exponential(1_000)).sum();
        assert!((950..1_050).contains(&(sum / 100_000)), "{}", sum / 100_000);
        assert!((0..1_000).all(|_| (-3..=3).contains(&random.between(-3, 3))));
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick::<u8>(&[]), None);
    }

    #[test]
    fn a_seed_says_all() {
        let draw = |seed, part| {
            let mut random = Random::new(seed, part);
            [random.next(), random.next()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
    }
}
