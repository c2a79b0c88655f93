//! The door for a desk's own feed, and for the load harness: normalised events as JSON lines over
//! TCP, in the words of the client protocol. See [`mod@line`] for what a line may say.
//!
//! Any number of publishers up to [`PUBLISHERS_MAX`] may be connected; their lines are taken as they
//! come, and nothing is promised of the order between them.
//!
//! # Full, late and wrong
//! While the event channel is full nothing is read, so TCP holds the publishers back; nothing is
//! dropped. A bad line is answered with one line, `{"error":…,"line":N,"message":…}`, and skipped.
//! Answers never delay reading: what a publisher does not read, up to [`ANSWERS_BYTES_MAX`], waits,
//! and more is dropped and counted. A line longer than [`LINE_BYTES_MAX`] is skipped unheld.

mod hot;
pub mod line;

use crate::event::{Event, LOT_EVENTS_MAX, Lot};
use crate::feed::EventTx;
use crate::metrics::{FeedCounters, FeedMetrics};
use crossbeam_channel::TrySendError;
use hashbrown::HashMap;
use line::{Instruments, LineError, Mistake};
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::catalog::{CatalogError, Definition, Offer};
use tapecast_model::clock::unix_now;
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Instrument, Scale, Symbol, UnixNanos, Venue,
};
use tokio::io::{Interest, Ready};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How many publishers may be connected.
pub const PUBLISHERS_MAX: usize = 256;
/// The longest line that is read.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// How much of its answers a publisher may leave unread.
pub const ANSWERS_BYTES_MAX: usize = 64 << 10;

/// A push source.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// Where publishers connect.
    pub listen: SocketAddr,
    /// The venue's name in topics.
    pub venue: Venue,
    /// What may be published.
    pub symbols: Symbols,
    /// Digits after the point of prices.
    pub price_scale: Scale,
    /// Digits after the point of quantities.
    pub qty_scale: Scale,
}

/// What may be published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Symbols {
    /// Anything; it may be subscribed to before its first event.
    Any,
    /// These only.
    List(Vec<Symbol>),
}

/// Why a push source cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The address cannot be listened on.
    #[error("cannot listen on {listen} for {venue}: {source}; choose another `listen`")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Whose source.
        venue: Venue,
        /// Why.
        source: io::Error,
    },
    /// A symbol is given twice, or by another source.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A push source that listens.
#[derive(Debug)]
pub struct PushServer {
    listener: TcpListener,
    venue: Venue,
    catalog: Arc<Catalog>,
}

/// What every publisher's task has of the source.
#[derive(Clone)]
struct Door {
    venue: Venue,
    catalog: Arc<Catalog>,
    tx: EventTx,
    counters: FeedCounters,
}

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;
/// Reads after which other tasks of the thread get a turn.
const READS_PER_TURN: u32 = 16;
/// How long a full event channel is left alone.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// How long a publisher that has closed may take to read its last answers.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long to wait after a connection could not be accepted, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

// === impl PushServer ===

impl PushServer {
    /// Listens, and adds the venue and its symbols to the catalogue.
    ///
    /// # Errors
    /// If the address is taken, or a symbol is.
    pub async fn bind(config: PushConfig, catalog: Arc<Catalog>) -> Result<Self, PushError> {
        let PushConfig {
            listen,
            venue,
            symbols,
            price_scale,
            qty_scale,
        } = config;
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|source| PushError::Listen {
            listen,
            venue: venue.clone(),
            source,
        })?;
        let kinds = [
            ChannelKind::Trade,
            ChannelKind::Quote,
            ChannelKind::Book,
            ChannelKind::Ticker,
            ChannelKind::Status,
        ];
        let channels = kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with);
        let any_symbol = (symbols == Symbols::Any).then_some((price_scale, qty_scale));
        catalog.add_venue(
            &venue,
            Offer {
                channels,
                any_symbol,
                lossless: false,
            },
        );
        if let Symbols::List(symbols) = symbols {
            for symbol in symbols {
                let native = Box::from(symbol.as_str());
                let definition = Definition {
                    symbol,
                    native,
                    price_scale,
                    qty_scale,
                };
                catalog.add_instrument(&venue, definition)?;
            }
        }
        Ok(Self {
            listener,
            venue,
            catalog,
        })
    }

    /// Where publishers connect.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes publishers and their events until `stop` completes.
    pub async fn run(self, tx: EventTx, metrics: &FeedMetrics, stop: impl Future<Output = ()>) {
        let counters = metrics.of_venue(&self.venue);
        let door = Door {
            venue: self.venue,
            catalog: self.catalog,
            tx,
            counters,
        };
        let (stopping, stopped) = watch::channel(());
        let mut publishers = JoinSet::new();
        let mut stop = pin!(stop);
        loop {
            match next(&self.listener, &mut publishers, stop.as_mut()).await {
                Next::Stop => break,
                Next::Left => {}
                Next::Came(Err(error)) => {
                    tracing::warn!(%error, venue = %door.venue, "Publisher could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Next::Came(Ok((stream, peer))) if publishers.len() >= PUBLISHERS_MAX => {
                    tracing::warn!(%peer, venue = %door.venue, "Too many publishers");
                    drop(stream);
                }
                Next::Came(Ok((stream, peer))) => {
                    tracing::info!(%peer, venue = %door.venue, "Publisher connected");
                    let publisher = Publisher::new(door.clone(), stream);
                    publishers.spawn(publisher.run(peer, stopped.clone()));
                }
            }
        }
        drop(stopping);
        while publishers.join_next().await.is_some() {}
    }
}

