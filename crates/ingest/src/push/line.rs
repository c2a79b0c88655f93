//! A published line: one event with the field names of the client protocol.
//!
//! First the members are found, in any order, and then they are read by their type; if a member occurs
//! twice, the last one counts. Numbers are strings or JSON numbers; their digits are kept as written.
//! [`super::hot`] is a faster reader for ordinary lines; only this module reports what is wrong with a
//! line. A byte order mark before a publisher's first line is ignored.
//!
//! # Wrong lines
//! A refused line is answered and has no effect, with one exception: its data count as lost, because a
//! book, for example, can no longer be trusted. They are lost to the channel and symbol that it names. If
//! it does not say which, they may be of everything that its publisher has named ([`Astray`]). A refused
//! `status` line has no data, but if it may have said `gap` or `down`, that is said for it: all channels
//! of its symbol have a loss.
//!
//! The trades of a line are processed one by one. Good trades are published. A bad trade is answered, and
//! announced as a loss in its place. A row with a quantity of zero is not a trade: it is answered and
//! counted, and is not a loss.

use super::mistake::{LineError, Mistake};
use super::names::Instruments;
use super::words::{
    InTrade, levels, plain_text, price_of, qty_of, scalar, time, trade_row, venue_seq,
};
use crate::event::{BookEvent, Event, EventBody, FeedEvent, TradeIds};
use crate::venue::cursor::{Cursor, Scalar};
use smallvec::SmallVec;
use std::borrow::Cow;
use tapecast_model::{
    ChannelKind, ChannelSet, Decimal, Instrument, InstrumentId, Quote, Side, Ticker, Trade,
    TradingState, UnixNanos,
};

/// What a line came to.
#[derive(Debug, Default)]
pub struct Taken {
    /// Its events, oldest first, losses included.
    pub events: SmallVec<[Event; 1]>,
    /// What is wrong with it, or with single trades of it.
    pub mistakes: Vec<LineError>,
    /// It was refused, and its data may be of several instruments or channels.
    pub astray: Option<Astray>,
}

/// What is known of lost data that may be of several instruments or channels.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Astray {
    /// The instrument; none: it may be any.
    pub instrument: Option<InstrumentId>,
    /// The channel; none: it may be any.
    pub kind: Option<ChannelKind>,
}

/// Reads a line.
pub fn take(line: &[u8], ts_recv: UnixNanos, instruments: &mut dyn Instruments) -> Taken {
    if let Some(event) = super::hot::read(line, ts_recv, instruments) {
        return Taken {
            events: SmallVec::from_buf([event]),
            ..Taken::default()
        };
    }
    take_unusual(line, ts_recv, instruments)
}

/// Reads a line that is not as most are, or is wrong.
#[inline(never)]
fn take_unusual(line: &[u8], ts_recv: UnixNanos, instruments: &mut dyn Instruments) -> Taken {
    let mut taken = Taken::default();
    let mut fields = Fields::default();
    if let Err(mistake) = fields
        .fill(line)
        .and_then(|()| fields.tell(ts_recv, instruments, &mut taken))
    {
        taken.events.clear();
        taken.mistakes = vec![mistake];
        fields.lose(ts_recv, instruments, &mut taken);
    }
    taken
}

/// Says what is lost with a line that is too long, of which this is the beginning. The mistake is the
/// caller's to tell.
pub fn lose(beginning: &[u8], ts_recv: UnixNanos, instruments: &mut dyn Instruments) -> Taken {
    let mut taken = Taken::default();
    let mut fields = Fields::default();
    // It ends where it was cut off.
    let _cut_off = fields.fill(beginning);
    fields.lose(ts_recv, instruments, &mut taken);
    taken
}

