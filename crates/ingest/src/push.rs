//! The push source, for your own feed and for the load harness: normalised events as JSON lines over TCP,
//! with the field names of the client protocol. [`mod@line`] describes a line.
//!
//! At most [`PUBLISHERS_MAX`] publishers may be connected. Their lines are processed as they come; the
//! order between publishers is not defined. A publisher beyond the limit gets one line that says so, and is
//! disconnected. If there are no file descriptors left, a few publishers use the reserve, and others are
//! refused in the same way.
//!
//! # Full, late and wrong
//! While the source's channel is full, nothing is read, so TCP slows the publishers down; nothing is
//! dropped. A bad line is answered with one line, `{"error":…,"line":N,"message":…}`, and skipped. The
//! same applies to each bad trade of a line; the other trades are published. A publisher that reads its
//! answers gets every answer. If a publisher reads none for a second, the source does not wait for it
//! again until it reads: [`ANSWERS_BYTES_MAX`] bytes of answers wait for it, and more are dropped and
//! counted. A line longer than [`LINE_BYTES_MAX`] is skipped without being stored. A line that cannot be
//! read and does not say whose it is is a loss of everything that its publisher has named. Connects and
//! disconnects are logged within a limit.
//!
//! A symbol whose last publisher has disconnected is down until its next data; nothing is lost by that. If
//! the task of a publisher fails, the publisher is disconnected, and a loss is announced for each
//! instrument that it has named. A server that fails can be run again: it keeps its address, and
//! [`PushServer::instruments`] returns the instruments whose continuity is lost.

mod hot;
pub mod line;
pub mod mistake;
pub mod names;
mod publisher;
mod served;
mod words;

use crate::event::{BATCH_EVENTS_MAX, Events, FeedEvent, LineId};
use crate::feed::words;
use crate::metrics::{FeedCounters, FeedMetrics};
use crate::sources::EventTx;
use crossbeam_channel::TrySendError;
use hashbrown::{HashMap, HashSet};
use publisher::Publisher;
use served::Served;
use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tapecast_listen::{Acceptor, Came, turn_away_now};
use tapecast_model::catalog::{CatalogError, Definition, Offer};
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Fault, InstrumentId, RateLimit, Scale, Symbol, Venue,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

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
    #[error("cannot listen on {listen} for {venue}: {source}; choose another address in `listen`")]
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

/// A push source whose symbols are in the catalogue, and that does not listen yet.
#[derive(Debug)]
pub struct UnboundPush {
    listen: SocketAddr,
    venue: Venue,
    catalog: Arc<Catalog>,
    named: HashSet<InstrumentId>,
}

/// A push source that listens.
#[derive(Debug)]
pub struct PushServer {
    /// Kept from run to run: each takes a copy.
    listener: std::net::TcpListener,
    venue: Venue,
    catalog: Arc<Catalog>,
    /// Instruments that were listed or published.
    named: Arc<Mutex<HashSet<InstrumentId>>>,
    log: Arc<LogLimits>,
    faults: PushFaults,
    /// Lines so far, over all runs: one per publisher.
    lines: AtomicU32,
}

/// For tests: what makes its tasks panic.
#[derive(Clone, Debug, Default)]
pub struct PushFaults {
    /// The task that takes publishers.
    pub acceptor: Fault,
    /// The task of a publisher.
    pub publisher: Fault,
}

/// How often publishers may cause a line of the log.
#[derive(Debug)]
struct LogLimits {
    connects: RateLimit,
    disconnects: RateLimit,
    refused: RateLimit,
    failed: RateLimit,
}

/// What every publisher's task has of the source.
#[derive(Clone)]
struct PushShared {
    venue: Venue,
    catalog: Arc<Catalog>,
    tx: EventTx,
    counters: FeedCounters,
    named: Arc<Mutex<HashSet<InstrumentId>>>,
    served: Served,
    log: Arc<LogLimits>,
    fault: Fault,
}

/// How long a full channel is left alone.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// File descriptors in reserve, for the first publishers that find no others, and to tell the rest.
const RESERVE: usize = 4;

// === impl UnboundPush ===

