//! A symbol in the venue's list: its market, and the names of its streams.

use super::stream::Names;
use crate::market::Market;
use std::sync::Arc;
use std::time::Duration;

/// A symbol in the list.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) market: Market,
    pub(super) names: Arc<Names>,
    /// Whether something has changed since the last ticker.
    pub(super) active: bool,
    /// Whether something has changed since the last message of all tickers.
    pub(super) active_lately: bool,
    /// Depth messages are rare until then.
    pub(super) slowed_until: Duration,
}

// === impl Listing ===

impl Listing {
    pub(super) fn new(market: Market) -> Self {
        Self {
            names: Arc::new(Names::new(&market.config.symbol)),
            market,
            active: true,
            active_lately: false,
            slowed_until: Duration::ZERO,
        }
    }
}
