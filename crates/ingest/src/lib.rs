//! Venue messages in, sequenced updates out: hops 1 to 4 of an update's life.
//!
//! 1. [`feed`]: the origins of messages: a recording ([`replay`]), your own events ([`push`]) or a
//!    simulated market ([`sim`]).
//! 2. [`venue`]: one decoder for each venue format; it parses messages in place to [`event::Event`]s. [`plan`] says
//!    which of them are used; [`scan`] makes it from a recording.
//!    Events of each source wait for the pipeline in a channel of its own ([`sources`]).
//! 3. [`book`]: verifies the chain and the checksums, and keeps the levels.
//! 4. [`sequencer`]: epoch and sequence, once for all clients. [`pipeline`] connects 3 and 4 and gives
//!    each numbered update to an [`UpdateSink`](tapecast_model::UpdateSink).
//!
//! The way back is [`reseed`]: the pipeline asks a feed for a snapshot. [`verify`] replays a recording through 1 to 4
//! and reports what it finds.
//!
//! A live venue's connections are the business of its [`session`], without I/O.
//!
//! [`recorder`] writes down what a live venue sends, for [`replay`].
//!
//! This crate knows nothing of subscribers, frames or client sockets.

pub mod aside;
pub mod book;
pub mod capture;
pub mod event;
pub mod feed;
pub mod metrics;
pub mod normaliser;
mod old;
pub mod pipeline;
pub mod plan;
pub mod push;
pub mod recorder;
pub mod replay;
pub mod reseed;
pub mod scan;
pub mod sequencer;
pub mod session;
pub mod sim;
pub mod sources;
mod spare;
pub mod venue;
pub mod verify;
