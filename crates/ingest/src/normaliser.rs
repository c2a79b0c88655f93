//! What a venue's message says, turned into events: the right instrument, scaled integers, only the
//! streams that are used.
//!
//! A [`Parser`] is a dialect and a normaliser together: bytes of one connection in, events out. A
//! message that is refused leaves no event behind, except that a book whose change may have been in
//! it gets a gap, where nothing later would show the loss.

use crate::event::{BookEvent, Event, EventBody, FeedEvent, TradeIds};
use crate::scan::{Plan, Planned, Use};
use crate::venue::{
    BookHead, Dialect, Format, Head, Listener, MESSAGE_BYTES_MAX, Message, Print, Reject, What,
};
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::borrow::Cow;
use tapecast_model::{
    InstrumentId, Level, Price, Qty, Quote, Side, Ticker, Trade, TradingState, UnixNanos, decimal,
};

/// Reads the messages of one connection.
pub struct Parser {
    dialect: Box<dyn Dialect>,
    normaliser: Normaliser,
}

/// Turns what a dialect says into events.
pub struct Normaliser {
    spells: bool,
    instruments: Vec<Known>,
    by_native: HashMap<Box<str>, usize>,
    current: Option<Current>,
    prints: SmallVec<[Trade; 1]>,
    bids: Vec<Level>,
    asks: Vec<Level>,
    quote: Quote,
    ts_recv: UnixNanos,
    events: Vec<Event>,
}

struct Known {
    id: InstrumentId,
    planned: Planned,
    /// The last quote from a book of one level, which a change changes.
    last_quote: Quote,
}

struct Current {
    at: usize,
    head: Heading,
    purpose: Use,
}

/// What is kept of a [`Head`].
struct Heading {
    ts_event: Option<tapecast_model::EventTime>,
    venue_seq: Option<u64>,
    history: bool,
    book: BookHead,
    ticker: Option<Box<Ticker>>,
}

// === impl Parser ===

impl Parser {
    /// A parser for what a plan uses; `ids` are those of the plan's instruments, in order.
    pub fn new(format: Format, plan: Plan, ids: &[InstrumentId]) -> Self {
        Self {
            dialect: format.dialect(),
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
        let before = out.len();
        // The events are made where they are wanted, and cut off again if the message is refused.
        std::mem::swap(&mut self.normaliser.events, out);
        let Message { raw, http, symbol } = message;
        let result = if raw.len() > MESSAGE_BYTES_MAX {
            Err(Reject::Oversized)
        } else {
            self.dialect
                .read(Message { raw, http, symbol }, &mut self.normaliser)
        };
        std::mem::swap(&mut self.normaliser.events, out);
        if let Err(reject) = result {
            out.truncate(before);
            if reject.is_fault() {
                self.lost(raw, ts_recv, out);
            }
        }
        result
    }

    /// Something unreadable came: says so of the books it may have changed, if nothing later would.
    pub fn lost(&mut self, raw: &[u8], ts_recv: UnixNanos, out: &mut Vec<Event>) {
        if !self.dialect.hides_loss(raw) {
            return;
        }
        let text = String::from_utf8_lossy(raw);
        let named = |known: &&Known| text.contains(known.planned.native.as_ref());
        let books = || {
            self.normaliser
                .instruments
                .iter()
                .filter(|k| k.planned.has_book())
        };
        let all = !books().any(|k| named(&k));
        for known in books().filter(|k| all || named(k)) {
            let reason = Cow::Borrowed("a book message could not be read");
            out.push(feed_event(known.id, ts_recv, FeedEvent::Gap(reason)));
        }
    }

    /// The connection is a new one.
    pub fn reset(&mut self) {
        self.dialect.reset();
        for known in &mut self.normaliser.instruments {
            known.last_quote = Quote::default();
        }
    }

    /// Says the feed's word on itself of every instrument.
    pub fn announce(&self, event: &FeedEvent, ts_recv: UnixNanos, out: &mut Vec<Event>) {
        let ids = self.normaliser.instruments.iter().map(|known| known.id);
        out.extend(ids.map(|id| feed_event(id, ts_recv, event.clone())));
    }
}

// === impl Normaliser ===

impl Normaliser {
    fn new(format: Format, plan: Plan, ids: &[InstrumentId]) -> Self {
        let mut by_native: HashMap<Box<str>, usize> = plan
            .instruments
            .iter()
            .enumerate()
            .map(|(at, p)| (p.native.clone(), at))
            .collect();
        if let Some(at) = plan.nameless {
            by_native.insert("".into(), at);
        }
        let known = |(planned, id): (Planned, &InstrumentId)| Known {
            id: *id,
            planned,
            last_quote: Quote::default(),
        };
        Self {
            spells: format.spells(),
            instruments: plan.instruments.into_iter().zip(ids).map(known).collect(),
            by_native,
            current: None,
            prints: SmallVec::new(),
            bids: Vec::new(),
            asks: Vec::new(),
            quote: Quote::default(),
            ts_recv: UnixNanos::default(),
            events: Vec::new(),
        }
    }

