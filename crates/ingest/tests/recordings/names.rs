//! Ids that are hard to name: they are named rightly or left out, and cost the others nothing.

use super::player::play;
use tapecast_ingest::venue::Format;

fn check(format: Format, name: &str, symbols: &[&str], left_out: u64) {
    let played = play(format, name);
    assert_eq!(played.symbols, symbols, "{name}");
    assert_eq!(played.report.left_out, left_out, "{name}");
    assert_eq!(
        (played.report.rejected, played.counters.rejected_in_all()),
        (0, 0),
        "{name}"
    );
    // Each is served: here every id has one trade.
    let trades = played.only(&["trade"]);
    let printed: Vec<_> = trades
        .iter()
        .filter_map(|word| word.split(' ').next())
        .collect();
    assert_eq!(printed, symbols, "{name}");
}

#[test]
fn dollars_are_not_taken_for_another_currency_that_ends_like_them() {
    // FTXUSD may be FT in XUSD, and no other id says anything of FT or FTX.
    let symbols = [
        "BNB-USD",
        "AVAX-USD",
        "STX-USD",
        "DOT-USD",
        "BAT-USD",
        "BTC-USD",
        "SUSD-USDT",
        "ETH-DAI",
    ];
    check(Format::Binance, "spot_in_dollars.jsonl", &symbols, 1);
}

#[test]
fn an_id_without_a_name_costs_the_others_nothing() {
    let spot = [
        "1INCH-USDT",
        "1000PEPE-USDT",
        "1000000MOG-USDT",
        "1MBABYDOGE-USDT",
        "T-USDT",
        "USDT-TRY",
    ];
    check(Format::Binance, "spot_odd_names.jsonl", &spot, 1);
    let okx = [
        "1INCH-USDT",
        "BTC-USD_UM-PERP",
        "BTC-USD-260327-100000-C",
        "J.K-USDT",
        "BTC-USDT-PERP",
    ];
    check(Format::Okx, "okx_odd_names.jsonl", &okx, 1);
}

#[test]
fn of_two_ids_of_one_name_the_first_is_served() {
    check(
        Format::Binance,
        "spot_one_name_twice.jsonl",
        &["BTC-USDT"],
        1,
    );
    let kraken = ["1INCH-USD", "BTC-USD", "ETH2.S-ETH"];
    check(Format::Kraken, "kraken_odd_names.jsonl", &kraken, 2);
}
