//! One instrument as the pipeline tells of it, and everything it has ever said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tapecast_model::{
    Body, Book, Epoch, Instrument, Level, Price, Qty, Quote, Seq, Side, StreamKind, StreamPos,
    Touched, Trade, TradeId, UnixNanos, Update, UpdateSink,
};

/// Something happens to the instrument.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A level of bids, or asks, is set.
    Level(bool, i64, i64),
    /// The venue's book is crossed from now on, or no longer.
    Crossed(bool),
    /// The book's chain breaks.
    Dropped,
    /// The quote is not known any more.
    QuoteLost,
    /// So many trades never came.
    TradesLost(u64),
    Quote(i64),
    Trades(u64),
    /// Every stream begins a new epoch.
    Restarted,
}

/// A side of a state: price and size, by price.
pub(crate) type Levels = Vec<(i64, i64)>;

/// An update as it was published, for the naive conflator.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: StreamKind,
    pub(crate) at: (u64, u64),
    pub(crate) trades: u64,
    pub(crate) lost: bool,
}

/// The instrument's state, and what its streams' states were at each number.
pub(crate) struct Market {
    pub(crate) instrument: Arc<Instrument>,
    pub(crate) epoch: u64,
    seq: [u64; StreamKind::COUNT],
    book: Book,
    crossed: bool,
    /// A state was published and not dropped since.
    shown: bool,
    /// The last state was crossed, and therefore not published.
    held_back: bool,
    touched: Touched,
    quote: Option<Quote>,
    history: Vec<Trade>,
    /// Numbers of trades that never came, by epoch.
    pub(crate) lost: BTreeSet<(u64, u64)>,
    /// Bids and asks, best first, by epoch and number.
    pub(crate) books: BTreeMap<(u64, u64), [Levels; 2]>,
    pub(crate) quotes: BTreeMap<(u64, u64), i64>,
}

impl Market {
    pub(crate) fn new(instrument: Arc<Instrument>) -> Self {
        Self {
            instrument,
            epoch: 1,
            seq: [0; StreamKind::COUNT],
            book: Book::new(),
            crossed: false,
            shown: false,
            held_back: false,
            touched: Touched::NONE,
            quote: None,
            history: Vec::new(),
            lost: BTreeSet::new(),
            books: BTreeMap::new(),
            quotes: BTreeMap::new(),
        }
    }

    /// The id of a trade: its epoch and number.
    pub(crate) fn trade_id(epoch: u64, seq: u64) -> u64 {
        epoch * 1_000_000 + seq
    }

    /// Something happens. Returns what was published of it.
    pub(crate) fn handle(
        &mut self,
        happening: &Happening,
        sink: &mut impl UpdateSink,
    ) -> Vec<Told> {
        let told = match *happening {
            Happening::Level(is_bid, price, qty) => self.set_level(is_bid, price, qty, sink),
            Happening::Crossed(crossed) => {
                self.crossed = crossed;
                None
            }
            Happening::Dropped => self.drop_book(1, sink),
            Happening::QuoteLost => self.drop_quote(1, sink),
            Happening::TradesLost(count) => {
                let first = self.seq[StreamKind::Trade.index()] + 1;
                let numbers = (first..first + count).map(|seq| (self.epoch, seq));
                self.lost.extend(numbers);
                Some(self.lose(StreamKind::Trade, count, sink))
            }
            Happening::Quote(bid) => {
                let side = (Price::from_mantissa(bid), Qty::from_mantissa(1));
                let quote = Quote {
                    bid: Some(side),
                    ask: None,
                };
                self.quote = Some(quote);
                let at = self.number(StreamKind::Quote, 1);
                self.quotes.insert(at, bid);
                Some(self.publish(StreamKind::Quote, Body::Quote(&quote), sink))
            }
            Happening::Trades(count) => {
                let kind = StreamKind::Trade;
                let first = self.seq[kind.index()] + 1;
                let trades: Vec<_> = (first..first + count).map(|n| self.trade(n)).collect();
                self.number(kind, count);
                self.history.extend(&trades);
                let surplus = self.history.len().saturating_sub(50);
                self.history.drain(..surplus);
                Some(self.publish(kind, Body::Trades(&trades), sink))
            }
            Happening::Restarted => {
                self.epoch += 1;
                self.seq = [0; StreamKind::COUNT];
                self.history.clear();
                let told = [self.drop_book(0, sink), self.drop_quote(0, sink)];
                return told.into_iter().flatten().collect();
            }
        };
        told.into_iter().collect()
    }

