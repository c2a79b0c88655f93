//! Bybit v5, spot and linear: a topic, a type, and data whose key order differs by market.
//!
//! * `u` rises by one per message of a book; 1 means that the venue restarted and the message is the
//!   whole book. Depth 1 repeats its last message after three quiet seconds; the repeat changes nothing.
//!   A snapshot with the same number and other levels is new, for example after two restarts in a row.
//! * Linear tickers contain only changes: an absent key is unchanged, an empty string is "not
//!   applicable". They are merged here into the last state. The visitor knows whether messages were
//!   lost since the last snapshot, and takes no changes then.
//! * Ids of trades prove nothing: linear ones are UUIDs, and spot ones count over all symbols.

use super::tape::{Json, Node};
use super::{
    BookHead, Carries, Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream,
    What, trading,
};
use crate::event::{Link, TradeIds};
use hashbrown::HashMap;
use tapecast_model::{Aggressor, ChannelKind, Decimal, EventTime, Side, Ticker, TradeId, decimal};

/// Reads Bybit's messages.
#[derive(Default)]
pub struct Bybit {
    json: Json,
    state: State,
}

/// What belongs to the connection.
#[derive(Default)]
struct State {
    tickers: HashMap<Box<str>, Ticker>,
    /// The last message of each book of depth 1.
    tops: HashMap<Box<str>, Top>,
}

/// Where a book of depth 1 stands.
#[derive(Clone, Copy, Eq, PartialEq)]
struct Top {
    /// The last `u`.
    number: u64,
    /// Sums over the text of the bid and of the ask, to know them again.
    sums: [u32; 2],
}

/// Topics that Bybit offers and we do not use, by the text before the first dot.
const UNUSED: [&str; 13] = [
    "kline",
    "kline_lt",
    "tickers_lt",
    "lt",
    "liquidation",
    "allLiquidation",
    "priceLimit",
    "insurance",
    "adlAlert",
    "adl",
    "rpi_orderbook",
    "system",
    "dcp",
];

impl Decoder for Bybit {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let (Self { json, state }, Message { raw, http, .. }) = (self, message);
        json.read(raw, |root| {
            let Some(topic) = root.text_of("topic") else {
                let control = http.is_some()
                    || root.get("op").is_some()
                    || root.get("success").is_some()
                    || root.get("ret_msg").is_some();
                return if control {
                    Ok(())
                } else {
                    Err(Reject::Unknown)
                };
            };
            let mut parts = topic.splitn(3, '.');
            match (parts.next(), parts.next(), parts.next()) {
                (Some("publicTrade"), Some(native), None) => trades(root, native, visitor),
                (Some("tickers"), Some(native), None) => state.ticker(root, native, visitor),
                (Some("orderbook"), Some("rpi" | "full"), Some(_)) => Ok(()),
                (Some("orderbook"), Some(depth), Some(native)) => {
                    let depth = depth.parse().or(Err(Reject::Unknown))?;
                    state.book(root, depth, native, visitor)
                }
                (Some(kind), ..) if UNUSED.contains(&kind) => Ok(()),
                _ => Err(Reject::Unknown),
            }
        })
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        &[
            ("orderbook", ChannelKind::Book),
            ("orderbook", ChannelKind::Quote),
            ("publicTrade", ChannelKind::Trade),
            ("tickers", ChannelKind::Ticker),
        ]
    }
}

impl State {
    fn book(
        &mut self,
        root: Node<'_, '_>,
        depth: u32,
        native: &str,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let data = root.need("data")?;
        let number = data.uint("u")?;
        let snapshot = is_snapshot(root)? || number == 1;
        let top = match depth {
            1 => {
                let last = self.tops.get(native).copied();
                let top = Top::after(last.filter(|_| !snapshot), data, number)?;
                if last == Some(top) {
                    return Ok(());
                }
                let follows = |last: Top| last.number.checked_add(1) == Some(number);
                if !snapshot && !last.is_some_and(follows) {
                    return Err(Reject::Chain);
                }
                Some(top)
            }
            _ => None,
        };
        let time = match root.uint_of("cts")? {
            Some(time) => Some(time),
            None => root.uint_of("ts")?,
        };
        let link = Link::Step(number);
        let carries = if depth == 1 {
            Carries::Top
        } else {
            Carries::Book
        };
        let head = MessageHead {
            native,
            stream: VenueStream::new(carries, depth),
            ts_event: time.map(EventTime::from_millis),
            venue_seq: Some(number),
            what: What::Book(BookHead {
                snapshot,
                link,
                ..BookHead::default()
            }),
        };
        if visitor.begin(&head)? {
            for (side, key) in [(Side::Bid, "b"), (Side::Ask, "a")] {
                for level in data.items(key)? {
                    let (price, qty) = level.level()?;
                    visitor.level(side, price, qty)?;
                }
            }
            visitor.finish()?;
        }
        if let Some(top) = top {
            match self.tops.get_mut(native) {
                Some(last) => *last = top,
                None => drop(self.tops.insert(native.into(), top)),
            }
        }
        Ok(())
    }