impl UnboundPush {
    /// Adds the venue and its symbols to the catalogue.
    ///
    /// # Errors
    /// If another source has a symbol, or there is no room for all.
    pub fn new(config: PushConfig, catalog: Arc<Catalog>) -> Result<Self, CatalogError> {
        let PushConfig {
            listen,
            venue,
            symbols,
            price_scale,
            qty_scale,
        } = config;
        let mut named = HashSet::new();
        let kinds = [
            ChannelKind::Trade,
            ChannelKind::Quote,
            ChannelKind::Book,
            ChannelKind::Ticker,
            ChannelKind::Status,
            ChannelKind::Instrument,
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
                named.insert(catalog.add_instrument(&venue, definition)?.id);
            }
        }
        Ok(Self {
            listen,
            venue,
            catalog,
            named,
        })
    }

    /// Listens.
    ///
    /// # Errors
    /// If the address is taken.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(self) -> Result<PushServer, PushError> {
        let Self {
            listen,
            venue,
            catalog,
            named,
        } = self;
        let bound = tapecast_listen::listen(listen).and_then(TcpListener::into_std);
        let listener = bound.map_err(|source| PushError::Listen {
            listen,
            venue: venue.clone(),
            source,
        })?;
        let log = LogLimits {
            connects: RateLimit::of_log_lines(),
            disconnects: RateLimit::of_log_lines(),
            refused: RateLimit::of_log_lines(),
            failed: RateLimit::of_log_lines(),
        };
        Ok(PushServer {
            listener,
            venue,
            catalog,
            named: Arc::new(Mutex::new(named)),
            log: Arc::new(log),
            faults: PushFaults::default(),
            lines: AtomicU32::new(LineId::FIRST),
        })
    }
}

// === impl PushServer ===

impl PushServer {
    /// Adds the venue and its symbols to the catalogue, and listens.
    ///
    /// # Errors
    /// If the address is taken, or a symbol is.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn bind(config: PushConfig, catalog: Arc<Catalog>) -> Result<Self, PushError> {
        UnboundPush::new(config, catalog)?.bind()
    }

    /// For tests: what makes its tasks panic.
    #[must_use]
    pub fn with_faults(mut self, faults: PushFaults) -> Self {
        self.faults = faults;
        self
    }

    /// The venue's name in topics.
    pub const fn venue(&self) -> &Venue {
        &self.venue
    }

    /// The instruments that are listed or have been published.
    pub fn instruments(&self) -> Vec<InstrumentId> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.iter().copied().collect()
    }

    /// Where publishers connect.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes publishers and their events until `stop` completes.
    ///
    /// # Errors
    /// If the system gives no copy of the listening socket.
    pub async fn run(
        &self,
        tx: EventTx,
        metrics: &FeedMetrics,
        stop: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener.try_clone()?)?;
        let mut acceptor = Acceptor::new(listener, RESERVE);
        let shared = PushShared {
            venue: self.venue.clone(),
            catalog: Arc::clone(&self.catalog),
            tx,
            counters: metrics.of_venue(&self.venue),
            named: Arc::clone(&self.named),
            served: Served::default(),
            log: Arc::clone(&self.log),
            fault: self.faults.publisher.clone(),
        };
        let (stopping, stopped) = watch::channel(());
        let mut publishers = Publishers::default();
        let mut stop = pin!(stop);
        loop {
            let next = next(&mut acceptor, &mut publishers.tasks, stop.as_mut()).await;
            self.faults.acceptor.look();
            match next {
                Next::Stop => break,
                Next::Left(left) => publishers.leave(left, &shared).await,
                Next::Came(came) if publishers.tasks.len() >= PUBLISHERS_MAX => {
                    let reason = format!("there are already {PUBLISHERS_MAX} publishers");
                    shared.refuse(&came, &reason);
                }
                // Publishers may use the reserve, except for the last descriptor of it.
                Next::Came(came) if came.reserved && acceptor.spare() == 0 => {
                    shared.refuse(&came, "there are no file descriptors left");
                }
                Next::Came(Came { stream, peer, .. }) => {
                    publishers.enter(stream, peer, shared.of_line(self.next_line()), &stopped);
                }
            }
        }
        drop(stopping);
        while let Some(left) = publishers.tasks.join_next_with_id().await {
            publishers.leave(left.map(|(id, ())| id), &shared).await;
        }
        Ok(())
    }

    /// The number of a new publisher's line.
    fn next_line(&self) -> u32 {
        // Relaxed: only the task that takes publishers counts.
        let before = self.lines.fetch_add(1, Ordering::Relaxed);
        match before.wrapping_add(1) {
            LineId::FIRST => self.next_line(),
            number => number,
        }
    }
}