    /// Where a stream stands, and its state.
    pub(crate) fn current(&self, kind: StreamKind) -> (StreamPos, Option<Update<'_>>) {
        let body = match kind {
            StreamKind::Trade => {
                let history = &self.history;
                (!history.is_empty()).then_some(Body::Trades(history))
            }
            StreamKind::Quote => self.quote.as_ref().map(Body::Quote),
            _ => self.is_known().then_some(Body::Book {
                book: &self.book,
                touched: Touched::ALL,
                changes: None,
            }),
        };
        let pos = StreamPos {
            epoch: Epoch::new(self.epoch),
            seq: Seq::new(self.seq[kind.index()]),
        };
        (pos, body.map(|body| self.update(kind, body)))
    }

    fn is_known(&self) -> bool {
        self.shown && !self.held_back
    }

    fn set_level(
        &mut self,
        is_bid: bool,
        price: i64,
        qty: i64,
        sink: &mut impl UpdateSink,
    ) -> Option<Told> {
        let side = if is_bid { Side::Bid } else { Side::Ask };
        let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        if let Some(rank) = self.book.apply(side, level) {
            self.touched.note(side, rank);
        }
        let at = self.number(StreamKind::Book, 1);
        self.held_back = self.crossed;
        if self.crossed {
            return None;
        }
        self.shown = true;
        let levels = |side| {
            let levels = self.book.levels(side);
            levels
                .map(|l| (l.price.mantissa(), l.qty.mantissa()))
                .collect()
        };
        let state = [levels(Side::Bid), levels(Side::Ask)];
        self.books.insert(at, state);
        let touched = std::mem::replace(&mut self.touched, Touched::NONE);
        let body = Body::Book {
            book: &self.book,
            touched,
            changes: None,
        };
        Some(self.publish(StreamKind::Book, body, sink))
    }

    fn drop_quote(&mut self, events: u64, sink: &mut impl UpdateSink) -> Option<Told> {
        self.quote.take()?;
        Some(self.lose(StreamKind::Quote, events, sink))
    }

    fn lose(&mut self, kind: StreamKind, events: u64, sink: &mut impl UpdateSink) -> Told {
        self.number(kind, events);
        self.publish(kind, Body::Lost { kind, events }, sink)
    }

    fn drop_book(&mut self, events: u64, sink: &mut impl UpdateSink) -> Option<Told> {
        self.book.clear();
        self.touched = Touched::NONE;
        if !std::mem::take(&mut self.shown) {
            return None;
        }
        Some(self.lose(StreamKind::Book, events, sink))
    }

    fn trade(&self, seq: u64) -> Trade {
        Trade {
            id: TradeId::from_number(Self::trade_id(self.epoch, seq)),
            price: Price::from_mantissa(1),
            qty: Qty::from_mantissa(1),
            aggressor: None,
            ts_event: None,
        }
    }

    fn number(&mut self, kind: StreamKind, events: u64) -> (u64, u64) {
        self.seq[kind.index()] += events;
        (self.epoch, self.seq[kind.index()])
    }

    fn publish(&self, kind: StreamKind, body: Body<'_>, sink: &mut impl UpdateSink) -> Told {
        sink.publish(&self.update(kind, body));
        Told {
            kind,
            at: (self.epoch, self.seq[kind.index()]),
            trades: match body {
                Body::Trades(trades) => trades.len() as u64,
                _ => 0,
            },
            lost: matches!(body, Body::Lost { .. }),
        }
    }

    fn update<'a>(&'a self, kind: StreamKind, body: Body<'a>) -> Update<'a> {
        Update {
            instrument: &self.instrument,
            epoch: Epoch::new(self.epoch),
            seq: Seq::new(self.seq[kind.index()]),
            ts_event: None,
            ts_recv: UnixNanos::new(5),
            venue_seq: None,
            body,
        }
    }
}
