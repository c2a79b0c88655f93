//! Plays a recording as if its venue sent the messages now.
//!
//! [`Replay::scan`] reads the whole file before anything is published. It fixes instruments, scales,
//! channels and the choice of streams, and reports broken lines with their place. An instrument without a
//! symbol is named and not served. The recording is refused only if no instrument is left, or if nothing
//! could be read in this format. [`Replay::run`] is the body of a thread: it sends events at the recorded
//! pace times a factor, or as fast as the next hops take them, and stamps them with the time of sending.
//!
//! # Full and wrong
//! It waits while its channel is full; at [`Speed::Max`] also while its [`Pace`] is not clear, so
//! that nothing must be conflated later. A message that cannot be read is counted and skipped. Ten in a
//! row count as a lost connection: every instrument gets a gap, and the parser is reset. A recording that
//! can no longer be read is down with a reason.

pub(crate) mod rows;
mod scan;

use crate::capture::{Capture, CaptureError, Item};
use crate::event::{Event, Events, FeedEvent};
use crate::feed::{Ended, Pace, STOP_CHECK, StartGate, send};
use crate::metrics::FeedMetrics;
use crate::normaliser::Parser;
use crate::plan::{FeedPlan, NoSymbol};
use crate::sources::EventTx;
use crate::venue::Format;
use hashbrown::HashMap;
use rows::RowReader;
use scan::{advice, scan};

pub use scan::likely_formats;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tapecast_model::catalog::{CatalogError, Definition, Offer};
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Catalog, InstrumentId, Mono, RateLimit, Symbol, UnixNanos, Venue};

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct ReplayConfig {
    /// The venue's name in topics.
    pub venue: Venue,
    /// The format of its messages.
    pub format: Format,
    /// The recording.
    pub path: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// Play again after the end, in a new epoch.
    pub looped: bool,
    /// Symbols by the venue's ids, before its own rules.
    pub symbols: HashMap<String, Symbol>,
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As many times as fast as it was recorded; 1 is as recorded. (A float, but of time: no price
    /// comes near it.)
    Factor(f64),
    /// As fast as those downstream take it, and lossless.
    Max,
}

/// A recording that was read once and can be played.
#[derive(Debug)]
pub struct Replay {
    config: ReplayConfig,
    plan: FeedPlan,
    ids: Vec<InstrumentId>,
    report: ScanReport,
}

/// What a scan found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ScanReport {
    /// Messages, of every kind.
    pub messages: u64,
    /// Lines that hold no message.
    pub broken_lines: u64,
    /// Messages, and parts of messages, that cannot be read.
    pub rejected: u64,
    /// Ids of which nothing is served.
    pub left_out: u64,
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be opened.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// None of its ids has a symbol.
    #[error("{}: no symbol is known for its {count} ids: {first}", path.display())]
    LeftOut {
        /// The file.
        path: PathBuf,
        /// How many ids.
        count: usize,
        /// What is wrong with the first of them.
        first: NoSymbol,
    },
    /// Nothing in it can be published.
    #[error(
        "{}: no trades, quotes, books or tickers of {} among {messages} messages; {}",
        path.display(),
        format.product(),
        advice(likely)
    )]
    Nothing {
        /// The file.
        path: PathBuf,
        /// How many messages it has.
        messages: u64,
        /// How they were read.
        format: Format,
        /// How they can be read.
        likely: Vec<Format>,
    },
    /// Another source has one of its symbols.
    #[error("{}: {source}", path.display())]
    Catalog {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CatalogError,
    },
    /// The speed is not a positive number.
    #[error("speed {0} is not a positive factor; write 1, 10, 0.5 or \"max\"")]
    Speed(f64),
}

/// How long a lossless replay waits before it asks again whether there is room.
const PACE_CHECK: Duration = Duration::from_micros(200);

/// The venue's delay is observed once in so many messages.
const DELAY_SAMPLE: u64 = 16;

// === impl Replay ===

