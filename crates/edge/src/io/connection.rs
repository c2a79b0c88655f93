//! The kinds of connections that a shard can hold, as [`Socket`]s.
//!
//! Most are sockets of the kernel that take bytes as they are. Their calls are made directly: the kind is
//! one branch, and no call goes through a pointer. A connection whose bytes are changed on their way
//! (ciphertext) is a [`Layer`] over its socket.

use crate::shard::socket::Socket;
use mio::net::TcpStream;
use rustix::net::SendFlags;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// A client's connection.
#[derive(Debug)]
pub enum Connection {
    /// Bytes go to the kernel as they are.
    Plain(TcpStream),
    /// Bytes are changed on their way.
    Layered(Box<dyn Layer>),
}

/// What lies between a shard and a socket, and changes the bytes.
///
/// It reads until its socket has no more before it says `WouldBlock`: nobody wakes it for bytes that it
/// holds.
pub trait Layer: Socket + fmt::Debug + Send {
    /// The socket below, to be waited on.
    fn stream(&mut self) -> &mut TcpStream;
}

// === impl Connection ===

impl Connection {
    /// A plain connection.
    ///
    /// # Errors
    /// If the socket cannot be made one that never blocks.
    pub fn plain(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::Plain(TcpStream::from_std(stream)))
    }

    /// The kernel's socket, to be waited on.
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Layered(layer) => layer.stream(),
        }
    }
}

impl Socket for Connection {
    // The system calls themselves, not through libc: the call that is made most is made inline. The shard's
    // `write` says what a call in between costs.
    #[inline(always)]
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => Ok(rustix::io::writev(&*stream, slices)?),
            Self::Layered(layer) => layer.try_write_vectored(slices),
        }
    }

    #[inline(always)]
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => Ok(rustix::net::send(&*stream, bytes, SendFlags::NOSIGNAL)?),
            Self::Layered(layer) => layer.try_write(bytes),
        }
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Layered(layer) => layer.try_read(bytes),
        }
    }

    fn plain(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Plain(stream) => Some(stream.as_fd()),
            Self::Layered(_) => None,
        }
    }

    fn pending(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Layered(layer) => layer.pending(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Layered(layer) => layer.flush(),
        }
    }

    fn shutdown_write(&mut self) {
        match self {
            // The peer may be gone already, which is as good.
            Self::Plain(stream) => drop(stream.shutdown(std::net::Shutdown::Write)),
            Self::Layered(layer) => layer.shutdown_write(),
        }
    }
}

#[cfg(test)]
mod tests;
