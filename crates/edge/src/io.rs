//! The shell around the shards: threads, sockets, the handshake. No rule about data lives here.

pub mod connection;
pub mod handshake;
pub mod http;
pub mod listener;
pub mod poller;
