//! `[[source]]` tables: each kind has its own keys.

use super::live::{LiveSource, live};
use super::ranges::{late, number};
use super::tables::{PushTable, ReplayTable, SimSource, Start};
use super::wrong::read_table;
use super::{STALE_AFTER, Span};
use hashbrown::HashSet;
use serde::Deserialize;
use serde::de::Error as _;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tapecast_ingest::pipeline::SilenceLimit;
use tapecast_ingest::push::Symbols;
use tapecast_ingest::replay::Speed;
use tapecast_ingest::sim::{EVENTS_PER_SECOND_MAX, SYMBOLS_MAX};
use tapecast_ingest::venue::Format;
use tapecast_model::{Scale, Symbol, Venue};

/// Where data come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A simulated market.
    Sim(SimSource),
    /// A recording.
    Replay(ReplaySource),
    /// A desk's own events.
    Push(PushSource),
    /// A connection to a venue.
    Live(Box<LiveSource>),
}

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplaySource {
    /// The venue's name in topics; the format's name by default.
    pub venue: Venue,
    /// The format of its messages.
    pub format: Format,
    /// The file.
    pub path: PathBuf,
    /// How fast.
    pub speed: Speed,
    /// When it starts.
    pub start: Start,
    /// Whether it plays again after its end.
    pub looped: bool,
    /// Symbols by the venue's ids.
    pub symbols: BTreeMap<String, Symbol>,
    /// As in `[pipeline]`, for this source.
    pub stale_after: Option<Span>,
    /// The process is not ready without it.
    pub required: bool,
}

/// A desk's own events.
#[derive(Clone, Debug, PartialEq)]
pub struct PushSource {
    /// The venue's name in topics.
    pub venue: Venue,
    /// Where publishers connect.
    pub listen: SocketAddr,
    /// What may be published.
    pub symbols: Symbols,
    /// Digits after the point of prices.
    pub price_scale: Scale,
    /// Digits after the point of quantities.
    pub qty_scale: Scale,
    /// As in `[pipeline]`, for this source.
    pub stale_after: Option<Span>,
    /// The process is not ready without it.
    pub required: bool,
}

/// Factors of a replay's time.
const SPEEDS: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

const KINDS: &str = "\"sim\", \"replay\", \"push\" or \"live\"";

// === impl Source ===

impl Source {
    /// The venue's name in topics.
    pub fn venue(&self) -> &str {
        match self {
            Self::Sim(sim) => &sim.venue,
            Self::Replay(replay) => replay.venue.as_str(),
            Self::Push(push) => push.venue.as_str(),
            Self::Live(live) => live.venue.as_str(),
        }
    }

    /// Whether any symbol may be named under its venue.
    pub fn takes_any_symbol(&self) -> bool {
        matches!(self, Self::Push(push) if push.symbols == Symbols::Any)
    }

    /// How long its symbols may be silent, if it says so.
    pub fn stale_after(&self) -> Option<Span> {
        match self {
            Self::Sim(sim) => sim.stale_after,
            Self::Replay(replay) => replay.stale_after,
            Self::Push(push) => push.stale_after,
            Self::Live(live) => live.stale_after,
        }
    }

    /// Whether the process is not ready without it.
    pub fn is_required(&self) -> bool {
        match self {
            Self::Sim(sim) => sim.required,
            Self::Replay(replay) => replay.required,
            Self::Push(push) => push.required,
            Self::Live(live) => live.required,
        }
    }

    /// How long its channels may be silent, where `of_all` is what counts for sources that do not say.
    pub fn silence(&self, of_all: Option<Span>) -> SilenceLimit {
        let said = self.stale_after().or(of_all);
        match (said, self) {
            (Some(Span(limit)), _) => SilenceLimit::Fixed(limit),
            (None, Self::Replay(_) | Self::Live(_)) => SilenceLimit::ByPace,
            (None, Self::Sim(_) | Self::Push(_)) => SilenceLimit::Fixed(STALE_AFTER),
        }
    }

    fn parse(mut table: toml::Table) -> Result<Self, String> {
        let Some(toml::Value::String(kind)) = table.remove("kind") else {
            return Err(format!("kind is missing or is not text; write {KINDS}"));
        };
        match kind.as_str() {
            "sim" => sim(read_table(table)?).map(Self::Sim),
            "replay" => replay(read_table(table)?).map(Self::Replay),
            "push" => push(read_table(table)?).map(Self::Push),
            "live" => live(read_table(table)?).map(|live| Self::Live(Box::new(live))),
            other => Err(format!("kind: {other:?} is not allowed; write {KINDS}")),
        }
    }
}

