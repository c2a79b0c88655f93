//! The market-data domain: prices, symbols, topics, updates and books.
//!
//! This crate knows nothing of sockets, threads, JSON or venues' formats, and reads the clock in only
//! one place ([`clock`]). The rest of the workspace uses its words.
//!
//! * **Numbers** are decimals with a scale, never floats: [`decimal`], [`price`].
//! * **Time** is nanoseconds since the Unix epoch: [`time`].
//! * **Position** in a stream is an epoch and a sequence number: [`seq`]; epochs come from [`epochs`].
//! * **Streams**, each with numbers of its own: [`stream`].
//! * **Names**: [`symbol`] for instruments, [`topic`] for what a client subscribes to; what a venue says of an
//!   instrument beside them: [`terms`].
//! * **Updates**: [`update`], and the price levels that they change: [`book`]; whether the data can be
//!   trusted: [`status`]; what trades come to in a period: [`bar`].
//! * **Venues and instruments**: the [`catalog`]; their places in tables: [`mod@place`].
//! * **Rates**: a limit for log lines that other programs can cause: [`rate`].
//! * **Settings** that are swapped while threads read them: [`in_force`].
//! * **Faults** for tests: [`fault`].
//! * **The interfaces** of what numbers updates: [`market`] before it, [`sink`] behind it.

pub mod bar;
pub mod book;
pub mod catalog;
pub mod clock;
pub mod decimal;
mod digits;
pub mod epochs;
pub mod fault;
pub mod in_force;
pub mod market;
pub mod place;
pub mod price;
pub mod rate;
pub mod scale;
pub mod seq;
pub mod sink;
pub mod status;
pub mod stream;
pub mod symbol;
pub mod terms;
pub mod time;
pub mod topic;
pub mod update;

pub use bar::Bar;
pub use book::{Book, BookChanges, Level, Side, Touched};
pub use catalog::Catalog;
pub use decimal::{Decimal, DecimalError};
pub use epochs::EpochSource;
pub use fault::Fault;
pub use in_force::{Held, InForce};
pub use market::MarketState;
pub use price::{Price, Qty};
pub use rate::RateLimit;
pub use scale::Scale;
pub use seq::{Epoch, Seq, StreamPos};
pub use sink::UpdateSink;
pub use status::{ChannelState, ChannelStates, FeedState, Status, TradingState};
pub use stream::{StreamKey, StreamKind};
pub use symbol::{Instrument, InstrumentId, Symbol, Venue};
pub use terms::{InstrumentKind, QtyUnit, Terms};
pub use time::{EventTime, Mono, UnixNanos};
pub use topic::{Channel, ChannelKind, ChannelSet, Depth, Interval, Timeframe, Topic, TopicError};
pub use update::{Aggressor, Body, Quote, Ticker, Trade, TradeId, Update};
