//! Binance spot and USD-M futures: combined streams, raw streams, and REST depth responses.
//!
//! * Diff depth names its range (`U`..`u`; futures also `pu`). Its snapshot is a REST response,
//!   recognised by `lastUpdateId` without a stream name. Partial depth has the same shape but is complete
//!   each time; only the stream's name shows the difference.
//! * Spot's `bookTicker` has neither a kind nor a time.
//! * `m` says that the buyer was the maker, so the aggressor sold.
//! * `X` of futures says whether a row of the tape is a trade of the market.
//! * Streams of all USD-M futures carry those of COIN-M too: `st` says whose a message is.
//!
//! Frequent messages have a fast reader, [`hot`]; the reader here uses a tape and reads what the fast
//! reader declines.

mod hot;

use super::tape::{Json, Node};
use super::{
    BookHead, Carries, Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream,
    What, integer_time, trading,
};
use crate::event::{Link, TradeIds};
use hot::Hot;
use tapecast_model::{Aggressor, ChannelKind, Decimal, EventTime, Side, Ticker, TradeId};

/// Which of Binance's products.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Product {
    /// Spot: depth chains by `U` and `u`.
    Spot,
    /// USD-M futures: depth chains by `pu`.
    Usdm,
}

/// Reads Binance's messages.
pub struct Binance {
    product: Product,
    hot: Hot,
    json: Json,
}

/// Ids of trades and of aggregated trades rise by one each, in 33,749 steps of 33,749 that we have
/// recordings of; a row that is no trade of the market has one like the others.
const TRADES: What<'static> = What::Trades {
    history: false,
    ids: TradeIds::Dense,
};

/// What futures call a trade of the market (`X`); others are `NA` and `INSURANCE_FUND`.
const MARKET: &str = "MARKET";

/// What messages of COIN-M futures have as `st`.
const COIN_M: u64 = 2;

/// Kinds that Binance sends and we do not use.
const UNUSED: [&str; 22] = [
    "blockTrade",
    "kline",
    "continuous_kline",
    "indexPrice_kline",
    "markPrice_kline",
    "1hTicker",
    "4hTicker",
    "1dTicker",
    "avgPrice",
    "markPriceUpdate",
    "indexPriceUpdate",
    "forceOrder",
    "compositeIndex",
    "assetIndexUpdate",
    "nav",
    "tokenNavUpdate",
    "rpiDepthUpdate",
    "referencePrice",
    "tradingSession",
    "EquityUpdate",
    "serverShutdown",
    "bookDepth",
];

impl Binance {
    /// A decoder for a product.
    pub fn new(product: Product) -> Self {
        Self {
            product,
            hot: Hot::default(),
            json: Json::default(),
        }
    }
}

impl Decoder for Binance {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let product = self.product;
        let Message { raw, http, symbol } = message;
        if let Some(result) = self.hot.read(raw, product, visitor) {
            return result;
        }
        let named = symbol
            .or_else(|| http.and_then(symbol_of_url))
            .map(str::to_ascii_uppercase);
        self.json.read(raw, |root| {
            let stream = root.text_of("stream").unwrap_or_default();
            let payload = if stream.is_empty() {
                root
            } else {
                root.need("data")?
            };
            let named = named.as_deref().unwrap_or_default();
            let origin = PayloadOrigin {
                product,
                stream,
                named,
                http: http.is_some(),
            };
            if payload.is_array() {
                for item in payload.elements() {
                    if let Err(reject) = origin.read(item, visitor) {
                        visitor.fault(item.text_of("s"), stream_of(item), reject);
                    }
                }
                return Ok(());
            }
            origin.read(payload, visitor)
        })
    }

    fn reset(&mut self) {}

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        // `trade` and `aggTrade`; spot's `bookTicker` that comes alone is known by its beginning.
        &[
            ("rade\"", ChannelKind::Trade),
            ("rade\\", ChannelKind::Trade),
            ("@depth", ChannelKind::Book),
            ("depthUpdate", ChannelKind::Book),
            ("lastUpdateId", ChannelKind::Book),
            ("bookTicker", ChannelKind::Quote),
            ("{\"u\":", ChannelKind::Quote),
            ("{\\\"u\\\":", ChannelKind::Quote),
            ("24hr", ChannelKind::Ticker),
        ]
    }

    fn is_beside(&self, text: &str) -> bool {
        // A REST response names neither a stream nor an event.
        text.contains("lastUpdateId") && !text.contains("stream") && !text.contains("depthUpdate")
    }
}

/// Where a payload came from.
#[derive(Clone, Copy)]
struct PayloadOrigin<'a> {
    product: Product,
    stream: &'a str,
    named: &'a str,
    http: bool,
}

