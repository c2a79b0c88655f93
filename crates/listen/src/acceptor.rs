//! Accepting connections, also when this process has no file descriptors left.
//!
//! Some descriptors are kept in reserve. If there are no others, one of the reserve is freed for the next
//! connection and marks it, so that the listener can answer and close it. So clients learn the reason,
//! and do not wait in the kernel's queue. If the reserve is used up too, accepting pauses for a moment.
//! Failures are logged at a limited rate.

use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;
use tapecast_model::RateLimit;
use tapecast_model::clock::mono_now;
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// Takes the connections of one listening socket.
#[derive(Debug)]
pub struct Acceptor {
    socket: TcpListener,
    reserve: Vec<File>,
    reserve_max: usize,
    log: RateLimit,
}

/// A connection that has come.
#[derive(Debug)]
pub struct Came {
    /// Its socket.
    pub stream: TcpStream,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Whether it uses a descriptor of the reserve, because there are no others.
    pub reserved: bool,
}

/// Listens at an address; `[::]` accepts IPv4 too, independent of the system's default.
///
/// # Errors
/// If the system refuses.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // As std does: a restart must not wait for the connections of the last life.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

// === impl Acceptor ===

impl Acceptor {
    /// With so many descriptors in reserve.
    pub fn new(socket: TcpListener, reserve_max: usize) -> Self {
        let mut acceptor = Self {
            socket,
            reserve: Vec::new(),
            reserve_max,
            log: RateLimit::new(1, LOG_EVERY),
        };
        acceptor.refill();
        acceptor
    }

    /// Descriptors that are still in reserve.
    pub fn spare(&self) -> usize {
        self.reserve.len()
    }

    /// The next connection.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn next(&mut self) -> Came {
        loop {
            self.refill();
            let error = match self.socket.accept().await {
                Ok((stream, peer)) => {
                    return Came {
                        stream,
                        peer,
                        reserved: false,
                    };
                }
                Err(error) => error,
            };
            if is_of_one_connection(&error) {
                continue;
            }
            if let Some(held_back) = self.log.pass(mono_now()) {
                let address = self.socket.local_addr().ok();
                warn!(
                    %error,
                    ?address,
                    held_back,
                    "Failed to accept a connection; if there are too many open files, raise the limit \
                     (LimitNOFILE, ulimit -n) or lower limits.connections_max"
                );
            }
            if is_shortage(&error) && self.reserve.pop().is_some() {
                if let Some(came) = self.accept_now().await {
                    return came;
                }
            } else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Accepts a connection with the descriptor that was just freed, before another thread uses it. None
    /// if there is no connection: the kernel looks for a descriptor first, and so reports that there is
    /// none even if its queue is empty. After an accept without a connection, the next one waits for a
    /// connection.
    async fn accept_now(&self) -> Option<Came> {
        let accepted = poll_fn(|cx| Poll::Ready(self.socket.poll_accept(cx))).await;
        let Poll::Ready(Ok((stream, peer))) = accepted else {
            return None;
        };
        Some(Came {
            stream,
            peer,
            reserved: true,
        })
    }

    fn refill(&mut self) {
        while self.reserve.len() < self.reserve_max {
            let Ok(file) = File::open("/dev/null") else {
                return;
            };
            self.reserve.push(file);
        }
    }
}

/// Whether one connection has gone again before it was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Whether this process, or the system, has no resources for a connection.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| shortages.iter().any(|errno| errno.raw_os_error() == code))
}

/// Connections that the kernel completes before they are accepted. With the usual 128, many clients at
/// once overflow this queue, and dropped clients try again after a second. The system may allow less
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
/// How long accepting rests when there is nothing to take a connection with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// A line of the log is written so often.
const LOG_EVERY: Duration = Duration::from_secs(10);
