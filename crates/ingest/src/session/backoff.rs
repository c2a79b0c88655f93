//! How long to wait before the next try: longer each time, and never at the same moment as others.

use rand::Rng as _;
use rand::rngs::SmallRng;
use std::time::Duration;

/// Tries that failed in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    tries: u32,
}

// === impl Backoff ===

impl Backoff {
    /// No try has failed.
    pub(super) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            tries: 0,
        }
    }

    /// So many tries have failed already.
    pub(super) const fn with_tries(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// A try failed: how long to wait, at random up to a limit that doubles, and never less than half of the shortest.
    pub(super) fn fail(&mut self, random: &mut SmallRng) -> Duration {
        let limit = self.shortest.saturating_mul(1 << self.tries.min(20));
        self.tries += 1;
        let least = self.shortest / 2;
        random.random_range(least..=limit.clamp(self.shortest, self.longest))
    }

    /// It has gone well for long enough.
    pub(super) const fn succeed(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn waits_grow_to_the_longest_and_begin_again_after_success() {
        let mut random = SmallRng::seed_from_u64(7);
        let (shortest, longest) = (Duration::from_millis(250), Duration::from_secs(30));
        let mut backoff = Backoff::new(shortest, longest);
        let waits: Vec<_> = (0..200).map(|_| backoff.fail(&mut random)).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (shortest / 2..=longest).contains(wait))
        );
        assert!(waits[0] <= shortest && waits[1] <= 2 * shortest);
        assert!(
            waits[20..]
                .iter()
                .any(|wait| *wait > Duration::from_secs(25))
        );
        assert!(
            waits[20..]
                .iter()
                .any(|wait| *wait < Duration::from_secs(5))
        );
        backoff.succeed();
        assert!(backoff.fail(&mut random) <= shortest);
    }
}
