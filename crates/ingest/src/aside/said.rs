//! Events that a session made, as a recording says them.

use super::is_false;
use crate::event::{BookEvent, Event, EventBody, FeedEvent, Link, Scales};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tapecast_model::{
    ChannelKind, ChannelSet, Decimal, EventTime, InstrumentId, InstrumentKind, Level, Price, Qty,
    QtyUnit, Quote, Scale, Terms, TradingState, UnixNanos, decimal,
};

/// An event that the session made.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// [`FeedEvent::Restarted`].
    Restarted,
    /// [`FeedEvent::Subscribed`].
    Subscribed {
        /// Which channels.
        channels: Vec<String>,
    },
    /// [`FeedEvent::Quiet`].
    Quiet {
        /// Which channels.
        channels: Vec<String>,
    },
    /// [`FeedEvent::Lost`].
    Lost {
        /// Which channels.
        channels: Vec<String>,
        /// How many events.
        events: Option<u64>,
        /// Why.
        reason: String,
    },
    /// [`FeedEvent::Gap`].
    Gap {
        /// Why.
        reason: String,
    },
    /// [`FeedEvent::Down`].
    Down {
        /// Why.
        reason: String,
    },
    /// [`FeedEvent::Ended`].
    Ended {
        /// Why.
        reason: String,
    },
    /// [`EventBody::Redefined`].
    Redefined {
        /// Digits of prices.
        price_scale: u8,
        /// Digits of quantities.
        qty_scale: u8,
    },
    /// [`EventBody::Defined`].
    Terms(SaidTerms),
    /// [`EventBody::Trading`].
    Trading {
        /// Its label.
        state: String,
    },
    /// [`EventBody::Quote`].
    Quote {
        /// Price and size.
        bid: Option<[String; 2]>,
        /// Price and size.
        ask: Option<[String; 2]>,
        /// The venue's number.
        number: Option<u64>,
    },
    /// A snapshot of the book.
    Book {
        /// Prices and sizes.
        bids: Vec<[String; 2]>,
        /// Prices and sizes.
        asks: Vec<[String; 2]>,
        /// The venue's number.
        number: Option<u64>,
        /// What came before it.
        link: Link,
        /// The venue's time, in nanoseconds since 1970.
        time: Option<u64>,
        /// The quote comes from this book.
        makes_quote: bool,
        /// The venue keeps so many levels.
        depth: Option<usize>,
        /// It was asked for to see whether its stream is only quiet.
        #[serde(default, skip_serializing_if = "is_false")]
        probe: bool,
    },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// What a venue says of an instrument, as far as it is known. Times are in nanoseconds since 1970.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct SaidTerms {
    #[serde(skip_serializing_if = "Option::is_none")]
    of_kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lot: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_qty: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qty_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inverse: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

// === impl Said ===

impl Said {
    /// What an event says, with the numbers of its instrument; none for trades, which only messages have.
    pub fn of(event: &Event, scales: Scales) -> Option<Self> {
        let pair = |price: Price, qty: Qty| {
            [
                Decimal::new(price.mantissa().into(), scales.price_scale.digits()).to_string(),
                Decimal::new(qty.mantissa().into(), scales.qty_scale.digits()).to_string(),
            ]
        };
        let levels = |levels: &[Level]| {
            let text = levels.iter().map(|level| as_spelled(level, scales));
            text.collect::<Vec<_>>()
        };
        Some(match &event.body {
            EventBody::Trades { .. } | EventBody::SkippedIds { .. } | EventBody::Ticker(_) => {
                return None;
            }
            EventBody::Quote(quote) => Self::Quote {
                bid: quote.bid.map(|(price, qty)| pair(price, qty)),
                ask: quote.ask.map(|(price, qty)| pair(price, qty)),
                number: event.venue_seq,
            },
            EventBody::Book(book) if book.snapshot => Self::Book {
                bids: levels(&book.bids),
                asks: levels(&book.asks),
                number: event.venue_seq,
                link: book.link,
                time: event.ts_event.map(|time| time.nanos().get()),
                makes_quote: book.makes_quote,
                depth: book.depth,
                probe: book.is_probe,
            },
            EventBody::Book(_) => return None,
            EventBody::Redefined(scales) => Self::Redefined {
                price_scale: scales.price_scale.digits(),
                qty_scale: scales.qty_scale.digits(),
            },
            EventBody::Defined(terms) => Self::Terms(SaidTerms::of(terms)),
            EventBody::Trading(state) => Self::Trading {
                state: state.label().to_owned(),
            },
            EventBody::Feed(word) => Self::of_feed(word),
        })
    }