// === impl PushShared ===

impl PushShared {
    /// The same, with the line of one publisher.
    fn of_line(&self, number: u32) -> Self {
        Self {
            tx: self.tx.of_line(number),
            ..self.clone()
        }
    }

    /// Tells a publisher that it is not taken, and closes.
    fn refuse(&self, came: &Came, reason: &str) {
        let answer = format!(
            "{{\"error\":\"refused\",\"line\":0,\"message\":\"{reason}; try again later\"}}\n"
        );
        turn_away_now(&came.stream, answer.as_bytes());
        self.counters.publishers_refused.inc();
        if let Some(more) = self.log.refused.pass(mono_now()) {
            tracing::warn!(peer = %came.peer, venue = %self.venue, reason, more, "Publisher refused");
        }
    }
}

/// Publishers' tasks, and for each where its events go and what it has named.
#[derive(Default)]
struct Publishers {
    tasks: JoinSet<()>,
    entered: HashMap<Id, Entered>,
}

struct Entered {
    tx: EventTx,
    named: Arc<Mutex<Vec<InstrumentId>>>,
}

impl Publishers {
    fn enter(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        shared: PushShared,
        stopped: &watch::Receiver<()>,
    ) {
        if let Some(more) = shared.log.connects.pass(mono_now()) {
            tracing::info!(%peer, venue = %shared.venue, more, "Publisher connected");
        }
        let tx = shared.tx.clone();
        let publisher = Publisher::new(shared, stream);
        let named = publisher.named();
        let task = self.tasks.spawn(publisher.run(peer, stopped.clone()));
        self.entered.insert(task.id(), Entered { tx, named });
    }

    /// A publisher has disconnected. If its task failed, lines that it had received are lost: a loss is
    /// announced for each instrument that it named, on its line.
    async fn leave(&mut self, left: Result<Id, JoinError>, shared: &PushShared) {
        let (id, failed) = match left {
            Ok(id) => (id, false),
            Err(error) => (error.id(), error.is_panic()),
        };
        let entered = self.entered.remove(&id);
        let Some(Entered { tx, named }) = entered.filter(|_| failed) else {
            return;
        };
        shared.counters.publishers_failed.inc();
        if let Some(more) = shared.log.failed.pass(mono_now()) {
            let venue = &shared.venue;
            tracing::error!(%venue, more, "The task of a publisher panicked: the publisher is disconnected");
        }
        let named = std::mem::take(&mut *named.lock().unwrap_or_else(PoisonError::into_inner));
        let word = FeedEvent::Lost {
            channels: data_channels(),
            events: None,
            reason: Cow::Borrowed("lines of a publisher were lost"),
        };
        for some in named.chunks(BATCH_EVENTS_MAX) {
            if !send(&tx, words(some, &word, unix_now())).await {
                return;
            }
        }
        shared.served.leave(&named, &tx).await;
    }
}

enum Next {
    Stop,
    Left(Result<Id, JoinError>),
    Came(Came),
}

/// Waits for the first of three events; all three may be cancelled without loss.
async fn next(
    acceptor: &mut Acceptor,
    publishers: &mut JoinSet<()>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Next {
    tokio::select! {
        () = stop => Next::Stop,
        came = acceptor.next() => Next::Came(came),
        Some(left) = publishers.join_next_with_id() => Next::Left(left.map(|(id, ())| id)),
    }
}

/// The channels that have data.
fn data_channels() -> ChannelSet {
    let kinds = [
        ChannelKind::Trade,
        ChannelKind::Quote,
        ChannelKind::Book,
        ChannelKind::Ticker,
    ];
    kinds.into_iter().fold(ChannelSet::EMPTY, ChannelSet::with)
}

/// Sends, and waits for room; false if events have no more receiver.
async fn send(tx: &EventTx, events: Events) -> bool {
    let mut events = events;
    loop {
        match tx.try_send(events) {
            Ok(()) => return true,
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(back)) => events = back,
        }
        tokio::time::sleep(FULL_PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
