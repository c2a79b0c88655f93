//! The kernel's ceiling: one thread writes the same frames to many sockets, with nothing in the way.
//!
//! What a gateway is held against. The sender makes a few frames, writes them to every socket with one
//! system call each, and begins again; it keeps no state per client, reads nothing and waits for
//! nothing. The readers are a process of their own on another processor, with the same loop that
//! reads in a run, so that the sender's process has one thread and its processor time is all there
//! is to count.
//!
//! # When a socket is full
//! A send that finds no room delivers nothing and is counted as full; one that writes a part is finished
//! at once, so that the stream stays valid.

use crate::machine::{self, Machine, Placement};
use crate::result::{Heading, LimitReader, LimitResult};
use crate::ws;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

mod reader;
mod sender;

pub use reader::{ReaderOptions, read};
use sender::Sent;

/// The most frames one system call may carry.
pub const BATCH_MAX: u64 = 1024;
const JOIN_WITHIN: Duration = Duration::from_secs(20);
/// After the last handshake, so that its cost is not measured.
const SETTLE: Duration = Duration::from_millis(500);

/// How frames are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Method {
    /// One contiguous run of bytes, through a function like the C library's.
    #[default]
    Send,
    /// The same with the system call inlined into the loop.
    Inline,
    /// A slice for each frame.
    Writev,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct LimitOptions {
    /// Sockets.
    pub connections: usize,
    /// Bytes of a frame's payload.
    pub size: usize,
    /// Frames per system call.
    pub batch: usize,
    /// For how long.
    pub seconds: f64,
    /// How they are written.
    pub method: Method,
    /// The sender keeps to the server's processors, the readers to the harness's own.
    pub placement: Placement,
}

/// Why there is no ceiling.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// An option out of range.
    #[error("{option} = {value}: {rule}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it is set to.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The system allows too little, or not what was asked.
    #[error("{0}")]
    System(String),
    /// The sockets cannot be prepared.
    #[error("cannot prepare the sockets: {0}")]
    Prepare(#[from] io::Error),
    /// A scenario that cannot be held against it.
    #[error(
        "only streams of trades that the harness publishes can be compared with the ceiling; leave out --ceiling"
    )]
    NoCeiling,
    /// The readers did not come, or went.
    #[error("the readers: {0}")]
    Reader(String),
}

// === impl Method ===

impl Method {
    /// Its name in options and results.
    pub fn label(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Inline => "inline",
            Self::Writev => "writev",
        }
    }
}

// === impl LimitOptions ===

impl Default for LimitOptions {
    fn default() -> Self {
        Self {
            connections: 1_000,
            size: 200,
            batch: 1,
            seconds: 5.0,
            method: Method::Send,
            placement: Placement::default(),
        }
    }
}

impl LimitOptions {
    /// Whether all of it makes sense.
    ///
    /// # Errors
    /// [`LimitError::Option`] says what does not.
    pub fn check(&self) -> Result<(), LimitError> {
        let refuse = |option, value: String, rule| {
            Err(LimitError::Option {
                option,
                value,
                rule,
            })
        };
        if self.connections == 0 {
            return refuse("connections", self.connections.to_string(), "at least 1");
        }
        if !(sender::SIZE_MIN..=sender::SIZE_MAX).contains(&self.size) {
            return refuse("size", self.size.to_string(), "80 to 65000 bytes");
        }
        if self.batch == 0 || self.batch as u64 > BATCH_MAX {
            return refuse("batch", self.batch.to_string(), "1 to 1024 frames");
        }
        if !(0.01..=86_400.0).contains(&self.seconds) {
            return refuse("seconds", self.seconds.to_string(), "0.01 to 86400");
        }
        Ok(())
    }
}

/// Measures the ceiling. The calling process should have no other threads.
///
/// # Errors
/// [`LimitError`] says what prevented a result.
pub fn run(options: &LimitOptions) -> Result<LimitResult, LimitError> {
    options.check()?;
    machine::raise_open_files(options.connections).map_err(LimitError::System)?;
    let heading = Heading::new("", Machine::read(), options.placement.clone());
    let listener = listen()?;
    let allowed = machine::allowed_cpus();
    machine::pin(&options.placement.own_cpus).map_err(LimitError::System)?;
    let mut readers = start_readers(&listener.local_addr()?, options)?;
    machine::pin(&options.placement.server_cpus).map_err(LimitError::System)?;
    let outcome = measure(&listener, options, &mut readers);
    machine::pin(&allowed).map_err(LimitError::System)?;
    if outcome.is_err() {
        let _ = readers.kill();
    }
    let seen = finish_readers(readers);
    let sent = outcome?;
    Ok(conclude(heading, options, &sent, seen?))
}

