//! Checks a recording: replays it through parser and pipeline at full speed, without threads and sockets, and
//! reports what its venue's own numbers and checksums say of it.
//!
//! The recorded times are the times of receipt, so that what a check reports does not depend on the machine, apart
//! from [`Report::processing`]. What the pipeline counts for all instruments together is read before and after each
//! event, so that every count is that of one instrument.
//!
//! # What is wrong
//! [`Finding`]s: a broken chain, a checksum that disagrees, trades whose ids are missing, a book without a
//! snapshot, rows that cannot be read. All else is only counted.
//!
//! # Limits
//! Memory is that of a replay: one row, one book and fifty trades per instrument, and a bounded number of quotes
//! that wait for the book ([`agreement`]).
//!
//! It knows nothing of files other than the recording, and nothing of how a report is shown.

mod agreement;
mod named;
mod report;

pub use report::{
    BookReport, ChainKind, Finding, FindingKind, GapReport, Place, QuoteReport, Rejects, Report,
    Span, SymbolReport, TradeReport,
};

use crate::capture::{Capture, Item};
use crate::event::{Event, EventBody, FeedEvent, Link};
use crate::metrics::{FeedMetrics, GapReason, PipelineCounts, PipelineMetrics, VenueCounters};
use crate::normaliser::Parser;
use crate::pipeline::{Pipeline, PipelineConfig};
use crate::plan::{FeedPlan, PlannedInstrument};
use crate::replay::rows::RowReader;
use crate::replay::{Replay, ReplayConfig, ReplayError, Speed};
use crate::venue::{Carries, Format};
use agreement::{Agreement, has_common_numbers};
use hashbrown::HashMap;
use named::{NamedRef, NamingDecoder};
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::clock::mono_now;
use tapecast_model::{
    Body, Catalog, ChannelKind, ChannelSet, FeedState, InstrumentId, Mono, Quote, Side, Status,
    Symbol, UnixNanos, Update, Venue,
};

/// What to check.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The venue's name in topics.
    pub venue: Venue,
    /// The format of its messages.
    pub format: Format,
    /// The file.
    pub path: PathBuf,
    /// Symbols by the venue's ids, before its own rules.
    pub symbols: HashMap<String, Symbol>,
}

/// Why a recording cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The counters cannot be made: a fault of ours.
    #[error("the counters cannot be made: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Checks a recording.
///
/// # Errors
/// If it cannot be opened, or nothing in it can be read in this format.
pub fn verify(recording: Recording) -> Result<Report, VerifyError> {
    let catalog = Arc::new(Catalog::new(INSTRUMENTS_MAX));
    let Recording {
        venue,
        format,
        path,
        symbols,
    } = recording;
    let config = ReplayConfig {
        venue: venue.clone(),
        format,
        path: path.clone(),
        speed: Speed::Max,
        looped: false,
        symbols,
    };
    let replay = Replay::scan(config, &catalog)?;
    let mut capture = Capture::open(&path).map_err(ReplayError::from)?;
    let mut check = Check::new(&replay, format, catalog)?;
    let started = mono_now();
    check.begin();
    while let Some(item) = capture.next_item() {
        check.take(item);
    }
    let symbols = check.symbols.into_iter().map(SymbolCheck::finish);
    Ok(Report {
        path,
        format,
        venue,
        rows: check.rows,
        messages: check.reader.counters.messages.get(),
        rejects: check.rejects,
        span: check.span,
        processing: mono_now() - started,
        symbols: symbols.collect(),
        left_out: replay.plan().left_out.clone(),
    })
}

/// Instruments of one recording: more than all venues together have.
const INSTRUMENTS_MAX: usize = 1_000_000;

/// A recording that is being checked.
struct Check {
    format: Format,
    reader: RowReader,
    named: NamedRef,
    pipeline: Pipeline,
    metrics: PipelineMetrics,
    counters: VenueCounters,
    counts: PipelineCounts,
    /// In order of the plan, which is that of the catalogue.
    symbols: Vec<SymbolCheck>,
    rows: u64,
    rejects: Rejects,
    span: Span,
    /// Of the row at hand.
    events: Vec<Event>,
    clock: Clock,
}