enum Next {
    Stop,
    Left,
    Came(io::Result<(TcpStream, SocketAddr)>),
}

/// Waits for whatever comes first; all three may be cancelled without loss.
async fn next(
    listener: &TcpListener,
    publishers: &mut JoinSet<()>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Next {
    tokio::select! {
        () = stop => Next::Stop,
        came = listener.accept() => Next::Came(came),
        Some(_) = publishers.join_next() => Next::Left,
    }
}

/// One publisher's connection.
struct Publisher {
    door: Door,
    stream: TcpStream,
    known: Known,
    answers: Vec<u8>,
    /// Events of the lines that were read last.
    lot: Lot,
    /// Lines so far.
    lines: u64,
    /// The rest of a line that is too long is being skipped.
    skipping: bool,
}

/// Instruments that this publisher has named.
struct Known {
    venue: Venue,
    catalog: Arc<Catalog>,
    instruments: Vec<Arc<Instrument>>,
    // Keyed by what a peer sends: with a random seed.
    by_symbol: HashMap<Box<str>, usize, RandomState>,
}

/// A publisher's connection is at its end.
struct Closed;

// === impl Publisher ===

impl Publisher {
    fn new(door: Door, stream: TcpStream) -> Self {
        let known = Known {
            venue: door.venue.clone(),
            catalog: Arc::clone(&door.catalog),
            instruments: Vec::new(),
            by_symbol: HashMap::default(),
        };
        Self {
            door,
            stream,
            known,
            answers: Vec::new(),
            lot: Lot::new(),
            lines: 0,
            skipping: false,
        }
    }

    async fn run(mut self, peer: SocketAddr, mut stopped: watch::Receiver<()>) {
        // An error means that the sender is gone, which is how it says stop.
        let stopping = async { while stopped.changed().await.is_ok() {} };
        tokio::select! {
            () = stopping => {}
            _closed = self.serve() => {}
        }
        tracing::info!(%peer, venue = %self.door.venue, lines = self.lines, "Publisher left");
    }

    /// Reads lines until the publisher closes or nobody takes its events.
    async fn serve(&mut self) -> Result<(), Closed> {
        let mut buffer: Vec<u8> = vec![0; READ_BYTES];
        // Of the buffer, so much holds bytes, and so much of them has no newline.
        let (mut filled, mut searched) = (0, 0);
        let mut reads = 0_u32;
        loop {
            let interest = match self.answers.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = self.stream.ready(interest).await.or(Err(Closed))?;
            self.answer(ready);
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            match self.stream.try_read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Err(Closed),
            }
            let used = self.take_lines(&buffer[..filled], searched).await?;
            buffer.copy_within(used..filled, 0);
            filled -= used;
            searched = filled;
            if filled >= LINE_BYTES_MAX {
                self.too_long();
                (filled, searched) = (0, 0);
            }
            if filled == 0 && buffer.len() > READ_BYTES {
                buffer = vec![0; READ_BYTES];
            }
            reads += 1;
            if reads.is_multiple_of(READS_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        if filled > 0 && !self.skipping {
            self.take_line(&buffer[..filled], unix_now()).await?;
            self.send().await?;
        }
        let farewell = tokio::time::timeout(FAREWELL, self.answer_all());
        farewell.await.or(Err(Closed))?
    }

    /// Takes the whole lines of what was read, the first `searched` bytes of which have no newline;
    /// returns how many bytes they are.
    async fn take_lines(&mut self, bytes: &[u8], searched: usize) -> Result<usize, Closed> {
        let (mut used, mut searched) = (0, searched);
        // What is read together has arrived together.
        let now = unix_now();
        while let Some(length) = newline(&bytes[searched..]) {
            let end = searched + length;
            let line = &bytes[used..end];
            used = end + 1;
            searched = used;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.take_line(line, now).await?;
        }
        self.send().await?;
        if self.skipping {
            used = bytes.len();
        }
        Ok(used)
    }

    async fn take_line(&mut self, line: &[u8], now: UnixNanos) -> Result<(), Closed> {
        self.lines += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.door.counters.messages.inc();
        self.door.counters.bytes.inc_by(line.len() as u64);
        if line.len() > LINE_BYTES_MAX {
            self.refuse(&too_large());
            return Ok(());
        }
        match line::read(line, now, &mut self.known) {
            Ok(event) => self.gather(event).await,
            Err(error) => {
                self.refuse(&error);
                Ok(())
            }
        }
    }

    /// Adds an event to what was read at once.
    async fn gather(&mut self, event: Event) -> Result<(), Closed> {
        self.lot.push(event);
        if self.lot.len() < LOT_EVENTS_MAX {
            return Ok(());
        }
        self.send().await
    }

    /// Sends what was read; while there is no room, nothing is read.
    async fn send(&mut self) -> Result<(), Closed> {
        if self.lot.is_empty() {
            return Ok(());
        }
        let mut lot = std::mem::take(&mut self.lot);
        loop {
            match self.door.tx.try_send(lot) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Closed),
                Err(TrySendError::Full(back)) => lot = back,
            }
            tokio::time::sleep(FULL_PAUSE).await;
        }
    }

    fn too_long(&mut self) {
        if !std::mem::replace(&mut self.skipping, true) {
            self.lines += 1;
            self.door.counters.messages.inc();
            self.refuse(&too_large());
        }
    }

    fn refuse(&mut self, error: &LineError) {
        self.door.counters.reject(error.kind.reject());
        let mut answer = format!(
            "{{\"error\":\"{}\",\"line\":{}",
            error.kind.label(),
            self.lines
        );
        answer.push_str(",\"message\":\"");
        for character in error.message.chars() {
            match character {
                '"' | '\\' => answer.extend(['\\', character]),
                control if control.is_control() => answer.push(' '),
                other => answer.push(other),
            }
        }
        answer.push_str("\"}\n");
        if self.answers.len() + answer.len() > ANSWERS_BYTES_MAX {
            self.answer(Ready::WRITABLE);
        }
        if self.answers.len() + answer.len() > ANSWERS_BYTES_MAX {
            self.door.counters.answers_dropped.inc();
        } else {
            self.answers.extend_from_slice(answer.as_bytes());
        }
    }

    /// Writes what the socket takes of the answers.
    fn answer(&mut self, ready: Ready) {
        while ready.is_writable() && !self.answers.is_empty() {
            match self.stream.try_write(&self.answers) {
                Ok(written) if written > 0 => drop(self.answers.drain(..written)),
                // A socket that is gone shows itself to the reader.
                _ => return,
            }
        }
    }

    async fn answer_all(&mut self) -> Result<(), Closed> {
        while !self.answers.is_empty() {
            self.stream.writable().await.or(Err(Closed))?;
            match self.stream.try_write(&self.answers) {
                Ok(written) => drop(self.answers.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }
}

// === impl Known ===

impl Instruments for Known {
    fn find(&mut self, symbol: &str) -> Result<&Instrument, String> {
        let at = match self.by_symbol.get(symbol) {
            Some(at) => *at,
            None => {
                let name = Symbol::new(symbol).map_err(|e| e.to_string())?;
                let found = self
                    .catalog
                    .ensure(&self.venue, &name)
                    .map_err(|e| e.to_string())?;
                self.instruments.push(found);
                self.by_symbol
                    .insert(symbol.into(), self.instruments.len() - 1);
                self.instruments.len() - 1
            }
        };
        Ok(&self.instruments[at])
    }
}

fn too_large() -> LineError {
    LineError::new(
        Mistake::TooLarge,
        format_args!("a line has at most {LINE_BYTES_MAX} bytes"),
    )
}

fn newline(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

#[cfg(test)]
mod tests;
