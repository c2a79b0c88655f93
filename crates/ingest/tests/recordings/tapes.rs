//! Tapes, quotes and tickers.

use super::player::{check, play};
use tapecast_ingest::venue::{Format, NoTrade};

#[test]
fn what_the_insurance_fund_does_is_no_trade() {
    let played = check(
        Format::BinanceUsdm,
        "futures_rows_of_the_fund.jsonl",
        &[
            "BTC-USDT-PERP trade 100 65100.1x0.004 buy @1786310817999000000",
            "BTC-USDT-PERP status live unknown: ",
            "BTC-USDT-PERP trade 103 65100x0.01 sell @1786310818008000000",
        ],
    );
    let counted = NoTrade::ALL.map(|reason| played.counters.no_trades(reason));
    assert_eq!(counted, [0, 2]);
    assert_eq!(played.counters.rejected_in_all(), 0);
}

#[test]
fn a_time_is_published_as_itself_or_not_at_all() {
    let played = play(Format::Binance, "spot_times.jsonl");
    let trade = |id: u64, time: Option<u64>| {
        let time = time.map_or(String::new(), |nanos| format!(" @{nanos}"));
        format!("BTC-USDT trade {id} 1x1 sell{time}")
    };
    assert_eq!(
        played.only(&["trade"]),
        [
            trade(1, None),
            trade(2, Some(1_786_310_818_000_000_000)),
            trade(3, Some(1_786_310_818_000_000_000)),
            trade(4, Some(1_786_310_818_000_001_000)),
            trade(5, Some(1_786_310_818_000_000_001)),
            trade(6, None),
            trade(7, Some(4_102_444_800_000_000_000)),
            trade(u64::MAX, Some(1_786_310_818_000_000_000)),
        ]
    );
    // A negative time, an id beyond 2^64, a fraction of a millisecond.
    assert_eq!(played.counters.rejected_in_all(), 3);
    // Of the first row both times, of the message and of its trade.
    assert_eq!(played.counters.undated.get(), 2);
}

#[test]
fn a_crossed_quote_is_held_back_and_said() {
    let played = check(
        Format::Binance,
        "spot_crossed_quotes.jsonl",
        &[
            "BTC-USDT quote 100x1 101x2",
            "BTC-USDT status live unknown: ",
            "BTC-USDT status live unknown: crossed: bid 101 at or above ask 101",
            "BTC-USDT quote 100.5x1 101.5x2",
            "BTC-USDT status live unknown: ",
        ],
    );
    assert_eq!(played.counted("tapecast_crossed_books_total", ""), 1);
}

#[test]
fn zeros_are_zeros_and_an_empty_quote_has_no_sides() {
    check(
        Format::Binance,
        "spot_zeros.jsonl",
        &[
            "ABC-USDT ticker last 0 open 0 high 0 low 0 change 0 pct 0 volume 0 quote 0",
            "NEW-USDT ticker last 0.5 open 0 high 0.5 low 0 change 0.5 volume 100 quote 0",
            "NEW-USDT status live unknown: ",
            "ABC-USDT quote - -",
            "ABC-USDT status live unknown: ",
        ],
    );
}
