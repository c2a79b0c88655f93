//! What it costs to read a message: per venue and kind, as replays and live feeds read it, and as the
//! push source reads its lines.
//!
//! One iteration is a hundred readings of one message. Each is made twice over: `parse`, as it is
//! written, and `parse_general`, with a space in front, which venues do not send and which keeps
//! scanners that are made for one venue out of it.

#![expect(clippy::unwrap_used, reason = "a benchmark may stop")]

use divan::Bencher;
use divan::counter::ItemsCount;
use hashbrown::HashMap;
use std::hint::black_box;
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::push::line::take;
use tapecast_ingest::push::names::Instruments;
use tapecast_ingest::scan::RecordingScan;
use tapecast_ingest::venue::{Format, Message};
use tapecast_model::{Instrument, InstrumentId, Scale, Symbol, UnixNanos, Venue};

fn main() {
    divan::main();
}

const READINGS: usize = 100;

/// A kind of message of a venue.
#[derive(Clone, Copy, Debug)]
enum Kind {
    BinanceTrade,
    BinanceAggTrade,
    BinanceBookTicker,
    BinanceDepth20,
    CoinbaseTrade,
    CoinbaseBook20,
    KrakenTrade,
    KrakenBook20,
    OkxTrade,
    OkxBook20,
    BybitTrade,
    BybitBook20,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::BinanceTrade,
        Self::BinanceAggTrade,
        Self::BinanceBookTicker,
        Self::BinanceDepth20,
        Self::CoinbaseTrade,
        Self::CoinbaseBook20,
        Self::KrakenTrade,
        Self::KrakenBook20,
        Self::OkxTrade,
        Self::OkxBook20,
        Self::BybitTrade,
        Self::BybitBook20,
    ];

    const fn format(self) -> Format {
        match self {
            Self::BinanceTrade
            | Self::BinanceAggTrade
            | Self::BinanceBookTicker
            | Self::BinanceDepth20 => Format::Binance,
            Self::CoinbaseTrade | Self::CoinbaseBook20 => Format::Coinbase,
            Self::KrakenTrade | Self::KrakenBook20 => Format::Kraken,
            Self::OkxTrade | Self::OkxBook20 => Format::Okx,
            Self::BybitTrade | Self::BybitBook20 => Format::BybitLinear,
        }
    }

    /// The message; `NUMBER` is one that rises by one from message to message.
    fn template(self) -> String {
        let text = match self {
            Self::BinanceTrade => {
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#
            }
            Self::BinanceAggTrade => {
                r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1723161255343,"s":"BTCUSDT","a":15683430,"p":"61837.63000000","q":"0.02000000","f":19862790,"l":19862790,"T":1723161255342,"m":false,"M":true}}"#
            }
            Self::BinanceBookTicker => {
                r#"{"stream":"btcusdt@bookTicker","data":{"u":NUMBER,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#
            }
            Self::BinanceDepth20 => {
                r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[PAIRS],"a":[PAIRS]}}"#
            }
            Self::CoinbaseTrade => {
                r#"{"channel":"market_trades","client_id":"","timestamp":"2026-08-09T21:05:48.250436Z","sequence_num":NUMBER,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"1068572091","price":"65083.67","size":"0.01034361","time":"2026-08-09T21:05:48.167634Z","side":"SELL"}]}]}"#
            }
            Self::CoinbaseBook20 => {
                r#"{"channel":"l2_data","client_id":"","timestamp":"2026-08-09T21:05:48.50436Z","sequence_num":NUMBER,"events":[{"type":"update","product_id":"BTC-USD","updates":[UPDATES]}]}"#
            }
            Self::KrakenTrade => {
                r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}"#
            }
            Self::KrakenBook20 => {
                r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[OBJECTS],"asks":[OBJECTS],"checksum":3726153463,"timestamp":"2026-08-02T03:35:51.302928Z"}]}"#
            }
            Self::OkxTrade => {
                r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613","px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","seqId":79706765242}]}"#
            }
            Self::OkxBook20 => {
                r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[FOURS],"bids":[FOURS],"ts":"1597026383085","checksum":0,"prevSeqId":123455,"seqId":123456}]}"#
            }
            Self::BybitTrade => {
                r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310818130,"data":[{"T":1786310818128,"s":"BTCUSDT","S":"Buy","v":"0.010","p":"65093.10","L":"PlusTick","i":"2100000000007542321","BT":false,"seq":753843913870}]}"#
            }
            Self::BybitBook20 => {
                r#"{"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310818130,"data":{"s":"BTCUSDT","b":[PAIRS],"a":[PAIRS],"u":15076953,"seq":753843913870},"cts":1786310818129}"#
            }
        };
        let ten = |level: &str| {
            let levels: Vec<_> = (0..10)
                .map(|n| level.replace('#', &n.to_string()))
                .collect();
            levels.join(",")
        };
        let updates = [
            ten(
                r##"{"side":"bid","event_time":"2026-08-09T21:05:48.2Z","price_level":"65062.5#","new_quantity":"0.00583"}"##,
            ),
            ten(
                r##"{"side":"offer","event_time":"2026-08-09T21:05:48.2Z","price_level":"65063.5#","new_quantity":"1.25"}"##,
            ),
        ];
        text.replace("PAIRS", &ten(r##"["61837.6#","1.10000"]"##))
            .replace("FOURS", &ten(r##"["61837.6#","1.1","0","4"]"##))
            .replace("OBJECTS", &ten(r##"{"price":63388.#,"qty":0.25761908}"##))
            .replace("UPDATES", &updates.join(","))
    }
}

/// What is read before the message itself: what its kind needs to be understood.
fn before(kind: Kind) -> Option<String> {
    // A book of Kraken's has a depth from its snapshot on.
    let snapshot = || {
        kind.template()
            .replace("\"type\":\"update\"", "\"type\":\"snapshot\"")
    };
    matches!(kind, Kind::KrakenBook20).then(snapshot)
}

fn parse_message(bencher: Bencher<'_, '_>, kind: Kind, space: &str) {
    let (format, template) = (kind.format(), kind.template());
    let numbered =
        |n: u64| format!("{space}{}", template.replace("NUMBER", &n.to_string())).into_bytes();
    let mut scan = RecordingScan::new(format, HashMap::new());
    let first = before(kind).map(String::into_bytes);
    for mut raw in first.clone().into_iter().chain([numbered(0)]) {
        let message = Message {
            raw: &mut raw,
            http: None,
            symbol: None,
        };
        format.decoder().read(message, &mut scan).unwrap();
    }
    let mut parser = Parser::new(format, scan.into_plan(), &[InstrumentId::new(0)]);
    let mut events = Vec::new();
    let mut parse = |raw: &mut Vec<u8>, events: &mut Vec<_>| {
        let message = Message {
            raw,
            http: None,
            symbol: None,
        };
        parser.parse(message, UnixNanos::new(1), events).unwrap();
    };
    first
        .into_iter()
        .for_each(|mut raw| parse(&mut raw, &mut events));
    // A hundred of them, numbered on where that is looked at; again from one after the last.
    let mut next = 0;
    let mut messages: Vec<_> = (0..READINGS).map(|_| numbered(0)).collect();
    let is_numbered = template.contains("NUMBER");
    bencher
        .counter(ItemsCount::new(READINGS))
        .with_inputs(|| {
            if is_numbered {
                messages = (next..next + READINGS as u64).map(numbered).collect();
                next += READINGS as u64;
            }
            messages.clone()
        })
        .bench_local_refs(|messages| {
            events.clear();
            messages
                .iter_mut()
                .for_each(|raw| parse(black_box(raw), &mut events));
            assert_eq!(events.len(), READINGS);
        });
}

#[divan::bench(args = Kind::ALL)]
fn parse(bencher: Bencher<'_, '_>, kind: Kind) {
    parse_message(bencher, kind, "");
}

#[divan::bench(args = Kind::ALL)]
fn parse_general(bencher: Bencher<'_, '_>, kind: Kind) {
    parse_message(bencher, kind, " ");
}

/// A desk with one instrument.
struct Desk(Instrument);

impl Instruments for Desk {
    fn find(&mut self, _symbol: &str) -> Result<&Instrument, String> {
        Ok(&self.0)
    }

    fn found(&self, _symbol: &str) -> Option<InstrumentId> {
        Some(self.0.id)
    }
}

/// A kind of published line.
#[derive(Clone, Copy, Debug)]
enum Line {
    Trade,
    Quote,
    Book20,
}

fn read_line(bencher: Bencher<'_, '_>, line: Line, space: &str) {
    let ten: Vec<_> = (0..10)
        .map(|n| format!(r#"["61837.6{n}","1.1"]"#))
        .collect();
    let text = match line {
        Line::Trade => r#"{"channel":"trade","symbol":"X-USD","trades":[{"id":"0000000001","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"1723161255342000000"}]}"#.to_owned(),
        Line::Quote => r#"{"channel":"quote","symbol":"X-USD","bid":"61837.63","bid_qty":"3.78826","ask":"61837.64","ask_qty":"1.54698","ts_event":"1723161255342000000"}"#.to_owned(),
        Line::Book20 => format!(
            r#"{{"channel":"book","symbol":"X-USD","type":"update","bids":[{0}],"asks":[{0}]}}"#,
            ten.join(",")
        ),
    };
    let text = text + space;
    let scale = Scale::new(8).unwrap();
    let mut desk = Desk(Instrument {
        id: InstrumentId::new(7),
        venue: Venue::new("desk").unwrap(),
        symbol: Symbol::new("X-USD").unwrap(),
        native: "X-USD".into(),
        price_scale: scale,
        qty_scale: scale,
        lossless: false,
    });
    bencher.counter(ItemsCount::new(READINGS)).bench_local(|| {
        for _ in 0..READINGS {
            let taken = take(black_box(text.as_bytes()), UnixNanos::new(1), &mut desk);
            assert_eq!(taken.events[0].instrument, InstrumentId::new(7));
        }
    });
}

#[divan::bench(args = [Line::Trade, Line::Quote, Line::Book20])]
fn line(bencher: Bencher<'_, '_>, line: Line) {
    read_line(bencher, line, "");
}

#[divan::bench(args = [Line::Trade, Line::Quote, Line::Book20])]
fn line_general(bencher: Bencher<'_, '_>, line: Line) {
    read_line(bencher, line, " ");
}
