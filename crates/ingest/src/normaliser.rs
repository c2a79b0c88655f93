//! The content of a venue's message as events: the right instrument, scaled integers, only the streams
//! that are used.
//!
//! A [`Parser`] is a decoder and a normaliser together: bytes of one connection in, events out. A refused
//! message produces no events except losses: one for every stream whose data may have been in it, if no
//! later message would show the loss ([`Format::shows_loss`]). A snapshot that does not come in the stream
//! (Binance's REST responses) is no such part: without it the books that hold are as right as before.

mod asides;
mod growing;

pub use asides::Asides;

use crate::event::{BookEvent, Event, EventBody, FeedEvent, Link, TradeIds};
use crate::old::{Newest, Recency};
use crate::plan::{FeedPlan, PlannedInstrument, Use};
use crate::spare;
use crate::venue::{
    BookHead, Carries, Decoder, EventVisitor, Format, MESSAGE_BYTES_MAX, Message, MessageHead,
    NoTrade, NoUpdate, Reject, TradeRow, VenueStream, What,
};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::borrow::Cow;
use tapecast_model::{
    ChannelKind, ChannelSet, EventTime, InstrumentId, Level, Price, Qty, Quote, Side, Ticker,
    Trade, TradingState, UnixNanos, decimal,
};

/// Reads the messages of one connection.
pub struct Parser {
    pub(crate) decoder: Box<dyn Decoder>,
    normaliser: Normaliser,
}

/// Turns what a decoder says into events.
pub struct Normaliser {
    format: Format,
    spells: bool,
    instruments: Vec<ServedInstrument>,
    /// None for ids of which nothing is served.
    by_native: HashMap<Box<str>, Option<usize>>,
    current: Option<OpenEvent>,
    trades: SmallVec<[Trade; 1]>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    quote: Quote,
    ts_recv: UnixNanos,
    events: Vec<Event>,
    asides: Asides,
}

struct ServedInstrument {
    id: InstrumentId,
    planned: PlannedInstrument,
    /// The last quote from a book of one level, which a change changes.
    last_quote: Quote,
    /// The number of the last quote of a stream of whole ones.
    newest_quote: Newest,
    /// No whole quote has come, or messages were lost since the last: changes cannot be applied.
    quote_unknown: bool,
    /// The same of the ticker.
    ticker_unknown: bool,
}

struct OpenEvent {
    at: usize,
    head: Heading,
    purpose: Use,
}

/// What is kept of a [`MessageHead`].
struct Heading {
    ts_event: Option<EventTime>,
    venue_seq: Option<u64>,
    history: bool,
    ids: TradeIds,
    book: BookHead,
    ticker: Option<Box<Ticker>>,
}

// === impl Parser ===

impl Parser {
    /// A parser for what a plan uses; `ids` are those of the plan's instruments, in order.
    pub fn new(format: Format, plan: FeedPlan, ids: &[InstrumentId]) -> Self {
        Self {
            decoder: format.decoder(),
            normaliser: Normaliser::new(format, plan, ids),
        }
    }

    /// Reads one message, received at `ts_recv`, and appends what it says to `out`.
    ///
    /// # Errors
    /// If the message is refused; what was lost with it is said in `out`.
    pub fn parse(
        &mut self,
        message: Message<'_>,
        ts_recv: UnixNanos,
        out: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        self.normaliser.ts_recv = ts_recv;
        self.normaliser.current = None;
        self.normaliser.asides.clear();
        let before = out.len();
        // The events are made where they are wanted, and cut off again if the message is refused.
        std::mem::swap(&mut self.normaliser.events, out);
        let Message { raw, http, symbol } = message;
        let result = if raw.len() > MESSAGE_BYTES_MAX {
            Err(Reject::Oversized)
        } else {
            self.decoder
                .read(Message { raw, http, symbol }, &mut self.normaliser)
        };
        std::mem::swap(&mut self.normaliser.events, out);
        match result {
            Err(reject) => {
                out.truncate(before);
                self.normaliser.asides.clear();
                // What is news of nobody we know is nobody's loss.
                if reject.is_fault() && reject != Reject::Symbol {
                    self.lose_all_of(raw, http.is_some(), ts_recv, out);
                }
                Err(reject)
            }
            Ok(()) => self.normaliser.asides.verdict(&out[before..]),
        }
    }

