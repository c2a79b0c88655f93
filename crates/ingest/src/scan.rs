//! What a whole recording says about itself: its instruments, the digits their numbers need, and
//! which of several streams that tell the same story is used.
//!
//! A [`Survey`] listens to every message once, before anything is published; the [`Plan`] it comes
//! to is fixed from then on, so that symbols, scales and channels are known before the first client.
//!
//! # The choice
//! Quotes come from a stream of their own if there is one, else from the book. Books come from the
//! deepest stream. The other streams of an instrument are read and passed over.
//!
//! # Scales
//! The most digits after the point that a price (a quantity) of the instrument has, trailing zeros
//! aside. If the largest number would then not fit an `i64`, the scale that keeps the most numbers;
//! those it cannot keep are refused when their message comes.

use crate::venue::symbols::{Unmapped, symbol_of};
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
    /// An id without a symbol, in a message that was otherwise well.
    unmapped: Option<Unmapped>,
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

/// What a piece of news is used for.
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
    symbol: Result<Symbol, Unmapped>,
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
            unmapped: None,
            faults: 0,
        }
    }

    /// Parts of messages that could not be read, while others could.
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// The id without a symbol that the last message named, if it did.
    pub fn take_unmapped(&mut self) -> Option<Unmapped> {
        self.unmapped.take()
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
        let mut plan = Plan::default();
        for (at, entry) in self.entries.iter().enumerate() {
            if let Some(planned) = entry.plan() {
                if nameless.is_some_and(|(_, only)| only == at) {
                    plan.nameless = Some(plan.instruments.len());
                }
                plan.instruments.push(planned);
            }
        }
        plan
    }

    fn entry(&mut self, native: &str) -> usize {
        if let Some(at) = self.by_native.get(native) {
            return *at;
        }
        let symbol = match self.overrides.get(native) {
            Some(symbol) => Ok(symbol.clone()),
            None => symbol_of(self.format, native),
        };
        self.entries.push(Entry::new(native, symbol));
        self.by_native.insert(native.into(), self.entries.len() - 1);
        self.entries.len() - 1
    }

    fn number(&mut self, price: &str, qty: &str) -> Result<(), Reject> {
        let Some((at, _)) = self.current else {
            return Ok(());
        };
        let entry = &mut self.entries[at];
        entry.prices.note("price", price)?;
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
        let entry = &mut self.entries[at];
        entry.heard(stream);
        if let Err(unmapped) = &entry.symbol
            && !entry.native.is_empty()
        {
            self.unmapped = Some(unmapped.clone());
        }
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
    fn new(native: &str, symbol: Result<Symbol, Unmapped>) -> Self {
        Self {
            native: native.into(),
            symbol,
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

    fn plan(&self) -> Option<Planned> {
        let symbol = self.symbol.as_ref().ok()?.clone();
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
        let heard = self.trades.or(self.ticker).is_some() || quote.is_some();
        heard.then(|| Planned {
            native: self.native.clone(),
            symbol,
            price_scale: self.prices.scale(),
            qty_scale: self.quantities.scale(),
            trades: self.trades,
            ticker: self.ticker,
            book,
            quote,
        })
    }
}

// === impl Digits ===

impl Digits {
    /// Takes a number into account, unless no scale could keep it.
    fn note(&mut self, field: &'static str, text: &str) -> Result<(), Reject> {
        let bytes = text.as_bytes();
        if bytes.iter().any(|b| matches!(b, b'e' | b'E')) {
            let plain = Decimal::parse(bytes).map_err(|e| Reject::of_number(field, e))?;
            return self.note(field, &plain.to_string());
        }
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let needing = fraction.trim_end_matches('0').len();
        let Some(scale) = u8::try_from(needing).ok().and_then(Scale::new) else {
            return Ok(());
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
    /// What news of a stream is used for, if for anything.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{BookHead, What};

    fn scale_of(numbers: &[&str]) -> u8 {
        let mut digits = Digits::default();
        for number in numbers {
            digits.note("price", number).unwrap();
        }
        digits.scale().digits()
    }

    #[test]
    fn a_scale_is_the_most_digits_that_are_not_padding() {
        assert_eq!(scale_of(&["61837.64000000", "0.00000000", "12"]), 2);
        assert_eq!(scale_of(&["0.00000000001"]), 11);
        assert_eq!(scale_of(&["1e-08", "5E2"]), 8);
        assert_eq!(scale_of(&["12345678901.12345678"]), 8);
        assert_eq!(scale_of(&["9223372036.854775807", "0.1"]), 9);
        assert_eq!(scale_of(&["12345678901", "0.12345678"]), 8);
        assert_eq!(scale_of(&[]), 0);
    }

    #[test]
    fn one_absurd_number_does_not_cost_the_others_their_digits() {
        let mut numbers = vec!["61837.64"; 3];
        numbers.push("99999999999999999");
        assert_eq!(scale_of(&numbers), 2);
        numbers.push("99999999999999999999999");
        numbers.push("0.0000000000000000000000001");
        assert_eq!(scale_of(&numbers), 2);
        assert_eq!(
            scale_of(&["123456789012345678", "123456789012345677", "0.12", "0.1"]),
            1
        );
        assert_eq!(
            scale_of(&["923456789012345678", "923456789012345677", "0.1"]),
            0
        );
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "x", "1.2.3", "--1", "1,5"] {
            assert!(Digits::default().note("price", text).is_err(), "{text}");
        }
    }

    fn planned(streams: &[Stream]) -> Planned {
        let mut survey = Survey::new(Format::Okx, HashMap::new());
        for stream in streams {
            let what = What::Book(BookHead::default());
            let head = Head {
                native: "A-B",
                stream: *stream,
                ts_event: None,
                venue_seq: None,
                what,
            };
            survey.begin(&head).unwrap();
            survey.finish().unwrap();
        }
        survey.into_plan().instruments.remove(0)
    }

    #[test]
    fn the_deepest_book_and_the_quotes_own_stream_are_used() {
        let shallow = Stream::new(Carries::WholeBook, 5);
        let deep = Stream::new(Carries::Book, 400);
        let top = Stream::new(Carries::Top, 1);
        let quote = Stream::new(Carries::Quote, 1);
        let seed = Stream::new(Carries::Seed, 0);
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
        let spare = Stream::new(Carries::SpareQuote, 1);
        assert_eq!(planned(&[spare]).use_of(spare), Some(Use::Quote));
        assert_eq!(planned(&[spare, deep]).use_of(spare), None);
    }
}
