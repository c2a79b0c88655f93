//! One connection that speaks HTTP, and its deadlines.
//!
//! There are three deadlines: for the first request to be complete, for an answer to be read, and for the
//! next request to be complete. Each begins at a moment that the client cannot move by sending or reading
//! a few bytes. So a client that sends very slowly is treated like a client that sends nothing. At a
//! deadline the connection is closed without an answer, because a client that does not read would not
//! read the answer either.
//!
//! After the last answer of a connection there is a pause, in which the remaining bytes of the client are
//! read and dropped. Otherwise closing would reset the connection, and the answer could be lost.

use crate::io::http::Answer;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Sleep;

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the first request.
    pub request: Duration,
    /// For reading an answer.
    pub answer: Duration,
    /// For the next request.
    pub idle: Duration,
}

/// The state of a connection, shared by the task that serves it and by the limits of places.
#[derive(Debug)]
pub struct HttpConnection {
    state: Mutex<State>,
    cut: Notify,
}

#[derive(Debug)]
struct State {
    doing: Doing,
    since: Instant,
    /// Requests of which the answer is not made yet.
    making: usize,
    /// Requests since all was read.
    unread: usize,
    requests: usize,
    cut: bool,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doing {
    /// Its first request.
    Coming,
    /// An answer to be made, and to be read.
    Answering,
    /// The next request.
    Waiting,
}

/// How serving a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// As HTTP has it, or by the client.
    Done,
    /// What came is not HTTP.
    Garbage,
    /// The first request was not complete in time.
    SlowRequest,
    /// An answer was not read in time.
    SlowAnswer,
    /// The next request was not complete in time.
    Idle,
    /// It made room for another.
    Evicted,
}

/// The stream of a connection, which tells when all that was written has gone to the kernel.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    connection: Arc<HttpConnection>,
    lingering: Option<Lingering>,
}

#[derive(Debug)]
struct Lingering {
    end: Pin<Box<Sleep>>,
    bytes: usize,
}

// === impl HttpConnection ===

impl HttpConnection {
    /// Of a connection that has just come.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                doing: Doing::Coming,
                since: Instant::now(),
                making: 0,
                unread: 0,
                requests: 0,
                cut: false,
            }),
            cut: Notify::new(),
        })
    }

    /// A request is complete; answers how many there were.
    pub fn request(&self) -> usize {
        let mut state = self.lock();
        if state.doing != Doing::Answering {
            state.doing = Doing::Answering;
            state.since = Instant::now();
        }
        state.making += 1;
        state.unread += 1;
        state.requests += 1;
        state.requests
    }

    /// An answer is made; it is still to be written.
    pub fn made(&self) {
        let mut state = self.lock();
        state.making = state.making.saturating_sub(1);
        if state.unread == 1 {
            // The client's time runs from here: making took ours.
            state.since = Instant::now();
        }
    }

    /// Since when it waits for its client.
    pub fn since(&self) -> Instant {
        self.lock().since
    }

    /// Since when it waits for the next request, if it does.
    pub fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.doing == Doing::Waiting).then_some(state.since)
    }

    /// Ends it as soon as possible.
    pub fn cut(&self) {
        self.lock().cut = true;
        self.cut.notify_one();
    }

    /// Whether it was ended to make room.
    pub fn is_cut(&self) -> bool {
        self.lock().cut
    }

    /// All that was written has gone to the kernel.
    fn flushed(&self) {
        let mut state = self.lock();
        if state.doing == Doing::Answering && state.making == 0 {
            state.doing = Doing::Waiting;
            state.unread = 0;
            state.since = Instant::now();
        }
    }

    /// When it is cut, and as what.
    fn deadline(&self, times: &Times) -> (Instant, End) {
        let state = self.lock();
        let (time, end) = match state.doing {
            Doing::Coming => (times.request, End::SlowRequest),
            // What we make is made within bounds of its own.
            Doing::Answering => (times.answer, End::SlowAnswer),
            Doing::Waiting => (times.idle, End::Idle),
        };
        (state.since + time, end)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl End ===

impl End {
    /// The label it is counted by, one of [`crate::metrics::HTTP_REFUSALS`]; none if it ended as HTTP has it.
    pub const fn label(self) -> Option<&'static str> {
        match self {
            Self::Done | Self::Idle => None,
            Self::Garbage => Some("bad_request"),
            Self::SlowRequest => Some("slow_request"),
            Self::SlowAnswer => Some("slow_answer"),
            Self::Evicted => Some("evicted"),
        }
    }
}

/// Serves a connection until it ends, is upgraded or is late.
///
/// # Cancellation
/// Closes the connection.
pub async fn serve<S, F>(
    stream: S,
    connection: &Arc<HttpConnection>,
    times: &Times,
    answer: impl Fn(Request<Incoming>) -> F,
) -> End
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = Answer>,
{
    let watched = Watched {
        stream,
        connection: Arc::clone(connection),
        lingering: None,
    };
    let io = TokioIo::new(watched);
    let service = service_fn(|request| {
        let answer = answer(request);
        async move { Ok::<Response<_>, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Times are kept here, for all that a client does.
        .header_read_timeout(None)
        // Who closes his side behind a request still reads the answer.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(io, service)
        .with_upgrades();
    let mut served = pin!(served);
    loop {
        let (deadline, _) = connection.deadline(times);
        tokio::select! {
            biased;
            () = connection.cut.notified() => return End::Evicted,
            ended = &mut served => return match ended {
                Err(error) if error.is_parse() => End::Garbage,
                _ => End::Done,
            },
            () = tokio::time::sleep_until(deadline.into()) => {
                let (deadline, late) = connection.deadline(times);
                if deadline <= Instant::now() {
                    return late;
                }
            }
        }
    }
}

/// The socket of an upgraded connection, and what was read from it already; none if it is no socket.
pub fn into_socket(upgraded: hyper::upgrade::Upgraded) -> Option<(std::net::TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Watched<TcpStream>>>().ok()?;
    let socket = parts.io.into_inner().stream.into_std().ok()?;
    Some((socket, parts.read_buf.to_vec()))
}

// === impl Watched ===

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper comes here when its own buffer is empty.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self {
            stream, lingering, ..
        } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let lingering = lingering.get_or_insert_with(|| Lingering {
            end: Box::pin(tokio::time::sleep(LINGER)),
            bytes: 0,
        });
        let mut sink = [0; 4_096];
        loop {
            let mut sink = ReadBuf::new(&mut sink);
            match Pin::new(&mut *stream).poll_read(cx, &mut sink) {
                Poll::Ready(Ok(())) if !sink.filled().is_empty() => {
                    lingering.bytes += sink.filled().len();
                    if lingering.bytes > LINGER_BYTES {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return lingering.end.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

/// The head of a request: browsers with many cookies stay below.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long what still comes is dropped behind the last answer.
const LINGER: Duration = Duration::from_secs(1);
/// How much of it.
const LINGER_BYTES: usize = 1024 * 1024;
