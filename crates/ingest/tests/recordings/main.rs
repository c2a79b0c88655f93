//! Goal: what a subscriber gets of recordings in which a venue does what nobody expects of it.
//!
//! Method: small recordings beside this file, each of one such thing, are scanned and played as a replay
//! source plays them, and go through the pipeline; what it publishes is compared word by word:
//! `trade id price x quantity side`, `book [bids] [asks]`, `quote bid ask`, `ticker figures`,
//! `status feed trading: reason`, `lost kind`.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod books;
mod figures;
mod names;
mod player;
mod tapes;
