//! Books whose venue starts over, repeats itself, crosses, or writes its numbers in other ways.

use super::player::{check, play};
use tapecast_ingest::venue::Format;

#[test]
fn numbers_that_start_over_are_a_gap_at_once() {
    let played = check(
        Format::Binance,
        "spot_numbers_start_over.jsonl",
        &[
            "BTC-USDT book [100x1] [101x1]",
            "BTC-USDT quote 100x1 101x1",
            "BTC-USDT status live unknown: ",
            "BTC-USDT book [100.5x2 100x1] [101x1]",
            "BTC-USDT quote 100.5x2 101x1",
            "BTC-USDT lost book",
            "BTC-USDT lost quote",
            "BTC-USDT status gap unknown: binance numbers started again: u 1 after 900001",
            "BTC-USDT book [90.5x7 90x5] [91x5]",
            "BTC-USDT quote 90.5x7 91x5",
            "BTC-USDT status live unknown: ",
            "BTC-USDT book [90.7x1 90.5x7 90x5] [91x5]",
            "BTC-USDT quote 90.7x1 91x5",
        ],
    );
    assert_eq!(played.counted("tapecast_book_gaps_total", "link"), 1);
    check(
        Format::BinanceUsdm,
        "futures_numbers_start_over.jsonl",
        &[
            "BTC-USDT-PERP book [100x1] [101x1]",
            "BTC-USDT-PERP quote 100x1 101x1",
            "BTC-USDT-PERP status live unknown: ",
            "BTC-USDT-PERP book [100.5x2 100x1] [101x1]",
            "BTC-USDT-PERP quote 100.5x2 101x1",
            "BTC-USDT-PERP lost book",
            "BTC-USDT-PERP lost quote",
            "BTC-USDT-PERP status gap unknown: binance-usdm numbers started again: u 1 after 900003",
            "BTC-USDT-PERP book [90.5x7 90x5] [91x5]",
            "BTC-USDT-PERP quote 90.5x7 91x5",
            "BTC-USDT-PERP status live unknown: ",
            "BTC-USDT-PERP book [90.7x1 90.5x7 90x5] [91x5]",
            "BTC-USDT-PERP quote 90.7x1 91x5",
        ],
    );
}

#[test]
fn exponents_are_numbers() {
    let book = "PEPE-USD book [0.0000001x1000000 0.00000009x5] [0.00000011x7.5]";
    let played = check(
        Format::Kraken,
        "kraken_exponents.jsonl",
        &[
            book,
            "PEPE-USD quote 0.0000001x1000000 0.00000011x7.5",
            "PEPE-USD status live unknown: ",
            book,
        ],
    );
    assert_eq!(played.counted("tapecast_checksums_total", "ok"), 2);
    check(
        Format::BybitSpot,
        "bybit_exponents.jsonl",
        &[
            "PEPE-USDT book [0.0000001x100 0.00000009x5] [0.00000011x2500]",
            "PEPE-USDT quote 0.0000001x100 0.00000011x2500",
            "PEPE-USDT status live unknown: ",
            "PEPE-USDT book [0.00000009x5] []",
            "PEPE-USDT quote 0.00000009x5 -",
            "PEPE-USDT book [0.00000009x5] [0.00000012x100]",
            "PEPE-USDT quote 0.00000009x5 0.00000012x100",
        ],
    );
}

#[test]
fn a_change_that_cannot_be_read_is_a_hole() {
    let expected = |second: bool| {
        let mut words = vec![
            "BTC-USDT book [100x1] [101x1]".to_owned(),
            "BTC-USDT quote 100x1 101x1".to_owned(),
            "BTC-USDT status live unknown: ".to_owned(),
        ];
        if second {
            words.push("BTC-USDT book [100x2] [101x1]".to_owned());
            words.push("BTC-USDT quote 100x2 101x1".to_owned());
        }
        words.push("BTC-USDT lost book".to_owned());
        words.push("BTC-USDT lost quote".to_owned());
        let status = "BTC-USDT status gap unknown: a message could not be read";
        words.push(status.to_owned());
        words
    };
    let nulls = play(Format::Binance, "spot_nulls.jsonl");
    assert_eq!(nulls.words, expected(false));
    for name in ["spot_marked.jsonl", "spot_carriage_returns.jsonl"] {
        let played = play(Format::Binance, name);
        assert_eq!(played.words, expected(true), "{name}");
        assert_eq!(
            (played.report.broken_lines, played.report.rejected),
            (0, 2),
            "{name}"
        );
    }
}