    fn of_feed(word: &FeedEvent) -> Self {
        let names = |set: &ChannelSet| set.iter().map(|kind| kind.label().to_owned()).collect();
        let text = |reason: &Cow<'static, str>| reason.clone().into_owned();
        match word {
            FeedEvent::Restarted => Self::Restarted,
            FeedEvent::Subscribed(channels) => Self::Subscribed {
                channels: names(channels),
            },
            FeedEvent::Quiet(channels) => Self::Quiet {
                channels: names(channels),
            },
            FeedEvent::Lost {
                channels,
                events,
                reason,
            } => Self::Lost {
                channels: names(channels),
                events: *events,
                reason: text(reason),
            },
            FeedEvent::Gap(reason) => Self::Gap {
                reason: text(reason),
            },
            FeedEvent::Down(reason) => Self::Down {
                reason: text(reason),
            },
            FeedEvent::Ended(reason) => Self::Ended {
                reason: text(reason),
            },
        }
    }

    /// The event again, of an instrument with these scales; none if a number does not fit.
    pub fn event(self, instrument: InstrumentId, scales: Scales, now: UnixNanos) -> Option<Event> {
        let quote = |side: Option<[String; 2]>| match side {
            None => Some(None),
            Some(pair) => level(&pair, scales).map(|level| Some((level.price, level.qty))),
        };
        let levels = |side: Vec<[String; 2]>| {
            let levels = side.iter().map(|pair| level(pair, scales));
            levels.collect::<Option<Vec<_>>>()
        };
        let (mut venue_seq, mut ts_event) = (None, None);
        let body = match self {
            // A parser must know of new scales too, and says so itself.
            Self::Unknown | Self::Redefined { .. } => return None,
            Self::Restarted => EventBody::Feed(FeedEvent::Restarted),
            Self::Quote { bid, ask, number } => {
                venue_seq = number;
                EventBody::Quote(Quote {
                    bid: quote(bid)?,
                    ask: quote(ask)?,
                })
            }
            Self::Book {
                bids,
                asks,
                number,
                link,
                time,
                makes_quote,
                depth,
                probe,
            } => {
                venue_seq = number;
                ts_event = time.map(|time| EventTime::new(UnixNanos::new(time)));
                EventBody::Book(Box::new(BookEvent {
                    snapshot: true,
                    bids: levels(bids)?,
                    asks: levels(asks)?,
                    link,
                    checksum: None,
                    depth,
                    makes_quote,
                    is_probe: probe,
                }))
            }
            Self::Terms(terms) => EventBody::Defined(Box::new(terms.terms())),
            Self::Trading { state } => EventBody::Trading(TradingState::of_label(&state)?),
            Self::Subscribed { channels } => EventBody::Feed(FeedEvent::Subscribed(set(&channels))),
            Self::Quiet { channels } => EventBody::Feed(FeedEvent::Quiet(set(&channels))),
            Self::Lost {
                channels,
                events,
                reason,
            } => EventBody::Feed(FeedEvent::Lost {
                channels: set(&channels),
                events,
                reason: reason.into(),
            }),
            Self::Gap { reason } => EventBody::Feed(FeedEvent::Gap(reason.into())),
            Self::Down { reason } => EventBody::Feed(FeedEvent::Down(reason.into())),
            Self::Ended { reason } => EventBody::Feed(FeedEvent::Ended(reason.into())),
        };
        Some(Event {
            instrument,
            ts_event,
            ts_recv: now,
            venue_seq,
            body,
        })
    }
}

/// A level with the digits that its venue has sent, of which checksums are made.
fn as_spelled(level: &Level, scales: Scales) -> [String; 2] {
    let text = |mantissa: i64, scale: Scale, spelled: u8| {
        let value = Decimal::new(mantissa.into(), scale.digits()).to_string();
        let digits = value.split_once('.').map_or(0, |(_, digits)| digits.len());
        let zeros = value.len() - value.trim_end_matches('0').len();
        let needed = digits - zeros.min(digits);
        let mut text = Vec::new();
        let digits = spelled.max(u8::try_from(needed).unwrap_or(u8::MAX));
        decimal::write_spelled(&mut text, mantissa, scale, digits);
        String::from_utf8(text).unwrap_or(value)
    };
    let [price, qty] = level.spelled;
    [
        text(level.price.mantissa(), scales.price_scale, price),
        text(level.qty.mantissa(), scales.qty_scale, qty),
    ]
}

fn level([price, qty]: &[String; 2], scales: Scales) -> Option<Level> {
    let mut level = Level::new(
        Price::parse(price.as_bytes(), scales.price_scale).ok()?,
        Qty::parse(qty.as_bytes(), scales.qty_scale).ok()?,
    );
    level.spelled = [price, qty].map(|text| decimal::spelled_digits(text.as_bytes()));
    Some(level)
}

fn set(names: &[String]) -> ChannelSet {
    let known = |name: &String| {
        let mut all = ChannelKind::ALL.into_iter();
        all.find(|kind| kind.label() == name)
    };
    let kinds = names.iter().filter_map(known);
    kinds.fold(ChannelSet::EMPTY, ChannelSet::with)
}

// === impl SaidTerms ===

impl SaidTerms {
    fn of(terms: &Terms) -> Self {
        let text = |number: Option<Decimal>| number.map(|number| number.to_string());
        let nanos = |time: Option<UnixNanos>| time.map(UnixNanos::get);
        Self {
            of_kind: terms.kind.map(|kind| kind.label().to_owned()),
            tick: text(terms.tick),
            lot: text(terms.lot),
            min_qty: text(terms.min_qty),
            contract_size: text(terms.contract_size),
            qty_unit: terms.qty_unit.map(|unit| unit.label().to_owned()),
            inverse: terms.inverse,
            listed_at: nanos(terms.listed_at),
            expires_at: nanos(terms.expires_at),
        }
    }

