//! The kernel's own sockets, as a shard sees them.

use crate::shard::socket::Socket;
use rustix::net::SendFlags;
use std::io::{self, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd};

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