/// The texts of a line's members, by name.
#[derive(Default)]
struct Fields<'a> {
    channel: Option<&'a str>,
    symbol: Option<&'a str>,
    ts_event: Option<&'a str>,
    venue_seq: Option<&'a str>,
    kind: Option<&'a str>,
    bids: Option<&'a str>,
    asks: Option<&'a str>,
    trades: Option<&'a str>,
    bid: Option<&'a str>,
    bid_qty: Option<&'a str>,
    ask: Option<&'a str>,
    ask_qty: Option<&'a str>,
    ticker: [Option<&'a str>; Ticker::FIGURES.len()],
    feed: Option<&'a str>,
    trading: Option<&'a str>,
    reason: Option<&'a str>,
    /// All of its members were read.
    whole: bool,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Reads a line's members; of one that is there twice the last counts.
    fn fill(&mut self, line: &'a [u8]) -> Result<(), LineError> {
        // The members before a byte that is no text say whose line it is.
        let (text, wrong) = match std::str::from_utf8(line) {
            Ok(text) => (text, None),
            Err(error) => {
                let (good, _) = line.split_at(error.valid_up_to());
                (std::str::from_utf8(good).unwrap_or_default(), Some(error))
            }
        };
        let mut cursor = Cursor::new(text);
        let read = cursor.object::<LineError>(|member, key| {
            let value = member.value()?;
            self.take(&key.content(), value)
        });
        if let Some(error) = wrong {
            return Err(LineError::new(Mistake::BadJson, format_args!("{error}")));
        }
        read?;
        cursor.end()?;
        self.whole = true;
        Ok(())
    }

    /// Makes the events of the line.
    fn tell(
        &self,
        ts_recv: UnixNanos,
        instruments: &mut dyn Instruments,
        taken: &mut Taken,
    ) -> Result<(), LineError> {
        let channel = self
            .channel()?
            .ok_or_else(|| LineError::missing("channel"))?;
        let symbol = self.symbol()?.ok_or_else(|| LineError::missing("symbol"))?;
        let instrument = find(instruments, symbol)?;
        let ts_event = self.ts_event.map(|t| time("ts_event", t));
        let mut event = Event {
            instrument: instrument.id,
            ts_event: ts_event.transpose()?.flatten(),
            ts_recv,
            venue_seq: self.venue_seq.map(venue_seq).transpose()?.flatten(),
            body: EventBody::Feed(FeedEvent::Restarted),
        };
        event.body = match channel {
            "trade" => return self.trades(instrument, &event, taken),
            "quote" => self.quote(instrument)?,
            "book" => self.book(instrument)?,
            "ticker" => self.ticker()?,
            "status" => self.status()?,
            other => {
                return Err(LineError::new(
                    Mistake::UnknownChannel,
                    format_args!(
                        "unknown channel {other:?}; write trade, quote, book, ticker or status"
                    ),
                ));
            }
        };
        taken.events.push(event);
        Ok(())
    }

    /// A line is refused: its data are lost to whom it names, or to all to whom they may belong.
    fn lose(&self, ts_recv: UnixNanos, instruments: &mut dyn Instruments, taken: &mut Taken) {
        let kind = match self.channel() {
            Ok(Some("trade")) => Some(ChannelKind::Trade),
            Ok(Some("quote")) => Some(ChannelKind::Quote),
            Ok(Some("book")) => Some(ChannelKind::Book),
            Ok(Some("ticker")) => Some(ChannelKind::Ticker),
            Ok(Some("status")) if self.may_say_loss() => {
                // Of all channels, also of a symbol that is named for the first time.
                if let Some(symbol) = self.symbol().ok().flatten()
                    && instruments.find(symbol).is_err()
                {
                    return;
                }
                None
            }
            // No data of any channel that we serve.
            Ok(Some(_)) => return,
            Ok(None) | Err(_) => None,
        };
        // Who is unknown or has had nothing yet has lost nothing.
        match (self.symbol().ok().flatten(), kind) {
            (Some(symbol), Some(kind)) => {
                let instrument = instruments.find(symbol).ok();
                let lost = instrument.map(|instrument| lost(instrument, kind, ts_recv));
                taken.events.extend(lost);
            }
            (Some(symbol), None) => {
                let astray = |id| Astray {
                    instrument: Some(id),
                    kind,
                };
                taken.astray = instruments.found(symbol).map(astray);
            }
            (None, kind) => {
                taken.astray = Some(Astray {
                    instrument: None,
                    kind,
                });
            }
        }
    }

    /// Whether a line of `status` that is refused says `gap` or `down`, or may have said so in the part
    /// that could not be read.
    fn may_say_loss(&self) -> bool {
        match self.feed.map(|feed| Cursor::new(feed).scalar()) {
            Some(Ok(Scalar::Text(text))) => matches!(text.content().as_ref(), "gap" | "down"),
            Some(_) => true,
            None => !self.whole && self.trading.is_none(),
        }
    }

    fn take(&mut self, key: &str, value: &'a str) -> Result<(), LineError> {
        let place = match key {
            "channel" => &mut self.channel,
            "symbol" => &mut self.symbol,
            "ts_event" => &mut self.ts_event,
            "venue_seq" => &mut self.venue_seq,
            "type" => &mut self.kind,
            "bids" => &mut self.bids,
            "asks" => &mut self.asks,
            "trades" => &mut self.trades,
            "bid" => &mut self.bid,
            "bid_qty" => &mut self.bid_qty,
            "ask" => &mut self.ask,
            "ask_qty" => &mut self.ask_qty,
            "feed" => &mut self.feed,
            "trading" => &mut self.trading,
            "reason" => &mut self.reason,
            _ => match Ticker::FIGURES.iter().position(|name| *name == key) {
                Some(at) => &mut self.ticker[at],
                None => return Ok(()),
            },
        };
        *place = (value != "null").then_some(value);
        Ok(())
    }

    fn channel(&self) -> Result<Option<&'a str>, LineError> {
        self.channel
            .map(|value| plain_text("channel", value))
            .transpose()
    }

    fn symbol(&self) -> Result<Option<&'a str>, LineError> {
        let symbol = self.symbol.map(|value| plain_text("symbol", value));
        symbol.transpose()
    }

    /// Takes the trades one by one: what is wrong with one concerns it alone, and is said as a loss
    /// between its neighbours.
    fn trades(
        &self,
        instrument: &Instrument,
        head: &Event,
        taken: &mut Taken,
    ) -> Result<(), LineError> {
        let text = self.trades.ok_or_else(|| LineError::missing("trades"))?;
        let mut trades = SmallVec::new();
        let mut at = 0;
        Cursor::new(text).array::<LineError>(|item| {
            let row = item.value()?;
            match trade_row(at, row, instrument) {
                Ok(trade) if trade.qty.is_zero() => {
                    let qty = InTrade { at, name: "qty" };
                    let why = format_args!("{qty} must be above 0; a print has a quantity");
                    taken.mistakes.push(LineError::new(Mistake::NoTrade, why));
                }
                Ok(trade) => trades.push(trade),
                Err(mistake) => {
                    release(&mut trades, head, taken);
                    taken.mistakes.push(mistake);
                    note_loss(instrument, head.ts_recv, taken);
                }
            }
            at += 1;
            Ok(())
        })?;
        if at == 0 {
            return Err(LineError::bad("trades", "an array with at least one trade"));
        }
        release(&mut trades, head, taken);
        Ok(())
    }

    fn quote(&self, instrument: &Instrument) -> Result<EventBody, LineError> {
        let side =
            |names: [&'static str; 2], price: Option<&str>, qty: Option<&str>| match (price, qty) {
                (None, None) => Ok(None),
                (None, Some(_)) => Err(LineError::missing(names[0])),
                (Some(_), None) => Err(LineError::missing(names[1])),
                (Some(price), Some(qty)) => {
                    let price = price_of(names[0], scalar(names[0], price)?, instrument)?;
                    let qty = qty_of(names[1], scalar(names[1], qty)?, instrument)?;
                    Ok((!qty.is_zero()).then_some((price, qty)))
                }
            };
        let given = self.bid.or(self.bid_qty).or(self.ask).or(self.ask_qty);
        if given.is_none() {
            return Err(LineError::missing("bid or ask"));
        }
        Ok(EventBody::Quote(Quote {
            bid: side(["bid", "bid_qty"], self.bid, self.bid_qty)?,
            ask: side(["ask", "ask_qty"], self.ask, self.ask_qty)?,
        }))
    }

    fn book(&self, instrument: &Instrument) -> Result<EventBody, LineError> {
        let kind = self.kind.ok_or_else(|| LineError::missing("type"))?;
        let snapshot = match plain_text("type", kind)? {
            "snapshot" => true,
            "update" => false,
            _ => return Err(LineError::bad("type", "\"snapshot\" or \"update\"")),
        };
        if self.bids.or(self.asks).is_none() {
            return Err(LineError::missing("bids or asks"));
        }
        let bids = levels(Side::Bid, self.bids, instrument)?;
        let asks = levels(Side::Ask, self.asks, instrument)?;
        // A desk's quotes are the ones it publishes, and its books have no numbers.
        let book = BookEvent {
            snapshot,
            bids,
            asks,
            ..BookEvent::default()
        };
        Ok(EventBody::Book(Box::new(book)))
    }

    fn ticker(&self) -> Result<EventBody, LineError> {
        if self.ticker.iter().all(Option::is_none) {
            return Err(LineError::missing(
                "last, open, high, low, change, change_pct or volume",
            ));
        }
        let mut figures = [None; Ticker::FIGURES.len()];
        let written = self.ticker.iter().zip(Ticker::FIGURES);
        for (figure, (value, name)) in figures.iter_mut().zip(written) {
            let Some(value) = value else { continue };
            let text = scalar(name, value)?;
            let read = Decimal::parse(text.as_bytes());
            *figure = Some(read.map_err(|e| LineError::number(name, e))?);
        }
        Ok(EventBody::Ticker(Box::new(Ticker::from_figures(figures))))
    }

    /// The desk's word on trading, or on its own feed.
    fn status(&self) -> Result<EventBody, LineError> {
        if let Some(trading) = self.trading {
            if self.feed.is_some() {
                return Err(LineError::bad("feed", "in a separate line"));
            }
            if self.reason.is_some() {
                return Err(LineError::bad("reason", "given only together with feed"));
            }
            let state = TradingState::of_label(plain_text("trading", trading)?);
            let state = state.ok_or_else(|| {
                let known = TradingState::ALL.map(TradingState::label);
                LineError::bad("trading", &format!("one of {}", known.join(", ")))
            })?;
            return Ok(EventBody::Trading(state));
        }
        let feed = self
            .feed
            .ok_or_else(|| LineError::missing("trading or feed"))?;
        let reason = match self.reason.map(|r| Cursor::new(r).scalar()) {
            Some(Ok(Scalar::Text(text))) => Cow::Owned(text.content().into_owned()),
            Some(_) => return Err(LineError::bad("reason", "a string")),
            None => Cow::Borrowed("reported by the publisher"),
        };
        Ok(EventBody::Feed(match plain_text("feed", feed)? {
            "gap" => FeedEvent::Gap(reason),
            "down" => FeedEvent::Down(reason),
            _ => {
                let should =
                    "gap or down; the gateway itself finds out live and stale from the data";
                return Err(LineError::bad("feed", should));
            }
        }))
    }
}

