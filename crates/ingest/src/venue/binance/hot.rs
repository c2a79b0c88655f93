//! Binance's frequent messages, read without a tape: trades, book tickers and changes to books, alone or
//! in a combined stream, with their members in any order.
//!
//! The whole message is read before the visitor is called. If it is declined, the visitor has received
//! nothing, and the general reader in [`super`] reads it or says what is wrong with it.

use super::{
    COIN_M, MARKET, PayloadOrigin, Product, TRADES, aggressor, depth_head, happened_or_sent,
};
use crate::spare;
use crate::venue::plain::{Plain, Span, Value};
use crate::venue::{Carries, EventVisitor, MessageHead, Reject, TradeRow, VenueStream, What};
use tapecast_model::{EventTime, Side, TradeId};

/// Reads hot messages; keeps the memory for their levels.
#[derive(Default)]
pub(super) struct Hot {
    /// Price and size of each level.
    levels: Vec<[Span; 2]>,
}

/// The members that are used.
#[derive(Default)]
struct Members<'a> {
    kind: Kind,
    native: &'a str,
    time: Option<u64>,
    sent: Option<u64>,
    maker: Option<bool>,
    /// `X` of futures' trades is there and says something else than `MARKET`.
    no_market: bool,
    /// `st` of futures.
    service: Option<u64>,
    /// `t` and `a` of trades.
    ids: [Option<u64>; 2],
    /// `p` and `q` of trades.
    trade: [&'a str; 2],
    /// `b`, `B`, `a` and `A` of book tickers.
    quote: [&'a str; 4],
    /// `U`, `u` and `pu`.
    numbers: [Option<u64>; 3],
    /// The places of the bids and the asks among the levels.
    sides: [Option<(usize, usize)>; 2],
    /// Names of one letter that were there, one bit each.
    seen: u64,
}

/// Kinds of message that are read here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    Trade,
    AggTrade,
    /// Does not say so on spot.
    #[default]
    BookTicker,
    Depth,
}

impl Hot {
    /// Reads a message; none if it is not one of those, or not written as they are.
    pub(super) fn read(
        &mut self,
        raw: &[u8],
        product: Product,
        visitor: &mut dyn EventVisitor,
    ) -> Option<Result<(), Reject>> {
        let mut plain = Plain::new(raw)?;
        plain.take(b'{')?;
        let mut stream = "";
        if plain.skip("\"stream\":") {
            stream = plain.text().filter(|name| !name.is_empty())?;
            if !plain.skip(",\"data\":{") {
                return None;
            }
        }
        spare::clear(&mut self.levels);
        let members = self.members(&mut plain)?;
        if !stream.is_empty() {
            plain.take(b'}')?;
        }
        if !plain.is_at_end() {
            return None;
        }
        if product == Product::Usdm && members.service == Some(COIN_M) {
            return Some(Ok(()));
        }
        match members.kind {
            Kind::Trade => members.trade(0, 2, visitor),
            Kind::AggTrade => members.trade(1, 1, visitor),
            Kind::BookTicker => members.book_ticker(visitor),
            Kind::Depth => {
                let origin = PayloadOrigin {
                    product,
                    stream,
                    named: "",
                    http: false,
                };
                self.depth(&plain, &members, origin, visitor)
            }
        }
    }

