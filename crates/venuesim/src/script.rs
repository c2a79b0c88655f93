//! Which faults come when.

use crate::fault::{Fault, Mark};
use crate::random::Random;
use std::time::Duration;

/// Faults by time.
#[derive(Clone, Debug, Default)]
pub struct Script {
    planned: Vec<Planned>,
}

/// A fault and its time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Planned {
    /// When it is applied, or begins to wait for something to be applied to.
    pub at: Duration,
    /// What goes wrong.
    pub fault: Fault,
    /// The symbol that it is for; without one, chance decides.
    pub symbol: Option<String>,
    /// Whether it is dropped if another fault waits for the same: for the next handshake, subscription or request.
    /// So a client that asks less often than faults come still succeeds from time to time.
    pub alone: bool,
}

/// A fault that was applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// When.
    pub at: Duration,
    /// What went wrong.
    pub fault: Fault,
    /// The symbol that it concerned, if it concerned one.
    pub symbol: Option<String>,
    /// The connection that it concerned, if it concerned one.
    pub conn: Option<u64>,
    /// Whether a client can notice it by the venue's rules.
    pub mark: Mark,
    /// By which, or why not.
    pub why: &'static str,
}

// === impl Script ===

impl Script {
    /// These faults; chance decides whom they concern.
    pub fn of(faults: Vec<(Duration, Fault)>) -> Self {
        let plan = |(at, fault)| Planned {
            at,
            fault,
            symbol: None,
            alone: false,
        };
        Self {
            planned: faults.into_iter().map(plan).collect(),
        }
    }

    /// One of these faults at each interval, until a time.
    pub fn seeded(seed: u64, every: Duration, until: Duration, faults: &[Fault]) -> Self {
        let mut random = Random::new(seed, RANDOM_OF_SCRIPT);
        let mut script = Self::default();
        let every = every.max(Duration::from_millis(1));
        let mut at = every;
        while at <= until {
            let fault = random.pick(faults).copied();
            script.planned.extend(fault.map(|fault| Planned {
                at,
                fault,
                symbol: None,
                alone: true,
            }));
            at += every;
        }
        script
    }

    /// The same, with one more fault that concerns a symbol.
    #[must_use]
    pub fn and(mut self, at: Duration, fault: Fault, symbol: &str) -> Self {
        self.planned.push(Planned {
            at,
            fault,
            symbol: Some(symbol.to_owned()),
            alone: false,
        });
        self
    }

    /// All of them, as planned.
    pub fn planned(&self) -> &[Planned] {
        &self.planned
    }
}

/// The script's own part of its seed.
const RANDOM_OF_SCRIPT: u64 = 0x5C21_9701;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seeded_script_is_the_same_each_time_and_has_all_faults() {
        let second = Duration::from_secs(1);
        let faults = [Fault::Cut, Fault::HalfOpen, Fault::Listing];
        let script = Script::seeded(4, second, second * 1_000, &faults);
        assert_eq!(script.planned().len(), 1_000);
        let again = Script::seeded(4, second, second * 1_000, &faults);
        assert_eq!(script.planned(), again.planned());
        let planned: BTreeSet<Fault> = script.planned().iter().map(|plan| plan.fault).collect();
        assert_eq!(planned.len(), faults.len());
        assert!(Script::seeded(4, second, second, &[]).planned().is_empty());
    }
}
