//! Whether a book and the quotes of another stream say the same, where both have the same numbers at the venue:
//! the best levels at a change are the last quote that is not younger.
//!
//! The streams are not in order with each other. So a state waits until a younger quote has come, or the end.
//! At most [`WAITING_MAX`] of each wait; then the oldest is compared with what is there, or dropped.

use super::report::QuoteReport;
use crate::venue::Format;
use std::collections::VecDeque;
use tapecast_model::Quote;

/// Compares the states of a book with quotes.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    /// The number of the last snapshot; quotes before it are not comparable.
    started: Option<u64>,
    /// Quotes by number, from the last one that is not younger than the last state compared.
    quotes: VecDeque<(u64, Quote)>,
    /// The best levels of states that wait, by number.
    states: VecDeque<(u64, Quote)>,
}

/// How many quotes, and how many states, wait for each other.
const WAITING_MAX: usize = 10_000;

/// Whether quotes have the numbers of the book.
pub(super) const fn has_common_numbers(format: Format) -> bool {
    match format {
        Format::Binance | Format::BinanceUsdm => true,
        Format::Coinbase
        | Format::Kraken
        | Format::Okx
        | Format::BybitSpot
        | Format::BybitLinear => false,
    }
}

// === impl Agreement ===

impl Agreement {
    /// The book was replaced by a snapshot with this number.
    pub(super) fn start(&mut self, number: u64) {
        self.states.clear();
        self.started = Some(number);
    }

    /// The book reached a state by a change with this number.
    pub(super) fn state(&mut self, number: u64, best: Quote, report: &mut QuoteReport) {
        if self.states.back().is_some_and(|(last, _)| *last > number) {
            self.states.clear();
        }
        self.states.push_back((number, best));
        let newest = self.quotes.back().map(|(newest, _)| *newest);
        self.settle(newest, report);
        if self.states.len() > WAITING_MAX {
            self.settle_first(report);
        }
    }

    /// A quote with this number.
    pub(super) fn quote(&mut self, number: u64, quote: Quote, report: &mut QuoteReport) {
        if self.quotes.back().is_some_and(|(last, _)| *last > number) {
            self.quotes.clear();
        }
        self.settle(Some(number), report);
        self.quotes.push_back((number, quote));
        if self.quotes.len() > WAITING_MAX {
            self.quotes.pop_front();
        }
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, report: &mut QuoteReport) {
        while !self.states.is_empty() {
            self.settle_first(report);
        }
    }

    /// Compares the states that are older than the newest quote.
    fn settle(&mut self, newest: Option<u64>, report: &mut QuoteReport) {
        while let (Some((number, _)), Some(newest)) = (self.states.front(), newest)
            && *number < newest
        {
            self.settle_first(report);
        }
    }

    fn settle_first(&mut self, report: &mut QuoteReport) {
        let Some((number, best)) = self.states.pop_front() else {
            return;
        };
        while self.quotes.get(1).is_some_and(|(next, _)| *next <= number) {
            self.quotes.pop_front();
        }
        if let (Some((at, quote)), Some(started)) = (self.quotes.front(), self.started)
            && (started..=number).contains(at)
        {
            report.compared += 1;
            report.agreed += u64::from(*quote == best);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::{Price, Qty};

    fn quote(bid: i64) -> Quote {
        let side = |price| Some((Price::from_mantissa(price), Qty::from_mantissa(1)));
        Quote {
            bid: side(bid),
            ask: side(bid + 1),
        }
    }

    #[test]
    fn a_state_is_compared_with_the_last_quote_that_is_not_younger() {
        let (mut agreement, mut report) = (Agreement::default(), QuoteReport::default());
        agreement.quote(5, quote(1), &mut report);
        agreement.start(10);
        // Its quote is older than the snapshot.
        agreement.state(11, quote(1), &mut report);
        agreement.quote(12, quote(2), &mut report);
        assert_eq!((report.compared, report.agreed), (0, 0));
        agreement.state(12, quote(2), &mut report);
        agreement.state(14, quote(2), &mut report);
        // It came late, but is not younger than the state before it.
        agreement.quote(13, quote(3), &mut report);
        assert_eq!((report.compared, report.agreed), (1, 1));
        agreement.quote(15, quote(4), &mut report);
        assert_eq!((report.compared, report.agreed), (2, 1));
        agreement.state(20, quote(4), &mut report);
        assert_eq!(report.compared, 2, "a quote up to 20 may come");
        agreement.finish(&mut report);
        assert_eq!((report.compared, report.agreed), (3, 2));
    }

    #[test]
    fn numbers_that_start_again_are_not_compared_with_the_old_ones() {
        let (mut agreement, mut report) = (Agreement::default(), QuoteReport::default());
        agreement.start(100);
        agreement.state(101, quote(1), &mut report);
        agreement.quote(7, quote(9), &mut report);
        agreement.start(6);
        agreement.state(7, quote(9), &mut report);
        agreement.finish(&mut report);
        assert_eq!((report.compared, report.agreed), (1, 1));
    }

    #[test]
    fn what_waits_is_bounded() {
        let (mut agreement, mut report) = (Agreement::default(), QuoteReport::default());
        agreement.start(0);
        for number in 1..=2 * WAITING_MAX as u64 {
            agreement.state(number, quote(1), &mut report);
        }
        assert_eq!(agreement.states.len(), WAITING_MAX);
        let mut agreement = Agreement::default();
        for number in 1..=2 * WAITING_MAX as u64 {
            agreement.quote(number, quote(1), &mut report);
        }
        assert_eq!(agreement.quotes.len(), WAITING_MAX);
    }
}
