//! What a scan of a whole recording finds out: its instruments, the digits that their numbers need, and
//! which of several equivalent streams is used.
//!
//! A [`Survey`] receives every message once, before anything is published. The [`Plan`] that it makes
//! does not change after that, so that symbols, scales and channels are known before the first client.
//!
//! # The choice
//! Quotes come from a quote stream if there is one, otherwise from the book. Books come from the deepest
//! stream. The other streams of an instrument are read and ignored.
//!
//! # Names
//! Symbols are chosen when all ids are known, because ids give information about each other. An id
//! without a symbol, or whose symbol an earlier id already has, is left out and named in
//! [`Plan::left_out`]; the others are served.
//!
//! # Scales
//! The scale is the largest number of digits after the decimal point that a price (or a quantity) of the
//! instrument has, without trailing zeros. If the largest number would then not fit into an `i64`, it is
//! the scale that can represent the most numbers; the other numbers are refused when their message comes.

use crate::venue::symbols::{Evidence, Unmapped, symbol_of};
use crate::venue::{Carries, Format, Head, Listener, Print, Reject, Stream};
use hashbrown::HashMap;
use tapecast_model::{
    ChannelKind, ChannelSet, Decimal, Scale, Side, Symbol, TradingState, decimal,
};

/// Learns what a recording holds.
pub struct Survey {
    format: Format,
    overrides: HashMap<String, Symbol>,
    entries: Vec<Entry>,
    by_native: HashMap<Box<str>, usize>,
    current: Option<(usize, Stream)>,
    /// Parts of messages that could not be read.
    faults: u64,
}

/// What is used of a recording.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its instruments, by name.
    pub instruments: Vec<Planned>,
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
pub struct Planned {
    /// The venue's name for it.
    pub native: Box<str>,
    /// Ours.
    pub symbol: Symbol,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    trades: Option<u32>,
    ticker: Option<u32>,
    book: Option<Stream>,
    quote: Option<Carries>,
}

/// What an event is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// Prints.
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

struct Entry {
    native: Box<str>,
    trades: Option<u32>,
    ticker: Option<u32>,
    quote: bool,
    spare_quote: bool,
    top: Option<Stream>,
    book: Option<Stream>,
    seed: Option<Stream>,
    prices: Digits,
    quantities: Digits,
}

/// How many of the numbers heard need at least so many digits after the point, and how many fit an
/// `i64` with at most so many.
#[derive(Clone, Copy, Default)]
struct Digits {
    needing: [u64; SCALES],
    fitting: [u64; SCALES],
}

const SCALES: usize = Scale::MAX.digits() as usize + 1;

// === impl Survey ===

impl Survey {
    /// A survey of a recording in a format; `overrides` are symbols by the venue's ids.
    pub fn new(format: Format, overrides: HashMap<String, Symbol>) -> Self {
        Self {
            format,
            overrides,
            entries: Vec::new(),
            by_native: HashMap::new(),
            current: None,
            faults: 0,
        }
    }

    /// Parts of messages that could not be read, while others could.
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// Whether anything was found that could be published.
    pub fn has_heard(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().any(Entry::is_heard)
    }

    /// What will be used.
    pub fn into_plan(mut self) -> Plan {
        let nameless = self.by_native.get("").copied().and_then(|at| {
            let mut chained = self
                .entries
                .iter()
                .enumerate()
                .filter(|(_, e)| e.is_chained());
            let only = chained.next()?.0;
            chained.next().is_none().then_some((at, only))
        });
        if let Some((at, only)) = nameless {
            let (prices, quantities) = (self.entries[at].prices, self.entries[at].quantities);
            self.entries[only].prices.add(&prices);
            self.entries[only].quantities.add(&quantities);
        }
        let heard = |entry: &&Entry| entry.is_heard() && !entry.native.is_empty();
        let natives = self.entries.iter().filter(heard);
        let evidence = Evidence::of(self.format, natives.map(|entry| entry.native.as_ref()));
        let mut plan = Plan::default();
        let mut names: HashMap<Symbol, Box<str>> = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate().filter(|(_, e)| heard(e)) {
            let native = &entry.native;
            let symbol = match self.name(native, &evidence, &names) {
                Ok(symbol) => symbol,
                Err(reason) => {
                    let native = native.clone();
                    plan.left_out.push(LeftOut { native, reason });
                    continue;
                }
            };
            names.insert(symbol.clone(), native.clone());
            if nameless.is_some_and(|(_, only)| only == at) {
                plan.nameless = Some(plan.instruments.len());
            }
            plan.instruments.push(entry.plan(symbol));
        }
        plan
    }