    /// What is counted of the last message in addition to its events, and to its reject if it was
    /// refused.
    pub const fn asides(&self) -> &Asides {
        &self.normaliser.asides
    }

    /// A message could not be read: reports a loss for every stream to which it may belong, if no later
    /// message would show the loss.
    pub fn lost(&mut self, raw: &[u8], ts_recv: UnixNanos, out: &mut Vec<Event>) {
        self.lose_all_of(raw, false, ts_recv, out);
    }

    /// The same; it was the body of a response if `http`.
    fn lose_all_of(&mut self, raw: &[u8], http: bool, ts_recv: UnixNanos, out: &mut Vec<Event>) {
        let text = String::from_utf8_lossy(raw);
        let beside = http || self.decoder.is_beside(&text);
        self.normaliser.asides.beside = beside;
        let words = self.decoder.words().iter();
        let heard = words.filter(|(word, _)| text.contains(word));
        let heard = heard.fold(ChannelSet::EMPTY, |set, (_, kind)| set.with(*kind));
        let Normaliser {
            format,
            instruments,
            by_native,
            ..
        } = &mut self.normaliser;
        // Binance's names of streams are in small letters.
        let upper = text.to_ascii_uppercase();
        let named =
            |native: &str| !native.is_empty() && (text.contains(native) || upper.contains(native));
        let all = !by_native.keys().any(|native| named(native));
        // Cut off within its name, which then looks like another's: `BTC/USD` of `BTC/USDT`.
        let begun = |native: &str| {
            let ends_with = |text: &str| {
                (1..native.len())
                    .any(|cut| native.get(..cut).is_some_and(|start| text.ends_with(start)))
            };
            ends_with(&text) || ends_with(&upper)
        };
        for served in instruments {
            let PlannedInstrument { native, .. } = &served.planned;
            let mut channels = ChannelSet::EMPTY;
            for (kind, carries) in served.planned.streams() {
                // What comes beside the stream is no part of what the stream carries.
                if (heard == ChannelSet::EMPTY || heard.contains(kind))
                    && !format.shows_loss(carries)
                    && (!beside || carries == Carries::Seed)
                {
                    channels = channels.with(kind);
                }
            }
            if channels != ChannelSet::EMPTY && (all || named(native) || begun(native)) {
                served.lose(channels);
                let lost = FeedEvent::Lost {
                    channels,
                    events: None,
                    reason: Cow::Borrowed("a message could not be read"),
                };
                out.push(feed_event(served.id, ts_recv, lost));
            }
        }
    }

    /// The connection is a new one.
    pub fn reset(&mut self) {
        self.decoder.reset();
        for served in &mut self.normaliser.instruments {
            served.last_quote = Quote::default();
            served.newest_quote = Newest::default();
            served.lose(ChannelSet::ALL);
        }
    }

    /// Says of every instrument which of its channels are asked for.
    pub fn announce_channels(&self, ts_recv: UnixNanos, out: &mut Vec<Event>) {
        let served = self.normaliser.instruments.iter();
        out.extend(served.map(|ServedInstrument { id, planned, .. }| {
            let asked = FeedEvent::Subscribed(planned.channels());
            feed_event(*id, ts_recv, asked)
        }));
    }

