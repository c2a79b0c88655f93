//! The shell around the shards: threads, sockets, the handshake. No rule about data lives here.

pub mod handshake;
pub mod http;
pub mod listener;
pub mod poller;
mod socket;
