//! Golden frames: changing one of these texts is a change of the protocol.

use super::*;
use std::borrow::Cow;
use tapecast_model::{
    Aggressor, ChannelKind, ChannelState, Decimal, FeedState, InstrumentId, InstrumentKind,
    QtyUnit, Symbol, TradeId, TradingState, Venue,
};

fn instrument() -> Instrument {
    Instrument {
        id: InstrumentId::new(0),
        venue: Venue::new("binance").unwrap(),
        symbol: Symbol::new("BTC-USDT").unwrap(),
        native: "BTCUSDT".into(),
        price_scale: Scale::new(2).unwrap(),
        qty_scale: Scale::new(8).unwrap(),
        lossless: false,
    }
}

fn level(price: i64, qty: i64) -> PriceLevel {
    (Price::from_mantissa(price), Qty::from_mantissa(qty))
}

fn check(
    topic: &str,
    prev: Option<u64>,
    write: impl FnOnce(&mut Vec<u8>, &Head<'_>),
    expected: &str,
) {
    let prefix = prefix(&topic.parse().unwrap());
    let head = Head {
        prefix: &prefix,
        epoch: Epoch::new(412),
        seq: Seq::new(88_121),
        prev: prev.map(Seq::new),
        ts_event: Some(EventTime::from_millis(1_723_161_255_401)),
        ts_recv: Some(UnixNanos::new(1_723_161_255_512_345_678)),
        ts_out: UnixNanos::new(1_723_161_255_512_361_002),
        venue_seq: Some(50_093_239_207),
        tid: 0,
        conflated: false,
    };
    let mut out = Vec::new();
    write(&mut out, &head);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, expected);
    serde_json::from_str::<serde_json::Value>(&text).unwrap();
}

#[test]
fn trade_frames() {
    let trade = Trade {
        id: TradeId::from_number(3_735_683_260),
        price: Price::from_mantissa(6_183_764),
        qty: Qty::from_mantissa(16_050_000),
        aggressor: Some(Aggressor::Buy),
        ts_event: EventTime::parse(b"0000012345678901234"),
    };
    let bare = Trade {
        aggressor: None,
        ts_event: None,
        ..trade
    };
    check(
        "trade:binance:BTC-USDT",
        Some(88_119),
        |out, head| {
            let head = Head {
                ts_event: None,
                venue_seq: None,
                ..*head
            };
            trades(out, &head, &instrument(), &[trade, bare]);
        },
        concat!(
            r#"{"topic":"trade:binance:BTC-USDT","type":"update","epoch":412,"seq":88121,"prev":88119,"#,
            r#""ts_recv":"1723161255512345678","ts_out":"1723161255512361002","trades":["#,
            r#"{"id":"3735683260","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000012345678901234"},"#,
            r#"{"id":"3735683260","price":"61837.64","qty":"0.1605"}]}"#
        ),
    );
}

#[test]
fn quote_frames() {
    let both = Quote {
        bid: Some(level(6_338_870, 25_761_908)),
        ask: Some(level(6_338_880, 100_420_000)),
    };
    check(
        "quote:binance:BTC-USDT",
        Some(88_107),
        |out, head| quote(out, head, &instrument(), &both),
        concat!(
            r#"{"topic":"quote:binance:BTC-USDT","type":"update","epoch":412,"seq":88121,"prev":88107,"#,
            r#""ts_event":"1723161255401000000","ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""bid":"63388.7","bid_qty":"0.25761908","ask":"63388.8","ask_qty":"1.0042","venue_seq":"50093239207"}"#
        ),
    );
    let one_sided = Quote { bid: None, ..both };
    check(
        "quote:binance:BTC-USDT",
        None,
        |out, head| {
            quote(
                out,
                &Head {
                    ts_recv: None,
                    ..*head
                },
                &instrument(),
                &one_sided,
            )
        },
        concat!(
            r#"{"topic":"quote:binance:BTC-USDT","type":"snapshot","epoch":412,"seq":88121,"#,
            r#""ts_event":"1723161255401000000","ts_out":"1723161255512361002","#,
            r#""ask":"63388.8","ask_qty":"1.0042","venue_seq":"50093239207"}"#
        ),
    );
}

#[test]
fn book_frames_and_their_checksum() {
    let bids = [level(6_508_366, 20_371_215), level(6_508_327, 2_244_516)];
    let asks = [level(6_508_367, 24_290_402)];
    let sum = checksum(&mut Vec::new(), &instrument(), &bids, &asks);
    let text = "65083.67:0.24290402:65083.66:0.20371215:65083.27:0.02244516";
    assert_eq!(sum, crc32fast::hash(text.as_bytes()));
    assert_eq!(checksum(&mut Vec::new(), &instrument(), &[], &[]), 0);
    let expected = format!(
        concat!(
            r#"{{"topic":"book.25:binance:BTC-USDT","type":"snapshot","epoch":412,"seq":88121,"#,
            r#""ts_event":"1723161255401000000","ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""bids":[["65083.66","0.20371215"],["65083.27","0.02244516"]],"asks":[["65083.67","0.24290402"]],"#,
            r#""checksum":{},"venue_seq":"50093239207"}}"#
        ),
        sum
    );
    check(
        "book.25:binance:BTC-USDT",
        None,
        |out, head| {
            let levels = BookLevels {
                bids: &bids,
                asks: &asks,
                checksum: sum,
            };
            book(out, head, &instrument(), levels);
        },
        &expected,
    );
}