impl PayloadOrigin<'_> {
    fn read(self, data: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        if self.product == Product::Usdm && data.uint_of("st") == Ok(Some(COIN_M)) {
            return Ok(());
        }
        match data.text_of("e") {
            Some("trade") => trade(data, "t", 2, visitor),
            Some("aggTrade") => trade(data, "a", 1, visitor),
            Some("depthUpdate") => self.depth(data, visitor),
            Some("bookTicker") => book_ticker(data, visitor),
            Some("24hrTicker") => ticker(data, 2, visitor),
            Some("24hrMiniTicker") => ticker(data, 1, visitor),
            Some("contractInfo") => {
                let state = data.text_of("cs").and_then(trading::binance);
                if let Some((native, state)) = data.text_of("s").zip(state) {
                    visitor.trading(Some(native), state);
                }
                Ok(())
            }
            Some(kind) if UNUSED.contains(&kind) => Ok(()),
            Some(_) => Err(Reject::Unknown),
            None if data.get("lastUpdateId").is_some() => self.whole_depth(data, visitor),
            None if data.get("B").is_some() && data.get("A").is_some() => {
                book_ticker(data, visitor)
            }
            None if self.http || is_control(data) => Ok(()),
            None => Err(Reject::Unknown),
        }
    }

    fn depth(self, data: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let (first, last) = (data.uint("U")?, data.uint("u")?);
        let previous = data.uint_of("pu")?;
        let native = data.text("s");
        let head = depth_head(self, native?, (first, last), previous, time(data)?)?;
        levels(data, "b", "a", &head, visitor)
    }

    /// A REST response, or spot's partial depth, whose symbol is only in the stream's name.
    fn whole_depth(self, data: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let last = data.uint("lastUpdateId")?;
        let upper = self
            .stream
            .split('@')
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let (native, stream) = if self.stream.is_empty() {
            (
                data.text_of("s").unwrap_or(self.named),
                VenueStream::new(Carries::Seed, 0),
            )
        } else {
            let levels = partial_depth(self.stream).unwrap_or(0);
            (upper.as_str(), VenueStream::new(Carries::WholeBook, levels))
        };
        let link = match self.product {
            _ if !self.stream.is_empty() => Link::Whole(last),
            Product::Spot => Link::Range { first: last, last },
            Product::Usdm => Link::Previous {
                first: None,
                previous: -1,
                last: signed(last)?,
            },
        };
        let head = MessageHead {
            native,
            stream,
            ts_event: time(data)?,
            venue_seq: Some(last),
            what: What::Book(BookHead {
                snapshot: true,
                link,
                ..BookHead::default()
            }),
        };
        levels(data, "bids", "asks", &head, visitor)
    }
}

/// The stream that an item of an array seems to be of: arrays are of tickers, or of quotes.
fn stream_of(item: Node<'_, '_>) -> VenueStream {
    match item.text_of("e") {
        Some("24hrTicker") => VenueStream::new(Carries::Ticker, 2),
        Some("24hrMiniTicker") => VenueStream::new(Carries::Ticker, 1),
        Some("trade") => VenueStream::new(Carries::Trades, 2),
        Some("aggTrade") => VenueStream::new(Carries::Trades, 1),
        _ => VenueStream::new(Carries::Quote, 1),
    }
}

/// What a change to a book says before its levels.
fn depth_head<'a>(
    origin: PayloadOrigin<'_>,
    native: &'a str,
    (first, last): (u64, u64),
    previous: Option<u64>,
    ts_event: Option<EventTime>,
) -> Result<MessageHead<'a>, Reject> {
    let (stream, snapshot) = match partial_depth(origin.stream) {
        Some(levels) => (VenueStream::new(Carries::WholeBook, levels), true),
        None => (
            VenueStream::new(Carries::Book, diff_rank(origin.stream)),
            false,
        ),
    };
    let link = match previous {
        _ if snapshot => Link::Whole(last),
        None => Link::Range { first, last },
        Some(previous) => Link::Previous {
            first: Some(signed(first)?),
            previous: signed(previous)?,
            last: signed(last)?,
        },
    };
    Ok(MessageHead {
        native,
        stream,
        ts_event,
        venue_seq: Some(last),
        what: What::Book(BookHead {
            snapshot,
            link,
            ..BookHead::default()
        }),
    })
}

fn trade(
    data: Node<'_, '_>,
    id: &'static str,
    rank: u32,
    visitor: &mut dyn EventVisitor,
) -> Result<(), Reject> {
    let head = MessageHead {
        native: data.text("s")?,
        stream: VenueStream::new(Carries::Trades, rank),
        ts_event: time(data)?,
        venue_seq: None,
        what: TRADES,
    };
    if !visitor.begin(&head)? {
        return Ok(());
    }
    let aggressor = data.flag("m").map(aggressor);
    let market = data
        .get("X")
        .is_none_or(|kind| kind.as_text() == Some(MARKET));
    let number = |key| match data.text(key) {
        Err(_) if !market => Ok(""),
        text => text,
    };
    visitor.trade(&TradeRow {
        id: TradeId::from_number(data.uint(id)?),
        price: number("p")?,
        qty: number("q")?,
        aggressor,
        ts_event: head.ts_event,
        market,
        first_id: None,
    })?;
    visitor.finish()
}

