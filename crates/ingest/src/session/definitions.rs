//! Which of a venue's instruments are wanted, and what the venue says of each.

use crate::event::Scales;
use std::fmt;
use std::str::FromStr;
use tapecast_model::{ChannelSet, Symbol, Terms, TradingState};

/// What a venue says of one of its instruments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VenueInstrument {
    /// The venue's name for it.
    pub native: Box<str>,
    /// Ours, made of the fields that the venue names; none if they make no symbol.
    pub symbol: Option<Symbol>,
    /// Digits of its prices and sizes.
    pub scales: Scales,
    /// What the venue says of trading.
    pub trading: TradingState,
    /// What else it says.
    pub terms: Terms,
}

/// Which instruments are wanted of a venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedSet {
    /// Symbols and patterns.
    pub symbols: Vec<Pattern>,
    /// What is left out of these.
    pub exclude: Vec<Pattern>,
    /// At most so many; those that are named without a `*` come first.
    pub most: usize,
    /// What is wanted of each.
    pub channels: ChannelSet,
    /// Beside the symbols, those with the most turnover.
    pub top: Option<Top>,
}

/// So many instruments, those with the most turnover.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Top {
    /// How many.
    pub count: usize,
    /// In which currency the turnover is counted: that of the instruments.
    pub quote: Box<str>,
}

/// A symbol, or with one `*` all that begin and end like it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    head: Box<str>,
    /// None: it is a symbol.
    tail: Option<Box<str>>,
}

/// What is no pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// More than one `*`.
    #[error("{0:?} has more than one *; write one, as in \"*-USDT\"")]
    Stars(String),
    /// Without a `*`, it must be a symbol.
    #[error("{text:?} is no symbol: {why}")]
    Symbol {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What came of a wanted set and a venue's list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Selection {
    /// Places in the venue's list.
    pub(super) chosen: Vec<usize>,
    /// Wanted by name, and not in the list.
    pub(super) unknown: Vec<String>,
    /// Wanted by a pattern, and too many.
    pub(super) surplus: usize,
}

// === impl Pattern ===

impl Pattern {
    /// Whether it means this symbol.
    pub fn matches(&self, symbol: &str) -> bool {
        match &self.tail {
            None => *self.head == *symbol,
            Some(tail) => symbol
                .strip_prefix(&*self.head)
                .is_some_and(|rest| rest.ends_with(&**tail)),
        }
    }

    /// Whether it is one symbol.
    pub const fn is_name(&self) -> bool {
        self.tail.is_none()
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        match text.split_once('*') {
            Some((_, tail)) if tail.contains('*') => Err(PatternError::Stars(text.to_owned())),
            Some((head, tail)) => Ok(Self {
                head: head.into(),
                tail: Some(tail.into()),
            }),
            None => match Symbol::new(text) {
                Ok(_) => Ok(Self {
                    head: text.into(),
                    tail: None,
                }),
                Err(error) => Err(PatternError::Symbol {
                    text: text.to_owned(),
                    why: error.to_string(),
                }),
            },
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tail {
            None => f.pad(&self.head),
            Some(tail) => write!(f, "{}*{tail}", self.head),
        }
    }
}

// === impl Top ===

impl Top {
    /// Whether an instrument can be one of them.
    pub(super) fn counts(&self, listed: &VenueInstrument) -> bool {
        let symbol = listed.symbol.as_ref();
        let quote = symbol.and_then(|symbol| symbol.as_str().split('-').nth(1));
        quote == Some(&*self.quote) && listed.trading != TradingState::Delisted
    }
}

// === impl WantedSet ===

impl WantedSet {
    /// Whether an instrument is left out by name.
    pub(super) fn leaves_out(&self, listed: &VenueInstrument) -> bool {
        let symbol = listed.symbol.as_ref();
        symbol.is_some_and(|symbol| self.exclude.iter().any(|p| p.matches(symbol.as_str())))
    }

