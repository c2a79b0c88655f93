//! Venue messages in, sequenced updates out: hops 1 to 4 of an update's life.
//!
//! 1. [`feed`]: where messages come from: a recording ([`replay`]), a desk's own events ([`push`]) or
//!    a simulated market ([`sim`]).
//! 2. [`venue`]: each venue's dialect, parsed in place to [`event::Event`]s.
//! 3. [`book`]: the chain and the checksums verified, the levels kept.
//! 4. [`sequencer`]: epoch and sequence, once for everybody. [`pipeline`] ties 3 and 4 together and
//!    gives each numbered update to an [`UpdateSink`](tapecast_model::UpdateSink).
//!
//! This crate knows nothing of subscribers, frames or client sockets.

pub mod book;
pub mod capture;
pub mod event;
pub mod feed;
pub mod metrics;
pub mod normaliser;
pub mod pipeline;
pub mod push;
pub mod replay;
pub mod scan;
pub mod sequencer;
pub mod sim;
pub mod venue;
