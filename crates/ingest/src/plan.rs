//! What is used of a source: its instruments, by symbol, and which of several equivalent streams.
//!
//! [`crate::scan`] makes a [`FeedPlan`] from a recording before the feed runs, so symbols, scales and channels are
//! known before the first client. A plan from a venue's metadata grows: instruments are added while the feed
//! runs, and their scales change ([`Parser::add`](crate::normaliser::Parser::add),
//! [`Parser::redefine`](crate::normaliser::Parser::redefine)). The streams of an instrument do not change.
//!
//! # The choice
//! Quotes come from a quote stream if there is one, otherwise from the book. Books come from the deepest
//! stream. The other streams of an instrument are read and ignored.

use crate::event::Scales;
use crate::venue::symbols::Unmapped;
use crate::venue::{Carries, VenueStream};
use tapecast_model::{ChannelKind, ChannelSet, Scale, Symbol};

/// What is used of a source.
#[derive(Clone, Debug, Default)]
pub struct FeedPlan {
    /// Its instruments, by name.
    pub instruments: Vec<PlannedInstrument>,
    /// Which of them a snapshot belongs to that names none.
    pub nameless: Option<usize>,
    /// Ids of which nothing is served.
    pub left_out: Vec<LeftOut>,
}

/// An id of which nothing is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// The venue's name.
    pub native: Box<str>,
    /// Why.
    pub reason: NoSymbol,
}

/// Why an id has no symbol.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoSymbol {
    /// The rules of the venue lead to none.
    #[error(transparent)]
    Unmapped(#[from] Unmapped),
    /// Another id has it.
    #[error(
        "{native:?} and {first:?} both map to {symbol}; {first:?} came first and keeps it; give one of them another name in [source.symbols]"
    )]
    Taken {
        /// The id that is left out.
        native: Box<str>,
        /// The id that is served.
        first: Box<str>,
        /// What both are called.
        symbol: Symbol,
    },
}

/// What is used of an instrument.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedInstrument {
    /// The venue's name for it.
    pub native: Box<str>,
    /// Ours.
    pub symbol: Symbol,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    pub(crate) chosen: ChosenStreams,
}

/// What an event is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Trades.
    Trades,
    /// A quote.
    Quote,
    /// The book.
    Book {
        /// The quote comes from it as well.
        makes_quote: bool,
    },
    /// 24 h statistics.
    Ticker,
}

/// The streams of an instrument that its source has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OfferedStreams {
    trades: Option<u32>,
    ticker: Option<u32>,
    quote: bool,
    spare_quote: bool,
    top: Option<VenueStream>,
    book: Option<VenueStream>,
    seed: Option<VenueStream>,
}

/// The streams of an instrument that are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChosenStreams {
    trades: Option<u32>,
    ticker: Option<u32>,
    book: Option<VenueStream>,
    quote: Option<Carries>,
}

// === impl Use ===

impl Use {
    /// The channel that it serves.
    pub const fn kind(self) -> ChannelKind {
        match self {
            Self::Trades => ChannelKind::Trade,
            Self::Quote => ChannelKind::Quote,
            Self::Book { .. } => ChannelKind::Book,
            Self::Ticker => ChannelKind::Ticker,
        }
    }
}

// === impl OfferedStreams ===

impl OfferedStreams {
    /// The source has this stream.
    pub(crate) fn add(&mut self, stream: VenueStream) {
        let deepest = |known: Option<VenueStream>| match known {
            Some(known) if known.rank >= stream.rank => Some(known),
            _ => Some(stream),
        };
        match stream.carries {
            Carries::Trades => self.trades = self.trades.max(Some(stream.rank)),
            Carries::Ticker => self.ticker = self.ticker.max(Some(stream.rank)),
            Carries::Quote => self.quote = true,
            Carries::SpareQuote => self.spare_quote = true,
            Carries::Top => self.top = deepest(self.top),
            Carries::Book | Carries::WholeBook => self.book = deepest(self.book),
            Carries::Seed => self.seed = deepest(self.seed),
        }
    }

    /// There is none.
    pub(crate) fn is_empty(&self) -> bool {
        let quote = self.quote || self.spare_quote;
        let other = self.trades.or(self.ticker);
        other.is_none() && self.book().is_none() && !quote
    }

    /// Its best book is made of changes.
    pub(crate) fn is_chained(&self) -> bool {
        self.book.is_some_and(|book| book.carries == Carries::Book)
    }

    /// The best of them.
    pub(crate) fn choose(&self) -> ChosenStreams {
        let book = self.book();
        let quote = if self.quote {
            Some(Carries::Quote)
        } else if self.top.is_some() {
            Some(Carries::Top)
        } else if let Some(book) = book {
            Some(book.carries)
        } else {
            self.spare_quote.then_some(Carries::SpareQuote)
        };
        ChosenStreams {
            trades: self.trades,
            ticker: self.ticker,
            book,
            quote,
        }
    }

    fn book(&self) -> Option<VenueStream> {
        self.book.or(self.top).or(self.seed)
    }
}

// === impl FeedPlan, PlannedInstrument ===

