//! The instruments with the most turnover of a day in one quote currency: ranked when the venue's list is known, and
//! again each day.
//!
//! An instrument that comes among them is served at once. One that leaves is served further.

use super::requests::{Job, Purpose};
use super::{Session, VenueInstrument};
use hashbrown::HashMap;
use std::cmp::Reverse;
use tapecast_model::{Decimal, Mono};

/// What is known of turnover.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// Instruments of the venue's list that can be among the first.
    candidates: Vec<VenueInstrument>,
    /// When the venue is asked next.
    due: Option<Mono>,
    /// The venue has answered.
    is_known: bool,
    /// The names of the first that are served, for the next session.
    first: Option<Vec<Box<str>>>,
}

/// Turnover is compared in this many digits after the point.
const DIGITS: u32 = 8;

// === impl Ranking ===

impl Ranking {
    /// When the venue is asked next.
    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Whether the venue has answered once.
    pub(super) const fn is_known(&self) -> bool {
        self.is_known
    }
}

// === impl Session ===

impl Session {
    /// The names of the instruments that are served for their turnover, if they have changed since the last call.
    pub fn poll_top(&mut self) -> Option<Vec<Box<str>>> {
        self.ranking.first.take()
    }

    /// The list has come, or a part of it: notes who can be among the first.
    pub(super) fn note_candidates(&mut self, list: &[VenueInstrument], is_whole: bool) {
        let Some(top) = &self.wanted.top else { return };
        let candidates = &mut self.ranking.candidates;
        if is_whole {
            candidates.clear();
        }
        for listed in list {
            candidates.retain(|known| is_whole || known.native != listed.native);
            if top.counts(listed) && !self.wanted.leaves_out(listed) {
                candidates.push(listed.clone());
            }
        }
        if is_whole && self.ranking.due.is_none() && !self.ranking.is_known {
            self.ranking.due = Some(self.now);
        }
    }

    /// Asks for the turnover, if it is due.
    pub(super) fn ask_for_turnover(&mut self) {
        if self.ranking.due.is_none_or(|at| at > self.now) {
            return;
        }
        self.ranking.due = None;
        if let Some(request) = self.live.turnover() {
            self.requests
                .ask(Purpose::Turnover, request, self.now, true);
        }
    }

    /// The turnover came.
    pub(super) fn take_turnover(&mut self, job: Job, body: &mut [u8]) {
        match self.live.read_turnover(body) {
            Ok(turnover) => {
                self.rank(&turnover);
                self.ranking.is_known = true;
                self.ranking.due = Some(self.now.after(self.live.rules().turnover_every()));
            }
            Err(why) => self.ask_again(job, &why),
        }
    }

    fn rank(&mut self, turnover: &[(Box<str>, Decimal)]) {
        let Some(count) = self.wanted.top.as_ref().map(|top| top.count) else {
            return;
        };
        let by_native: HashMap<&str, i128> = turnover
            .iter()
            .map(|(native, figure)| (&**native, comparable(*figure)))
            .collect();
        let mut ranked = self.ranking.candidates.clone();
        ranked.retain(|listed| by_native.contains_key(&*listed.native));
        // Of equal ones, the first in the venue's list.
        ranked.sort_by_key(|listed| Reverse(by_native.get(&*listed.native).copied()));
        ranked.truncate(count);
        self.serve_top(&ranked);
    }

    /// Serves these, as far as they are not served yet.
    pub(super) fn serve_top(&mut self, first: &[VenueInstrument]) {
        let before = self.instruments.len();
        for listed in first {
            if !self.by_native.contains_key(&*listed.native)
                && self.instruments.len() < self.wanted.most
            {
                self.add(listed);
            }
        }
        let added = self.instruments.len() - before;
        if added > 0 {
            tracing::info!(venue = %self.venue, added, "Instruments came among the first by turnover");
        }
        let first = first.iter().map(|listed| listed.native.clone());
        self.ranking.first = Some(first.collect());
    }

    /// Serves those that were the first before the process started, as long as the venue has not said which are.
    pub(super) fn serve_earlier_top(&mut self, natives: &[Box<str>]) {
        let candidates = self.ranking.candidates.iter();
        let first: Vec<_> = candidates
            .filter(|listed| natives.contains(&listed.native))
            .cloned()
            .collect();
        if !first.is_empty() {
            self.serve_top(&first);
        }
    }
}

/// A figure as a number that can be compared with others.
fn comparable(figure: Decimal) -> i128 {
    let (mantissa, scale) = (figure.mantissa(), u32::from(figure.scale()));
    match DIGITS.checked_sub(scale) {
        Some(more) => mantissa.saturating_mul(10_i128.pow(more)),
        None => mantissa / 10_i128.checked_pow(scale - DIGITS).unwrap_or(i128::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_any_scale_are_compared() {
        let texts = ["0", "0.00000001", "0.5", "1", "1.2", "99999999999999"];
        let figures = texts.map(|text| comparable(Decimal::parse(text.as_bytes()).unwrap()));
        assert!(figures.is_sorted_by(|a, b| a < b), "{figures:?}");
        let fine = comparable(Decimal::new(123_456_789_012, 11));
        assert_eq!(fine, 123_456_789);
        assert_eq!(comparable(Decimal::new(1, 200)), 0);
        assert_eq!(comparable(Decimal::new(i128::MAX, 0)), i128::MAX);
    }
}