    /// Says the feed's word on itself of every instrument.
    pub fn announce(&mut self, event: &FeedEvent, ts_recv: UnixNanos, out: &mut Vec<Event>) {
        for served in &mut self.normaliser.instruments {
            if matches!(event, FeedEvent::Gap(_) | FeedEvent::Down(_)) {
                served.lose(ChannelSet::ALL);
            }
            out.push(feed_event(served.id, ts_recv, event.clone()));
        }
    }
}

// === impl ServedInstrument ===

impl ServedInstrument {
    fn new(planned: PlannedInstrument, id: InstrumentId) -> Self {
        Self {
            id,
            planned,
            last_quote: Quote::default(),
            newest_quote: Newest::default(),
            quote_unknown: true,
            ticker_unknown: true,
        }
    }

    /// Messages of these channels were lost: states that are made of changes are no longer known.
    fn lose(&mut self, channels: ChannelSet) {
        self.quote_unknown |= channels.contains(ChannelKind::Quote);
        self.ticker_unknown |= channels.contains(ChannelKind::Ticker);
    }
}

// === impl Normaliser ===

impl Normaliser {
    fn new(format: Format, plan: FeedPlan, ids: &[InstrumentId]) -> Self {
        let planned = plan.instruments.iter().enumerate();
        let mut by_native: HashMap<_, _> = planned
            .map(|(at, p)| (p.native.clone(), Some(at)))
            .collect();
        by_native.extend(plan.left_out.into_iter().map(|id| (id.native, None)));
        if let Some(at) = plan.nameless {
            by_native.insert("".into(), Some(at));
        }
        let served = |(planned, id): (_, &InstrumentId)| ServedInstrument::new(planned, *id);
        Self {
            format,
            spells: format.spells(),
            instruments: plan.instruments.into_iter().zip(ids).map(served).collect(),
            by_native,
            current: None,
            trades: SmallVec::new(),
            bids: Vec::new(),
            asks: Vec::new(),
            quote: Quote::default(),
            ts_recv: UnixNanos::default(),
            events: Vec::new(),
            asides: Asides::default(),
        }
    }

    fn numbers(&self, price: &str, qty: &str) -> Result<(Price, Qty), Reject> {
        let Some(OpenEvent { at, .. }) = self.current else {
            return Err(Reject::Symbol);
        };
        let planned = &self.instruments[at].planned;
        let price = Price::parse(price.as_bytes(), planned.price_scale)
            .map_err(|e| Reject::of_number("price", e))?;
        let qty = Qty::parse(qty.as_bytes(), planned.qty_scale)
            .map_err(|e| Reject::of_number("quantity", e))?;
        if qty.mantissa() < 0 {
            return Err(Reject::Number("quantity"));
        }
        Ok((price, qty))
    }
}

impl Normaliser {
    /// A row is not a trade: counts it, and says that its id was seen.
    fn skip(&mut self, reason: NoTrade, row: &TradeRow<'_>) {
        self.asides.no_trades.push(reason);
        if let Some(id) = row.id.number() {
            self.note_ids(row.first_id.unwrap_or(id).min(id), id);
        }
    }

    /// Ids without trades were seen, behind the trades so far.
    fn note_ids(&mut self, first: u64, last: u64) {
        self.release_trades();
        if let Some(OpenEvent { at, head, .. }) = &self.current
            && head.ids == TradeIds::Dense
        {
            let id = self.instruments[*at].id;
            let body = EventBody::SkippedIds { first, last };
            self.events.push(head.event(id, self.ts_recv, body));
        }
    }

    /// Makes an event of the trades so far.
    fn release_trades(&mut self) {
        if self.trades.is_empty() {
            return;
        }
        let trades = std::mem::take(&mut self.trades);
        if let Some(OpenEvent { at, head, .. }) = &self.current {
            let id = self.instruments[*at].id;
            let body = EventBody::Trades {
                trades,
                history: head.history,
                ids: head.ids,
            };
            self.events.push(head.event(id, self.ts_recv, body));
        }
    }
}

