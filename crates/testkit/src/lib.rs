//! What the tests of several crates share: recordings of venues, and a second reader of them.
//!
//! * [`recording`]: which recordings there are, and their lines: [`Recording`], [`Row`].
//! * [`reader`]: what a recording says, message by message: [`Reader`].
//! * [`book`]: one book as two maps, by the venues' published rules: [`Book`].
//! * [`views`]: the distinct states of the best levels, in order: [`Views`].
//! * [`tape`]: the trades of one instrument: [`Tape`], [`TapeTrade`].
//! * [`decimal`]: decimals as numbers at one scale, and as they are spelled without padding.
//!
//! Slow, simple and independent: it depends on `serde_json` and `zstd` and on no crate of this
//! workspace, so that an error in a parser or a book cannot hide by being made twice. It is a
//! dev-dependency and nothing else; what it cannot read stops the test that asked.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "part of tests, which may stop and may talk"
)]

pub mod book;
pub mod decimal;
pub mod reader;
pub mod recording;
pub mod tape;
pub mod views;

pub use book::Book;
pub use reader::Reader;
pub use recording::{Recording, Row, recordings};
pub use tape::{Tape, TapeTrade};
pub use views::{DEPTHS, Level, Top, Views};
