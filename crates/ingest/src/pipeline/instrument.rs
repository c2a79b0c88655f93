//! One instrument in the pipeline: its streams' numbers and their current state.
//!
//! Every event goes through [`InstrumentState::handle`]: the data are numbered and published first. Then,
//! if the event changed the state of the feed, the status is published. Quotes that are taken from a book
//! are made here, before numbering. If the venue's own book is crossed, it is kept and numbered but held
//! back; later it is published again with all levels that changed in between. Crossed quotes are treated
//! in the same way.
//!
//! # Losses
//! A loss is an event too: it is numbered and published as [`Body::Lost`]. While a state is lost, it is
//! not lost again. For trades, their ids show what is missing ([`Trades`]). If a state is dropped,
//! everything that was taken from it is dropped too.

mod definition;
mod doubt;
mod loss;
mod quote;
mod shown;
mod tape;
mod ticker;

use super::health::{Health, Moment, SilenceLimit};
use super::trades::Trades;
use crate::book::{BacklogLimits, BookOutcome, Break, EventStamp};
use crate::event::{BookEvent, Event, EventBody, FeedEvent, Scales};
use crate::metrics::{GapReason, LossReason, PipelineMetrics, VenueCounters};
use crate::reseed::{ReseedRequests, Want};
use crate::sequencer::Sequencer;
use definition::DefinitionState;
use quote::{MarkedQuote, crossed};
use shown::BookState;
use std::borrow::Cow;
use std::sync::Arc;
use tapecast_model::{
    Body, ChannelKind, ChannelSet, Epoch, EpochSource, FeedState, Instrument, InstrumentId, Mono,
    Quote, Side, StreamKind, StreamPos, Ticker, UnixNanos, Update, UpdateSink,
};

/// All the pipeline knows of one instrument.
#[derive(Debug)]
pub(super) struct InstrumentState {
    instrument: Arc<Instrument>,
    /// The first of the instruments whose place this one has taken, or itself.
    first: InstrumentId,
    counters: Arc<VenueCounters>,
    sequencer: Sequencer,
    health: Health,
    health_stamp: EventStamp,
    /// A source has sent something about it; before that, no metric counts it.
    counted: bool,
    seen: Seen,
    trades: Trades,
    trades_stamp: EventStamp,
    quote: Option<(Quote, EventStamp)>,
    quote_of_book: bool,
    /// The last quote of a separate quote stream was crossed, and held back.
    quote_crossed: bool,
    ticker: Option<(Ticker, EventStamp)>,
    marked_quote: MarkedQuote,
    /// The ticker was received in this life of its feed: the same again is no news.
    ticker_repeats: bool,
    book: BookState,
    definition: DefinitionState,
}

/// Whether it has been live once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Seen {
    NotYet,
    /// Nothing came of it within its limit: it is counted as one that was never live.
    Late,
    Live,
}

/// Where updates go on their way out: numbered, counted, published.
pub(super) struct Outlet<'a, S> {
    /// The receiver of updates.
    pub(super) sink: &'a mut S,
    /// The counters.
    pub(super) metrics: &'a PipelineMetrics,
    /// Who says which epoch begins.
    pub(super) epochs: &'a EpochSource,
    /// Who can be asked for a snapshot.
    pub(super) reseed: &'a ReseedRequests,
}

// === impl InstrumentState ===

impl InstrumentState {
    pub(super) fn new(
        instrument: Arc<Instrument>,
        counters: Arc<VenueCounters>,
        (epoch, began): (Epoch, UnixNanos),
        silence: SilenceLimit,
        backlog: BacklogLimits,
    ) -> Self {
        let mut sequencer = Sequencer::new(epoch);
        sequencer.advance(StreamKind::Status, 1);
        sequencer.advance(StreamKind::Instrument, 1);
        Self {
            book: BookState::new(&instrument, backlog),
            first: instrument.id,
            instrument,
            counters,
            sequencer,
            health: Health::new(silence),
            counted: false,
            seen: Seen::NotYet,
            health_stamp: EventStamp {
                ts_recv: began,
                ..EventStamp::default()
            },
            trades: Trades::default(),
            trades_stamp: EventStamp::default(),
            quote: None,
            quote_of_book: false,
            quote_crossed: false,
            ticker: None,
            marked_quote: MarkedQuote::None,
            ticker_repeats: false,
            definition: DefinitionState::new(began),
        }
    }

    /// Which instrument it is.
    pub(super) fn id(&self) -> InstrumentId {
        self.instrument.id
    }

    /// The instrument, if it has taken the place of this one.
    pub(super) fn replaces(&self, id: InstrumentId) -> Option<&Arc<Instrument>> {
        (self.first..self.id())
            .contains(&id)
            .then_some(&self.instrument)
    }