impl Heading {
    /// An event of this part of the message.
    const fn event(&self, instrument: InstrumentId, ts_recv: UnixNanos, body: EventBody) -> Event {
        Event {
            instrument,
            ts_event: self.ts_event,
            ts_recv,
            venue_seq: self.venue_seq,
            body,
        }
    }
}

impl EventVisitor for Normaliser {
    fn begin(&mut self, head: &MessageHead<'_>) -> Result<bool, Reject> {
        self.current = None;
        let Some(at) = *self.by_native.get(head.native).ok_or(Reject::Symbol)? else {
            return Ok(false);
        };
        let Some(purpose) = self.instruments[at].planned.use_of(head.stream) else {
            return Ok(false);
        };
        let mut heading = Heading {
            ts_event: self.asides.dated(head.ts_event),
            venue_seq: head.venue_seq,
            history: false,
            ids: TradeIds::Opaque,
            book: BookHead::default(),
            ticker: None,
        };
        match head.what {
            What::Trades { history, ids } => (heading.history, heading.ids) = (history, ids),
            What::Book(book) => heading.book = book,
            What::Ticker { ticker, whole } => {
                heading.ticker = Some(Box::new(*ticker));
                heading.book.snapshot = whole;
            }
            What::Quote => {
                heading.book.snapshot = true;
                heading.book.link = head.venue_seq.map_or(Link::None, Link::Whole);
            }
        }
        let served = &self.instruments[at];
        let unknown = match purpose {
            Use::Quote => served.quote_unknown,
            Use::Ticker => served.ticker_unknown,
            Use::Trades | Use::Book { .. } => false,
        };
        if unknown && !heading.book.snapshot {
            self.asides.no_updates.push(NoUpdate::NoSnapshot);
            return Ok(false);
        }
        self.trades.clear();
        spare::clear(&mut self.bids);
        spare::clear(&mut self.asks);
        self.quote = if heading.book.snapshot {
            Quote::default()
        } else {
            self.instruments[at].last_quote
        };
        self.current = Some(OpenEvent {
            at,
            head: heading,
            purpose,
        });
        Ok(true)
    }

    fn trade(&mut self, row: &TradeRow<'_>) -> Result<(), Reject> {
        if !row.market {
            self.skip(NoTrade::NotMarket, row);
            return Ok(());
        }
        let (price, qty) = self.numbers(row.price, row.qty)?;
        if qty.is_zero() {
            self.skip(NoTrade::NoQuantity, row);
            return Ok(());
        }
        let TradeRow {
            id,
            aggressor,
            ts_event,
            first_id,
            ..
        } = *row;
        let ts_event = self.asides.dated(ts_event);
        if let (Some(first), Some(id)) = (first_id, id.number())
            && first < id
        {
            self.note_ids(first, id - 1);
        }
        self.trades.push(Trade {
            id,
            price,
            qty,
            aggressor,
            ts_event,
        });
        Ok(())
    }