    fn ticker(
        &mut self,
        root: Node<'_, '_>,
        native: &str,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let data = root.need("data")?;
        let whole = is_snapshot(root)?;
        let last = self.tickers.get(native).filter(|_| !whole);
        let mut ticker = last.copied().unwrap_or_default();
        let mut hundredth = None;
        for (key, field) in [
            ("lastPrice", &mut ticker.last),
            ("prevPrice24h", &mut ticker.open),
            ("highPrice24h", &mut ticker.high),
            ("lowPrice24h", &mut ticker.low),
            ("volume24h", &mut ticker.volume),
            ("turnover24h", &mut ticker.quote_volume),
            ("price24hPcnt", &mut hundredth),
        ] {
            let Some(node) = data.get(key) else { continue };
            let text = node.as_text().ok_or(Reject::Missing(key))?;
            *field = if text.is_empty() {
                None
            } else {
                Some(Decimal::parse(text.as_bytes()).map_err(|e| Reject::of_number(key, e))?)
            };
        }
        if data.get("price24hPcnt").is_some() {
            ticker.change_pct = hundredth.and_then(times_hundred);
        }
        let Ticker { last, open, .. } = ticker;
        ticker.change = last
            .zip(open)
            .and_then(|(last, open)| last.checked_sub(open));
        let head = MessageHead {
            native,
            stream: VenueStream::new(Carries::Ticker, 1),
            ts_event: root.uint_of("ts")?.map(EventTime::from_millis),
            venue_seq: None,
            what: What::Ticker {
                ticker: &ticker,
                whole,
            },
        };
        if visitor.begin(&head)? {
            visitor.finish()?;
        }
        let phase = data.text_of("curPreListingPhase").and_then(trading::bybit);
        if let Some(state) = phase {
            visitor.trading(Some(native), state);
        }
        self.tickers.insert(native.into(), ticker);
        Ok(())
    }
}

impl Top {
    /// Where a book stands behind a message, which changes what there was.
    fn after(before: Option<Self>, data: Node<'_, '_>, number: u64) -> Result<Self, Reject> {
        let mut sums = before.map_or([0; 2], |before| before.sums);
        for (sum, key) in sums.iter_mut().zip(["b", "a"]) {
            for level in data.items(key)? {
                let (price, qty) = level.level()?;
                *sum = match decimal::is_zero(qty.as_bytes()) {
                    true => 0,
                    false => {
                        crc32fast::hash(price.as_bytes())
                            ^ crc32fast::hash(qty.as_bytes()).rotate_left(1)
                    }
                };
            }
        }
        Ok(Self { number, sums })
    }
}

fn trades(root: Node<'_, '_>, native: &str, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let head = MessageHead {
        native,
        stream: VenueStream::new(Carries::Trades, 1),
        ts_event: root.uint_of("ts")?.map(EventTime::from_millis),
        venue_seq: None,
        what: What::Trades {
            history: false,
            ids: TradeIds::Opaque,
        },
    };
    let rows = root.items("data")?;
    if !visitor.begin(&head)? {
        return Ok(());
    }
    for trade in rows {
        if let Err(reject) = trade_row(trade).and_then(|row| visitor.trade(&row)) {
            visitor.fault(Some(native), head.stream, reject);
        }
    }
    visitor.finish()
}

fn trade_row<'i>(trade: Node<'_, 'i>) -> Result<TradeRow<'i>, Reject> {
    let aggressor = match trade.text_of("S") {
        Some("Buy") => Some(Aggressor::Buy),
        Some("Sell") => Some(Aggressor::Sell),
        _ => None,
    };
    Ok(TradeRow {
        id: TradeId::new(trade.text("i")?.as_bytes()).ok_or(Reject::Number("i"))?,
        price: trade.text("p")?,
        qty: trade.text("v")?,
        aggressor,
        ts_event: trade.uint_of("T")?.map(EventTime::from_millis),
        market: true,
        first_id: None,
    })
}

fn is_snapshot(root: Node<'_, '_>) -> Result<bool, Reject> {
    match root.text("type")? {
        "snapshot" => Ok(true),
        "delta" => Ok(false),
        _ => Err(Reject::Missing("type")),
    }
}

/// A fraction in per cent.
fn times_hundred(fraction: Decimal) -> Option<Decimal> {
    match fraction.scale() {
        digits @ 2.. => Some(Decimal::new(fraction.mantissa(), digits - 2)),
        digits => {
            let factor = if digits == 1 { 10 } else { 100 };
            fraction
                .mantissa()
                .checked_mul(factor)
                .map(|m| Decimal::new(m, 0))
        }
    }
}
