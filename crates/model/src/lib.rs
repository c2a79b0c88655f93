//! The market-data domain: what a price, a symbol, a topic, an update and a book *are*.
//!
//! This crate knows nothing of sockets, threads, JSON or venues' dialects, and reads the clock in
//! exactly one place ([`clock`]). Everything else in the workspace speaks in its nouns.
//!
//! * **Numbers** are decimals with a scale, never floats: [`decimal`], [`price`].
//! * **Time** is nanoseconds since the Unix epoch: [`time`].
//! * **Position** in a stream is an epoch and a sequence number: [`seq`]; epochs come from [`epochs`].
//! * **Names**: [`symbol`] for instruments, [`topic`] for what a client subscribes to.
//! * **What happens**: [`update`], and the price levels it happens to: [`book`]; whether what is held
//!   of it can be trusted: [`status`].
//! * **What exists**: the [`catalog`] of venues and instruments.
//! * **How often**: a limit for log lines that peers can cause: [`rate`].
//! * **What goes wrong** in tests: [`fault`].
//! * **The seam** between numbering and publishing: [`sink`].

pub mod book;
pub mod catalog;
pub mod clock;
pub mod decimal;
mod digits;
pub mod epochs;
pub mod fault;
pub mod price;
pub mod rate;
pub mod seq;
pub mod sink;
pub mod status;
pub mod symbol;
pub mod time;
pub mod topic;
pub mod update;

pub use book::{Book, Level, Side, Touched};
pub use catalog::Catalog;
pub use decimal::{Decimal, DecimalError, Scale};
pub use epochs::EpochSource;
pub use fault::Fault;
pub use price::{Price, Qty};
pub use rate::RateLimit;
pub use seq::{Epoch, Seq, StreamPos};
pub use sink::UpdateSink;
pub use status::{ChannelState, ChannelStates, FeedState, Status, TradingState};
pub use symbol::{Instrument, InstrumentId, Symbol, Venue};
pub use time::{EventTime, Mono, UnixNanos};
pub use topic::{Channel, ChannelKind, ChannelSet, Depth, Interval, Timeframe, Topic, TopicError};
pub use update::{Aggressor, Body, Quote, Stream, Ticker, Trade, TradeId, Update};