impl FeedPlan {
    /// What can be subscribed: what any instrument has, the status, and the definition.
    pub fn channels(&self) -> ChannelSet {
        let all_have = ChannelSet::EMPTY
            .with(ChannelKind::Status)
            .with(ChannelKind::Instrument);
        let planned = self.instruments.iter();
        planned.fold(all_have, |set, planned| set.union(planned.channels()))
    }
}

impl PlannedInstrument {
    /// An instrument as its venue defines it, with these streams.
    pub fn new(
        native: &str,
        symbol: Symbol,
        scales: Scales,
        streams: impl IntoIterator<Item = VenueStream>,
    ) -> Self {
        let Scales {
            price_scale,
            qty_scale,
        } = scales;
        let mut offered = OfferedStreams::default();
        streams.into_iter().for_each(|stream| offered.add(stream));
        Self {
            native: native.into(),
            symbol,
            price_scale,
            qty_scale,
            chosen: offered.choose(),
        }
    }

    /// What events of a stream are used for, if they are used.
    pub fn use_of(&self, stream: VenueStream) -> Option<Use> {
        match stream.carries {
            Carries::Trades => (self.chosen.trades == Some(stream.rank)).then_some(Use::Trades),
            Carries::Ticker => (self.chosen.ticker == Some(stream.rank)).then_some(Use::Ticker),
            Carries::Quote | Carries::SpareQuote => {
                (self.chosen.quote == Some(stream.carries)).then_some(Use::Quote)
            }
            carries => {
                let book = self.chosen.book?;
                let seeds = carries == Carries::Seed && book.carries == Carries::Book;
                if book == stream || seeds {
                    let makes_quote = self.chosen.quote == Some(book.carries);
                    return Some(Use::Book { makes_quote });
                }
                let top = carries == Carries::Top && self.chosen.quote == Some(Carries::Top);
                top.then_some(Use::Quote)
            }
        }
    }

    /// The channels that are used of it.
    pub fn channels(&self) -> ChannelSet {
        let used = [
            (self.chosen.trades.is_some(), ChannelKind::Trade),
            (self.chosen.quote.is_some(), ChannelKind::Quote),
            (self.chosen.book.is_some(), ChannelKind::Book),
            (self.chosen.ticker.is_some(), ChannelKind::Ticker),
        ];
        let used = used.into_iter().filter(|(used, _)| *used);
        used.fold(ChannelSet::EMPTY, |set, (_, kind)| set.with(kind))
    }

    /// Whether it has a book.
    pub const fn has_book(&self) -> bool {
        self.chosen.book.is_some()
    }

    /// The streams that are used, by the channel that they serve. A quote from the book is the book's.
    pub fn streams(&self) -> impl Iterator<Item = (ChannelKind, Carries)> {
        let book = self.chosen.book.map(|book| book.carries);
        [
            (
                ChannelKind::Trade,
                self.chosen.trades.map(|_| Carries::Trades),
            ),
            (
                ChannelKind::Quote,
                self.chosen.quote.filter(|quote| book != Some(*quote)),
            ),
            (ChannelKind::Book, book),
            (
                ChannelKind::Ticker,
                self.chosen.ticker.map(|_| Carries::Ticker),
            ),
        ]
        .into_iter()
        .filter_map(|(kind, carries)| Some((kind, carries?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(streams: &[VenueStream]) -> PlannedInstrument {
        let scales = Scales {
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
        };
        let symbol = Symbol::new("A-B").unwrap();
        PlannedInstrument::new("A-B", symbol, scales, streams.iter().copied())
    }

    #[test]
    fn the_deepest_book_and_the_quotes_own_stream_are_used() {
        let shallow = VenueStream::new(Carries::WholeBook, 5);
        let deep = VenueStream::new(Carries::Book, 400);
        let top = VenueStream::new(Carries::Top, 1);
        let quote = VenueStream::new(Carries::Quote, 1);
        let seed = VenueStream::new(Carries::Seed, 0);
        let book = |makes_quote| Some(Use::Book { makes_quote });

        let plan = planned(&[deep, shallow]);
        assert_eq!(
            (plan.use_of(deep), plan.use_of(shallow)),
            (book(true), None)
        );
        let plan = planned(&[top, deep]);
        assert_eq!(
            (plan.use_of(deep), plan.use_of(top)),
            (book(false), Some(Use::Quote))
        );
        let plan = planned(&[top]);
        assert_eq!(plan.use_of(top), book(true));
        let plan = planned(&[quote, deep, seed]);
        assert_eq!(
            (plan.use_of(deep), plan.use_of(quote)),
            (book(false), Some(Use::Quote))
        );
        assert_eq!(plan.use_of(seed), book(false));
        let plan = planned(&[shallow, seed]);
        assert_eq!(
            (plan.use_of(seed), plan.use_of(shallow)),
            (None, book(true))
        );
        let spare = VenueStream::new(Carries::SpareQuote, 1);
        assert_eq!(planned(&[spare]).use_of(spare), Some(Use::Quote));
        assert_eq!(planned(&[spare, deep]).use_of(spare), None);
    }
}