    fn terms(self) -> Terms {
        let number = |text: Option<String>| Decimal::parse(text?.as_bytes()).ok();
        Terms {
            kind: self
                .of_kind
                .and_then(|label| InstrumentKind::of_label(&label)),
            tick: number(self.tick),
            lot: number(self.lot),
            min_qty: number(self.min_qty),
            contract_size: number(self.contract_size),
            qty_unit: self.qty_unit.and_then(|label| QtyUnit::of_label(&label)),
            inverse: self.inverse,
            listed_at: self.listed_at.map(UnixNanos::new),
            expires_at: self.expires_at.map(UnixNanos::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Aside, PREFIX, What};
    use super::*;

    fn scales() -> Scales {
        Scales {
            price_scale: Scale::saturating(2),
            qty_scale: Scale::saturating(5),
        }
    }

    fn event(body: EventBody) -> Event {
        let is_book = matches!(body, EventBody::Book(_));
        Event {
            instrument: InstrumentId::new(3),
            ts_event: is_book.then(|| EventTime::from_secs(1_700_000_000)),
            ts_recv: UnixNanos::new(7),
            venue_seq: matches!(body, EventBody::Book(_) | EventBody::Quote(_)).then_some(9),
            body,
        }
    }

    fn level(price: i64, qty: i64, spelled: [u8; 2]) -> Level {
        let mut level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        level.spelled = spelled;
        level
    }

    #[test]
    fn what_a_session_says_is_read_as_it_was_written() {
        let channels = ChannelSet::EMPTY.with(ChannelKind::Book);
        let book = BookEvent {
            snapshot: true,
            bids: vec![level(6_183_760, 2_000, [1, 5]), level(-5, 1, [2, 8])],
            asks: vec![level(6_183_800, 200_000, [0, 0])],
            link: Link::Range { first: 9, last: 9 },
            checksum: None,
            depth: Some(25),
            makes_quote: true,
            is_probe: true,
        };
        let quote = Quote {
            bid: Some((Price::from_mantissa(100), Qty::from_mantissa(100_000))),
            ask: None,
        };
        let bodies = [
            EventBody::Book(Box::new(book)),
            EventBody::Quote(quote),
            EventBody::Trading(TradingState::CancelOnly),
            EventBody::Defined(Box::new(Terms {
                kind: Some(InstrumentKind::Perpetual),
                tick: Some(Decimal::new(1, 2)),
                qty_unit: Some(QtyUnit::Contract),
                inverse: Some(true),
                listed_at: Some(UnixNanos::new(77)),
                ..Terms::default()
            })),
            EventBody::Feed(FeedEvent::Subscribed(channels)),
            EventBody::Feed(FeedEvent::Quiet(channels)),
            EventBody::Feed(FeedEvent::Lost {
                channels,
                events: Some(3),
                reason: "a \"reason\"".into(),
            }),
            EventBody::Feed(FeedEvent::Gap("gap".into())),
            EventBody::Feed(FeedEvent::Down("down".into())),
            EventBody::Feed(FeedEvent::Ended("end".into())),
        ];
        for body in bodies {
            let event = event(body);
            let what = What::Said {
                line: 2,
                native: "BTCUSDT".into(),
                event: Said::of(&event, scales()).unwrap(),
            };
            let mut text = String::new();
            Aside { what, ts: 5 }.write_to(&mut text);
            assert!(text.starts_with(PREFIX) && text.ends_with("}}\n"), "{text}");
            let read = Aside::read(text.as_bytes()).unwrap();
            let What::Said { event: said, .. } = read.what else {
                panic!("{text}");
            };
            assert_eq!(
                (
                    read.ts,
                    said.event(event.instrument, scales(), event.ts_recv)
                ),
                (5, Some(event)),
                "{text}"
            );
        }
    }

    #[test]
    fn rows_of_a_later_version_are_passed_over_and_wrong_ones_refused() {
        let read = |text: &str| Aside::read(text.as_bytes());
        assert_eq!(
            read(r#"{"tapecast":{"row":"mood","ts":1,"x":[2]}}"#)
                .unwrap()
                .what,
            What::Unknown
        );
        let said =
            r#"{"tapecast":{"row":"said","ts":1,"line":1,"native":"A","event":{"kind":"mood"}}}"#;
        assert!(matches!(
            read(said).unwrap().what,
            What::Said {
                event: Said::Unknown,
                ..
            }
        ));
        for text in [
            r#"{"tapecast":{"row":"open","ts":1}}"#,
            r#"{"tapecast":{"row":"open","line":1,"url":"x"}}"#,
            r#"{"tapecast":{"row":"open","ts":1,"line":-1,"url":"x"}}"#,
            r#"{"tapecast":{"row":"op"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
