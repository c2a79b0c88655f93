//! The trades of one instrument, as its venue sent them, oldest first.
//!
//! History that a venue sends on connecting is no trade of the recording. Where a venue sends single
//! trades and aggregates of them, the trades are the tape.

use crate::decimal::{canonical, text};
use serde_json::Value;

/// One trade, as text: the id as sent, decimals without padding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TapeTrade {
    /// The venue's id.
    pub id: String,
    /// At what price.
    pub price: String,
    /// How much.
    pub qty: String,
    /// Who took liquidity: `buy` or `sell`.
    pub side: String,
}

/// What traded.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    trades: Vec<TapeTrade>,
    aggregates: Vec<TapeTrade>,
}

// === impl TapeTrade ===

impl TapeTrade {
    /// A trade of these fields of a message; the side in any case.
    pub(crate) fn read(fields: [&Value; 3], side: &str) -> Self {
        let [id, price, qty] = fields.map(text);
        Self {
            id,
            price: canonical(&price),
            qty: canonical(&qty),
            side: side.to_lowercase(),
        }
    }
}

// === impl Tape ===

impl Tape {
    /// The trades.
    pub fn trades(&self) -> &[TapeTrade] {
        if self.trades.is_empty() {
            &self.aggregates
        } else {
            &self.trades
        }
    }

    pub(crate) fn add_trade(&mut self, trade: TapeTrade) {
        self.trades.push(trade);
    }

    pub(crate) fn add_aggregate(&mut self, trade: TapeTrade) {
        self.aggregates.push(trade);
    }
}