    /// The scales of its numbers.
    pub(super) fn scales(&self) -> Scales {
        let Instrument {
            price_scale,
            qty_scale,
            ..
        } = *self.instrument;
        Scales {
            price_scale,
            qty_scale,
        }
    }

    /// Another instrument takes its place, with other scales: a new epoch of every stream begins, with nothing
    /// known but the definition and the status, which are first events. The ids of trades go on. Returns as
    /// [`InstrumentState::handle`].
    pub(super) fn redefine<S: UpdateSink>(
        &mut self,
        by: Arc<Instrument>,
        backlog: BacklogLimits,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) -> Option<Mono> {
        out.sink.replace(self.id(), &by);
        let (wanted, snapshots) = (self.book.wanted, self.book.snapshots);
        self.book = BookState::new(&by, backlog);
        (self.book.wanted, self.book.snapshots) = (wanted, snapshots);
        self.instrument = by;
        self.trades.forget_history();
        (self.quote, self.quote_of_book, self.quote_crossed) = (None, false, false);
        self.marked_quote = MarkedQuote::None;
        (self.ticker, self.ticker_repeats) = (None, false);
        self.health.note_uncrossed();
        let epoch = out.epochs.after(self.sequencer.epoch(), at.wall);
        self.sequencer.restart(epoch);
        self.health.note_restarted(at);
        let stamp = EventStamp {
            ts_recv: at.wall,
            ..EventStamp::default()
        };
        self.definition.forget_steps();
        self.say_definition(stamp, out);
        self.say_news(stamp, out);
        if wanted {
            out.reseed.ask(self.id(), Want::Reseed, snapshots);
        }
        self.health.take_look()
    }

    /// Takes an event. Returns the moment from which silence is staleness, if nothing was waited for
    /// before.
    #[inline]
    pub(super) fn handle<S: UpdateSink>(
        &mut self,
        event: Event,
        now: Mono,
        out: &mut Outlet<'_, S>,
    ) -> Option<Mono> {
        let Event {
            ts_event,
            ts_recv,
            venue_seq,
            body,
            instrument: _,
        } = event;
        let stamp = EventStamp {
            ts_event,
            ts_recv,
            venue_seq,
        };
        let at = Moment { now, wall: ts_recv };
        if !self.counted {
            self.counted = true;
            self.counters.enter(self.health.said().feed);
        }
        let mut said_at = EventStamp {
            ts_recv,
            ..EventStamp::default()
        };
        match body {
            EventBody::Trades {
                trades,
                history: true,
                ids,
            } => {
                self.handle_history(&trades, ids, stamp, at, out);
            }
            EventBody::Trades {
                trades,
                history: false,
                ids,
            } => {
                self.handle_trades(&trades, ids, stamp, at, out);
            }
            EventBody::SkippedIds { first, last } => {
                self.handle_skipped((first, last), stamp, at, out);
            }
            EventBody::Quote(quote) if self.is_repeated(&quote, stamp) => self.counters.count_old(),
            EventBody::Quote(quote) => {
                self.health.note_data(ChannelKind::Quote, at);
                self.handle_quote(quote, stamp, out);
                self.mark_quote(quote, stamp);
            }
            EventBody::Book(book) => self.handle_book(stamp, at, book, out),
            EventBody::Ticker(ticker) => self.handle_ticker(*ticker, stamp, at, out),
            // The pipeline's own: it has the catalogue.
            EventBody::Redefined(_) => {}
            EventBody::Defined(terms) => self.handle_defined(*terms, stamp, out),
            EventBody::Trading(trading) => {
                said_at = stamp;
                self.health.note_trading(trading, at);
            }
            EventBody::Feed(event) => self.handle_feed(event, stamp, at, out),
        }
        self.say_news(said_at, out);
        self.health.take_look()
    }

    fn handle_feed<S: UpdateSink>(
        &mut self,
        event: FeedEvent,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        match event {
            FeedEvent::Down(reason) => {
                self.break_off(ChannelSet::ALL, None, LossReason::Connection, stamp, out);
                if self.book.wanted {
                    self.health.note_gap(ChannelKind::Book, reason.clone(), at);
                }
                self.health.note_down(reason, at);
            }
            FeedEvent::Ended(reason) => {
                // Whoever comes next may begin with what was the last.
                (self.marked_quote, self.ticker_repeats) = (MarkedQuote::None, false);
                self.health.note_down(reason, at);
            }
            FeedEvent::Gap(reason) => {
                self.note_gaps(ChannelSet::ALL, &reason, at);
                self.break_off(ChannelSet::ALL, None, LossReason::Messages, stamp, out);
            }
            FeedEvent::Subscribed(kinds) => self.health.note_asked(kinds, at),
            FeedEvent::Quiet(kinds) => {
                for kind in kinds.iter() {
                    self.health.note_quiet(kind, at);
                }
            }
            FeedEvent::Lost {
                channels,
                events,
                reason,
            } => {
                self.note_gaps(channels, &reason, at);
                self.break_off(channels, events, LossReason::Unread, stamp, out);
            }
            FeedEvent::Restarted => self.restart(stamp, at, out),
        }
    }

