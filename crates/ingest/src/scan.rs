//! What a scan of a whole recording finds out: its instruments, their streams, and the digits that their numbers
//! need.
//!
//! A [`RecordingScan`] receives every message once, before anything is published, and makes a [`FeedPlan`].
//!
//! # Names
//! Symbols are chosen when all ids are known, because ids give information about each other. An id
//! without a symbol, or whose symbol an earlier id already has, is left out and named in
//! [`FeedPlan::left_out`]; the others are served.
//!
//! # Scales
//! The scale is the largest number of digits after the decimal point that a price (or a quantity) of the
//! instrument has, without trailing zeros. If the largest number would then not fit into an `i64`, it is
//! the scale that can represent the most numbers; the other numbers are refused when their message comes.

use crate::event::Scales;
use crate::plan::{FeedPlan, LeftOut, NoSymbol, OfferedStreams, PlannedInstrument};
use crate::venue::symbols::{Evidence, symbol_of};
use crate::venue::{EventVisitor, Format, MessageHead, Reject, TradeRow, VenueStream};
use hashbrown::HashMap;
use tapecast_model::{Decimal, Scale, Side, Symbol, TradingState, decimal};

/// Learns what a recording holds.
pub struct RecordingScan {
    format: Format,
    overrides: HashMap<String, Symbol>,
    entries: Vec<Entry>,
    by_native: HashMap<Box<str>, usize>,
    current: Option<(usize, VenueStream)>,
    /// Parts of messages that could not be read.
    faults: u64,
}

struct Entry {
    native: Box<str>,
    streams: OfferedStreams,
    prices: Digits,
    quantities: Digits,
    /// What its venue said of its scales.
    defined: Option<Scales>,
}

/// How many of the numbers heard need at least so many digits after the point, and how many fit an
/// `i64` with at most so many.
#[derive(Clone, Copy, Default)]
struct Digits {
    needing: [u64; SCALES],
    fitting: [u64; SCALES],
}

const SCALES: usize = Scale::MAX.digits() as usize + 1;

// === impl RecordingScan ===

impl RecordingScan {
    /// A scan of a recording in a format; `overrides` are symbols by the venue's ids.
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

    /// The recording says what an instrument is called, unless its reader says it otherwise, which scales it has, and
    /// which streams of it there were. The first word on scales counts; others replace the instrument when they come.
    pub fn define(
        &mut self,
        native: &str,
        symbol: Symbol,
        scales: Scales,
        streams: &[VenueStream],
    ) {
        self.overrides.entry(native.to_owned()).or_insert(symbol);
        let at = self.entry(native);
        for stream in streams {
            self.entries[at].streams.add(*stream);
        }
        self.entries[at].defined.get_or_insert(scales);
    }

    /// Parts of messages that could not be read, while others could.
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// Whether anything was found that could be published.
    pub fn has_heard(&self) -> bool {
        !self.entries.is_empty() && self.entries.iter().any(|entry| !entry.streams.is_empty())
    }

    /// What will be used.
    pub fn into_plan(mut self) -> FeedPlan {
        let nameless = self.by_native.get("").copied().and_then(|at| {
            let mut chained = self
                .entries
                .iter()
                .enumerate()
                .filter(|(_, e)| e.streams.is_chained());
            let only = chained.next()?.0;
            chained.next().is_none().then_some((at, only))
        });
        if let Some((at, only)) = nameless {
            let (prices, quantities) = (self.entries[at].prices, self.entries[at].quantities);
            self.entries[only].prices.add(&prices);
            self.entries[only].quantities.add(&quantities);
        }
        let heard = |entry: &&Entry| !entry.streams.is_empty() && !entry.native.is_empty();
        let natives = self.entries.iter().filter(heard);
        let evidence = Evidence::of(self.format, natives.map(|entry| entry.native.as_ref()));
        let mut plan = FeedPlan::default();
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

impl EventVisitor for RecordingScan {
    fn begin(&mut self, head: &MessageHead<'_>) -> Result<bool, Reject> {
        self.current = Some((self.entry(head.native), head.stream));
        Ok(true)
    }

    fn trade(&mut self, row: &TradeRow<'_>) -> Result<(), Reject> {
        // What is no trade has no say in the scale of trades.
        if !row.market || decimal::is_zero(row.qty.as_bytes()) {
            return Ok(());
        }
        self.number(row.price, row.qty)
    }

    fn level(&mut self, _side: Side, price: &str, qty: &str) -> Result<(), Reject> {
        self.number(price, qty)
    }

    fn finish(&mut self) -> Result<(), Reject> {
        let Some((at, stream)) = self.current.take() else {
            return Ok(());
        };
        self.entries[at].streams.add(stream);
        Ok(())
    }

    fn trading(&mut self, _native: Option<&str>, _state: TradingState) {}

    fn gap(&mut self, _reason: String) {}

    fn fault(&mut self, _native: Option<&str>, _stream: VenueStream, _reject: Reject) {
        self.faults += 1;
    }
}

// === impl Entry ===

impl Entry {
    fn new(native: &str) -> Self {
        Self {
            native: native.into(),
            streams: OfferedStreams::default(),
            prices: Digits::default(),
            quantities: Digits::default(),
            defined: None,
        }
    }

    fn plan(&self, symbol: Symbol) -> PlannedInstrument {
        let Scales {
            price_scale,
            qty_scale,
        } = self.defined.unwrap_or_else(|| Scales {
            price_scale: self.prices.scale(),
            qty_scale: self.quantities.scale(),
        });
        PlannedInstrument {
            native: self.native.clone(),
            symbol,
            price_scale,
            qty_scale,
            chosen: self.streams.choose(),
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

#[cfg(test)]
mod tests;
