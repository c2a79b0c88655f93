//! The terms of an instrument: what a venue says of it beside its names, its digits and its state of trading.
//!
//! A venue seldom says all of it. What it does not say is absent, and nothing is derived from a name.

use crate::decimal::Decimal;
use crate::scale::Scale;
use crate::time::UnixNanos;

/// What a venue says of an instrument.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Terms {
    /// What kind of instrument it is.
    pub kind: Option<InstrumentKind>,
    /// The step of prices.
    pub tick: Option<Decimal>,
    /// The step of quantities.
    pub lot: Option<Decimal>,
    /// The least quantity of an order.
    pub min_qty: Option<Decimal>,
    /// What one contract is, in the unit that the venue names.
    pub contract_size: Option<Decimal>,
    /// What quantities count.
    pub qty_unit: Option<QtyUnit>,
    /// Whether profit is paid in the base currency.
    pub inverse: Option<bool>,
    /// When it began, or begins, to trade.
    pub listed_at: Option<UnixNanos>,
    /// When it ends.
    pub expires_at: Option<UnixNanos>,
}

/// A kind of instrument.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum InstrumentKind {
    /// The thing itself changes hands.
    Spot,
    /// A future without an end.
    Perpetual,
    /// A future with an end.
    Future,
    /// An option.
    Option,
    /// A share of a company, or of a fund.
    Equity,
}

/// What quantities count.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum QtyUnit {
    /// The base currency, or shares.
    Base,
    /// The quote currency.
    Quote,
    /// Contracts.
    Contract,
}

// === impl Terms ===

impl Terms {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        kind: None,
        tick: None,
        lot: None,
        min_qty: None,
        contract_size: None,
        qty_unit: None,
        inverse: None,
        listed_at: None,
        expires_at: None,
    };

    /// The names of its figures, in the order that records and frames share. It never changes.
    pub const FIGURES: [&'static str; 4] = ["tick", "lot", "min_qty", "contract_size"];
    /// The names of its times, in the same way.
    pub const TIMES: [&'static str; 2] = ["listed_at", "expires_at"];

    /// Its figures, in the order of [`Self::FIGURES`].
    pub const fn figures(&self) -> [Option<Decimal>; Self::FIGURES.len()] {
        [self.tick, self.lot, self.min_qty, self.contract_size]
    }

    /// Its times, in the order of [`Self::TIMES`].
    pub const fn times(&self) -> [Option<UnixNanos>; Self::TIMES.len()] {
        [self.listed_at, self.expires_at]
    }

    /// The same with these figures, in the order of [`Self::FIGURES`].
    #[must_use]
    pub const fn with_figures(self, figures: [Option<Decimal>; Self::FIGURES.len()]) -> Self {
        let [tick, lot, min_qty, contract_size] = figures;
        Self {
            tick,
            lot,
            min_qty,
            contract_size,
            ..self
        }
    }

    /// The same with these times, in the order of [`Self::TIMES`].
    #[must_use]
    pub const fn with_times(self, times: [Option<UnixNanos>; Self::TIMES.len()]) -> Self {
        let [listed_at, expires_at] = times;
        Self {
            listed_at,
            expires_at,
            ..self
        }
    }

    /// The same without what was said in digits that hold no longer.
    #[must_use]
    pub const fn without_steps(self) -> Self {
        Self {
            tick: None,
            lot: None,
            min_qty: None,
            ..self
        }
    }

    /// The step that has one unit in the last of so many digits.
    pub fn step_of(scale: Scale) -> Decimal {
        Decimal::new(1, scale.digits())
    }
}

// === impl InstrumentKind ===

impl InstrumentKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Spot,
        Self::Perpetual,
        Self::Future,
        Self::Option,
        Self::Equity,
    ];

    /// The name in frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::Perpetual => "perpetual",
            Self::Future => "future",
            Self::Option => "option",
            Self::Equity => "equity",
        }
    }

    /// The kind with this name.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }
}

// === impl QtyUnit ===

impl QtyUnit {
    /// All units.
    pub const ALL: [Self; 3] = [Self::Base, Self::Quote, Self::Contract];

    /// The name in frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Quote => "quote",
            Self::Contract => "contract",
        }
    }

    /// The unit with this name.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.label() == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_times_make_the_terms_again() {
        let figures = std::array::from_fn(|at| (at != 1).then(|| Decimal::new(at as i128 + 1, 2)));
        let times = [Some(UnixNanos::new(7)), None];
        let terms = Terms::UNKNOWN.with_figures(figures).with_times(times);
        assert_eq!((terms.figures(), terms.times()), (figures, times));
        assert_eq!((terms.tick, terms.lot), (figures[0], None));
        assert_eq!(terms.contract_size, figures[3]);
        let without = terms.without_steps();
        assert_eq!(without.figures(), [None, None, None, figures[3]]);
        assert_eq!(without.listed_at, times[0]);
    }

    #[test]
    fn words_are_found_by_name() {
        for kind in InstrumentKind::ALL {
            assert_eq!(InstrumentKind::of_label(kind.label()), Some(kind));
        }
        for unit in QtyUnit::ALL {
            assert_eq!(QtyUnit::of_label(unit.label()), Some(unit));
        }
        assert_eq!(InstrumentKind::of_label("house"), None);
    }

    #[test]
    fn the_step_of_a_scale_is_one_in_its_last_digit() {
        let step = |digits| Terms::step_of(Scale::new(digits).unwrap()).to_string();
        assert_eq!([step(0), step(2), step(8)], ["1", "0.01", "0.00000001"]);
    }
}
