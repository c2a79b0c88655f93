//! Limits of connections: sizes, rates and times.

use std::time::Duration;

/// Limits of the public listener and of each connection behind it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Connections whose first request is not complete, or that no shard has taken yet.
    pub handshakes_max: usize,
    /// Of these, those of one address.
    pub handshakes_per_address_max: usize,
    /// A handshake must be complete within this time.
    pub handshake_timeout: Duration,
    /// Connections that ask for pages and lists.
    pub http_connections_max: usize,
    /// Of these, those of one address.
    pub http_connections_per_address_max: usize,
    /// Requests of one connection.
    pub http_requests_max: usize,
    /// Plain requests a second from one address, with bursts of as many.
    pub http_requests_per_address_per_s: u32,
    /// An answer must be read within this time.
    pub http_answer_timeout: Duration,
    /// The next request must be complete within this time.
    pub http_idle_timeout: Duration,
    /// Topics of one connection.
    pub topics_per_connection_max: usize,
    /// Topics of symbols that no source has named that one connection may bring into being, within
    /// `topic_linger`.
    pub invented_topics_max: u32,
    /// How long a topic lingers after its last subscriber has left.
    pub topic_linger: Duration,
    /// Requests a second, with bursts of as many.
    pub requests_per_s: u32,
    /// WebSocket frames a second that are no granted requests, with bursts of as many; beyond, a
    /// connection is not read until it is below again.
    pub messages_per_s: u32,
    /// Bytes of one request.
    pub request_bytes_max: usize,
    /// Bytes that may be queued for one connection; beyond, it is closed.
    pub outbox_bytes_max: usize,
    /// Bytes kept for all connections whose sockets are full, counted once however many wait for them;
    /// above it, the clients that are furthest behind resync. At an eighth above it, nothing more is kept.
    pub parked_bytes_max: usize,
    /// Bytes that the kernel holds for a connection and has not sent. What it holds can no longer be
    /// replaced by something newer, so that less means fresher data for slow readers; zero means as
    /// much as the kernel likes.
    pub unsent_bytes_max: u32,
    /// A connection whose socket takes no byte for this long is closed.
    pub stall_timeout: Duration,
    /// A heartbeat comes so often.
    pub heartbeat: Duration,
    /// A ping comes so often.
    pub ping: Duration,
    /// A connection that says nothing for so long, pongs included, is closed.
    pub idle_timeout: Duration,
    /// The closing handshake must be complete within this time.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 12_000,
            handshakes_max: 1_024,
            handshakes_per_address_max: 512,
            handshake_timeout: Duration::from_secs(5),
            http_connections_max: 1_024,
            http_connections_per_address_max: 256,
            http_requests_max: 1_000,
            http_requests_per_address_per_s: 200,
            http_answer_timeout: Duration::from_secs(10),
            http_idle_timeout: Duration::from_secs(10),
            topics_per_connection_max: 1_024,
            invented_topics_max: 1_024,
            topic_linger: Duration::from_secs(60),
            requests_per_s: 20,
            messages_per_s: 500,
            request_bytes_max: 16 * 1024,
            outbox_bytes_max: 4 * 1024 * 1024,
            parked_bytes_max: 256 * 1024 * 1024,
            unsent_bytes_max: 128 * 1024,
            stall_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(1),
            ping: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(2),
        }
    }
}