fn find<'i>(
    instruments: &'i mut dyn Instruments,
    symbol: &str,
) -> Result<&'i Instrument, LineError> {
    let unknown = |why| LineError {
        kind: Mistake::UnknownSymbol,
        message: why,
    };
    instruments.find(symbol).map_err(unknown)
}

/// Makes an event of the trades so far.
fn release(trades: &mut SmallVec<[Trade; 1]>, head: &Event, taken: &mut Taken) {
    if !trades.is_empty() {
        let body = EventBody::Trades {
            trades: std::mem::take(trades),
            history: false,
            ids: TradeIds::Opaque,
        };
        taken.events.push(Event {
            body,
            ..head.clone()
        });
    }
}

/// A trade of a batch was lost; adjacent lost trades make one loss.
fn note_loss(instrument: &Instrument, ts_recv: UnixNanos, taken: &mut Taken) {
    if let Some(Event {
        body:
            EventBody::Feed(FeedEvent::Lost {
                events: Some(events),
                ..
            }),
        ..
    }) = taken.events.last_mut()
    {
        *events += 1;
    } else {
        let lost = lost(instrument, ChannelKind::Trade, ts_recv);
        taken.events.push(lost);
    }
}

/// One event of a channel was lost.
fn lost(instrument: &Instrument, kind: ChannelKind, ts_recv: UnixNanos) -> Event {
    Event {
        instrument: instrument.id,
        ts_event: None,
        ts_recv,
        venue_seq: None,
        body: EventBody::Feed(FeedEvent::Lost {
            channels: ChannelSet::EMPTY.with(kind),
            events: Some(1),
            reason: Cow::Borrowed("the publisher's line could not be read"),
        }),
    }
}