    /// Reads the members of an object and its end.
    fn members<'a>(&mut self, plain: &mut Plain<'a>) -> Option<Members<'a>> {
        let mut members = Members::default();
        loop {
            let key = plain.key()?;
            if let [letter] = key.as_bytes() {
                // Letters differ in their low six bits. Of a name that is there twice, the general
                // reader knows which one counts.
                let bit = 1 << (letter & 63);
                if members.seen & bit != 0 {
                    return None;
                }
                members.seen |= bit;
            }
            if plain.peek()? == b'[' {
                let side = match key {
                    "b" => 0,
                    "a" => 1,
                    _ => return None,
                };
                let start = self.levels.len();
                self.read_levels(plain)?;
                members.sides[side] = Some((start, self.levels.len()));
            } else {
                members.note(key, plain.value()?)?;
            }
            if !plain.more(b'}')? {
                return Some(members);
            }
        }
    }

    /// Reads `[["price","size"],…]`.
    fn read_levels(&mut self, plain: &mut Plain<'_>) -> Option<()> {
        plain.take(b'[')?;
        if plain.peek()? == b']' {
            return plain.take(b']');
        }
        loop {
            plain.take(b'[')?;
            let price = plain.span()?;
            plain.take(b',')?;
            self.levels.push([price, plain.span()?]);
            plain.take(b']')?;
            if !plain.more(b']')? {
                return Some(());
            }
        }
    }

    fn depth(
        &self,
        plain: &Plain<'_>,
        members: &Members<'_>,
        origin: PayloadOrigin<'_>,
        visitor: &mut dyn EventVisitor,
    ) -> Option<Result<(), Reject>> {
        let [first, last, previous] = members.numbers;
        if members.native.is_empty() {
            return None;
        }
        let head = match depth_head(
            origin,
            members.native,
            (first?, last?),
            previous,
            members.time(),
        ) {
            Ok(head) => head,
            Err(reject) => return Some(Err(reject)),
        };
        let [bids, asks] = members.sides;
        let sides = [(Side::Bid, bids?), (Side::Ask, asks?)];
        let mut tell = || {
            if !visitor.begin(&head)? {
                return Ok(());
            }
            for (side, (start, end)) in sides {
                for [price, qty] in self.levels.get(start..end).unwrap_or_default() {
                    let text = |span| plain.at(span).ok_or(Reject::Number("level"));
                    visitor.level(side, text(*price)?, text(*qty)?)?;
                }
            }
            visitor.finish()
        };
        Some(tell())
    }
}

impl<'a> Members<'a> {
    /// Takes a member; none if it is not of the type it has in messages of the kinds read here. An
    /// empty text is as good as none.
    #[inline]
    fn note(&mut self, key: &str, value: Value<'a>) -> Option<()> {
        match (key, value) {
            ("e", Value::Text(text)) => {
                self.kind = match text {
                    "trade" => Kind::Trade,
                    "aggTrade" => Kind::AggTrade,
                    "bookTicker" => Kind::BookTicker,
                    "depthUpdate" => Kind::Depth,
                    _ => return None,
                };
            }
            ("s", Value::Text(text)) => self.native = text,
            ("p", Value::Text(text)) => self.trade[0] = text,
            ("q", Value::Text(text)) => self.trade[1] = text,
            ("b", Value::Text(text)) => self.quote[0] = text,
            ("B", Value::Text(text)) => self.quote[1] = text,
            ("a", Value::Text(text)) => self.quote[2] = text,
            ("A", Value::Text(text)) => self.quote[3] = text,
            ("T", Value::Uint(number)) => self.time = Some(number),
            ("E", Value::Uint(number)) => self.sent = Some(number),
            ("m", Value::Flag(flag)) => self.maker = Some(flag),
            ("X", Value::Text(kind)) => self.no_market = kind != MARKET,
            ("t", Value::Uint(number)) => self.ids[0] = Some(number),
            ("a", Value::Uint(number)) => self.ids[1] = Some(number),
            ("U", Value::Uint(number)) => self.numbers[0] = Some(number),
            ("u", Value::Uint(number)) => self.numbers[1] = Some(number),
            ("pu", Value::Uint(number)) if self.numbers[2].is_none() => {
                self.numbers[2] = Some(number);
            }
            ("st", Value::Uint(number)) if self.service.is_none() => self.service = Some(number),
            // The order of a trade's buyer, in older recordings.
            ("b", Value::Uint(_)) => {}
            ("e" | "s" | "p" | "q" | "b" | "B" | "a" | "A" | "T" | "E", _) => return None,
            ("m" | "X" | "t" | "U" | "u" | "pu" | "st" | "lastUpdateId" | "stream" | "data", _) => {
                return None;
            }
            _ => {}
        }
        Some(())
    }