impl Replay {
    /// Reads the whole recording and adds what it holds to the catalogue.
    ///
    /// # Errors
    /// If it cannot be read, or nothing in it can be published.
    pub fn scan(config: ReplayConfig, catalog: &Catalog) -> Result<Self, ReplayError> {
        if let Speed::Factor(factor) = config.speed
            && !(factor.is_finite() && factor > 0.0)
        {
            return Err(ReplayError::Speed(factor));
        }
        let (plan, report) = scan(&config)?;
        let offer = Offer {
            channels: plan.channels(),
            any_symbol: None,
            lossless: config.speed == Speed::Max,
        };
        catalog.add_venue(&config.venue, offer);
        let add = |planned: &crate::plan::PlannedInstrument| {
            let definition = Definition {
                symbol: planned.symbol.clone(),
                native: planned.native.clone(),
                price_scale: planned.price_scale,
                qty_scale: planned.qty_scale,
            };
            catalog
                .add_instrument(&config.venue, definition)
                .map(|instrument| instrument.id)
        };
        let ids: Result<Vec<_>, _> = plan.instruments.iter().map(add).collect();
        let ids = ids.map_err(|source| ReplayError::Catalog {
            path: config.path.clone(),
            source,
        })?;
        tracing::info!(
            path = %config.path.display(),
            format = %config.format,
            instruments = ids.len(),
            messages = report.messages,
            broken_lines = report.broken_lines,
            rejected = report.rejected,
            left_out = report.left_out,
            "Recording scanned"
        );
        Ok(Self {
            config,
            plan,
            ids,
            report,
        })
    }

    /// What the scan found.
    pub const fn report(&self) -> ScanReport {
        self.report
    }

    /// What of the recording is used.
    pub const fn plan(&self) -> &FeedPlan {
        &self.plan
    }

    /// The instruments it added to the catalogue, in order of the plan.
    pub fn instruments(&self) -> &[InstrumentId] {
        &self.ids
    }

    /// The venue's name in topics.
    pub const fn venue(&self) -> &Venue {
        &self.config.venue
    }

    /// Plays the recording: the body of a thread. Returns at the end of a recording that is not looped,
    /// when `stop` is set, or when there is no more receiver.
    ///
    /// # Errors
    /// If the recording can no longer be read; its instruments are then down. It may be run again after
    /// [`FeedEvent::Restarted`] has been sent for its instruments.
    pub fn run(
        &self,
        start: &StartGate,
        tx: EventTx,
        pace: Box<dyn Pace>,
        stop: Arc<AtomicBool>,
        metrics: &FeedMetrics,
    ) -> Result<Played, Unreadable> {
        let counters = metrics.of_venue(&self.config.venue);
        let format = self.config.format;
        let make = Box::new(move |plan: &FeedPlan, ids: &[InstrumentId]| {
            Parser::new(format, plan.clone(), ids)
        });
        let mut player = Player {
            config: self.config.clone(),
            reader: RowReader::new(&self.plan, &self.ids, make, counters),
            tx,
            pace,
            stop,
            events: Vec::new(),
            log: RateLimit::of_log_lines(),
        };
        let played = start.wait(&player.stop).and_then(|()| player.play());
        // Being told to end is no failure.
        played.unwrap_or(Ok(Played::Stopped))
    }
}

/// How a replay came to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Played {
    /// The recording is at its end.
    End,
    /// It got the command to stop, or there is no more receiver.
    Stopped,
}

/// A recording that could be read when it was scanned, and cannot any more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the recording can no longer be read: {0}")]
pub struct Unreadable(String);

/// A recording being played.
struct Player {
    config: ReplayConfig,
    reader: RowReader,
    tx: EventTx,
    pace: Box<dyn Pace>,
    stop: Arc<AtomicBool>,
    /// Of the message at hand.
    events: Vec<Event>,
    log: RateLimit,
}

/// Maps recorded time to ours.
struct Tempo {
    factor: f64,
    /// The first recorded time, and when we came to it.
    origin: Option<(UnixNanos, Mono)>,
}

// === impl Player ===

