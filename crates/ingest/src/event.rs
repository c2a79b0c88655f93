//! What a feed sends to the pipeline: the content of one venue message about one instrument, parsed and
//! scaled, but not yet verified and not yet numbered.
//!
//! Events are made on a feed's thread and used on the pipeline's thread; each source has a bounded channel
//! to it ([`crate::sources`]). A feed that is ahead waits there, before the sequencer, where waiting is
//! allowed. Events travel in [`EventBatch`]es: all events that a line of a source had at once. Waking the
//! pipeline costs more than parsing, and events that came together are published together.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use std::borrow::Cow;
use tapecast_model::{
    BookChanges, ChannelSet, EventTime, InstrumentId, Level, Quote, Scale, Terms, Ticker, Trade,
    TradingState, UnixNanos,
};

/// What a feed had at once, oldest first: at most [`BATCH_EVENTS_MAX`] events.
pub type Events<T = Event> = SmallVec<[T; 1]>;

/// Events of one batch. What a pipeline's turn takes anyway, and a bound on what waits in a channel.
pub const BATCH_EVENTS_MAX: usize = 256;

/// Events on their way to the pipeline, all of one line. Iterating gives the events.
#[derive(Clone, Debug, PartialEq)]
pub struct EventBatch<T = Event> {
    /// Where they come from.
    pub line: LineId,
    /// The events, oldest first.
    pub events: Events<T>,
}

/// A line: one connection of a source to its venue. A recording is one line, and so is each publisher of a
/// push source. Events of one line are in the venue's order; between two lines there is no order, and a
/// loss on one of them says nothing of the other.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LineId {
    /// Whose line it is.
    pub source: SourceId,
    /// Which of its lines. [`LineId::FIRST`] is the only one of a source with one line; where there are
    /// several, it stands for the source itself, such as for the word that it starts again.
    pub number: u32,
}

/// A source: its place in the configuration, from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceId(pub u32);

/// One event of one instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The venue's time, if the message has one (trades carry their own as well).
    pub ts_event: Option<EventTime>,
    /// When the gateway received it.
    pub ts_recv: UnixNanos,
    /// The venue's own number for it, if it has one.
    pub venue_seq: Option<u64>,
    /// The content.
    pub body: EventBody,
}

/// The content.
#[derive(Clone, Debug, PartialEq)]
pub enum EventBody {
    /// Trades, oldest first.
    Trades {
        /// The trades.
        trades: SmallVec<[Trade; 1]>,
        /// What a venue sends on connecting: fills the history and is never an update.
        history: bool,
        /// What their ids say of what lies between them.
        ids: TradeIds,
    },
    /// Ids of the instrument's tape that were seen and have no trade, in order between the trades: of
    /// rows that are no market trades, or of fills that the venue merged into the trade that follows.
    /// Where ids are [`TradeIds::Dense`], they are no hole.
    SkippedIds {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// Best bid and offer from a separate stream.
    Quote(Quote),
    /// A snapshot of the book or a change to it.
    Book(Box<BookEvent>),
    /// 24 h statistics, merged already where the venue sends only what changed. Rare and large, so
    /// that it is kept apart: trades and quotes should not be moved about with its room.
    Ticker(Box<Ticker>),
    /// What the venue says of the instrument itself: from here on its numbers have these scales. If they are
    /// others than before, another instrument takes its place, and the events that follow name
    /// [the next generation](InstrumentId::next_generation) of its id.
    Redefined(Scales),
    /// What else the venue says of the instrument itself. Rare and large.
    Defined(Box<Terms>),
    /// The venue's word on trading.
    Trading(TradingState),
    /// The feed's word on itself.
    Feed(FeedEvent),
}

/// How many digits the numbers of an instrument have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scales {
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
}

// === impl EventBatch ===

