//! OKX v5: one argument and an array of data per message; all numbers except sequence ids are strings.
//!
//! Books have a chain by `prevSeqId` since 2023. They had a `checksum` until 2026, when it became a
//! constant zero. Recordings of both ages are read, and whatever they contain is passed on. An update
//! with only one of its two numbers cannot be placed, and is a loss. So is a message that does not say
//! whether it is a snapshot or an update. The text `pong` is not JSON.
//!
//! Ids of trades rise by one per fill, in all 82 steps of which we have recordings. Channel `trades`
//! merges fills and has the id of the last one.

use super::tape::{Json, Node};
use super::{
    BookHead, Carries, Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream,
    What, trading,
};
use crate::event::{Checksum, Link, TradeIds};
use tapecast_model::{Aggressor, ChannelKind, Decimal, EventTime, Side, Ticker, TradeId};

/// Reads OKX's messages.
#[derive(Default)]
pub struct Okx {
    json: Json,
}

/// What a message says of all its data.
#[derive(Clone, Copy)]
struct Push<'a> {
    native: &'a str,
    action: Option<&'a str>,
}

/// Beginnings of the names of channels that OKX offers and we do not use.
const UNUSED: [&str; 22] = [
    "candle",
    "mark-price",
    "index-",
    "funding-rate",
    "open-interest",
    "price-limit",
    "estimated-price",
    "status",
    "liquidation-",
    "opt-summary",
    "option-trades",
    "adl-",
    "block-",
    "public-",
    "structure-",
    "call-auction",
    "economic-",
    "sprd-",
    "rfqs",
    "books-elp",
    "announcements",
    "event-contract",
];

impl Decoder for Okx {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let Message { raw, http, .. } = message;
        if raw.trim_ascii() == b"pong" || raw.trim_ascii() == b"ping" {
            return Ok(());
        }
        self.json.read(raw, |root| {
            if root.get("event").is_some() {
                return Ok(());
            }
            let Some(arg) = root.get("arg") else {
                return if http.is_some() {
                    Ok(())
                } else {
                    Err(Reject::Unknown)
                };
            };
            let channel = arg.text("channel")?;
            if channel == "instruments" {
                return instruments(root, visitor);
            }
            let Some(stream) = stream_of(channel) else {
                let unused = UNUSED.iter().any(|prefix| channel.starts_with(prefix));
                return if unused { Ok(()) } else { Err(Reject::Unknown) };
            };
            let native = arg.text_of("instId").unwrap_or_default();
            let push = Push {
                native,
                action: root.text_of("action"),
            };
            match stream.carries {
                Carries::Trades => push.trades(root, stream, visitor),
                _ => {
                    for data in root.items("data")? {
                        let result = match stream.carries {
                            Carries::Ticker => push.ticker(data, stream, visitor),
                            _ => push.book(data, stream, visitor),
                        };
                        if let Err(reject) = result {
                            visitor.fault(push.native_of(data).ok(), stream, reject);
                        }
                    }
                    Ok(())
                }
            }
        })
    }

    fn reset(&mut self) {}

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        &[
            ("books", ChannelKind::Book),
            ("bbo-tbt", ChannelKind::Book),
            ("bbo-tbt", ChannelKind::Quote),
            ("trades", ChannelKind::Trade),
            ("tickers", ChannelKind::Ticker),
        ]
    }
}

/// Definitions, of which only the state of trading is wanted.
fn instruments(root: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    for instrument in root.items("data")? {
        let state = instrument.text_of("state").and_then(trading::okx);
        if let Some((native, state)) = instrument.text_of("instId").zip(state) {
            visitor.trading(Some(native), state);
        }
    }
    Ok(())
}

/// Ranks of books are their depths, the faster of equals first.
fn stream_of(channel: &str) -> Option<VenueStream> {
    let (carries, rank) = match channel {
        "trades-all" => (Carries::Trades, 2),
        "trades" => (Carries::Trades, 1),
        "tickers" => (Carries::Ticker, 1),
        "bbo-tbt" => (Carries::Top, 1),
        "books5" => (Carries::WholeBook, 5),
        "books50-l2-tbt" => (Carries::Book, 50),
        "books" => (Carries::Book, 400),
        "books-l2-tbt" => (Carries::Book, 401),
        _ => return None,
    };
    Some(VenueStream::new(carries, rank))
}