    fn numbers(&self, price: &str, qty: &str) -> Result<(Price, Qty), Reject> {
        let Some(Current { at, .. }) = self.current else {
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

impl Listener for Normaliser {
    fn begin(&mut self, head: &Head<'_>) -> Result<bool, Reject> {
        self.current = None;
        let at = *self.by_native.get(head.native).ok_or(Reject::Symbol)?;
        let known = &self.instruments[at];
        let Some(purpose) = known.planned.use_of(head.stream) else {
            return Ok(false);
        };
        let mut heading = Heading {
            ts_event: head.ts_event,
            venue_seq: head.venue_seq,
            history: false,
            book: BookHead::default(),
            ticker: None,
        };
        match head.what {
            What::Trades { history } => heading.history = history,
            What::Book(book) => heading.book = book,
            What::Ticker(ticker) => heading.ticker = Some(Box::new(*ticker)),
            What::Quote => heading.book.snapshot = true,
        }
        self.prints.clear();
        self.bids.clear();
        self.asks.clear();
        self.quote = if heading.book.snapshot {
            Quote::default()
        } else {
            known.last_quote
        };
        self.current = Some(Current {
            at,
            head: heading,
            purpose,
        });
        Ok(true)
    }

    fn print(&mut self, print: &Print<'_>) -> Result<(), Reject> {
        let (price, qty) = self.numbers(print.price, print.qty)?;
        let Print {
            id,
            aggressor,
            ts_event,
            ..
        } = *print;
        self.prints.push(Trade {
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
            Some(Current {
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
        let Some(Current { at, head, purpose }) = self.current.take() else {
            return Ok(());
        };
        let known = &mut self.instruments[at];
        let body = match purpose {
            Use::Trades if self.prints.is_empty() => return Ok(()),
            Use::Trades => EventBody::Trades {
                prints: std::mem::take(&mut self.prints),
                history: head.history,
                ids: TradeIds::Opaque,
            },
            Use::Quote => {
                known.last_quote = self.quote;
                EventBody::Quote(self.quote)
            }
            Use::Ticker => EventBody::Ticker(head.ticker.unwrap_or_default()),
            Use::Book { makes_quote } => {
                let BookHead {
                    snapshot,
                    link,
                    checksum,
                    depth,
                } = head.book;
                let book = BookEvent {
                    snapshot,
                    bids: self.bids.as_slice().into(),
                    asks: self.asks.as_slice().into(),
                    link,
                    checksum,
                    depth,
                    makes_quote,
                };
                EventBody::Book(Box::new(book))
            }
        };
        let (ts_event, venue_seq, ts_recv) = (head.ts_event, head.venue_seq, self.ts_recv);
        self.events.push(Event {
            instrument: known.id,
            ts_event,
            ts_recv,
            venue_seq,
            body,
        });
        Ok(())
    }

    fn trading(&mut self, native: Option<&str>, state: TradingState) {
        let only = native.map(|name| self.by_native.get(name).copied());
        for (at, known) in self.instruments.iter().enumerate() {
            if only.is_none_or(|only| only == Some(at)) {
                self.events.push(Event {
                    instrument: known.id,
                    ts_event: None,
                    ts_recv: self.ts_recv,
                    venue_seq: None,
                    body: EventBody::Trading(state),
                });
            }
        }
    }

    fn gap(&mut self, reason: String) {
        for known in self
            .instruments
            .iter()
            .filter(|known| known.planned.has_book())
        {
            let gap = FeedEvent::Gap(Cow::Owned(reason.clone()));
            self.events.push(feed_event(known.id, self.ts_recv, gap));
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
