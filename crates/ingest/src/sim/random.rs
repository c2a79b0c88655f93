//! Random whole numbers: seeded, the same on every machine.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A seeded source of whole numbers.
#[derive(Debug)]
pub(super) struct Random {
    bits: StdRng,
}

// === impl Random ===

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            bits: StdRng::seed_from_u64(seed),
        }
    }

    /// A number of `low..=high`; `low` if the range is empty.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        if low >= high {
            low
        } else {
            self.bits.random_range(low..=high)
        }
    }

    /// A number below `end`; zero if there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        if end == 0 {
            0
        } else {
            self.bits.random_range(0..end)
        }
    }

    /// True once in `times` on average.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Of zero mean, bell-shaped, at most three times `spread` away.
    pub(super) fn bell(&mut self, spread: i64) -> i64 {
        (0..3).map(|_| self.between(-spread, spread)).sum()
    }

    /// Exponentially distributed, as the gaps between independent arrivals are.
    ///
    /// Von Neumann's method (1951) needs comparisons only: the length of the falling run that begins
    /// with a uniform number is odd with probability `exp(-number)`.
    pub(super) fn exponential(&mut self, mean: u64) -> u64 {
        let mut whole = 0_u64;
        loop {
            let first: u32 = self.bits.random();
            let (mut last, mut length) = (first, 1_u32);
            loop {
                let next: u32 = self.bits.random();
                if next >= last {
                    break;
                }
                last = next;
                length += 1;
            }
            if length % 2 == 1 {
                let parts = (u128::from(whole) << 32 | u128::from(first)) * u128::from(mean);
                return u64::try_from(parts >> 32).unwrap_or(u64::MAX);
            }
            whole += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_and_the_tail_of_independent_arrivals() {
        let mut random = Random::new(1);
        let gaps: Vec<u64> = (0..100_000).map(|_| random.exponential(1_000)).collect();
        let mean = gaps.iter().sum::<u64>() / 100_000;
        assert!((980..=1_020).contains(&mean), "{mean}");
        // exp(-3) is 4.98 %.
        let late = gaps.iter().filter(|&&gap| gap > 3_000).count();
        assert!((4_700..=5_250).contains(&late), "{late}");
    }

    #[test]
    fn ranges_hold_and_may_be_empty() {
        let mut random = Random::new(2);
        for _ in 0..1_000 {
            assert!((-2..=2).contains(&random.between(-2, 2)));
            assert!(random.below(3) < 3);
            assert!(random.bell(5).abs() <= 15);
        }
        assert_eq!((random.between(4, 3), random.below(0)), (4, 0));
    }
}