impl Push<'_> {
    fn trades(
        self,
        root: Node<'_, '_>,
        stream: VenueStream,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let trades: Vec<_> = root.items("data")?.collect();
        let native_of = |trade: &Node<'_, '_>| trade.text_of("instId").map(str::to_owned);
        for run in trades.chunk_by(|a, b| native_of(a) == native_of(b)) {
            let Some(newest) = run.last() else { continue };
            let native = match self.native_of(*newest) {
                Ok(native) => native,
                Err(missing) => {
                    run.iter()
                        .for_each(|_| visitor.fault(None, stream, missing));
                    continue;
                }
            };
            let head = MessageHead {
                native,
                stream,
                ts_event: time(*newest).ok().flatten(),
                venue_seq: sequence(*newest, "seqId").ok().flatten(),
                what: What::Trades {
                    history: false,
                    ids: TradeIds::Dense,
                },
            };
            match visitor.begin(&head) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(reject) => {
                    visitor.fault(Some(native), stream, reject);
                    continue;
                }
            }
            for trade in run {
                if let Err(reject) = trade_row(*trade).and_then(|row| visitor.trade(&row)) {
                    visitor.fault(Some(native), stream, reject);
                }
            }
            visitor.finish()?;
        }
        Ok(())
    }

    fn book(
        self,
        data: Node<'_, '_>,
        stream: VenueStream,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let snapshot = match (stream.carries, self.action) {
            (Carries::Book, Some("snapshot")) => true,
            (Carries::Book, Some("update")) => false,
            (Carries::Book, _) => return Err(Reject::Missing("action")),
            // Whole in each message, which says no action.
            _ => true,
        };
        let number = sequence(data, "seqId")?;
        let link = match (data.int_of("prevSeqId")?, data.int_of("seqId")?) {
            _ if stream.carries != Carries::Book => number.map_or(Link::None, Link::Whole),
            (Some(previous), Some(last)) => Link::Previous {
                first: None,
                previous,
                last,
            },
            // A snapshot begins anew, but what comes next must follow it.
            (None, Some(last)) if snapshot => Link::Previous {
                first: None,
                previous: -1,
                last,
            },
            // Of books whose updates have numbers: what it follows is unknown.
            (None, Some(_)) if !snapshot => return Err(Reject::Missing("prevSeqId")),
            (Some(_), None) if !snapshot => return Err(Reject::Missing("seqId")),
            _ => Link::None,
        };
        let checksum = match data.int_of("checksum")? {
            None | Some(0) => None,
            Some(sum) => {
                let sum = i32::try_from(sum).or(Err(Reject::Number("checksum")))?;
                Some(Checksum::Okx(sum.cast_unsigned()))
            }
        };
        let head = MessageHead {
            native: self.native_of(data)?,
            stream,
            ts_event: time(data)?,
            venue_seq: number,
            what: What::Book(BookHead {
                snapshot,
                link,
                checksum,
                depth: None,
            }),
        };
        if !visitor.begin(&head)? {
            return Ok(());
        }
        for (side, key) in [(Side::Bid, "bids"), (Side::Ask, "asks")] {
            for level in data.items(key)? {
                let (price, qty) = level.level()?;
                visitor.level(side, price, qty)?;
            }
        }
        visitor.finish()
    }

    fn ticker(
        self,
        data: Node<'_, '_>,
        stream: VenueStream,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let number = |key| {
            let text = data.text_of(key);
            text.map(|t| Decimal::parse(t.as_bytes()).map_err(|e| Reject::of_number(key, e)))
                .transpose()
        };
        let (last, open) = (number("last")?, number("open24h")?);
        let change = last
            .zip(open)
            .and_then(|(last, open)| last.checked_sub(open));
        // Volumes of contracts are counted in contracts, like their quantities, and `volCcy24h` is
        // then in the base currency: there is no volume in the quote currency.
        let spot = matches!(data.text_of("instType"), None | Some("SPOT" | "MARGIN"));
        let ticker = Ticker {
            last,
            open,
            high: number("high24h")?,
            low: number("low24h")?,
            change,
            change_pct: change
                .zip(open)
                .and_then(|(change, open)| change.percent_of(open, 4)),
            volume: number("vol24h")?,
            quote_volume: if spot { number("volCcy24h")? } else { None },
        };
        let head = MessageHead {
            native: self.native_of(data)?,
            stream,
            ts_event: time(data)?,
            venue_seq: None,
            what: What::whole(&ticker),
        };
        if visitor.begin(&head)? {
            visitor.finish()
        } else {
            Ok(())
        }
    }
}

impl<'a> Push<'a> {
    fn native_of<'i: 'a>(self, data: Node<'_, 'i>) -> Result<&'a str, Reject> {
        let native = data.text_of("instId").unwrap_or(self.native);
        if native.is_empty() {
            Err(Reject::Missing("instId"))
        } else {
            Ok(native)
        }
    }
}

fn trade_row<'i>(trade: Node<'_, 'i>) -> Result<TradeRow<'i>, Reject> {
    let id = TradeId::new(trade.text("tradeId")?.as_bytes()).ok_or(Reject::Number("tradeId"))?;
    let aggressor = match trade.text_of("side") {
        Some("buy") => Some(Aggressor::Buy),
        Some("sell") => Some(Aggressor::Sell),
        _ => None,
    };
    let (price, qty) = (trade.text("px")?, trade.text("sz")?);
    // `trades` merges fills of one taker at one price into the last of them; `count` says how many.
    let merged = trade.uint_of("count")?.unwrap_or(1).max(1);
    let first_id = id.number().and_then(|id| id.checked_sub(merged - 1));
    Ok(TradeRow {
        id,
        price,
        qty,
        aggressor,
        ts_event: time(trade)?,
        market: true,
        first_id,
    })
}

fn time(data: Node<'_, '_>) -> Result<Option<EventTime>, Reject> {
    Ok(data.uint_of("ts")?.map(EventTime::from_millis))
}

fn sequence(data: Node<'_, '_>, key: &'static str) -> Result<Option<u64>, Reject> {
    Ok(data
        .int_of(key)?
        .and_then(|number| u64::try_from(number).ok()))
}