    /// Notes the time. Returns the moment from which further silence is staleness.
    pub(super) fn handle_time<S: UpdateSink>(
        &mut self,
        now: Mono,
        ts_recv: UnixNanos,
        out: &mut Outlet<'_, S>,
    ) -> Option<Mono> {
        let at = Moment { now, wall: ts_recv };
        let was_silent = self.health.is_silent();
        let next = self.health.note_time(at);
        if !was_silent && self.health.is_silent() {
            out.reseed.ask(self.id(), Want::Probe, self.book.snapshots);
        }
        self.say_news(
            EventStamp {
                ts_recv,
                ..EventStamp::default()
            },
            out,
        );
        next
    }

    /// The position of a stream, and its state.
    pub(super) fn current(&mut self, kind: StreamKind) -> (StreamPos, Option<Update<'_>>) {
        let pos = self.sequencer.position(kind);
        let state = match kind {
            StreamKind::Trade => {
                let trades = self.trades.history();
                (!trades.is_empty()).then_some((Body::Trades(trades), self.trades_stamp))
            }
            StreamKind::Quote => self.current_quote(),
            StreamKind::Book => self.book.current(),
            StreamKind::Ticker => self
                .ticker
                .as_ref()
                .map(|(t, stamp)| (Body::Ticker(t), *stamp)),
            StreamKind::Status => Some((Body::Status(self.health.said()), self.health_stamp)),
            StreamKind::Instrument => Some(self.definition.current()),
            StreamKind::Bar(_) => None,
        };
        let instrument = &self.instrument;
        (
            pos,
            state.map(|(body, stamp)| update(instrument, pos, stamp, body)),
        )
    }

    fn handle_book<S: UpdateSink>(
        &mut self,
        stamp: EventStamp,
        at: Moment,
        event: Box<BookEvent>,
        out: &mut Outlet<'_, S>,
    ) {
        self.book.wanted = true;
        self.book.snapshots += u64::from(event.snapshot);
        if event.is_probe && self.settle_probe(&event, stamp, at, out) {
            return;
        }
        if event.makes_quote {
            self.health.note_shared();
        }
        let outcome = self.book.verified.handle(stamp, event);
        self.settle_book(stamp, at, outcome, out);
        while let Some((stamp, outcome)) = self.book.verified.catch_up() {
            self.settle_book(stamp, at, outcome, out);
        }
    }

    fn settle_book<S: UpdateSink>(
        &mut self,
        stamp: EventStamp,
        at: Moment,
        outcome: BookOutcome,
        out: &mut Outlet<'_, S>,
    ) {
        match outcome {
            BookOutcome::Reached {
                touched,
                replaced,
                checked,
                makes_quote,
            } => {
                if checked {
                    self.counters.count_checksum(true);
                }
                self.health.note_data(ChannelKind::Book, at);
                if replaced {
                    self.health.note_healed(ChannelKind::Book, at);
                }
                self.book.note(stamp, touched, replaced);
                self.show_book(makes_quote, at, out);
            }
            BookOutcome::Old | BookOutcome::Repeated => self.counters.count_old(),
            BookOutcome::Unchanged { checked } => {
                self.health.note_data(ChannelKind::Book, at);
                if checked {
                    self.counters.count_checksum(true);
                }
            }
            BookOutcome::Waiting {
                dropped,
                overflowed,
            } => {
                self.health.note_heard(at);
                if dropped > 0 {
                    self.counters.count_dropped(dropped);
                }
                if overflowed {
                    self.counters.count_gap(GapReason::Overflow);
                }
            }
            BookOutcome::Broken(broken) => {
                self.health.note_heard(at);
                self.counters.count_gap(match broken {
                    Break::Link(_)
                    | Break::StartedOver(_)
                    | Break::StoodStill(_)
                    | Break::Unnumbered(_)
                    | Break::SnapshotTooOld(_) => GapReason::Link,
                    Break::Checksum { .. } => {
                        self.counters.count_checksum(false);
                        GapReason::Checksum
                    }
                });
                let reason = format!("{} {broken}", self.instrument.venue);
                self.drop_book(reason.into(), stamp, at, out);
                out.reseed.ask(self.id(), Want::Reseed, self.book.snapshots);
            }
        }
    }

