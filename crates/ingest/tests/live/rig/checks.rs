//! What a test expects of a session in the end: books and trades as at the venue.

use super::{Rig, Tested};
use std::fmt::Write as _;
use std::time::Duration;

impl<V: Tested> Rig<V> {
    /// Each of these books soon is as its venue's.
    pub(crate) fn check_books(&mut self, natives: &[&str]) {
        for native in natives {
            let native = (*native).to_owned();
            let _ = writeln!(self.note, "the book of {native}");
            self.run_until(Duration::from_secs(30), |rig| {
                let truth = rig.venue.book(&native);
                truth.is_some_and(|truth| rig.witness.has(&native, &truth, V::NUMBERED))
            });
        }
    }

    /// The newest trade of each of these instruments soon has come: no stream of trades is dead.
    pub(crate) fn check_tapes(&mut self, natives: &[&str], most: Duration) {
        for native in natives {
            let native = (*native).to_owned();
            let _ = writeln!(self.note, "the trades of {native}");
            self.run_until(most, |rig| {
                let truth = rig.venue.trades(&native).last().map(|trade| trade.id);
                truth == rig.witness.of(&native).trades.last().copied()
            });
        }
    }

    /// Trades of an instrument: each once, in order; what is missing was announced. Returns how many were missing.
    pub(crate) fn check_trades(&self, native: &str) -> u64 {
        let seen = self.witness.of(native);
        let truth: Vec<_> = self
            .venue
            .trades(native)
            .iter()
            .map(|trade| trade.id)
            .collect();
        let count = |ids: &[u64]| {
            let mut counts = std::collections::BTreeMap::<u64, i64>::new();
            ids.iter()
                .for_each(|id| *counts.entry(*id).or_default() += 1);
            counts
        };
        // Numbers that begin again are there more than once.
        let (there, came) = (count(&truth), count(&seen.trades));
        for (id, times) in &came {
            let most = there.get(id).copied().unwrap_or(0);
            assert!(
                *times <= most,
                "{native}: trade {id} came {times} times of {most}"
            );
        }
        // Where each trade is in the truth: behind the one before it, unless it came late.
        let (mut at, mut missing) = (None::<usize>, 0);
        for (number, id) in seen.trades.iter().enumerate() {
            let from = at.map_or(0, |at| at + 1);
            let Some(next) = truth[from..].iter().position(|other| other == id) else {
                continue;
            };
            if at.is_some() && next > 0 {
                missing += next as u64;
                let mut lost = seen.lost.iter();
                let said = lost.any(|(kind, _, before)| {
                    *kind == tapecast_model::StreamKind::Trade && *before == number
                });
                assert!(
                    said,
                    "{native}: {next} trades are missing before {id}, and nobody said so"
                );
            }
            at = Some(from + next);
        }
        missing
    }
}
