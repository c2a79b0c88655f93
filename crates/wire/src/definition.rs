//! The definition of an instrument as frames carry it, and the numbers that stand for its words.

use tapecast_model::{Instrument, InstrumentKind, QtyUnit, Scale, Terms, TradingState};

/// What an `instrument` frame says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Definition<'a> {
    /// The venue's own name for it.
    pub native: &'a str,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    /// What the venue says of trading.
    pub trading: TradingState,
    /// What else the venue says of it.
    pub terms: Terms,
}

// === impl Definition ===

impl<'a> Definition<'a> {
    /// The definition of this instrument.
    pub fn of(instrument: &'a Instrument, terms: &Terms, trading: TradingState) -> Self {
        Self {
            native: &instrument.native,
            price_scale: instrument.price_scale,
            qty_scale: instrument.qty_scale,
            trading,
            terms: *terms,
        }
    }
}

/// The number of a kind of instrument; zero if none is given.
pub(crate) const fn kind_code(kind: Option<InstrumentKind>) -> u8 {
    match kind {
        None => 0,
        Some(InstrumentKind::Spot) => 1,
        Some(InstrumentKind::Perpetual) => 2,
        Some(InstrumentKind::Future) => 3,
        Some(InstrumentKind::Option) => 4,
        Some(InstrumentKind::Equity) => 5,
    }
}

/// The kind with this number; none also for a number that is not known here.
pub(crate) fn kind_of(code: u8) -> Option<InstrumentKind> {
    let mut all = InstrumentKind::ALL.into_iter();
    all.find(|kind| kind_code(Some(*kind)) == code)
}

/// The number of a unit; zero if none is given.
pub(crate) const fn unit_code(unit: Option<QtyUnit>) -> u8 {
    match unit {
        None => 0,
        Some(QtyUnit::Base) => 1,
        Some(QtyUnit::Quote) => 2,
        Some(QtyUnit::Contract) => 3,
    }
}

/// As [`kind_of`].
pub(crate) fn unit_of(code: u8) -> Option<QtyUnit> {
    let mut all = QtyUnit::ALL.into_iter();
    all.find(|unit| unit_code(Some(*unit)) == code)
}

/// The number of a yes or no; zero if it is not given.
pub(crate) const fn answer_code(answer: Option<bool>) -> u8 {
    match answer {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    }
}

/// As [`kind_of`].
pub(crate) const fn answer_of(code: u8) -> Option<bool> {
    match code {
        1 => Some(false),
        2 => Some(true),
        _ => None,
    }
}

/// Which figures and times are given, a bit each: first the figures, then the times.
pub(crate) fn given(terms: &Terms) -> u8 {
    let figures = terms.figures().map(|figure| figure.is_some());
    let times = terms.times().map(|time| time.is_some());
    let bits = figures.into_iter().chain(times).enumerate();
    bits.fold(0, |all, (at, is_given)| all | u8::from(is_given) << at)
}

/// All bits that [`given`] may have.
pub(crate) const GIVEN: u8 = (1 << (Terms::FIGURES.len() + Terms::TIMES.len())) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_a_number_of_its_own() {
        for kind in InstrumentKind::ALL {
            assert_eq!(kind_of(kind_code(Some(kind))), Some(kind));
        }
        for unit in QtyUnit::ALL {
            assert_eq!(unit_of(unit_code(Some(unit))), Some(unit));
        }
        for answer in [None, Some(false), Some(true)] {
            assert_eq!(answer_of(answer_code(answer)), answer);
        }
        for code in [0, 99] {
            assert_eq!(
                (kind_of(code), unit_of(code), answer_of(code)),
                (None, None, None)
            );
        }
    }
}
