//! What subscribers of all topics would have seen, and whether it was right.

use crate::journal::Journal;
use crate::memory::uncounted;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::{
    Body, FeedState, Instrument, InstrumentId, Side, StreamKind, Terms, Update, UpdateSink,
};
use tapecast_venuesim::{Simulated, TruthBook};

/// Levels of each side that must be right at every moment.
const PROTECTED: usize = 20;

/// What was seen of one instrument.
#[derive(Default)]
pub(crate) struct Seen {
    /// Ids of trades, in order.
    pub(crate) trades: Vec<u64>,
    /// Losses: of which stream, how many, and how many trades had come before.
    pub(crate) lost: Vec<(StreamKind, u64, usize)>,
    pub(crate) books: u64,
    pub(crate) quotes: u64,
    pub(crate) tickers: u64,
    pub(crate) feed: Option<FeedState>,
    /// All states, with reasons.
    pub(crate) states: Vec<String>,
    pub(crate) trading: String,
    /// What is known of it, and what its definitions say of trading.
    pub(crate) terms: Terms,
    pub(crate) defined: Vec<String>,
    /// The number of the last book; of a venue without numbers, its time in microseconds.
    pub(crate) last_book: u64,
    /// The best levels of the last book.
    pub(crate) book: TruthBook,
    pub(crate) quote: Option<(i64, i64)>,
    /// It has been replaced so often.
    pub(crate) replaced: u32,
    /// Since when it has a gap or is down.
    pub(crate) ill: Option<Duration>,
    /// How long that lasted, each time.
    pub(crate) healed: Vec<Duration>,
}

impl Seen {
    /// How many trades were announced as lost.
    pub(crate) fn lost_trades(&self) -> u64 {
        let lost = self
            .lost
            .iter()
            .filter(|(kind, ..)| *kind == StreamKind::Trade);
        lost.map(|(_, events, _)| events).sum()
    }
}

/// All instruments, by the venue's name.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) seen: BTreeMap<String, Seen>,
    names: HashMap<InstrumentId, String>,
    /// Published books that have to be compared with the truth.
    pub(crate) pending: Vec<(String, TruthBook)>,
    pub(crate) compared: u64,
    /// Books may be wrong at present.
    pub(crate) tolerant: bool,
    /// Books that were wrong.
    pub(crate) wrong: u64,
    /// All that was seen, if it is wanted.
    pub(crate) journal: Option<Journal>,
    /// The time of what is published.
    pub(crate) now: Duration,
}

impl Witness {
    pub(crate) fn of(&self, native: &str) -> &Seen {
        &self.seen[native]
    }

    /// Whether the last book is this one. Only the levels are compared if the venue has no numbers: it says nothing
    /// of changes far away from the best prices.
    pub(crate) fn has(&self, native: &str, truth: &TruthBook, numbered: bool) -> bool {
        let (seen, truth) = (self.of(native), protected(truth));
        if numbered {
            return seen.last_book == truth.last_update_id;
        }
        (&seen.book.bids, &seen.book.asks) == (&truth.bids, &truth.asks)
    }

    /// Compares what was published since the last call.
    pub(crate) fn compare(&mut self, venue: &impl Simulated) {
        for (native, book) in self.pending.drain(..) {
            let seen = self.seen.entry(native.clone()).or_default();
            seen.book.clone_from(&book);
            let Some(truth) = venue.past_book(&native, book.last_update_id) else {
                continue;
            };
            let truth = protected(&truth);
            self.compared += 1;
            let right = book == truth;
            self.wrong += u64::from(!right);
            assert!(
                right || self.tolerant,
                "the book of {native}: {book:?}, not {truth:?}"
            );
        }
    }
}

impl UpdateSink for Witness {
    fn publish(&mut self, update: &Update<'_>) {
        uncounted(|| self.see(update));
    }

    fn replace(&mut self, replaced: InstrumentId, by: &Arc<Instrument>) {
        uncounted(|| self.see_replaced(replaced, by));
    }
}

impl Witness {
    fn see(&mut self, update: &Update<'_>) {
        if let Some(journal) = &mut self.journal {
            journal.publish(update);
        }
        let native = update.instrument.native.to_string();
        let seen = self.seen.entry(native.clone()).or_default();
        match update.body {
            Body::Trades(trades) => {
                seen.trades
                    .extend(trades.iter().filter_map(|trade| trade.id.number()));
            }
            Body::Quote(quote) => {
                seen.quotes += 1;
                let price = |side: Option<(tapecast_model::Price, _)>| {
                    side.map_or(0, |(p, _)| p.mantissa())
                };
                seen.quote = Some((price(quote.bid), price(quote.ask)));
            }
            Body::Book { book, .. } => {
                seen.books += 1;
                let micros = update.ts_event.map_or(0, |time| time.nanos().get() / 1_000);
                seen.last_book = update.venue_seq.unwrap_or(micros);
                let levels = |side| {
                    book.levels(side)
                        .take(PROTECTED)
                        .map(|level| {
                            in_units(
                                update.instrument,
                                level.price.mantissa(),
                                level.qty.mantissa(),
                            )
                        })
                        .collect()
                };
                let published = TruthBook {
                    last_update_id: seen.last_book,
                    bids: levels(Side::Bid),
                    asks: levels(Side::Ask),
                };
                self.pending.push((native, published));
            }
            Body::Lost { kind, events } => {
                let before = seen.trades.len();
                seen.lost.push((kind, events, before));
            }
            Body::Ticker(_) => seen.tickers += 1,
            Body::Definition { terms, trading } => {
                seen.terms = *terms;
                seen.defined.push(format!("{trading:?}"));
            }
            Body::Status(status) => {
                match status.feed {
                    FeedState::Gap | FeedState::Down => {
                        seen.ill.get_or_insert(self.now);
                    }
                    FeedState::Live => {
                        let since = seen.ill.take();
                        seen.healed.extend(since.map(|since| self.now - since));
                    }
                    FeedState::Pending | FeedState::Stale => {}
                }
                seen.feed = Some(status.feed);
                seen.trading = format!("{:?}", status.trading);
                seen.states
                    .push(format!("{} {}", status.feed.label(), status.reason));
            }
        }
    }

    fn see_replaced(&mut self, replaced: InstrumentId, by: &Arc<Instrument>) {
        self.names.remove(&replaced);
        let seen = self.seen.entry(by.native.to_string()).or_default();
        seen.replaced += 1;
    }
}

/// The best levels of a book.
fn protected(book: &TruthBook) -> TruthBook {
    let best = |levels: &[(i64, i64)]| levels.iter().take(PROTECTED).copied().collect();
    TruthBook {
        last_update_id: book.last_update_id,
        bids: best(&book.bids),
        asks: best(&book.asks),
    }
}

/// Price and size in 0.00000001.
fn in_units(instrument: &Instrument, price: i64, qty: i64) -> (i64, i64) {
    let scale = |value: i64, digits: u8| value * 10_i64.pow(u32::from(8 - digits));
    (
        scale(price, instrument.price_scale.digits()),
        scale(qty, instrument.qty_scale.digits()),
    )
}