/// The recorded time.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    first: Option<UnixNanos>,
    now: UnixNanos,
    mono: Mono,
}

/// One instrument that is being checked.
struct SymbolCheck {
    report: SymbolReport,
    /// Channels with a stream of their own: a quote that is taken from the book has the state of the book.
    own: ChannelSet,
    /// Since when channels are in a gap.
    open: [Option<UnixNanos>; ChannelKind::ALL.len()],
    agreement: Option<Agreement>,
    /// What came of the event at hand.
    seen: Seen,
}

/// What the pipeline published of one event.
#[derive(Debug, Default)]
struct Seen {
    books: u64,
    quotes: u64,
    /// Why the data are not right any more.
    gap: Option<Box<str>>,
}

// === impl Check ===

impl Check {
    fn new(
        replay: &Replay,
        format: Format,
        catalog: Arc<Catalog>,
    ) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let (feeds, metrics) = (
            FeedMetrics::register(&registry)?,
            PipelineMetrics::register(&registry)?,
        );
        let (plan, venue) = (replay.plan(), replay.venue());
        let planned = plan.instruments.iter().enumerate();
        let mut places: HashMap<_, _> = planned.map(|(at, p)| (p.native.clone(), at)).collect();
        places.extend(plan.nameless.map(|at| (Box::default(), at)));
        let named = NamedRef::default();
        let noted = named.clone();
        let make = Box::new(move |plan: &FeedPlan, ids: &[InstrumentId]| {
            let mut parser = Parser::new(format, plan.clone(), ids);
            let decoder = NamingDecoder::new(format.decoder(), places.clone(), noted.clone());
            parser.decoder = Box::new(decoder);
            parser
        });
        let symbols = plan.instruments.iter().map(|p| SymbolCheck::new(p, format));
        let config = PipelineConfig::new(UnixNanos::from_millis(1));
        Ok(Self {
            format,
            reader: RowReader::new(plan, replay.instruments(), make, feeds.of_venue(venue)),
            named,
            counters: metrics.of_venue(venue),
            counts: PipelineCounts::default(),
            symbols: symbols.collect(),
            pipeline: Pipeline::new(catalog, config, metrics.clone()),
            metrics,
            rows: 0,
            rejects: Rejects::default(),
            span: Span::default(),
            events: Vec::new(),
            clock: Clock::default(),
        })
    }

    /// Says which channels are awaited.
    fn begin(&mut self) {
        self.reader
            .announce_channels(self.clock.now, &mut self.events);
        self.pass_on(0, false);
    }

    /// Reads a row, and passes its events on.
    fn take(&mut self, item: Item<'_>) {
        let is_unused = matches!(&item, Item::Row(row) if !row.used);
        let (number, recorded, broken) = match &item {
            Item::Row(row) => {
                self.rows += 1;
                let broken = row.message.as_ref().err().map(|(broken, _)| *broken);
                (row.number, row.ts, broken)
            }
            Item::Aside(number, aside) => {
                (*number, Some(aside.at()).filter(|_| aside.is_event()), None)
            }
        };
        if let Some(time) = recorded {
            self.clock.note(time);
        }
        self.named.get().clear();
        let taken = self.reader.take(item, self.clock.now, &mut self.events);
        let venue_time = self.events.iter().find_map(|event| event.ts_event);
        if let (None, Some(time)) = (recorded, venue_time) {
            self.clock.note(time.nanos());
        }
        // Before the first time there is none.
        let time = self.clock.first.map(|_| self.clock.now);
        if let Some(time) = time {
            self.span.note(time);
        }
        if is_unused {
            self.named.get().clear();
        }
        let named = self.named.get();
        for at in &named.instruments {
            let report = &mut self.symbols[*at].report;
            report.messages += 1;
            if let Some(time) = time {
                report.span.note(time);
            }
        }
        for (at, reject) in &named.faults {
            self.rejects.note(*reject, number, None);
            if let Some(at) = at {
                self.symbols[*at].report.rejects.note(*reject, number, None);
            }
        }
        // A message is also refused if none of its parts could be read; these have been counted.
        if let Some(reject) = taken.refused.filter(|_| named.faults.is_empty()) {
            self.rejects.note(reject, number, broken);
            if let Some(at) = named.open {
                self.symbols[at].report.rejects.note(reject, number, broken);
            }
        }
        drop(named);
        self.pass_on(number, taken.gave_up);
    }

    /// Passes the events of a row to the pipeline, and notes what comes of each.
    fn pass_on(&mut self, row: u64, gave_up: bool) {
        for mut event in std::mem::take(&mut self.events) {
            event.ts_recv = self.clock.now;
            let Some(symbol) = self.symbols.get_mut(event.instrument.index()) else {
                continue;
            };
            let given = Given::of(&event, self.format, gave_up);
            symbol.seen = Seen::default();
            let mut sink = |update: &Update<'_>| symbol.see(update);
            self.pipeline
                .handle_event(event, self.clock.mono, &mut sink);
            let counts = self.metrics.counts(&self.counters);
            symbol.note(row, given, &self.counts, &counts);
            self.counts = counts;
        }
    }
}

