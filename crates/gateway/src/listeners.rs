//! The listeners' sockets, and the tasks that accept connections from them.
//!
//! The addresses are taken before any thread starts, and connections are accepted when all threads run. Until
//! then, whoever connects waits in the kernel's queue.

use crate::admin::Admin;
use crate::config::ListenConfig;
use crate::parts::{Parts, keep};
use crate::start_error::StartError;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tapecast_edge::io::listener::Listener;
use tapecast_model::Fault;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Addresses that are taken.
pub struct Sockets {
    public: TcpListener,
    admin: TcpListener,
    public_address: SocketAddr,
    admin_address: SocketAddr,
}

/// Listeners that accept connections, until they are dropped.
pub struct Listeners {
    public: Arc<Listener>,
    public_address: SocketAddr,
    admin_address: SocketAddr,
    /// Dropping them ends them.
    _acceptors: JoinSet<()>,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; choose another address with {key} or {flag}")]
struct ListenError {
    address: SocketAddr,
    key: &'static str,
    flag: &'static str,
    source: io::Error,
}

// === impl Sockets ===

impl Sockets {
    /// Takes the addresses. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If one cannot be had.
    pub fn bind(config: &ListenConfig) -> Result<Self, StartError> {
        let public = bind(config.public, "listen.public", "--listen")?;
        let admin = bind(config.admin, "listen.admin", "--admin-listen")?;
        Ok(Self {
            public_address: public.local_addr()?,
            admin_address: admin.local_addr()?,
            public,
            admin,
        })
    }
}

fn bind(
    address: SocketAddr,
    key: &'static str,
    flag: &'static str,
) -> Result<TcpListener, StartError> {
    tapecast_listen::listen(address).map_err(|source| {
        let error = ListenError {
            address,
            key,
            flag,
            source,
        };
        StartError::of_key(key, error)
    })
}

// === impl Listeners ===

impl Listeners {
    /// Accepts connections from now on, for ever.
    ///
    /// # Errors
    /// If the system gives no descriptor.
    pub fn start(
        sockets: Sockets,
        public: Arc<Listener>,
        admin: Arc<Admin>,
        parts: &Parts,
    ) -> Result<Self, StartError> {
        let mut acceptors = JoinSet::new();
        let listener = Arc::clone(&public);
        let run = move |socket| Arc::clone(&listener).run(socket);
        accept(
            &mut acceptors,
            parts,
            "public_acceptor",
            sockets.public,
            run,
        )?;
        let run = move |socket| Arc::clone(&admin).run(socket);
        accept(&mut acceptors, parts, "admin_acceptor", sockets.admin, run)?;
        Ok(Self {
            public,
            public_address: sockets.public_address,
            admin_address: sockets.admin_address,
            _acceptors: acceptors,
        })
    }

    /// Where clients connect.
    pub const fn public_address(&self) -> SocketAddr {
        self.public_address
    }

    /// Where metrics and probes are.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Refuses handshakes from now on, and waits until those that are under way have a shard: at most for
    /// [`HANDSHAKES_END`].
    ///
    /// # Cancellation
    /// Safe.
    pub async fn drain(&self) {
        self.public.drain();
        let _ = tokio::time::timeout(HANDSHAKES_END, self.public.settled()).await;
    }
}

/// Accepts connections for ever, on one socket: those that knock while the task starts again wait in
/// the kernel's queue.
fn accept<F: Future<Output = ()> + Send + 'static>(
    acceptors: &mut JoinSet<()>,
    parts: &Parts,
    name: &'static str,
    socket: TcpListener,
    run: impl Fn(TcpListener) -> F + Send + 'static,
) -> io::Result<()> {
    let (part, fault) = (
        parts.enter(name.to_owned(), name, true),
        parts.fault_of(name),
    );
    let socket = socket.into_std()?;
    let start = move || {
        let task = run(TcpListener::from_std(socket.try_clone()?)?);
        Ok(or_fault(task, fault.clone()))
    };
    acceptors.spawn(keep(parts.watch_over(&part), start));
    Ok(())
}

/// The task, and for tests a panic in it.
async fn or_fault(task: impl Future<Output = ()>, fault: Fault) {
    if !fault.is_armable() {
        return task.await;
    }
    let look = async {
        loop {
            fault.look();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = task => {}
        () = look => {}
    }
}

/// How long handshakes that are under way may take when the process ends.
pub const HANDSHAKES_END: Duration = Duration::from_millis(500);