#[test]
fn of_a_doubled_key_the_last_counts() {
    check(
        Format::Binance,
        "spot_doubled_keys.jsonl",
        &[
            "BTC-USDT book [100x1] [101x1]",
            "BTC-USDT quote 100x1 101x1",
            "BTC-USDT status live unknown: ",
            "BTC-USDT book [100x1 99x1] [101x1]",
            "BTC-USDT book [100x1 99x1] [101x1 102x1]",
            "BTC-USDT trade 7 200x1 sell @1786310818000000000",
            // The trades are live now too.
            "BTC-USDT status live unknown: ",
        ],
    );
}

#[test]
fn what_is_crossed_is_held_back_and_said() {
    let played = play(Format::BybitSpot, "bybit_crossed.jsonl");
    assert_eq!(
        played.only(&["book", "quote", "lost"]),
        [
            "BTC-USDT book [100x1] [101x1]",
            "BTC-USDT quote 100x1 101x1",
            "BTC-USDT book [100x1] [101x1]",
            "BTC-USDT book [] []",
            "BTC-USDT quote - -",
            "BTC-USDT book [] []",
            "BTC-USDT book [50x1] []",
            "BTC-USDT quote 50x1 -",
        ]
    );
    assert_eq!(
        played.only(&["status"]),
        [
            "BTC-USDT status live unknown: ",
            "BTC-USDT status live unknown: crossed: bid 101 at or above ask 101",
            "BTC-USDT status live unknown: ",
        ]
    );
}

#[test]
fn control_messages_are_no_rejects_and_books_may_be_empty() {
    let played = play(Format::Kraken, "kraken_control.jsonl");
    assert_eq!(played.counters.rejected_in_all(), 0);
    assert_eq!(
        played.only(&["book"]),
        [
            "PEPE-USD book [1.5x2] [1.6x3]",
            "PEPE-USD book [] [1.6x3]",
            "PEPE-USD book [] []",
            "PEPE-USD book [1.4x1] []",
        ]
    );
    assert_eq!(
        played.only(&["status"]),
        [
            "PEPE-USD status live halted: ",
            "PEPE-USD status live open: "
        ]
    );
    // The sum of the empty book is zero, which counts as none.
    assert_eq!(played.counted("tapecast_checksums_total", "ok"), 3);
}

#[test]
fn a_message_that_comes_twice_changes_nothing() {
    let played = play(Format::Okx, "okx_control.jsonl");
    assert_eq!(played.counters.rejected_in_all(), 0);
    assert_eq!(
        played.only(&["book", "lost", "status"]),
        [
            "XRP-USDT book [1.5x10] [1.6x7]",
            "XRP-USDT status live unknown: ",
            "XRP-USDT book [1.5x11] [1.6x7]",
            "XRP-USDT book [1.5x12] [1.6x7]",
            "XRP-USDT book [1.5x13] [1.6x7]",
        ]
    );
}

#[test]
fn a_book_keeps_as_many_levels_as_were_subscribed() {
    let played = play(Format::Kraken, "kraken_window.jsonl");
    assert_eq!(played.counted("tapecast_checksums_total", "ok"), 4);
    assert_eq!(played.counted("tapecast_checksums_total", "bad"), 0);
    let books = played.only(&["book"]);
    assert_eq!(books.len(), 4);
    for book in &books {
        let sides: Vec<_> = book.split(['[', ']']).skip(1).step_by(2).collect();
        assert!(
            sides.iter().all(|side| side.split(' ').count() <= 10),
            "{book}"
        );
    }
    let last = "PEPE-USD book [100x1 99x1 98x1 97x1 96x1 95x1 94x1 93x1 92x1 90x5] [101x1 102x1 103x1 104x1 105x1 106x1 107x1 108x1 109x1 110x1]";
    assert_eq!(books[2..], [last, last]);
}