/// What is known of an event before the pipeline takes it.
#[derive(Clone, Copy, Debug)]
struct Given {
    /// It is a message of the book: whether a snapshot, and how it says what came before it.
    book: Option<(bool, ChainKind)>,
    /// It is of trades: what is missing then, their ids say.
    trades: bool,
    /// The numbers of the connection say that messages are missing.
    connection_broke: bool,
}

impl Given {
    fn of(event: &Event, format: Format, gave_up: bool) -> Self {
        let book = match &event.body {
            EventBody::Book(book) => Some((
                book.snapshot,
                match book.link {
                    _ if format.shows_loss(Carries::Book) => ChainKind::Connection,
                    Link::None | Link::Whole(_) => ChainKind::None,
                    Link::Range { .. } | Link::Previous { .. } | Link::Step(_) => {
                        ChainKind::Numbers
                    }
                },
            )),
            _ => None,
        };
        let trades = matches!(
            event.body,
            EventBody::Trades { .. } | EventBody::SkippedIds { .. }
        );
        let is_gap = matches!(event.body, EventBody::Feed(FeedEvent::Gap(_)));
        Self {
            book,
            trades,
            connection_broke: is_gap && !gave_up,
        }
    }
}

// === impl Clock ===

impl Clock {
    fn note(&mut self, time: UnixNanos) {
        let first = *self.first.get_or_insert(time);
        self.now = time;
        let since = time.get().saturating_sub(first.get());
        // A recorder's clock may go back.
        self.mono = self.mono.max(Mono::new(since));
    }
}

// === impl SymbolCheck ===

impl SymbolCheck {
    fn new(planned: &PlannedInstrument, format: Format) -> Self {
        let kinds = planned.streams().map(|(kind, _)| kind);
        Self {
            report: SymbolReport {
                symbol: planned.symbol.clone(),
                native: planned.native.clone(),
                messages: 0,
                rejects: Rejects::default(),
                span: Span::default(),
                book: BookReport::default(),
                quotes: QuoteReport::default(),
                trades: TradeReport::default(),
                gaps: GapReport::default(),
            },
            own: kinds.fold(ChannelSet::EMPTY, ChannelSet::with),
            open: [None; ChannelKind::ALL.len()],
            agreement: has_common_numbers(format).then(Agreement::default),
            seen: Seen::default(),
        }
    }

    /// Takes what the pipeline publishes.
    fn see(&mut self, update: &Update<'_>) {
        let report = &mut self.report;
        let comparable = self.agreement.as_mut().zip(update.venue_seq);
        match update.body {
            Body::Book { book, changes, .. } => {
                self.seen.books += 1;
                let best = |side| book.best(side).map(|level| (level.price, level.qty));
                if let Some((agreement, number)) = comparable {
                    let (bid, ask) = (best(Side::Bid), best(Side::Ask));
                    match changes {
                        Some(_) => {
                            agreement.state(number, Quote { bid, ask }, &mut report.quotes);
                        }
                        None => agreement.start(number),
                    }
                }
            }
            Body::Quote(quote) => {
                self.seen.quotes += 1;
                if let Some((agreement, number)) = comparable
                    && self.own.contains(ChannelKind::Quote)
                {
                    agreement.quote(number, *quote, &mut report.quotes);
                }
            }
            Body::Trades(trades) => report.trades.trades += trades.len() as u64,
            Body::Status(status) => self.see_status(status, update.ts_recv),
            Body::Lost { .. } | Body::Ticker(_) | Body::Definition { .. } => {}
        }
    }

