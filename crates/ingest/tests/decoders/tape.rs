//! Goal: every row of a tape comes to a trade, to an id that was seen, or to a loss that is told, and no
//! row costs another.
//!
//! Method: batches of each format in which one row is no trade, cannot be read, or was merged by the
//! venue; the rows around it must come out as if it were alone.

use super::reading::{check, events};
use tapecast_ingest::venue::Format;

/// A row of a futures' tape: id, price, quantity and what kind of trade it is.
fn futures(id: u64, price: &str, qty: &str, kind: &str) -> String {
    format!(
        r#"{{"stream":"btcusdt@trade","data":{{"e":"trade","E":1786310818000,"T":1786310818000,"s":"BTCUSDT","t":{id},"p":"{price}","q":"{qty}","X":"{kind}","m":false}}}}"#
    )
}

#[test]
fn rows_that_are_no_trades_of_the_market_are_seen_and_not_published() {
    let rows = [
        futures(100, "65100.10", "0.004", "MARKET"),
        futures(101, "0", "0", "NA"),
        futures(102, "65099.00", "3.100", "INSURANCE_FUND"),
        futures(103, "65100.00", "0", "MARKET"),
        futures(104, "-1.5", "0.010", "MARKET"),
        futures(105, "0", "0.001", "MARKET"),
    ];
    let rows: Vec<_> = rows.iter().map(String::as_str).collect();
    let expected = [
        "BTC-USDT-PERP trade 65100.1x0.004 buy 100 @1786310818000",
        "BTC-USDT-PERP skipped 101..101 @1786310818000",
        "BTC-USDT-PERP skipped 102..102 @1786310818000",
        "BTC-USDT-PERP skipped 103..103 @1786310818000",
        "BTC-USDT-PERP trade -1.5x0.01 buy 104 @1786310818000",
        "BTC-USDT-PERP trade 0x0.001 buy 105 @1786310818000",
    ];
    check(Format::BinanceUsdm, &rows, &expected);
    // The general reader says the same as the fast one.
    let spaced: Vec<_> = rows.iter().map(|row| format!("{row} ")).collect();
    let spaced: Vec<_> = spaced.iter().map(String::as_str).collect();
    check(Format::BinanceUsdm, &spaced, &expected);
}

/// A batch of three trades of each format that has batches; the one in the middle is given.
fn batch(format: Format, middle: &str) -> Option<String> {
    Some(match format {
        Format::Binance | Format::BinanceUsdm => return None,
        Format::Coinbase => format!(
            r#"{{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":0,"events":[{{"type":"update","trades":[{{"product_id":"BTC-USD","trade_id":"9","price":"3","size":"1","time":"2026-08-09T21:05:48Z","side":"SELL"}},{middle},{{"product_id":"BTC-USD","trade_id":"7","price":"1","size":"1","time":"2026-08-09T21:05:48Z","side":"SELL"}}]}}]}}"#
        ),
        Format::Kraken => format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USD","side":"buy","price":1,"qty":1,"trade_id":7,"timestamp":"2026-08-09T21:05:48Z"}},{middle},{{"symbol":"BTC/USD","side":"buy","price":3,"qty":1,"trade_id":9,"timestamp":"2026-08-09T21:05:48Z"}}]}}"#
        ),
        Format::Okx => format!(
            r#"{{"arg":{{"channel":"trades","instId":"BTC-USD"}},"data":[{{"instId":"BTC-USD","tradeId":"7","px":"1","sz":"1","side":"buy","ts":"1786309548000"}},{middle},{{"instId":"BTC-USD","tradeId":"9","px":"3","sz":"1","side":"buy","ts":"1786309548000"}}]}}"#
        ),
        Format::BybitSpot | Format::BybitLinear => format!(
            r#"{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786309548000,"data":[{{"T":1786309548000,"s":"BTCUSDT","S":"Buy","v":"1","p":"1","i":"7"}},{middle},{{"T":1786309548000,"s":"BTCUSDT","S":"Buy","v":"1","p":"3","i":"9"}}]}}"#
        ),
    })
}

/// A row with a price and a quantity of its own.
fn row(format: Format, price: &str, qty: &str) -> String {
    match format {
        Format::Coinbase => format!(
            r#"{{"product_id":"BTC-USD","trade_id":"8","price":"{price}","size":"{qty}","time":"2026-08-09T21:05:48Z","side":"SELL"}}"#
        ),
        Format::Kraken => format!(
            r#"{{"symbol":"BTC/USD","side":"buy","price":"{price}","qty":"{qty}","trade_id":8,"timestamp":"2026-08-09T21:05:48Z"}}"#
        ),
        Format::Okx => format!(
            r#"{{"instId":"BTC-USD","tradeId":"8","px":"{price}","sz":"{qty}","side":"buy","ts":"1786309548000"}}"#
        ),
        _ => format!(
            r#"{{"T":1786309548000,"s":"BTCUSDT","S":"Buy","v":"{qty}","p":"{price}","i":"8"}}"#
        ),
    }
}