impl Player {
    fn play(&mut self) -> Result<Result<Played, Unreadable>, Ended> {
        self.reader.announce_channels(unix_now(), &mut self.events);
        self.send()?;
        loop {
            match self.round()? {
                None if self.config.looped => {
                    self.reader.reset();
                    self.announce(&FeedEvent::Restarted)?;
                }
                None => {
                    tracing::info!(path = %self.config.path.display(), "Replay reached the end of its recording");
                    self.announce(&FeedEvent::Ended(Cow::Borrowed("end of recording")))?;
                    return Ok(Ok(Played::End));
                }
                Some(reason) => {
                    self.announce(&FeedEvent::Down(Cow::Owned(reason.clone())))?;
                    return Ok(Err(Unreadable(reason)));
                }
            }
        }
    }

    /// Plays the recording once. Returns why it could not be read, if so.
    fn round(&mut self) -> Result<Option<String>, Ended> {
        let mut capture = match Capture::open(&self.config.path) {
            Ok(capture) => capture,
            Err(error) => return Ok(Some(error.to_string())),
        };
        let factor = match self.config.speed {
            Speed::Factor(factor) => Some(factor),
            Speed::Max => None,
        };
        let mut tempo = factor.map(|factor| Tempo {
            factor,
            origin: None,
        });
        let mut sent = 0_u64;
        while let Some(item) = capture.next_item() {
            self.check_stop()?;
            let ts = match &item {
                Item::Row(row) => row.ts,
                Item::Aside(_, aside) => Some(aside.at()).filter(|_| aside.is_event()),
            };
            let taken = self.reader.take(item, unix_now(), &mut self.events);
            if taken.gave_up
                && let Some(more) = self.log.pass(mono_now())
            {
                let path = self.config.path.display();
                tracing::warn!(%path, more, "Ten messages in a row could not be read");
            }
            if ts.is_some() && sent.is_multiple_of(DELAY_SAMPLE) {
                self.observe_delay(ts);
            }
            sent += 1;
            match &mut tempo {
                Some(tempo) => {
                    let venue_time = self.events.iter().find_map(|e| e.ts_event);
                    if let Some(time) = ts.or(venue_time.map(|t| t.nanos())) {
                        wait_until(tempo.due(time), &self.stop)?;
                    }
                }
                None => self.wait_for_room()?,
            }
            self.send()?;
        }
        Ok(None)
    }

    fn observe_delay(&self, received: Option<UnixNanos>) {
        let venue_time = self.events.iter().find_map(|e| e.ts_event);
        if let Some((received, sent)) = received.zip(venue_time) {
            self.reader
                .counters
                .observe_delay(received.signed_since(sent.nanos()));
        }
    }

    fn announce(&mut self, event: &FeedEvent) -> Result<(), Ended> {
        self.reader.announce(event, unix_now(), &mut self.events);
        self.send()
    }

    /// Sends what there is, received now. One by one: a lossless replay counts on few in flight.
    fn send(&mut self) -> Result<(), Ended> {
        if self.events.is_empty() {
            return Ok(());
        }
        let now = unix_now();
        for mut event in self.events.drain(..) {
            event.ts_recv = now;
            send(&self.tx, Events::from_buf([event]), &self.stop)?;
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Ended> {
        while !self.pace.clear() {
            self.check_stop()?;
            std::thread::sleep(PACE_CHECK);
        }
        Ok(())
    }

    fn check_stop(&self) -> Result<(), Ended> {
        if self.stop.load(Ordering::Relaxed) {
            Err(Ended)
        } else {
            Ok(())
        }
    }
}

// === impl Tempo ===

impl Tempo {
    /// When something recorded at `time` is due.
    fn due(&mut self, time: UnixNanos) -> Mono {
        let (first, start) = *self.origin.get_or_insert_with(|| (time, mono_now()));
        let since = time.signed_since(first).max(0) as f64 / self.factor;
        start.after(Duration::from_nanos(since as u64))
    }
}

fn wait_until(due: Mono, stop: &AtomicBool) -> Result<(), Ended> {
    loop {
        let left = due - mono_now();
        if left.is_zero() {
            return Ok(());
        }
        if stop.load(Ordering::Relaxed) {
            return Err(Ended);
        }
        std::thread::sleep(left.min(STOP_CHECK));
    }
}