fn sim(source: SimSource) -> Result<SimSource, String> {
    Venue::new(&source.venue).map_err(|e| format!("venue: {e}"))?;
    let events = usize::try_from(source.events_per_second).unwrap_or(usize::MAX);
    let outside = number("symbols", source.symbols, &(1..=SYMBOLS_MAX))
        .or_else(|| number("events_per_second", events, &(1..=EVENTS_PER_SECOND_MAX)))
        .or_else(|| late(source.stale_after));
    outside.map_or(Ok(source), Err)
}

fn replay(table: ReplayTable) -> Result<ReplaySource, String> {
    let format: Format = table.format.parse().map_err(|e| format!("format: {e}"))?;
    let venue = table.venue.unwrap_or_else(|| format.to_string());
    let speed = match &table.speed {
        toml::Value::String(word) if word == "max" => Speed::Max,
        toml::Value::Integer(factor) if SPEEDS.contains(&(*factor as f64)) => {
            Speed::Factor(*factor as f64)
        }
        toml::Value::Float(factor) if SPEEDS.contains(factor) => Speed::Factor(*factor),
        given => {
            return Err(format!(
                "speed: {given} is not allowed; write a factor such as 1, 10 or 0.5, from a millionth to a \
                 million, or \"max\""
            ));
        }
    };
    if let Some(wrong) = late(table.stale_after) {
        return Err(wrong);
    }
    let mut symbols = BTreeMap::new();
    for (native, symbol) in table.symbols {
        let symbol = Symbol::new(&symbol).map_err(|e| format!("symbols.{native}: {e}"))?;
        symbols.insert(native, symbol);
    }
    Ok(ReplaySource {
        venue: Venue::new(&venue).map_err(|e| format!("venue: {e}"))?,
        format,
        path: table.path,
        speed,
        start: table.start,
        looped: table.looped,
        symbols,
        stale_after: table.stale_after,
        required: table.required,
    })
}

fn push(table: PushTable) -> Result<PushSource, String> {
    let scale = |key: &str, digits: i64| {
        let max = Scale::MAX;
        let scale = u8::try_from(digits).ok().and_then(Scale::new);
        scale.ok_or_else(|| format!("{key}: {digits} is not allowed; write 0 to {max} digits"))
    };
    let wrong = |given: &toml::Value| {
        format!("symbols: {given} is not allowed; write \"*\" or a list of symbols in quotes")
    };
    let symbols = match &table.symbols {
        toml::Value::String(any) if any == "*" => Symbols::Any,
        toml::Value::Array(list) => {
            let name = |symbol: &toml::Value| {
                let text = symbol.as_str().ok_or_else(|| wrong(symbol))?;
                Symbol::new(text).map_err(|e| format!("symbols: {e}"))
            };
            let symbols: Vec<Symbol> = list.iter().map(name).collect::<Result<_, _>>()?;
            let mut seen = HashSet::new();
            let twice = symbols.iter().find(|symbol| !seen.insert(*symbol));
            if let Some(twice) = twice {
                return Err(format!("symbols: {twice} is there twice; write it once"));
            }
            drop(seen);
            if symbols.is_empty() {
                return Err(wrong(&table.symbols));
            }
            Symbols::List(symbols)
        }
        given => return Err(wrong(given)),
    };
    if let Some(wrong) = late(table.stale_after) {
        return Err(wrong);
    }
    Ok(PushSource {
        venue: Venue::new(&table.venue).map_err(|e| format!("venue: {e}"))?,
        listen: table.listen,
        symbols,
        price_scale: scale("price_scale", table.price_scale)?,
        qty_scale: scale("qty_scale", table.qty_scale)?,
        stale_after: table.stale_after,
        required: table.required,
    })
}

/// Reads the list of `[[source]]` tables; an error says which of them it is in.
pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Source>, D::Error> {
    let tables = Vec::<toml::Table>::deserialize(deserializer)?;
    let mut sources = Vec::with_capacity(tables.len());
    for (index, table) in tables.into_iter().enumerate() {
        let source = Source::parse(table);
        let number = index + 1;
        sources.push(source.map_err(|e| D::Error::custom(format!("source {number}: {e}")))?);
    }
    Ok(sources)
}
