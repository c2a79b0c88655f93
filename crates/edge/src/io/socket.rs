//! The socket as a shard sees it: synchronous, never waits. A TLS socket could have the same interface.

use rustix::net::SendFlags;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};

/// A connected socket that never blocks.
pub trait Socket {
    /// Writes from several slices; how much was taken.
    ///
    /// # Errors
    /// `WouldBlock` if the socket is full; anything else ends the connection.
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Writes from one slice.
    ///
    /// # Errors
    /// As [`Socket::try_write_vectored`].
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Reads what is there; zero at the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; anything else ends the connection.
    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize>;

    /// Its number for system calls that serve many sockets at once, if it is one of the kernel's and
    /// takes bytes as they are.
    fn plain(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Says that nothing more will be written.
    fn shutdown_write(&mut self);
}

impl Socket for mio::net::TcpStream {
    // The system calls themselves, not through libc: the call that is made most is made inline.
    fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(rustix::io::writev(&*self, slices)?)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self, bytes, SendFlags::NOSIGNAL)?)
    }

    fn try_read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.read(bytes)
    }

    fn plain(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }

    fn shutdown_write(&mut self) {
        // The peer may be gone already, which is as good.
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}