    /// Numbers the state that the book reached, and publishes it unless it is crossed.
    fn show_book<S: UpdateSink>(&mut self, makes_quote: bool, at: Moment, out: &mut Outlet<'_, S>) {
        let pos = self.number(StreamKind::Book, 1, out.metrics);
        let state = &mut self.book;
        let Some(book) = state.verified.book() else {
            return;
        };
        if book.is_crossed() {
            if !self.health.is_crossed() {
                self.counters.count_crossed();
                let best = [Side::Bid, Side::Ask].map(|side| Some(book.best(side)?.price));
                self.health.note_crossed(crossed(&self.instrument, best));
            }
            state.hold_back();
            self.doubt_crossed(at, out);
            return;
        }
        if !self.quote_crossed {
            self.health.note_uncrossed();
        }
        let stamp = state.stamp;
        let Some((book, body)) = state.showable() else {
            return;
        };
        publish(out.sink, &self.instrument, pos, stamp, body);
        let best = |side| book.best(side).map(|level| (level.price, level.qty));
        let quote = Quote {
            bid: best(Side::Bid),
            ask: best(Side::Ask),
        };
        state.note_shown();
        if !makes_quote {
            return;
        }
        if self.quote.is_none_or(|(last, _)| last != quote) {
            self.set_marked_quote_aside();
            self.handle_quote(quote, stamp, out);
        }
        self.quote_of_book = true;
    }

    /// The book is no longer right: announces this once, and forgets the quote that came from it.
    fn drop_book<S: UpdateSink>(
        &mut self,
        reason: Cow<'static, str>,
        stamp: EventStamp,
        at: Moment,
        out: &mut Outlet<'_, S>,
    ) {
        self.book.verified.lose();
        self.forget_book(LossReason::Book, stamp, out);
        self.health.note_gap(ChannelKind::Book, reason, at);
    }

    /// Begins a new epoch of every stream, with nothing known but the definition and the status, which are first
    /// events.
    fn restart<S: UpdateSink>(&mut self, stamp: EventStamp, at: Moment, out: &mut Outlet<'_, S>) {
        let epoch = out.epochs.after(self.sequencer.epoch(), stamp.ts_recv);
        self.sequencer.restart(epoch);
        self.trades = Trades::default();
        self.book.verified.restart();
        self.book.wanted = false;
        self.book.snapshots = 0;
        self.health.note_restarted(at);
        let known = [
            (StreamKind::Book, self.book.take_shown()),
            (StreamKind::Quote, self.take_quote()),
            (StreamKind::Ticker, self.ticker.take().is_some()),
        ];
        for (kind, _) in known.into_iter().filter(|(_, known)| *known) {
            let (pos, events) = (self.sequencer.position(kind), 0);
            let body = Body::Lost { kind, events };
            publish(out.sink, &self.instrument, pos, stamp, body);
        }
        self.say_definition(stamp, out);
    }

    fn say_news<S: UpdateSink>(&mut self, stamp: EventStamp, out: &mut Outlet<'_, S>) {
        let Some((before, status)) = self.health.take_news() else {
            return;
        };
        if before != status.feed {
            self.counters.move_between(before, status.feed);
            self.seen = match (self.seen, status.feed) {
                (Seen::NotYet, FeedState::Stale) => {
                    self.counters.count_never_live(1);
                    Seen::Late
                }
                (Seen::Late, FeedState::Live) => {
                    self.counters.count_never_live(-1);
                    Seen::Live
                }
                (Seen::NotYet, FeedState::Live) => Seen::Live,
                (seen, _) => seen,
            };
        }
        self.health_stamp = stamp;
        let pos = self.sequencer.advance(StreamKind::Status, 1);
        out.metrics.count_events(ChannelKind::Status, 1);
        let trading = status.trading;
        publish(out.sink, &self.instrument, pos, stamp, Body::Status(status));
        if self.definition.note_trading(trading) {
            self.say_definition(stamp, out);
        }
    }

    fn number(&mut self, kind: StreamKind, events: u64, metrics: &PipelineMetrics) -> StreamPos {
        metrics.count_events(kind.channel(), events);
        self.sequencer.advance(kind, events)
    }
}

fn update<'a>(
    instrument: &'a Arc<Instrument>,
    pos: StreamPos,
    stamp: EventStamp,
    body: Body<'a>,
) -> Update<'a> {
    let StreamPos { epoch, seq } = pos;
    let EventStamp {
        ts_event,
        ts_recv,
        venue_seq,
    } = stamp;
    Update {
        instrument,
        epoch,
        seq,
        ts_event,
        ts_recv,
        venue_seq,
        body,
    }
}

fn publish(
    sink: &mut impl UpdateSink,
    instrument: &Arc<Instrument>,
    pos: StreamPos,
    stamp: EventStamp,
    body: Body<'_>,
) {
    sink.publish(&update(instrument, pos, stamp, body));
}
