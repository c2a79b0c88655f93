//! Simulators of venues: servers that speak a venue's real protocol, keep its limits, and misbehave as it does.
//!
//! * [`venue`]: what a simulated venue takes and gives, without I/O and in virtual time: [`Venue`], [`Output`].
//! * [`config`]: seed, symbols, limits and times: [`SimConfig`].
//! * [`binance`]: Binance spot: [`BinanceSpot`].
//! * [`simulated`]: what tests need of each of them: [`Simulated`].
//! * [`counts`]: what clients have used of what they may: [`Counts`].
//! * [`kraken`]: Kraken spot: [`KrakenSpot`].
//! * [`truth`]: what really happened there, for tests to compare with: [`TruthTrade`], [`TruthBook`].
//! * [`fault`], [`script`]: what goes wrong there, and when: [`Fault`], [`Script`], [`Applied`].
//! * [`server`]: the shell that serves a simulated venue over real sockets: [`Server`].
//! * [`decimal`]: prices and quantities as whole numbers of 0.00000001.
//!
//! It is the proof of the live feeds, and therefore it depends on no crate of this workspace: a simulator that
//! shared a parser, a book or a rule with a feed would share its mistakes. Shapes of messages are templates
//! taken from captured frames or from the venue's documentation; comments say which, by marks that
//! [`binance`] explains.

mod agenda;
mod attempts;
pub mod binance;
mod clock;
pub mod config;
pub mod counts;
pub mod decimal;
pub mod fault;
mod garble;
pub mod kraken;
mod late;
mod market;
mod planted;
mod random;
pub mod script;
pub mod server;
pub mod simulated;
mod target;
pub mod truth;
pub mod venue;

pub use binance::BinanceSpot;
pub use config::{Kept, Limits, Rates, SimConfig, SymbolConfig};
pub use counts::Counts;
pub use fault::{Fault, Mark};
pub use kraken::KrakenSpot;
pub use script::{Applied, Planned, Script};
pub use server::{Server, ServerConfig};
pub use simulated::Simulated;
pub use truth::{TruthBook, TruthSymbol, TruthTrade};
pub use venue::{AnswerEnd, HttpAnswer, Output, Refusal, Venue};