    /// When it happened, or else when it was sent.
    fn time(&self) -> Option<EventTime> {
        happened_or_sent(self.time, self.sent)
    }

    fn trade(
        &self,
        id: usize,
        rank: u32,
        visitor: &mut dyn EventVisitor,
    ) -> Option<Result<(), Reject>> {
        let [price, qty] = self.trade;
        if self.native.is_empty() || price.is_empty() || qty.is_empty() {
            return None;
        }
        let head = MessageHead {
            native: self.native,
            stream: VenueStream::new(Carries::Trades, rank),
            ts_event: self.time(),
            venue_seq: None,
            what: TRADES,
        };
        let trade = TradeRow {
            id: TradeId::from_number(self.ids[id]?),
            price,
            qty,
            aggressor: self.maker.map(aggressor),
            ts_event: head.ts_event,
            market: !self.no_market,
            first_id: None,
        };
        let mut tell = || {
            if !visitor.begin(&head)? {
                return Ok(());
            }
            visitor.trade(&trade)?;
            visitor.finish()
        };
        Some(tell())
    }

    fn book_ticker(&self, visitor: &mut dyn EventVisitor) -> Option<Result<(), Reject>> {
        let [bid, bid_qty, ask, ask_qty] = self.quote;
        if self.native.is_empty() || self.quote.iter().any(|text| text.is_empty()) {
            return None;
        }
        let head = MessageHead {
            native: self.native,
            stream: VenueStream::new(Carries::Quote, 1),
            ts_event: self.time(),
            venue_seq: Some(self.numbers[1]?),
            what: What::Quote,
        };
        let mut tell = || {
            if !visitor.begin(&head)? {
                return Ok(());
            }
            visitor.level(Side::Bid, bid, bid_qty)?;
            visitor.level(Side::Ask, ask, ask_qty)?;
            visitor.finish()
        };
        Some(tell())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::RecordingScan;
    use crate::venue::Format;

    fn is_read(text: &str) -> bool {
        let mut scan = RecordingScan::new(Format::Binance, hashbrown::HashMap::new());
        let read = Hot::default().read(text.as_bytes(), Product::Spot, &mut scan);
        assert!(read.is_none_or(|result| result.is_ok()), "{text}");
        read.is_some()
    }

    #[test]
    fn what_comes_often_is_not_declined() {
        for text in [
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
            r#"{"e":"trade","E":1680652800001,"s":"BTCUSDT","t":3069489001,"p":"28170.53000000","q":"0.00100000","b":20687912345,"a":20687912346,"T":1680652800000,"m":true,"M":true}"#,
            r#"{"e":"trade","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","t":5171000000,"p":"63943.90","q":"0.002","X":"MARKET","m":false}"#,
            r#"{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}"#,
            r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
            r#"{"e":"bookTicker","u":21,"s":"BTCUSDT","b":"63943.90","B":"46.371","a":"63944.00","A":"0.095","T":1721347022507,"E":1721347022508}"#,
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[["55653.87000000","0.00000000"]],"a":[]}}"#,
            r#"{"e":"depthUpdate","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["1000.00","569.567"],["999.9","0"]],"a":[]}"#,
        ] {
            assert!(is_read(text), "{text}");
        }
    }

    #[test]
    fn what_is_something_else_is_left_to_the_general_reader() {
        for text in [
            r#"{"result":null,"id":1}"#,
            r#"{"e":"kline","E":1,"s":"NKNUSDT","k":{}}"#,
            r#"{"e":"24hrMiniTicker","E":1,"s":"ETHBTC","c":"0.06","o":"0.05","h":"0.07","l":"0.04","v":"10","q":"0.5"}"#,
            r#"{"lastUpdateId":5,"bids":[["61837.63000000","3.78826000"]],"asks":[]}"#,
            r#"{"e":"trade","s":"BTCUSDT","s":"ETHUSDT","t":1,"p":"1","q":"1","T":1,"m":true}"#,
            r#"{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true} "#,
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"1","q":"1","T":1,"m":true},"x":1}"#,
        ] {
            assert!(!is_read(text), "{text}");
        }
    }
}
