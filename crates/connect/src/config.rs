//! How a shell connects.

use crate::proxy::Proxy;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a shell connects: one for all its lines and requests.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// Certificates as PEM that are trusted beside those of the system. Default none. There is no way to connect
    /// without verification.
    pub ca_file: Option<PathBuf>,
    /// Through which proxy. Default: as the environment says.
    pub proxy: Proxy,
    /// The local address of outgoing sockets. Default: the system chooses. Only addresses of peers of the same
    /// family are used then.
    pub bind: Option<IpAddr>,
    /// Sent as `User-Agent`. Default `tapecast/` and the version.
    pub user_agent: String,
    /// How much a line's queue may hold, in bytes; each message counts 128 bytes more than it has. Default 64 MiB.
    pub queue_bytes: usize,
    /// How old the oldest message of a queue may be when another one comes. Default 5 s.
    pub queue_age: Duration,
    /// The largest message and the largest body of an answer. Default [`MESSAGE_BYTES_MAX`]. A line keeps a
    /// buffer as large as its largest message.
    pub message_bytes_max: usize,
    /// For look-up, TCP, proxy, TLS and handshake together. Default 10 s.
    pub connect_timeout: Duration,
    /// How long a peer may take to answer a close. Default 2 s. The shell's own end takes as long.
    pub close_timeout: Duration,
}

/// The largest message that a feed takes: 64 MiB. The largest that is known has 5 MB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            ca_file: None,
            proxy: Proxy::default(),
            bind: None,
            user_agent: concat!("tapecast/", env!("CARGO_PKG_VERSION")).to_owned(),
            queue_bytes: 64 << 20,
            queue_age: Duration::from_secs(5),
            message_bytes_max: MESSAGE_BYTES_MAX,
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(2),
        }
    }
}
