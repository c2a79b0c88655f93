//! States of which messages were lost, or that are told out of order: what is made of changes is known
//! again from the next snapshot on, and an older state never replaces a newer one.

use crate::reading::{events, parser, plan};
use prometheus::Registry;
use std::borrow::Cow;
use std::sync::Arc;
use tapecast_ingest::event::{Event, EventBody, FeedEvent};
use tapecast_ingest::metrics::PipelineMetrics;
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::pipeline::{Pipeline, PipelineConfig, SilenceLimit};
use tapecast_ingest::venue::{Format, Message, NoUpdate};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Body, Catalog, ChannelKind, FeedState, InstrumentId, Mono, Scale, StreamKey, StreamKind,
    Symbol, UnixNanos, Update, Venue,
};

fn ticker(native: &str, kind: &str, figures: &str) -> String {
    format!(
        r#"{{"topic":"tickers.{native}","type":"{kind}","data":{{"symbol":"{native}",{figures}}},"ts":1786310817883}}"#
    )
}

const WHOLE: &str = r#""lastPrice":"100","highPrice24h":"120""#;

/// Messages with which a change to the ticker of BTCUSDT may be lost.
fn losses() -> Vec<String> {
    let lost = ticker("BTCUSDT", "delta", r#""lastPrice":"50""#);
    let mut losses = vec![
        lost.replace("\"50\"", "\"x\""),
        lost.replace("\"50\"", "50"),
        lost.replace("delta", "partial"),
        lost.replace(r#""type":"delta","#, ""),
        r#"{"topic":"tickers.BTCUSDT","type":"delta","data":null,"ts":1}"#.to_owned(),
        "garbage".to_owned(),
        "\u{0}".to_owned(),
        lost[lost.len() / 2..].to_owned(),
    ];
    // Cut off anywhere.
    losses.extend((1..lost.len()).map(|end| lost[..end].to_owned()));
    losses
}

/// What is read of a message, and what of it is no update.
fn read(parser: &mut Parser, text: &str) -> (Vec<Event>, Vec<NoUpdate>) {
    let (mut raw, mut events) = (text.as_bytes().to_vec(), Vec::new());
    let message = Message {
        raw: &mut raw,
        http: None,
        symbol: None,
    };
    let _refused = parser.parse(message, UnixNanos::new(1), &mut events);
    let no_updates = parser.asides().no_updates.to_vec();
    (events, no_updates)
}

fn has_ticker(events: &[Event]) -> bool {
    let is_ticker = |event: &Event| matches!(event.body, EventBody::Ticker(_));
    events.iter().any(is_ticker)
}

#[test]
fn a_ticker_of_which_a_change_may_be_lost_is_unknown_until_its_next_snapshot() {
    let start = [
        ticker("BTCUSDT", "snapshot", WHOLE),
        ticker("ETHUSDT", "snapshot", WHOLE),
    ];
    let change = ticker("BTCUSDT", "delta", r#""highPrice24h":"130""#);
    let again = ticker("BTCUSDT", "snapshot", r#""lastPrice":"51""#);
    for bad in losses() {
        let messages = [
            &start[0], &start[1], &bad, &change, &change, &again, &change,
        ];
        let messages = messages.map(String::as_str);
        let lines = events(Format::BybitLinear, &messages);
        let of_us = lines.iter().filter(|line| line.starts_with("BTC-USDT"));
        let of_us: Vec<_> = of_us.map(|line| line.split(" @").next().unwrap()).collect();
        assert_eq!(of_us.len(), 4, "{bad}: {of_us:?}");
        assert_eq!(of_us[0], "BTC-USDT-PERP ticker last 100 high 120");
        assert!(of_us[1].contains(" lost "), "{bad}: {of_us:?}");
        assert_eq!(
            of_us[2..],
            [
                "BTC-USDT-PERP ticker last 51",
                "BTC-USDT-PERP ticker last 51 high 130"
            ],
            "{bad}"
        );
    }
    // What is of others, or nothing, costs it nothing.
    for other in [
        ticker("ETHUSDT", "delta", r#""lastPrice":"x""#),
        r#"{"op":"pong"}"#.to_owned(),
        r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":null}"#.to_owned(),
    ] {
        let messages = [&start[0], &start[1], &other, &change].map(String::as_str);
        let last = events(Format::BybitLinear, &messages).pop().unwrap();
        assert!(
            last.starts_with("BTC-USDT-PERP ticker last 100 high 130"),
            "{other}: {last}"
        );
    }
}

#[test]
fn a_ticker_is_unknown_behind_every_loss_of_its_connection() {
    let start = ticker("BTCUSDT", "snapshot", WHOLE);
    let change = ticker("BTCUSDT", "delta", r#""highPrice24h":"130""#);
    let plan = plan(Format::BybitLinear, &[&start]);
    let reason = || Cow::Borrowed("a test");
    let now = UnixNanos::new(1);
    type Loss<'a> = &'a dyn Fn(&mut Parser, &mut Vec<Event>);
    let losses: [Loss<'_>; 4] = [
        &|parser, out| parser.announce(&FeedEvent::Gap(reason()), now, out),
        &|parser, out| parser.announce(&FeedEvent::Down(reason()), now, out),
        &|parser, out| parser.lost(b"{\"ts\":1,\"raw\":\"{\\\"topi", now, out),
        &|parser, _| parser.reset(),
    ];
    for lose in losses {
        let mut parser = parser(Format::BybitLinear, &plan);
        // Nor is it known before its first snapshot.
        let before = read(&mut parser, &change);
        assert_eq!(before, (vec![], vec![NoUpdate::NoSnapshot]));
        assert!(has_ticker(&read(&mut parser, &start).0));
        assert!(has_ticker(&read(&mut parser, &change).0));
        lose(&mut parser, &mut Vec::new());
        for _ in 0..2 {
            assert_eq!(
                read(&mut parser, &change),
                (vec![], vec![NoUpdate::NoSnapshot])
            );
        }
        assert!(has_ticker(&read(&mut parser, &start).0));
        assert!(has_ticker(&read(&mut parser, &change).0));
    }
}

#[test]
fn the_channel_of_a_lost_ticker_stays_a_gap_until_its_next_snapshot() {
    let start = ticker("BTCUSDT", "snapshot", WHOLE);
    let change = ticker("BTCUSDT", "delta", r#""highPrice24h":"130""#);
    let plan = plan(Format::BybitLinear, &[&start]);
    for bad in losses() {
        let (catalog, venue) = (Arc::new(Catalog::new(1)), Venue::new("test").unwrap());
        catalog.add_venue(&venue, Offer::default());
        let definition = Definition {
            symbol: Symbol::new("BTC-USDT-PERP").unwrap(),
            native: "BTCUSDT".into(),
            price_scale: Scale::default(),
            qty_scale: Scale::default(),
        };
        catalog.add_instrument(&venue, definition).unwrap();
        let mut config = PipelineConfig::new(UnixNanos::new(1));
        config.silence = SilenceLimit::ByPace;
        let metrics = PipelineMetrics::register(&Registry::new()).unwrap();
        let mut pipeline = Pipeline::new(catalog, config, metrics);
        let mut parser = parser(Format::BybitLinear, &plan);
        let mut give = |text: &str| {
            let mut published = 0;
            for event in read(&mut parser, text).0 {
                let mut hear = |update: &Update<'_>| {
                    published += u32::from(matches!(update.body, Body::Ticker(_)));
                };
                pipeline.handle_event(event, Mono::new(1), &mut hear);
            }
            let mut current = |kind| {
                let instrument = InstrumentId::new(0);
                pipeline
                    .current(StreamKey { instrument, kind })
                    .update
                    .map(|u| match u.body {
                        Body::Status(status) => {
                            status.channels.get(ChannelKind::Ticker).map(|s| s.feed)
                        }
                        _ => None,
                    })
            };
            let known = current(StreamKind::Ticker).is_some();
            (published, known, current(StreamKind::Status).unwrap())
        };
        let live = Some(FeedState::Live);
        let gap = Some(FeedState::Gap);
        assert_eq!(give(&start), (1, true, live));
        assert_eq!(give(&bad), (0, false, gap), "{bad}");
        assert_eq!(give(&change), (0, false, gap), "{bad}");
        assert_eq!(give(&change), (0, false, gap), "{bad}");
        assert_eq!(give(&start), (1, true, live), "{bad}");
        assert_eq!(give(&change), (1, true, live), "{bad}");
    }
}

#[test]
fn a_name_that_is_cut_off_may_be_a_longer_one() {
    let book = |symbol: &str| {
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol}","bids":[{{"price":1.5,"qty":2.5}}],"asks":[]}}]}}"#
        )
    };
    let start = ["BTC/USD", "BTC/USDT", "ETH/USD"].map(book);
    let lost = |bad: &str| -> Vec<String> {
        let messages = [&start[0], &start[1], &start[2], bad];
        let lines = events(Format::Kraken, &messages).split_off(3);
        let symbol = |line: String| line.split(' ').next().unwrap().to_owned();
        lines.into_iter().map(symbol).collect()
    };
    let head = r#"{"channel":"book","type":"update","data":[{"symbol":""#;
    assert_eq!(lost(&format!("{head}BTC/USD")), ["BTC-USD", "BTC-USDT"]);
    assert_eq!(lost(&format!("{head}BTC/USD\",")), ["BTC-USD"]);
    assert_eq!(lost(&format!("{head}BTC/USDT\",")).len(), 2);
    assert_eq!(lost(&format!("{head}ETH/USD")), ["ETH-USD"]);
    assert_eq!(lost(&format!("{head}BTC")).len(), 3);
}

/// What comes of whole quotes, in their order: the events' numbers, and what is no update.
fn placed(format: Format, messages: &[String]) -> (Vec<u64>, Vec<NoUpdate>) {
    let texts: Vec<_> = messages.iter().map(String::as_str).collect();
    let mut parser = parser(format, &plan(format, &texts));
    let (mut numbers, mut left_out) = (Vec::new(), Vec::new());
    for text in texts {
        let (events, no_updates) = read(&mut parser, text);
        numbers.extend(events.iter().map(|event| event.venue_seq.unwrap()));
        left_out.extend(no_updates);
    }
    (numbers, left_out)
}

#[test]
fn an_older_quote_never_replaces_a_newer_one() {
    use NoUpdate::{Old, Repeated};
    let spot = |number: u64, bid: u32| {
        format!(r#"{{"u":{number},"s":"LTCUSDT","b":"{bid}","B":"1","a":"500","A":"1"}}"#)
    };
    let futures = |number: u64, bid: u32, millis: u64| {
        format!(
            r#"{{"e":"bookTicker","u":{number},"s":"LTCUSDT","b":"{bid}","B":"1","a":"500","A":"1","T":{millis},"E":{millis}}}"#
        )
    };
    let okx = |number: u64, bid: u32, millis: u64| {
        format!(
            r#"{{"arg":{{"channel":"bbo-tbt","instId":"LTC-USDT"}},"data":[{{"asks":[["500","1","0","1"]],"bids":[["{bid}","1","0","1"]],"ts":"{millis}","seqId":{number}}}]}}"#
        )
    };
    let deep = r#"{"arg":{"channel":"books","instId":"LTC-USDT"},"action":"snapshot","data":[{"bids":[["1","2","0","1"]],"asks":[],"ts":"1786310818000","prevSeqId":-1,"seqId":1}]}"#;
    let in_order = vec![
        spot(905, 100),
        spot(903, 99),
        spot(905, 100),
        spot(905, 101),
        spot(906, 102),
    ];
    let spaced = in_order.iter().map(|text| format!(" {text}")).collect();
    for messages in [in_order, spaced] {
        assert_eq!(
            placed(Format::Binance, &messages),
            (vec![905, 905, 906], vec![Old, Repeated])
        );
    }
    const T: u64 = 1_786_310_818_000;
    let late = [
        futures(905, 1, T + 5),
        futures(903, 2, T + 3),
        futures(906, 3, T + 6),
    ];
    assert_eq!(
        placed(Format::BinanceUsdm, &late),
        (vec![905, 906], vec![Old])
    );
    let late = [
        deep.to_owned(),
        okx(15, 1, T + 5),
        okx(13, 2, T + 3),
        okx(16, 3, T + 5),
    ];
    assert_eq!(placed(Format::Okx, &late), (vec![1, 15, 16], vec![Old]));
    // Numbers that start again, by the venue's time.
    let anew = [
        futures(905, 1, T),
        futures(1, 2, T + 1),
        futures(2, 3, T + 2),
    ];
    assert_eq!(
        placed(Format::BinanceUsdm, &anew),
        (vec![905, 1, 2], vec![])
    );
    let anew = [deep.to_owned(), okx(15, 1, T), okx(3, 2, T + 1)];
    assert_eq!(placed(Format::Okx, &anew), (vec![1, 15, 3], vec![]));
    // Or by their connection.
    let first = spot(905, 100);
    let mut parser = parser(Format::Binance, &plan(Format::Binance, &[&first]));
    assert_eq!(read(&mut parser, &first).0.len(), 1);
    assert_eq!(read(&mut parser, &spot(4, 1)), (vec![], vec![Old]));
    parser.reset();
    assert_eq!(read(&mut parser, &spot(4, 1)).0.len(), 1);
    // One that was lost to us may come again, and is then no repetition.
    let cut = r#"{"u":5,"s":"LTCUSDT","b":"#;
    assert_eq!(read(&mut parser, cut).0.len(), 1);
    assert_eq!(read(&mut parser, &spot(3, 1)), (vec![], vec![Old]));
    assert_eq!(read(&mut parser, &spot(4, 1)).0.len(), 1);
}
