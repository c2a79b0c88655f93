//! Bars: what the trades of one period come to.

use crate::decimal::Decimal;
use crate::price::Price;
use crate::time::UnixNanos;

/// One bar; its stream has the length of the period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bar {
    /// When the period begins.
    pub start: UnixNanos,
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price.
    pub close: Price,
    /// Volume in the base currency, or in contracts.
    pub volume: Decimal,
    /// Volume in the quote currency, if it is known.
    pub quote_volume: Option<Decimal>,
    /// How many trades.
    pub trades: u64,
    /// The period is over, and the bar does not change any more.
    pub is_final: bool,
}