    /// The symbol of an id, if no other has it already.
    fn name(
        &self,
        native: &str,
        evidence: &Evidence,
        names: &HashMap<Symbol, Box<str>>,
    ) -> Result<Symbol, NoSymbol> {
        let symbol = match self.overrides.get(native) {
            Some(symbol) => symbol.clone(),
            None => symbol_of(self.format, native, evidence)?,
        };
        match names.get(&symbol) {
            Some(first) => Err(NoSymbol::Taken {
                native: native.into(),
                first: first.clone(),
                symbol,
            }),
            None => Ok(symbol),
        }
    }

    fn entry(&mut self, native: &str) -> usize {
        if let Some(at) = self.by_native.get(native) {
            return *at;
        }
        self.entries.push(Entry::new(native));
        self.by_native.insert(native.into(), self.entries.len() - 1);
        self.entries.len() - 1
    }

    fn number(&mut self, price: &str, qty: &str) -> Result<(), Reject> {
        let Some((at, _)) = self.current else {
            return Ok(());
        };
        let entry = &mut self.entries[at];
        entry.prices.note("price", price)?;
        if qty.starts_with('-') && !decimal::is_zero(qty.as_bytes()) {
            return Err(Reject::Number("quantity"));
        }
        entry.quantities.note("quantity", qty)
    }
}

impl Listener for Survey {
    fn begin(&mut self, head: &Head<'_>) -> Result<bool, Reject> {
        self.current = Some((self.entry(head.native), head.stream));
        Ok(true)
    }

    fn print(&mut self, print: &Print<'_>) -> Result<(), Reject> {
        // What is no print has no say in the scale of prints.
        if !print.market || decimal::is_zero(print.qty.as_bytes()) {
            return Ok(());
        }
        self.number(print.price, print.qty)
    }

    fn level(&mut self, _side: Side, price: &str, qty: &str) -> Result<(), Reject> {
        self.number(price, qty)
    }

    fn finish(&mut self) -> Result<(), Reject> {
        let Some((at, stream)) = self.current.take() else {
            return Ok(());
        };
        self.entries[at].heard(stream);
        Ok(())
    }

    fn trading(&mut self, _native: Option<&str>, _state: TradingState) {}

    fn gap(&mut self, _reason: String) {}

    fn fault(&mut self, _native: Option<&str>, _stream: Stream, _reject: Reject) {
        self.faults += 1;
    }
}

// === impl Entry ===

impl Entry {
    fn new(native: &str) -> Self {
        Self {
            native: native.into(),
            trades: None,
            ticker: None,
            quote: false,
            spare_quote: false,
            top: None,
            book: None,
            seed: None,
            prices: Digits::default(),
            quantities: Digits::default(),
        }
    }

