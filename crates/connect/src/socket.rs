//! A connected socket, plain or with TLS, that knows when it was last read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Mono, UnixNanos};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) mono: Mono,
    pub(crate) wall: UnixNanos,
}

/// TCP that notes the moment of each read. It is below TLS, so that decryption does not delay the time.
#[derive(Debug)]
pub(crate) struct TimedTcp {
    tcp: TcpStream,
    read: Moment,
}

/// What WebSocket and HTTP speak over.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TimedTcp),
    Tls(Box<TlsStream<TimedTcp>>),
}

// === impl Moment ===

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            mono: mono_now(),
            wall: unix_now(),
        }
    }
}

// === impl TimedTcp ===

impl TimedTcp {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            read: Moment::now(),
        }
    }
}

impl AsyncRead for TimedTcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.tcp).poll_read(cx, buf);
        if polled.is_ready() && buf.filled().len() > before {
            this.read = Moment::now();
        }
        polled
    }
}

impl AsyncWrite for TimedTcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

// === impl Socket ===

impl Socket {
    /// When bytes last came.
    pub(crate) fn last_read(&self) -> Moment {
        match self {
            Self::Plain(tcp) => tcp.read,
            Self::Tls(tls) => tls.get_ref().0.read,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