/// The symbol of [`batch`], and what its trades are called.
fn names(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::BybitSpot => ("BTC-USDT", "trade opaque"),
        Format::BybitLinear => ("BTC-USDT-PERP", "trade opaque"),
        _ => ("BTC-USD", "trade"),
    }
}

#[test]
fn a_bad_row_costs_itself_and_is_told_between_its_neighbours() {
    for format in Format::ALL {
        let (symbol, trade) = names(format);
        for (middle, reason) in [
            (row(format, "x", "1"), "price cannot be read"),
            (row(format, "2", "-1"), "quantity cannot be read"),
            (row(format, "2", "1x"), "quantity cannot be read"),
        ] {
            let Some(message) = batch(format, &middle) else {
                continue;
            };
            let events = events(format, &[&message]);
            let spelled: Vec<_> = events
                .iter()
                .map(|event| {
                    event
                        .split([' ', '#', '@'].as_slice())
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .collect();
            assert_eq!(spelled.len(), 3, "{format}: {events:?}");
            assert!(
                spelled[0].starts_with(&format!("{symbol} {trade} 1x1 buy 7")),
                "{format} {events:?}"
            );
            assert_eq!(
                events[1],
                format!("{symbol} lost 1 trade: {reason}"),
                "{format}"
            );
            assert!(
                spelled[2].starts_with(&format!("{symbol} {trade} 3x1 buy 9")),
                "{format} {events:?}"
            );
        }
    }
}

#[test]
fn a_row_of_nothing_costs_nobody_anything() {
    for format in Format::ALL {
        let (symbol, trade) = names(format);
        let Some(message) = batch(format, &row(format, "2", "0.000")) else {
            continue;
        };
        let events = events(format, &[&message]);
        let dense = !trade.ends_with("opaque");
        assert_eq!(events.len(), 2 + usize::from(dense), "{format} {events:?}");
        assert!(
            events[0].starts_with(&format!("{symbol} {trade} 1x1 buy 7")),
            "{format} {events:?}"
        );
        if dense {
            assert!(
                events[1].starts_with(&format!("{symbol} skipped 8..8")),
                "{format} {events:?}"
            );
        }
        let last = events.last().map(String::as_str).unwrap_or_default();
        assert!(
            last.starts_with(&format!("{symbol} {trade} 3x1 buy 9")),
            "{format} {events:?}"
        );
    }
}

#[test]
fn a_row_that_is_no_row_may_be_anybodys() {
    for format in Format::ALL {
        let (symbol, _) = names(format);
        for middle in ["{}", "null", "7", "[]"] {
            let Some(message) = batch(format, middle) else {
                continue;
            };
            let events = events(format, &[&message]);
            let lost = format!("{symbol} lost 1 trade: ");
            assert_eq!(
                events
                    .iter()
                    .filter(|event| event.starts_with(&lost))
                    .count(),
                1,
                "{format} {middle} {events:?}"
            );
            assert_eq!(events.len(), 3, "{format} {middle} {events:?}");
        }
    }
}

#[test]
fn fills_that_okx_merged_are_seen() {
    let trade = |id: u64, count: u64| {
        format!(
            r#"{{"arg":{{"channel":"trades","instId":"BTC-USDT"}},"data":[{{"instId":"BTC-USDT","tradeId":"{id}","px":"1.5","sz":"2","side":"sell","ts":"1786309548000","count":"{count}"}}]}}"#
        )
    };
    check(
        Format::Okx,
        &[&trade(10, 1), &trade(14, 4), &trade(15, 1)],
        &[
            "BTC-USDT trade 1.5x2 sell 10 @1786309548000",
            "BTC-USDT skipped 11..13 @1786309548000",
            "BTC-USDT trade 1.5x2 sell 14 @1786309548000",
            "BTC-USDT trade 1.5x2 sell 15 @1786309548000",
        ],
    );
}

#[test]
fn rows_of_an_unknown_symbol_cost_the_known_ones_nothing() {
    let kraken = |symbol: &str| {
        format!(
            r#"{{"channel":"trade","type":"update","data":[{{"symbol":"{symbol}","side":"buy","price":1,"qty":1,"trade_id":1,"timestamp":"2026-08-09T21:05:48Z"}},{{"symbol":"ETH/USD","side":"buy","price":2,"qty":1,"trade_id":5,"timestamp":"2026-08-09T21:05:48Z"}}]}}"#
        )
    };
    let known = kraken("ETH/USD");
    let plan = super::reading::plan(Format::Kraken, &[&known]);
    let mut parser = super::reading::parser(Format::Kraken, &plan);
    let mut out = Vec::new();
    let mut raw = kraken("ADA/USD").into_bytes();
    let message = tapecast_ingest::venue::Message {
        raw: &mut raw,
        http: None,
        symbol: None,
    };
    parser
        .parse(message, tapecast_model::UnixNanos::new(1), &mut out)
        .unwrap();
    assert_eq!(out.len(), 1, "{out:?}");
    assert_eq!(parser.asides().faults.len(), 1);
}
