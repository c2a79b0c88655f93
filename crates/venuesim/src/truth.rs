//! What really happened at the venue, for tests to compare with: trades, books, instruments. Plain numbers; prices
//! and quantities are in 0.00000001 ([`decimal::text`](crate::decimal::text) writes them as the venue does).

/// A trade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TruthTrade {
    /// One more than the trade before it, except behind a renumbering.
    pub id: u64,
    /// Its price.
    pub price: i64,
    /// Its quantity.
    pub qty: i64,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// Whether the taker sold.
    pub buyer_is_maker: bool,
    /// How often the venue has begun its numbers again before this trade.
    pub renumbered: u32,
}

/// A book, best levels first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TruthBook {
    /// The number of the last change.
    pub last_update_id: u64,
    /// Prices and quantities, falling.
    pub bids: Vec<(i64, i64)>,
    /// Prices and quantities, rising.
    pub asks: Vec<(i64, i64)>,
}

/// What is known of a symbol.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TruthSymbol {
    /// Its name.
    pub symbol: String,
    /// `TRADING`, `HALT`, `BREAK`; `None` if it is not listed any more.
    pub status: Option<&'static str>,
    /// Prices are multiples of it.
    pub tick: i64,
    /// Quantities are multiples of it.
    pub step: i64,
}