#[test]
fn the_checksum_covers_ten_levels_of_each_side() {
    let asks: Vec<_> = (1..=12).map(|p| level(p * 100, 100_000_000)).collect();
    let all = checksum(&mut Vec::new(), &instrument(), &[], &asks);
    let ten = checksum(&mut Vec::new(), &instrument(), &[], &asks[..10]);
    assert_eq!(all, ten);
    assert_ne!(
        all,
        checksum(&mut Vec::new(), &instrument(), &[], &asks[..9])
    );
}

#[test]
fn ticker_and_status_frames() {
    let figures = Ticker {
        last: Some(Decimal::new(637_073, 1)),
        change_pct: Some(Decimal::new(-3934, 4)),
        ..Ticker::default()
    };
    check(
        "ticker:binance:BTC-USDT",
        Some(76),
        |out, head| {
            ticker(
                out,
                &Head {
                    venue_seq: None,
                    ..*head
                },
                &figures,
            )
        },
        concat!(
            r#"{"topic":"ticker:binance:BTC-USDT","type":"update","epoch":412,"seq":88121,"prev":76,"#,
            r#""ts_event":"1723161255401000000","ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""last":"63707.3","change_pct":"-0.3934"}"#
        ),
    );
    let stale = Status {
        feed: FeedState::Stale,
        trading: TradingState::Open,
        reason: Cow::Borrowed("no \"data\" for 5.0 s"),
        channels: ChannelStates::NONE,
    };
    check(
        "status:binance:BTC-USDT",
        Some(2),
        |out, head| {
            status(
                out,
                &Head {
                    ts_event: None,
                    venue_seq: None,
                    ..*head
                },
                &stale,
            )
        },
        concat!(
            r#"{"topic":"status:binance:BTC-USDT","type":"update","epoch":412,"seq":88121,"prev":2,"#,
            r#""ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""feed":"stale","trading":"open","reason":"no \"data\" for 5.0 s"}"#
        ),
    );
}

#[test]
fn a_status_says_what_is_known_of_each_channel() {
    let state = |feed, since| ChannelState {
        feed,
        since: UnixNanos::new(since),
    };
    let channels = [
        (ChannelKind::Trade, state(FeedState::Live, 7)),
        (
            ChannelKind::Book,
            state(FeedState::Pending, 1_723_161_255_401_000_000),
        ),
    ];
    let half = Status {
        feed: FeedState::Pending,
        trading: TradingState::PreOpen,
        reason: Cow::Borrowed(""),
        channels: channels.into_iter().collect(),
    };
    check(
        "status:binance:BTC-USDT",
        None,
        |out, head| {
            status(
                out,
                &Head {
                    ts_event: None,
                    venue_seq: None,
                    ..*head
                },
                &half,
            )
        },
        concat!(
            r#"{"topic":"status:binance:BTC-USDT","type":"snapshot","epoch":412,"seq":88121,"#,
            r#""ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""feed":"pending","trading":"pre_open","channels":{"trade":{"feed":"live","since":"7"},"#,
            r#""book":{"feed":"pending","since":"1723161255401000000"}}}"#
        ),
    );
}

#[test]
fn a_definition_says_only_what_is_known() {
    let named = |terms| Definition {
        native: "BTC\"USDT",
        price_scale: Scale::saturating(2),
        qty_scale: Scale::saturating(5),
        trading: TradingState::Open,
        terms,
    };
    let spot = Terms {
        kind: Some(InstrumentKind::Spot),
        qty_unit: Some(QtyUnit::Base),
        inverse: Some(false),
        tick: Some(Decimal::new(1, 2)),
        lot: Some(Decimal::new(1, 5)),
        listed_at: Some(UnixNanos::new(7)),
        ..Terms::UNKNOWN
    };
    let shown = |definition: Definition<'_>, rest: &str| {
        let expected = [
            r#"{"topic":"instrument:binance:BTC-USDT","type":"snapshot","epoch":412,"seq":88121,"#,
            r#""ts_recv":"1723161255512345678","ts_out":"1723161255512361002","#,
            r#""native":"BTC\"USDT","price_scale":2,"qty_scale":5,"trading":"open""#,
            rest,
        ];
        let write = |out: &mut Vec<u8>, head: &Head<'_>| {
            let head = Head {
                ts_event: None,
                venue_seq: None,
                ..*head
            };
            super::definition(out, &head, &definition);
        };
        check(
            "instrument:binance:BTC-USDT",
            None,
            write,
            &expected.concat(),
        );
    };
    shown(named(Terms::UNKNOWN), "}");
    shown(
        named(spot),
        r#","kind":"spot","qty_unit":"base","inverse":false,"tick":"0.01","lot":"0.00001","listed_at":"7"}"#,
    );
}
