//! How much a venue allows: so much in any span of time.
//!
//! A venue counts in windows whose beginning we do not know. In a budget, no span of that length ever has more than
//! the limit, wherever a window begins. What is spent is remembered for that long and then forgotten.

use std::collections::VecDeque;
use std::time::Duration;
use tapecast_model::Mono;

/// At most `limit` in any span.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    limit: u32,
    /// The limit with which it began.
    full: u32,
    span: Duration,
    spent: VecDeque<(Mono, u32)>,
    sum: u32,
}

// === impl Budget ===

impl Budget {
    /// Nothing is spent.
    pub(super) const fn new(limit: u32, span: Duration) -> Self {
        Self {
            limit,
            full: limit,
            span,
            spent: VecDeque::new(),
            sum: 0,
        }
    }

    /// The limit with which it began, with nothing spent.
    pub(super) const fn anew(&self) -> Self {
        Self::new(self.full, self.span)
    }

    /// From now on half as much; what is spent is forgotten.
    pub(super) fn halve(&mut self) {
        let limit = (self.limit / 2).max(1);
        *self = Self {
            full: self.full,
            ..Self::new(limit, self.span)
        };
    }

    /// Spends an amount.
    ///
    /// # Errors
    /// If it is not there yet: when to ask again. More than the whole limit is spent when nothing else is.
    pub(super) fn spend(&mut self, amount: u32, now: Mono) -> Result<(), Mono> {
        self.forget(now);
        match self.when(amount, now) {
            at if at > now => Err(at),
            _ => {
                let amount = amount.min(self.limit);
                self.sum += amount;
                self.spent.push_back((now, amount));
                Ok(())
            }
        }
    }

    /// When an amount can be spent, not before `from`.
    pub(super) fn when(&self, amount: u32, from: Mono) -> Mono {
        let mut excess = (self.sum + amount.min(self.limit)).saturating_sub(self.limit);
        let mut spent = self.spent.iter();
        let mut at = from;
        while excess > 0
            && let Some((then, some)) = spent.next()
        {
            excess = excess.saturating_sub(*some);
            at = from.max(then.after(self.span));
        }
        at
    }

    /// The venue has counted more than we have: others share our address. The difference counts as spent now.
    pub(super) fn note_used(&mut self, used: u32, now: Mono) {
        self.forget(now);
        let more = used.min(self.limit).saturating_sub(self.sum);
        if more > 0 {
            self.sum += more;
            self.spent.push_back((now, more));
        }
    }

    /// What is left now.
    pub(super) fn left(&mut self, now: Mono) -> u32 {
        self.forget(now);
        self.limit - self.sum
    }

    fn forget(&mut self, now: Mono) {
        while let Some((at, amount)) = self.spent.front().copied()
            && at.after(self.span) <= now
        {
            self.sum -= amount;
            self.spent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_span_has_more_than_the_limit(
            steps in proptest::collection::vec((0..400_u64, 1..60_u32), 1..200)
        ) {
            let (span, mut now) = (Duration::from_millis(1_000), Mono::default());
            let mut budget = Budget::new(100, span);
            let mut spent: Vec<(Mono, u32)> = Vec::new();
            for (millis, amount) in steps {
                now = now.after(Duration::from_millis(millis));
                let before = now;
                if let Err(later) = budget.spend(amount, now) {
                    prop_assert!(later > now && later <= now.after(span));
                    // What it names is soon enough, and not too soon.
                    now = later;
                    prop_assert_eq!(budget.spend(amount, now), Ok(()), "asked at {:?}", before);
                }
                spent.push((now, amount));
                let within = spent.iter().filter(|(at, _)| at.after(span) > now);
                prop_assert!(within.map(|(_, amount)| amount).sum::<u32>() <= 100);
            }
        }
    }

    #[test]
    fn what_others_spend_counts() {
        let mut budget = Budget::new(100, Duration::from_secs(60));
        let now = Mono::default();
        budget.spend(10, now).unwrap();
        budget.note_used(95, now);
        assert_eq!(budget.left(now), 5);
        budget.note_used(50, now);
        assert_eq!(budget.left(now), 5, "the venue forgets earlier than we do");
    }
}