    fn heard(&mut self, stream: Stream) {
        let deepest = |known: Option<Stream>| match known {
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

    fn is_chained(&self) -> bool {
        self.book.is_some_and(|book| book.carries == Carries::Book)
    }

    /// Whether the recording contains any of it.
    fn is_heard(&self) -> bool {
        let book = self.book.or(self.top).or(self.seed);
        let quote = self.quote || self.spare_quote;
        self.trades.or(self.ticker).is_some() || book.is_some() || quote
    }

    fn plan(&self, symbol: Symbol) -> Planned {
        let book = self.book.or(self.top).or(self.seed);
        let quote = if self.quote {
            Some(Carries::Quote)
        } else if self.top.is_some() {
            Some(Carries::Top)
        } else if let Some(book) = book {
            Some(book.carries)
        } else {
            self.spare_quote.then_some(Carries::SpareQuote)
        };
        Planned {
            native: self.native.clone(),
            symbol,
            price_scale: self.prices.scale(),
            qty_scale: self.quantities.scale(),
            trades: self.trades,
            ticker: self.ticker,
            book,
            quote,
        }
    }
}

// === impl Digits ===

impl Digits {
    /// Takes a number into account, unless no scale could keep it.
    fn note(&mut self, field: &'static str, text: &str) -> Result<(), Reject> {
        let bytes = text.as_bytes();
        if bytes.iter().any(|b| matches!(b, b'e' | b'E')) {
            return match Decimal::parse(bytes).map_err(|e| Reject::of_number(field, e)) {
                Ok(plain) => self.note(field, &plain.to_string()),
                // No scale could keep it.
                Err(Reject::Scale) => Ok(()),
                Err(reject) => Err(reject),
            };
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let needing = fraction.trim_end_matches('0').len();
        let Some(scale) = u8::try_from(needing).ok().and_then(Scale::new) else {
            return match decimal::parse_parts(bytes).map_err(|e| Reject::of_number(field, e)) {
                Ok(_) | Err(Reject::Scale) => Ok(()),
                Err(reject) => Err(reject),
            };
        };
        match decimal::parse_scaled(bytes, scale) {
            Ok(_) => {}
            Err(error) => {
                let reject = Reject::of_number(field, error);
                return if reject == Reject::Scale {
                    Ok(())
                } else {
                    Err(reject)
                };
            }
        }
        // Below 10^k, so it fits with 18 - k digits more; one more it may have room for.
        let whole = whole.trim_start_matches('0').len();
        let sure = (SCALES - 1).saturating_sub(whole).max(needing);
        let more = u8::try_from(sure + 1).ok().and_then(Scale::new);
        let fits = more.is_some_and(|more| decimal::parse_scaled(bytes, more).is_ok());
        self.needing[needing] += 1;
        self.fitting[sure + usize::from(fits)] += 1;
        Ok(())
    }

    fn add(&mut self, other: &Self) {
        for at in 0..SCALES {
            self.needing[at] += other.needing[at];
            self.fitting[at] += other.fitting[at];
        }
    }

    /// The scale that keeps the most numbers; of equals the smallest.
    fn scale(&self) -> Scale {
        let lost = |scale: &usize| {
            let finer: u64 = self.needing[scale + 1..].iter().sum();
            let larger: u64 = self.fitting[..*scale].iter().sum();
            finer + larger
        };
        let best = (0..SCALES).min_by_key(lost).unwrap_or(0);
        Scale::saturating(best as u8)
    }
}

// === impl Plan, Planned ===

impl Plan {
    /// What can be subscribed: what any instrument has, and the status.
    pub fn channels(&self) -> ChannelSet {
        let status = ChannelSet::EMPTY.with(ChannelKind::Status);
        let planned = self.instruments.iter();
        planned.fold(status, |set, planned| set.union(planned.channels()))
    }
}

impl Planned {
    /// What events of a stream are used for, if they are used.
    pub fn use_of(&self, stream: Stream) -> Option<Use> {
        match stream.carries {
            Carries::Trades => (self.trades == Some(stream.rank)).then_some(Use::Trades),
            Carries::Ticker => (self.ticker == Some(stream.rank)).then_some(Use::Ticker),
            Carries::Quote | Carries::SpareQuote => {
                (self.quote == Some(stream.carries)).then_some(Use::Quote)
            }
            carries => {
                let book = self.book?;
                let seeds = carries == Carries::Seed && book.carries == Carries::Book;
                if book == stream || seeds {
                    let makes_quote = self.quote == Some(book.carries);
                    return Some(Use::Book { makes_quote });
                }
                let top = carries == Carries::Top && self.quote == Some(Carries::Top);
                top.then_some(Use::Quote)
            }
        }
    }

    /// The channels that are used of it.
    pub fn channels(&self) -> ChannelSet {
        let used = [
            (self.trades.is_some(), ChannelKind::Trade),
            (self.quote.is_some(), ChannelKind::Quote),
            (self.book.is_some(), ChannelKind::Book),
            (self.ticker.is_some(), ChannelKind::Ticker),
        ];
        let used = used.into_iter().filter(|(used, _)| *used);
        used.fold(ChannelSet::EMPTY, |set, (_, kind)| set.with(kind))
    }

    /// Whether it has a book.
    pub const fn has_book(&self) -> bool {
        self.book.is_some()
    }

    /// The streams that are used, by the channel that they serve. A quote from the book is the book's.
    pub fn streams(&self) -> impl Iterator<Item = (ChannelKind, Carries)> {
        let book = self.book.map(|book| book.carries);
        [
            (ChannelKind::Trade, self.trades.map(|_| Carries::Trades)),
            (
                ChannelKind::Quote,
                self.quote.filter(|quote| book != Some(*quote)),
            ),
            (ChannelKind::Book, book),
            (ChannelKind::Ticker, self.ticker.map(|_| Carries::Ticker)),
        ]
        .into_iter()
        .filter_map(|(kind, carries)| Some((kind, carries?)))
    }
}

#[cfg(test)]
mod tests;