    fn level(&mut self, side: Side, price: &str, qty: &str) -> Result<(), Reject> {
        let numbers = self.numbers(price, qty)?;
        if matches!(
            self.current,
            Some(OpenEvent {
                purpose: Use::Quote,
                ..
            })
        ) {
            let place = match side {
                Side::Bid => &mut self.quote.bid,
                Side::Ask => &mut self.quote.ask,
            };
            if !numbers.1.is_zero() {
                *place = Some(numbers);
            } else if place.is_some_and(|(price, _)| price == numbers.0) {
                *place = None;
            }
            return Ok(());
        }
        let mut level = Level::new(numbers.0, numbers.1);
        if self.spells {
            let digits = |text: &str| decimal::spelled_digits(text.as_bytes());
            level.spelled = [digits(price), digits(qty)];
        }
        match side {
            Side::Bid => self.bids.push(level),
            Side::Ask => self.asks.push(level),
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Reject> {
        self.release_trades();
        let Some(OpenEvent {
            at,
            mut head,
            purpose,
        }) = self.current.take()
        else {
            return Ok(());
        };
        let served = &mut self.instruments[at];
        let body = match purpose {
            Use::Trades => return Ok(()),
            Use::Quote => {
                let place = match head.book.link {
                    Link::Whole(number) => {
                        served
                            .newest_quote
                            .note(number, head.ts_event, self.ts_recv)
                    }
                    _ => Recency::Newer,
                };
                let no_update = match place {
                    Recency::Old => Some(NoUpdate::Old),
                    Recency::Same if !served.quote_unknown && served.last_quote == self.quote => {
                        Some(NoUpdate::Repeated)
                    }
                    Recency::Same | Recency::Newer => None,
                };
                if let Some(reason) = no_update {
                    self.asides.no_updates.push(reason);
                    return Ok(());
                }
                served.last_quote = self.quote;
                served.quote_unknown = false;
                EventBody::Quote(self.quote)
            }
            Use::Ticker => {
                served.ticker_unknown = false;
                EventBody::Ticker(head.ticker.take().unwrap_or_default())
            }
            Use::Book { makes_quote } => {
                let book = BookEvent {
                    snapshot: head.book.snapshot,
                    bids: self.bids.as_slice().into(),
                    asks: self.asks.as_slice().into(),
                    link: head.book.link,
                    checksum: head.book.checksum,
                    depth: head.book.depth,
                    makes_quote,
                    is_probe: false,
                };
                EventBody::Book(Box::new(book))
            }
        };
        let id = served.id;
        self.events.push(head.event(id, self.ts_recv, body));
        Ok(())
    }

    fn trading(&mut self, native: Option<&str>, state: TradingState) {
        let only = native.map(|name| self.by_native.get(name).copied().flatten());
        for (at, served) in self.instruments.iter().enumerate() {
            if only.is_none_or(|only| only == Some(at)) {
                self.events.push(Event {
                    instrument: served.id,
                    ts_event: None,
                    ts_recv: self.ts_recv,
                    venue_seq: None,
                    body: EventBody::Trading(state),
                });
            }
        }
    }

    fn gap(&mut self, reason: String) {
        for served in &mut self.instruments {
            served.lose(ChannelSet::ALL);
            let gap = FeedEvent::Gap(Cow::Owned(reason.clone()));
            self.events.push(feed_event(served.id, self.ts_recv, gap));
        }
    }

    fn fault(&mut self, native: Option<&str>, stream: VenueStream, reject: Reject) {
        self.asides.faults.push(reject);
        if !reject.is_fault() {
            return;
        }
        self.release_trades();
        let only = native.map(|name| self.by_native.get(name).copied().flatten());
        for (at, served) in self.instruments.iter_mut().enumerate() {
            if only.is_some_and(|only| only != Some(at)) {
                continue;
            }
            let Some(purpose) = served.planned.use_of(stream) else {
                continue;
            };
            let channels = ChannelSet::EMPTY.with(purpose.kind());
            served.lose(channels);
            let lost = match self.events.last_mut() {
                // Rows that stand together are lost together.
                Some(Event {
                    instrument,
                    body:
                        EventBody::Feed(FeedEvent::Lost {
                            channels: c,
                            events: Some(events),
                            ..
                        }),
                    ..
                }) if *instrument == served.id && *c == channels => {
                    *events += 1;
                    continue;
                }
                _ => FeedEvent::Lost {
                    channels,
                    events: Some(1),
                    reason: Cow::Owned(reject.to_string()),
                },
            };
            self.events.push(feed_event(served.id, self.ts_recv, lost));
        }
    }
}

const fn feed_event(instrument: InstrumentId, ts_recv: UnixNanos, event: FeedEvent) -> Event {
    let body = EventBody::Feed(event);
    Event {
        instrument,
        ts_event: None,
        ts_recv,
        venue_seq: None,
        body,
    }
}