    /// Notes where gaps begin and end.
    fn see_status(&mut self, status: &Status, now: UnixNanos) {
        if status.feed == FeedState::Gap {
            self.seen.gap = Some(status.reason.as_ref().into());
        }
        let gaps = &mut self.report.gaps;
        for (kind, state) in status.channels.iter() {
            if !self.own.contains(kind) {
                continue;
            }
            let open = &mut self.open[kind.index()];
            match (state.feed, *open) {
                (FeedState::Gap, None) => {
                    gaps.found += 1;
                    *open = Some(now);
                }
                (FeedState::Gap, Some(_)) | (_, None) => {}
                (_, Some(since)) => {
                    let lasted = Duration::from_nanos(now.get().saturating_sub(since.get()));
                    gaps.healed += 1;
                    gaps.total += lasted;
                    gaps.longest = gaps.longest.max(lasted);
                    *open = None;
                }
            }
        }
    }

    /// Takes what the pipeline counted of an event.
    fn note(&mut self, row: u64, given: Given, before: &PipelineCounts, after: &PipelineCounts) {
        let (book_at, quote_at, trade_at) = (
            ChannelKind::Book.index(),
            ChannelKind::Quote.index(),
            ChannelKind::Trade.index(),
        );
        let came = |kind: usize| {
            let numbered = after.events[kind] - before.events[kind];
            numbered - (after.lost[kind] - before.lost[kind])
        };
        let reason = self.seen.gap.take();
        let place = |otherwise: &str| Place {
            row,
            reason: reason.clone().unwrap_or_else(|| otherwise.into()),
        };
        let SymbolReport {
            book,
            quotes,
            trades,
            ..
        } = &mut self.report;

        let link = GapReason::Link as usize;
        let broken = after.gaps[link] - before.gaps[link] + u64::from(given.connection_broke);
        if broken > 0 {
            let first = &mut book.first_broken;
            first.get_or_insert_with(|| place("messages are missing"));
        }
        let failed = after.checksums_bad - before.checksums_bad;
        if failed > 0 {
            let first = &mut book.first_failed;
            first.get_or_insert_with(|| place("the checksum disagrees"));
        }
        let missing = match given.trades {
            true => after.lost[trade_at] - before.lost[trade_at],
            false => 0,
        };
        if missing > 0 {
            let first = &mut trades.first_missing;
            first.get_or_insert_with(|| Place {
                row,
                reason: "trades are missing before this one".into(),
            });
        }
        let reached = came(book_at);
        if let Some((snapshot, chain)) = given.book {
            book.messages += 1;
            if chain != ChainKind::None {
                book.chain = chain;
            }
            // The snapshot itself, or one that came before its time and fits the change that broke the chain.
            let begun = u64::from(reached > 0 && (snapshot || broken > 0));
            book.snapshots += begun;
            book.unbroken += reached - begun;
        }
        book.broken += broken;
        book.checksums_failed += failed;
        book.checksums_passed += after.checksums_ok - before.checksums_ok;
        book.crossed += reached - self.seen.books;
        if given.book.is_some() {
            book.old += after.old - before.old;
        }
        book.dropped += after.dropped - before.dropped;
        let came_quotes = came(quote_at);
        quotes.quotes += came_quotes;
        quotes.crossed += came_quotes - self.seen.quotes;
        trades.missing += missing;
        trades.repeated += after.repeated - before.repeated;
    }

    fn finish(mut self) -> SymbolReport {
        if let Some(agreement) = &mut self.agreement {
            agreement.finish(&mut self.report.quotes);
        }
        self.report
    }
}
