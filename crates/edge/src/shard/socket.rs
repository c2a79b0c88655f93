//! The socket as a shard sees it: synchronous, never waits. [`crate::io`] has the kinds of sockets.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

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

    /// Bytes that it took and has not sent, such as ciphertext. While there are any, the shard treats it as
    /// full: it calls [`Self::flush`] when the kernel says "writable", and writes nothing new.
    fn pending(&self) -> usize {
        0
    }

    /// Sends what is pending.
    ///
    /// # Errors
    /// `WouldBlock` if some is left; anything else ends the connection.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Says that nothing more will be written.
    fn shutdown_write(&mut self);
}