fn book_ticker(data: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let head = MessageHead {
        native: data.text("s")?,
        stream: VenueStream::new(Carries::Quote, 1),
        ts_event: time(data)?,
        venue_seq: Some(data.uint("u")?),
        what: What::Quote,
    };
    if !visitor.begin(&head)? {
        return Ok(());
    }
    visitor.level(Side::Bid, data.text("b")?, data.text("B")?)?;
    visitor.level(Side::Ask, data.text("a")?, data.text("A")?)?;
    visitor.finish()
}

fn ticker(data: Node<'_, '_>, rank: u32, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
    let number = |key| decimal(data, key);
    let (last, open) = (number("c")?, number("o")?);
    let (mut change, mut change_pct) = (number("p")?, number("P")?);
    if rank == 1 {
        // The small ticker says neither.
        change = last
            .zip(open)
            .and_then(|(last, open)| last.checked_sub(open));
        change_pct = change
            .zip(open)
            .and_then(|(change, open)| change.percent_of(open, 4));
    }
    let ticker = Ticker {
        last,
        open,
        high: number("h")?,
        low: number("l")?,
        change,
        change_pct,
        volume: number("v")?,
        quote_volume: number("q")?,
    };
    let head = MessageHead {
        native: data.text("s")?,
        stream: VenueStream::new(Carries::Ticker, rank),
        ts_event: data.uint_of("E")?.map(integer_time),
        venue_seq: None,
        what: What::whole(&ticker),
    };
    if visitor.begin(&head)? {
        visitor.finish()
    } else {
        Ok(())
    }
}

fn levels(
    data: Node<'_, '_>,
    bids: &'static str,
    asks: &'static str,
    head: &MessageHead<'_>,
    visitor: &mut dyn EventVisitor,
) -> Result<(), Reject> {
    if !visitor.begin(head)? {
        return Ok(());
    }
    for (side, key) in [(Side::Bid, bids), (Side::Ask, asks)] {
        for level in data.items(key)? {
            let (price, qty) = level.level()?;
            visitor.level(side, price, qty)?;
        }
    }
    visitor.finish()
}

/// Who took liquidity, if the buyer did or did not make it.
const fn aggressor(buyer_made: bool) -> Aggressor {
    if buyer_made {
        Aggressor::Sell
    } else {
        Aggressor::Buy
    }
}

/// When it happened (`T`), or else when it was sent (`E`).
fn time(data: Node<'_, '_>) -> Result<Option<EventTime>, Reject> {
    Ok(happened_or_sent(data.uint_of("T")?, data.uint_of("E")?))
}

/// `T` if it is a time, else `E`.
fn happened_or_sent(happened: Option<u64>, sent: Option<u64>) -> Option<EventTime> {
    let (happened, sent) = (happened.map(integer_time), sent.map(integer_time));
    happened
        .filter(|time| time.is_dated())
        .or(sent)
        .or(happened)
}

fn decimal(data: Node<'_, '_>, key: &'static str) -> Result<Option<Decimal>, Reject> {
    let text = data.text_of(key);
    text.map(|t| Decimal::parse(t.as_bytes()).map_err(|e| Reject::of_number(key, e)))
        .transpose()
}

fn signed(number: u64) -> Result<i64, Reject> {
    i64::try_from(number).or(Err(Reject::Number("update id")))
}

/// Levels of a partial depth stream: `btcusdt@depth20@100ms`.
fn partial_depth(stream: &str) -> Option<u32> {
    stream
        .split('@')
        .nth(1)?
        .strip_prefix("depth")?
        .parse()
        .ok()
}

/// Of several diff depth streams of a symbol, which are chains of their own, the fastest is used.
/// Deeper than any partial depth.
pub(crate) fn diff_rank(stream: &str) -> u32 {
    let millis = stream
        .split('@')
        .nth(2)
        .and_then(|speed| speed.strip_suffix("ms"));
    let millis = millis.and_then(|m| m.parse::<u32>().ok()).unwrap_or(1_000);
    1_000_000 - millis.min(900_000)
}

/// Answers to requests.
fn is_control(data: Node<'_, '_>) -> bool {
    data.get("error").is_some()
        || (data.get("code").is_some() && data.get("msg").is_some())
        || (data.is_object() && data.get("id").is_some())
}

fn symbol_of_url(url: &str) -> Option<&str> {
    let (_, query) = url.split_once('?')?;
    let symbol = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("symbol="))?;
    let symbol = symbol.split('#').next().unwrap_or(symbol);
    (!symbol.is_empty()).then_some(symbol)
}