fn measure(
    listener: &TcpListener,
    options: &LimitOptions,
    readers: &mut Child,
) -> Result<Sent, LimitError> {
    let mut sockets = Vec::with_capacity(options.connections);
    for _ in 0..options.connections {
        sockets.push(accept(listener, readers)?);
    }
    std::thread::sleep(SETTLE);
    Ok(sender::send_all(&sockets, options))
    // The sockets close here: that is how the readers learn that it is over.
}

fn listen() -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    rustix::net::listen(&socket, 4096)?;
    Ok(TcpListener::from(socket))
}

/// Takes one connection and shakes hands.
fn accept(listener: &TcpListener, readers: &mut Child) -> Result<OwnedFd, LimitError> {
    let limit = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let began = std::time::Instant::now();
    while poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&limit)).unwrap_or(0) == 0 {
        if let Some(status) = readers.try_wait()? {
            return Err(LimitError::Reader(format!(
                "ended by themselves ({status})"
            )));
        }
        if began.elapsed() > JOIN_WITHIN {
            return Err(LimitError::Reader(format!(
                "did not connect within {JOIN_WITHIN:?}"
            )));
        }
    }
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(JOIN_WITHIN))?;
    let mut request = Vec::new();
    let mut bytes = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes)? {
            0 => return Err(LimitError::Reader("closed during the handshake".into())),
            length => request.extend_from_slice(&bytes[..length]),
        }
    }
    stream.write_all(&ws::handshake_answer(None))?;
    sockopt::set_tcp_nodelay(&stream, true).map_err(io::Error::from)?;
    stream.set_nonblocking(true)?;
    Ok(OwnedFd::from(stream))
}

fn start_readers(address: &SocketAddr, options: &LimitOptions) -> Result<Child, LimitError> {
    let own = std::env::current_exe()?;
    Command::new(own)
        .arg("limit-reader")
        .args(["--connect", &address.to_string()])
        .args(["--connections", &options.connections.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| LimitError::Reader(format!("cannot be started: {e}")))
}

fn finish_readers(readers: Child) -> Result<LimitReader, LimitError> {
    let output = readers.wait_with_output()?;
    if !output.status.success() {
        return Err(LimitError::Reader(format!("failed ({})", output.status)));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| LimitError::Reader(format!("sent something that is not a result: {e}")))
}

fn conclude(
    heading: Heading,
    options: &LimitOptions,
    sent: &Sent,
    reader: LimitReader,
) -> LimitResult {
    let sends = sent.whole + sent.partial;
    let deliveries = sends * options.batch as u64;
    let (cpu_s, seconds) = (sent.cpu.as_secs_f64(), sent.elapsed.as_secs_f64());
    let per = |amount: f64, of: f64| if of > 0.0 { amount / of } else { 0.0 };
    LimitResult {
        heading,
        method: options.method.label().to_owned(),
        connections: options.connections,
        size: options.size,
        batch: options.batch,
        seconds,
        deliveries,
        deliveries_per_s: per(deliveries as f64, seconds),
        bytes_per_s: per(sent.bytes as f64, seconds),
        cpu_s,
        deliveries_per_cpu_s: per(deliveries as f64, cpu_s),
        ns_per_delivery: per(cpu_s * 1e9, deliveries as f64),
        ns_per_send: per(cpu_s * 1e9, sends as f64),
        full: sent.full,
        partial: sent.partial,
        failed: sent.failed,
        reader,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_range_are_refused_with_the_range() {
        let refusal = |change: fn(&mut LimitOptions)| {
            let mut options = LimitOptions::default();
            change(&mut options);
            options.check().unwrap_err().to_string()
        };
        assert!(LimitOptions::default().check().is_ok());
        assert_eq!(
            refusal(|o| o.connections = 0),
            "connections = 0: at least 1"
        );
        assert_eq!(refusal(|o| o.size = 10), "size = 10: 80 to 65000 bytes");
        assert_eq!(
            refusal(|o| o.batch = 1025),
            "batch = 1025: 1 to 1024 frames"
        );
        assert_eq!(
            refusal(|o| o.seconds = f64::NAN),
            "seconds = NaN: 0.01 to 86400"
        );
    }
}
