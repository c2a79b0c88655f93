//! What venues say of trading, each in its own words.

use super::reading::events;
use tapecast_ingest::venue::Format;

/// What is said of an instrument that `data` make known, when its venue says each of `words` in `message`.
fn states(format: Format, data: &str, message: &str, words: &[&str]) -> Vec<String> {
    let messages: Vec<_> = words.iter().map(|w| message.replace("WORD", w)).collect();
    let mut all = vec![data];
    all.extend(messages.iter().map(String::as_str));
    let said = events(format, &all);
    let state = |line: &String| Some(line.split_once(" trading ")?.1.to_owned());
    said.iter().filter_map(state).collect()
}

#[test]
fn every_venue_says_in_its_own_words_whether_it_trades() {
    let binance =
        r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1,"m":false,"X":"MARKET"}"#;
    let contract =
        r#"{"e":"contractInfo","E":1,"s":"BTCUSDT","ps":"BTCUSDT","ct":"PERPETUAL","cs":"WORD"}"#;
    let words = [
        "TRADING",
        "PENDING_TRADING",
        "TRADING_HALT",
        "SETTLING",
        "NEW",
        "CLOSE",
    ];
    assert_eq!(
        states(Format::BinanceUsdm, binance, contract, &words),
        ["open", "pre_open", "halted", "settlement", "delisted"]
    );

    let coinbase = r#"{"channel":"market_trades","timestamp":"2026-08-09T21:19:08Z","sequence_num":0,"events":[{"type":"update","trades":[{"trade_id":"7","product_id":"BTC-USD","price":"1","size":"1","time":"2026-08-09T21:19:08Z","side":"BUY"}]}]}"#;
    let product = r#"{"channel":"status","timestamp":"2026-08-09T21:19:08Z","sequence_num":1,"events":[{"type":"snapshot","products":[{"product_type":"SPOT","id":"BTC-USD","status":"WORD"},{"id":"X-Y","status":"online"}]}]}"#;
    assert_eq!(
        states(
            Format::Coinbase,
            coinbase,
            product,
            &["online", "offline", "odd", "delisted"]
        ),
        ["open", "halted", "delisted"]
    );

    let kraken = r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ADA/USD","bid":0.5,"bid_qty":5,"ask":0.6,"ask_qty":7.50,"last":0.5}]}"#;
    let pair = r#"{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[{"symbol":"ADA/USD","status":"WORD"}]}}"#;
    let words = [
        "online",
        "limit_only",
        "reduce_only",
        "post_only",
        "cancel_only",
        "maintenance",
        "delisted",
    ];
    let said = [
        "open",
        "limit_only",
        "reduce_only",
        "post_only",
        "cancel_only",
        "halted",
        "delisted",
    ];
    assert_eq!(states(Format::Kraken, kraken, pair, &words), said);
    let system = r#"{"channel":"status","type":"update","data":[{"system":"WORD"}]}"#;
    assert_eq!(
        states(
            Format::Kraken,
            kraken,
            system,
            &["maintenance", "upcoming_maintenance", "emergency"]
        ),
        ["halted", "open", "halted"]
    );

    let okx = r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1"}]}"#;
    let definition = r#"{"arg":{"channel":"instruments","instType":"SPOT"},"data":[{"instId":"BTC-USDT","state":"WORD"},{"instId":"X-Y","state":"live"}]}"#;
    assert_eq!(
        states(
            Format::Okx,
            okx,
            definition,
            &["live", "preopen", "suspend", "settlement", "test"]
        ),
        ["open", "pre_open", "halted", "settlement"]
    );

    let bybit = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"T":1,"s":"BTCUSDT","S":"Buy","v":"1","p":"1","i":"1"}]}"#;
    let ticker = r#"{"topic":"tickers.BTCUSDT","type":"snapshot","ts":1,"data":{"symbol":"BTCUSDT","lastPrice":"1","curPreListingPhase":"WORD"}}"#;
    assert_eq!(
        states(
            Format::BybitLinear,
            bybit,
            ticker,
            &["", "CallAuction", "ContinuousTrading"]
        ),
        ["auction", "open"]
    );
}
