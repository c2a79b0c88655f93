//! A server that lets clients reach a simulated venue over real sockets, in real time: WebSocket and HTTP on one
//! port, over TLS with a certificate of a private authority, or without TLS.
//!
//! * `authority`: the private authority and the server's certificate.
//! * `hub`: the venue behind a lock, and who gets what it says.
//! * `http`: requests, and handshakes of WebSockets.
//! * `socket`: one WebSocket.
//!
//! The server adds nothing to the protocol: what clients receive, and when, is the venue's word. It has two limits of
//! its own: a client that does not read is cut when its queue is full, or when a write takes too long.

mod authority;
mod http;
mod hub;
mod socket;

use crate::venue::Venue;
use authority::Authority;
use hub::Hub;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Where and how a server listens.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether clients use TLS.
    pub tls: bool,
    /// The names and addresses of the certificate.
    pub names: Vec<String>,
    /// The directory in which the authority is kept; without one it is new at each start.
    pub authority: Option<PathBuf>,
}

/// A running server. It ends when it is dropped.
#[derive(Debug)]
pub struct Server<V> {
    hub: Arc<Hub<V>>,
    address: SocketAddr,
    authority: Option<Authority>,
    accepting: JoinHandle<()>,
    driving: JoinHandle<()>,
}

// === impl ServerConfig ===

impl Default for ServerConfig {
    /// On a free port of this machine, with TLS.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            tls: true,
            names: ["localhost", "127.0.0.1", "::1"]
                .map(str::to_owned)
                .to_vec(),
            authority: None,
        }
    }
}

// === impl Server ===

impl<V: Venue + Send + 'static> Server<V> {
    /// Starts a server; the venue's time begins now. It needs a tokio runtime.
    ///
    /// # Errors
    /// The address is not free, a name is no name, or the authority cannot be read or kept.
    pub async fn start(venue: V, config: ServerConfig) -> io::Result<Self> {
        let authority = match config.tls {
            true => Some(
                Authority::new(&config.names, config.authority.as_deref())
                    .map_err(io::Error::other)?,
            ),
            false => None,
        };
        let acceptor = authority.as_ref().map(Authority::acceptor);
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let hub = Arc::new(Hub::new(venue));
        let accepting = tokio::spawn(accept(Arc::clone(&hub), listener, acceptor));
        let driving = tokio::spawn(hub::drive(Arc::clone(&hub)));
        Ok(Self {
            hub,
            address,
            authority,
            accepting,
            driving,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The certificate of the private authority; `None` without TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::pem)
    }

    /// Asks or changes the venue: its truth, its log, its faults. What it says because of it is sent. No client is
    /// served meanwhile.
    pub fn with<T>(&self, ask: impl FnOnce(&mut V) -> T) -> T {
        self.hub.call(|venue, now| {
            venue.advance(now);
            ask(venue)
        })
    }

    /// Ends the server and cuts all connections.
    pub fn stop(self) {}
}

impl<V> Drop for Server<V> {
    fn drop(&mut self) {
        self.accepting.abort();
        self.driving.abort();
        self.hub.end_tasks();
    }
}

/// Takes connections until it is aborted.
async fn accept<V: Venue + Send + 'static>(
    hub: Arc<Hub<V>>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serve = serve(Arc::clone(&hub), stream, acceptor.clone());
                hub.spawn(serve);
            }
            // Too many open files, or the client has gone already.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn serve<V: Venue + Send + 'static>(
    hub: Arc<Hub<V>>,
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
) {
    // Only a matter of speed.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else {
        return http::serve(hub, stream).await;
    };
    let handshake = tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream));
    // A client that does not trust the authority ends here.
    if let Ok(Ok(stream)) = handshake.await {
        http::serve(hub, stream).await;
    }
}

/// After a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A TLS handshake takes so long at most.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
