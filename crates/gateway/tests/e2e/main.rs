//! End to end: real sockets, real processes, real recordings where there are any.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod batch_send;
mod binary;
mod captures;
mod cases;
mod connections;
mod encodings;
mod files;
mod gateway;
mod http;
mod intervals;
mod live;
mod lives;
mod log;
mod losses;
mod parts;
mod process;
mod record;
mod reload;
mod simulate;
mod support;
mod verify;
