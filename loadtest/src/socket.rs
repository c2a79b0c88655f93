//! The system calls of a load generator: non-blocking sockets from many source addresses, and reading
//! that costs as little as the kernel allows.
//!
//! A client that only counts reads with `MSG_TRUNC`: the kernel throws the bytes away and says how
//! many there were, so that receiving does not weigh on the core that also has to keep time.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Source addresses used on the loopback network: 127.0.1.1 and so many more. One address has too few
/// ports for tens of thousands of connections.
const SOURCES: usize = 60;

/// The most one [`discard`] takes.
pub const DISCARD_BYTES: usize = 16 << 20;

/// What a read brought.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The connection has ended.
    End,
}

/// Begins a connection; the socket becomes writable when it stands or has failed. The kernel sizes
/// the receive buffer unless `buffer` says how large it is.
///
/// # Errors
/// If no socket can be had or the address is refused at once.
pub fn connect(target: SocketAddr, index: usize, buffer: Option<usize>) -> io::Result<OwnedFd> {
    let family = if target.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if target.ip().is_loopback() && target.is_ipv4() {
        let last = u8::try_from(1 + index % SOURCES).unwrap_or(1);
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)), 0);
        rustix::net::bind(&socket, &source)?;
    }
    if let Some(bytes) = buffer {
        // Before connecting, for it decides how far the window may open.
        sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
    }
    sockopt::set_tcp_nodelay(&socket, true)?;
    // Closing resets, so that thousands of ports do not linger until the next run.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    match rustix::net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// Whether a connection that was begun stands.
///
/// # Errors
/// Why it does not.
pub fn connected(socket: impl AsFd) -> io::Result<()> {
    sockopt::socket_error(socket)?.map_err(io::Error::from)
}

/// Reads what there is.
///
/// # Errors
/// If the socket failed.
#[inline]
pub fn receive(socket: impl AsFd, into: &mut [u8]) -> io::Result<Received> {
    outcome(rustix::net::recv(socket, into, RecvFlags::DONTWAIT).map(|(_, length)| length))
}

/// Has the kernel throw away what there is. `pit` is never written to; its length is the limit.
///
/// # Errors
/// If the socket failed.
#[inline]
pub fn discard(socket: impl AsFd, pit: &mut [u8]) -> io::Result<Received> {
    let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
    outcome(rustix::net::recv(socket, pit, flags).map(|(_, length)| length))
}

#[inline]
fn outcome(received: Result<usize, Errno>) -> io::Result<Received> {
    match received {
        Ok(0) => Ok(Received::End),
        Ok(length) => Ok(Received::Bytes(length)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
        Err(Errno::CONNRESET | Errno::PIPE) => Ok(Received::End),
        Err(error) => Err(error.into()),
    }
}

/// Writes what fits; zero if nothing does.
///
/// # Errors
/// If the socket failed.
#[inline]
pub fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};
    use std::io::Write as _;
    use std::net::TcpListener;

    fn readable(socket: &OwnedFd) {
        poll(&mut [PollFd::new(socket, PollFlags::IN)], None).unwrap();
    }

    #[test]
    fn what_is_thrown_away_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = connect(listener.local_addr().unwrap(), 61, None).unwrap();
        let (mut peer, source) = listener.accept().unwrap();
        assert_eq!(source.ip().to_string(), "127.0.1.2");
        connected(&socket).unwrap();
        let mut pit = vec![0; DISCARD_BYTES];
        assert_eq!(discard(&socket, &mut pit).unwrap(), Received::Nothing);
        peer.write_all(&[7; 5_000]).unwrap();
        readable(&socket);
        assert_eq!(discard(&socket, &mut pit).unwrap(), Received::Bytes(5_000));
        assert!(pit[..5_000].iter().all(|b| *b == 0));
        drop(peer);
        readable(&socket);
        assert_eq!(discard(&socket, &mut pit).unwrap(), Received::End);
    }
}