impl<T> IntoIterator for EventBatch<T> {
    type Item = T;
    type IntoIter = smallvec::IntoIter<[T; 1]>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

// === impl LineId ===

impl LineId {
    /// The number of a source's first line.
    pub const FIRST: u32 = 0;
}

/// What the ids of an instrument's trades say of what lies between two of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TradeIds {
    /// Nothing: ids are absent, or in no order.
    #[default]
    Opaque,
    /// Later trades have higher ids, with holes: an id tells whether a trade was seen.
    Rising,
    /// Each trade's id is the id before it plus one: a missing id is a loss.
    Dense,
}

/// A snapshot of a book or a change to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BookEvent {
    /// The levels are the whole book; otherwise they change it.
    pub snapshot: bool,
    /// Bids in the order of the message; sizes are absolute, zero removes.
    pub bids: Vec<Level>,
    /// Asks in the order of the message.
    pub asks: Vec<Level>,
    /// How the message says what came before it.
    pub link: Link,
    /// What the venue says the book should hash to after this message.
    pub checksum: Option<Checksum>,
    /// The venue keeps so many levels and never says which ones fall out: cut to it after applying.
    pub depth: Option<usize>,
    /// The quote of this instrument comes from this book.
    pub makes_quote: bool,
    /// The venue was asked for it because the book was silent: if it says the same, the book was only quiet.
    pub is_probe: bool,
}

/// How a book message says what came before it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// It does not.
    #[default]
    None,
    /// It covers the venue's numbers `first..=last`: `first` must be the last number before it, plus
    /// one. A snapshot has `first == last`. The first change after a snapshot may straddle it:
    /// `first <= last_of_snapshot + 1 <= last`. (Binance spot `U`, `u`)
    Range {
        /// First number covered.
        first: u64,
        /// Last number covered.
        last: u64,
    },
    /// It names the last number before it. The first change after a snapshot may straddle it:
    /// `first <= last_of_snapshot <= last`, where there is a `first`. (Binance futures `pu`, OKX
    /// `prevSeqId`; -1 is "none before")
    Previous {
        /// First number covered, where the venue says it (Binance futures `U`).
        first: Option<i64>,
        /// The number this message must follow.
        previous: i64,
        /// The number after it.
        last: i64,
    },
    /// Its number is the last one before it, plus one. (Bybit `u`)
    Step(u64),
    /// It is whole, in a stream of whole ones, and follows nothing: of two the one with the higher number is
    /// newer. (Binance partial depth and book tickers, OKX `bbo-tbt` and `books5`)
    Whole(u64),
}

/// What a venue says its book should hash to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checksum {
    /// CRC-32 over the best ten asks, then bids, digits only. (Kraken)
    Kraken(u32),
    /// CRC-32 over the best 25 of both sides interleaved, text as sent. (OKX)
    Okx(u32),
}

/// A message of a feed about itself, sent for each instrument that it serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FeedEvent {
    /// A new round begins: every stream of the instrument starts again in a new epoch.
    Restarted,
    /// These channels of the instrument are asked for: from now on they are watched, and `pending` until
    /// their first event. None of them: which ones there are is not known, and the first event of any is due.
    Subscribed(ChannelSet),
    /// The venue was asked about these channels, because they were silent: nothing has happened there. What is
    /// known of them is right.
    Quiet(ChannelSet),
    /// Messages of these channels were lost on the way to us, or could not be read: what they said is
    /// unknown. A book cannot be trusted until its next snapshot.
    Lost {
        /// Which channels.
        channels: ChannelSet,
        /// How many events, where it is known; of trades whose ids chain the ids say it.
        events: Option<u64>,
        /// Why, in words.
        reason: Cow<'static, str>,
    },
    /// Messages of the connection were lost, of unknown channels: all channels are affected.
    Gap(Cow<'static, str>),
    /// There is no connection: all events until the next connection are lost.
    Down(Cow<'static, str>),
    /// There is nothing more to come, as at the end of a recording: nothing is lost, the state stays.
    Ended(Cow<'static, str>),
}

// === impl BookEvent ===

impl BookEvent {
    /// What it changes, unless it is a snapshot.
    pub fn changes(&self) -> BookChanges<'_> {
        BookChanges {
            bids: &self.bids,
            asks: &self.asks,
            depth: self.depth,
        }
    }
}
