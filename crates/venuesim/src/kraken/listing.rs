//! A symbol in the venue's list: its market, what was told of its book, and how its numbers are written.

use super::number::digits_of;
use super::view::View;
use crate::market::{Market, Status};

/// A symbol in the list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) market: Market,
    pub(super) view: View,
    /// Digits of prices and quantities in messages.
    pub(super) digits: (u8, u8),
    /// The tick that the definition says; the market's may be another already.
    pub(super) said_tick: i64,
    /// A status in place of the market's.
    pub(super) odd_status: Option<&'static str>,
    /// The sum behind the last message.
    pub(super) last_sum: u32,
}

/// What is written of a symbol: its name, and the digits of its prices and quantities.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) symbol: String,
    pub(super) digits: (u8, u8),
}

// === impl Listing ===

impl Listing {
    pub(super) fn new(market: Market) -> Self {
        let config = &market.config;
        let digits = (digits_of(config.tick), digits_of(config.step));
        let view = View::of(&market.book.truth(usize::MAX));
        Self {
            last_sum: view.sum(digits),
            said_tick: config.tick,
            view,
            digits,
            odd_status: None,
            market,
        }
    }

    pub(super) fn names(&self) -> Names {
        Names {
            symbol: self.market.config.symbol.clone(),
            digits: self.digits,
        }
    }

    /// Whether it is in the list.
    pub(super) fn is_listed(&self) -> bool {
        self.market.status != Status::Delisted
    }

    /// Shares as tokens have names such as `AAPLx/USD`, and are listed only for who asks for them `[L]`.
    pub(super) fn tokenised(&self) -> bool {
        let base = &self.market.config.base;
        base.len() > 1 && base.ends_with('x')
    }

    /// In the venue's words `[D; the list U]`.
    pub(super) fn status(&self) -> &'static str {
        self.odd_status.unwrap_or(match self.market.status {
            Status::Trading => "online",
            Status::Halt => "maintenance",
            Status::Break => "work_in_progress",
            Status::CancelOnly => "cancel_only",
            Status::Delisted => "delisted",
        })
    }

    /// Prices get one more digit. Whether that is possible.
    pub(super) fn refine(&mut self) -> bool {
        let can = self.market.refine();
        self.digits.0 = digits_of(self.market.config.tick).max(self.digits.0);
        self.last_sum = self.view.sum(self.digits);
        can
    }
}