    /// Chooses from a venue's list. What is named comes first, in the order of the names; then what patterns mean,
    /// in the order of the list. An instrument that will not trade again is not chosen.
    pub(super) fn choose(&self, list: &[VenueInstrument]) -> Selection {
        let mut selection = Selection::default();
        let usable = |instrument: &VenueInstrument| {
            let symbol = instrument.symbol.as_ref()?;
            let left_out = self.exclude.iter().any(|p| p.matches(symbol.as_str()))
                || instrument.trading == TradingState::Delisted;
            (!left_out).then(|| symbol.as_str().to_owned())
        };
        let symbols: Vec<_> = list.iter().map(usable).collect();
        let mut taken = vec![false; list.len()];
        for pattern in self.symbols.iter().filter(|p| p.is_name()) {
            let means = |symbol: &Option<String>| {
                symbol
                    .as_ref()
                    .is_some_and(|symbol| pattern.matches(symbol))
            };
            match symbols.iter().position(means) {
                Some(at) if !taken[at] => {
                    taken[at] = true;
                    selection.chosen.push(at);
                }
                Some(_) => {}
                None => selection.unknown.push(pattern.to_string()),
            }
        }
        for (at, symbol) in symbols.iter().enumerate() {
            let Some(symbol) = symbol.as_ref().filter(|_| !taken[at]) else {
                continue;
            };
            let mut patterns = self.symbols.iter().filter(|p| !p.is_name());
            if patterns.any(|p| p.matches(symbol)) {
                selection.chosen.push(at);
            }
        }
        let most = selection.chosen.len().min(self.most);
        selection.surplus = selection.chosen.len() - most;
        selection.chosen.truncate(most);
        selection
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::Scale;

    fn listed(symbol: &str, trading: TradingState) -> VenueInstrument {
        VenueInstrument {
            native: symbol.replace('-', "").into(),
            symbol: Symbol::new(symbol).ok(),
            scales: Scales {
                price_scale: Scale::default(),
                qty_scale: Scale::default(),
            },
            trading,
            terms: Terms::UNKNOWN,
        }
    }

    fn wanted(symbols: &[&str], exclude: &[&str], most: usize) -> WantedSet {
        let patterns = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect();
        WantedSet {
            symbols: patterns(symbols),
            exclude: patterns(exclude),
            most,
            channels: ChannelSet::ALL,
            top: None,
        }
    }

    #[test]
    fn names_come_first_and_patterns_in_the_order_of_the_venue() {
        let open = TradingState::Open;
        let list = [
            listed("AAA-USDT", open),
            listed("BTC-USDT", open),
            listed("ETH-BTC", open),
            listed("OLD-USDT", TradingState::Delisted),
            listed("ZZZ-USDT", open),
        ];
        let choose = |wanted: WantedSet| {
            let Selection {
                chosen,
                unknown,
                surplus,
            } = wanted.choose(&list);
            (chosen, unknown.join(" "), surplus)
        };
        let none = String::new;
        assert_eq!(
            choose(wanted(&["*-USDT"], &[], 9)),
            (vec![0, 1, 4], none(), 0)
        );
        let both = wanted(&["*-USDT", "ETH-BTC", "ZZZ-USDT"], &["A*"], 9);
        assert_eq!(choose(both), (vec![2, 4, 1], none(), 0));
        assert_eq!(choose(wanted(&["*"], &[], 2)), (vec![0, 1], none(), 2));
        let unknown = wanted(&["NO-USDT", "BTC-USDT", "OLD-USDT"], &[], 9);
        assert_eq!(choose(unknown), (vec![1], "NO-USDT OLD-USDT".into(), 0));
    }

    #[test]
    fn a_pattern_has_one_star_and_prints_as_it_parses() {
        for text in ["BTC-USDT", "*-USDT", "BTC-*", "B*T", "*"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        assert!("*a*".parse::<Pattern>().is_err() && "".parse::<Pattern>().is_err());
        let pattern: Pattern = "B*T".parse().unwrap();
        assert!(pattern.matches("BT") && pattern.matches("BTC-USDT") && !pattern.matches("B"));
    }
}
