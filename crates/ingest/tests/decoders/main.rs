//! Goal: every kind of message of every format comes to the right events.
//!
//! Method: messages in the venues' documented shapes are scanned and then parsed, as a replay does;
//! the events are compared in a short spelling, one line each:
//! `symbol kind content [#venue number] [@milliseconds]`.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "../recordings/figures.rs"]
mod figures;
mod growing;
mod mutation;
mod odd;
mod published;
mod reading;
mod scanned;
mod states;
mod tape;
mod trading;
mod unclear;

use reading::{check, rejects};
use tapecast_ingest::venue::Format;

#[test]
fn binance_trades_quotes_depth_and_tickers() {
    check(
        Format::Binance,
        &[
            r#"{"result":null,"id":1}"#,
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
            r#"{"e":"trade","E":1723161255343000,"s":"BTCUSDT","t":3735683260,"p":"61837.64000000","q":"0.50000000","b":1,"a":2,"T":1723161255342000,"m":false}"#,
            r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"1.0","q":"1.0","f":1,"l":1,"T":1,"m":false}}"#,
            r#"{"stream":"nknusdt@aggTrade","data":{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000","f":19862790,"l":19862790,"T":1633998523963,"m":false,"M":true}}"#,
            r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50093239203,"u":50093239207,"b":[["55653.87000000","0.00000000"]],"a":[["61838.04000000","0.32332000"]]}}"#,
            r#"{"lastUpdateId":50093239218,"bids":[["61837.63000000","3.78826000"]],"asks":[["61837.64000000","1.00000000"]]}"#,
            r#"{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009","c":"0.0025","Q":"10","b":"0.0024","B":"10","a":"0.0026","A":"100","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}"#,
            r#"[{"e":"24hrMiniTicker","E":1672515782136,"s":"ETHBTC","c":"0.06","o":"0.05","h":"0.07","l":"0.04","v":"10","q":"0.5"}]"#,
            r#"{"e":"kline","E":1,"s":"NKNUSDT","k":{}}"#,
        ],
        &[
            "BTC-USDT trade 61837.63x0.02 sell 3735683259 @1723161255342",
            "BTC-USDT trade 61837.64x0.5 buy 3735683260 @1723161255342",
            "NKN-USDT trade 0.3528x58 buy 15683430 @1633998523963",
            "BTC-USDT quote 61837.63x3.78826 61837.64x1.54698 #50093239212",
            "BTC-USDT update [55653.87x0] [61838.04x0.32332] Range { first: 50093239203, last: 50093239207 } #50093239207 @1723161255308",
            "BTC-USDT snapshot [61837.63x3.78826] [61837.64x1] Range { first: 50093239218, last: 50093239218 } #50093239218",
            "BNB-BTC ticker last 0.0025 open 0.001 high 0.0025 low 0.001 change 0.0015 pct 250 volume 10000 quote 18 @1672515782136",
            "ETH-BTC ticker last 0.06 open 0.05 high 0.07 low 0.04 change 0.01 pct 20 volume 10 quote 0.5 @1672515782136",
        ],
    );
}

#[test]
fn binance_futures_chain_by_the_previous_number_and_their_partial_depth_is_whole() {
    check(
        Format::BinanceUsdm,
        &[
            r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1721347022504,"T":1721347022503,"s":"BTCUSDT","U":10,"u":20,"pu":9,"b":[["1000.00","569.567"]],"a":[]}}"#,
            r#"{"lastUpdateId":15,"E":1721347022759,"T":1721347022750,"bids":[["63943.90","46.372"]],"asks":[]}"#,
            r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":21,"s":"BTCUSDT","b":"63943.90","B":"46.371","a":"63944.00","A":"0.095","T":1721347022507,"E":1721347022508}}"#,
            r#"{"stream":"ethusdt_240927@depth5@100ms","data":{"e":"depthUpdate","E":1,"T":1721347022503,"s":"ETHUSDT_240927","U":1,"u":2,"pu":0,"b":[["3000.1","1"]],"a":[["3000.2","1"]]}}"#,
            r#"{"stream":"btcusdt@depth20@100ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":1,"u":2,"pu":0,"b":[["5","1"]],"a":[]}}"#,
        ],
        &[
            "BTC-USDT-PERP update [1000x569.567] [] Previous { first: Some(10), previous: 9, last: 20 } #20 @1721347022503",
            "BTC-USDT-PERP snapshot [63943.9x46.372] [] Previous { first: None, previous: -1, last: 15 } #15 @1721347022750",
            "BTC-USDT-PERP quote 63943.9x46.371 63944x0.095 #21 @1721347022507",
            "ETH-USDT-240927 snapshot [3000.1x1] [3000.2x1] Whole(2) quote #2 @1721347022503",
        ],
    );
}

#[test]
fn binance_partial_depth_is_used_only_where_there_is_no_diff() {
    let partial = r#"{"stream":"bnbbtc@depth5@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}"#;
    check(
        Format::Binance,
        &[partial],
        &["BNB-BTC snapshot [0.0024x10] [0.0026x100] Whole(160) quote #160"],
    );
    let diff = r#"{"stream":"bnbbtc@depth","data":{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":157,"u":160,"b":[],"a":[["0.0026","99"]]}}"#;
    let faster = r#"{"stream":"bnbbtc@depth@100ms","data":{"e":"depthUpdate","E":1672515782136,"s":"BNBBTC","U":158,"u":160,"b":[],"a":[["0.0026","99"]]}}"#;
    check(
        Format::Binance,
        &[partial, diff],
        &[
            "BNB-BTC update [] [0.0026x99] Range { first: 157, last: 160 } quote #160 @1672515782136",
        ],
    );
    check(
        Format::Binance,
        &[diff, partial, faster],
        &[
            "BNB-BTC update [] [0.0026x99] Range { first: 158, last: 160 } quote #160 @1672515782136",
        ],
    );
}

#[test]
fn coinbase_turns_sides_and_order_and_announces_a_break_first() {
    let trades = |number: u64| {
        format!(
            r#"{{"channel":"market_trades","client_id":"","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":{number},"events":[{{"type":"update","trades":[{{"product_id":"BTC-USD","trade_id":"1068572091","price":"65083.67","size":"0.01034361","time":"2026-08-09T21:05:48.167634Z","side":"SELL"}},{{"product_id":"BTC-USD","trade_id":"1068572090","price":"65083.6","size":"1","time":"2026-08-09T21:05:48Z","side":"BUY"}}]}}]}}"#
        )
    };
    check(
        Format::Coinbase,
        &[
            r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:48.228568804Z","sequence_num":0,"events":[{"type":"snapshot","trades":[{"product_id":"ETH-USD","trade_id":"7","price":"1919.41","size":"0.00639701","time":"2026-08-09T21:05:44.820409Z","side":"BUY"}]}]}"#,
            r#"{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48.228846629Z","sequence_num":1,"events":[{"subscriptions":{"market_trades":["BTC-USD"]}}]}"#,
            r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":2,"events":[{"type":"snapshot","product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.2Z","price_level":"65062.5","new_quantity":"0.00583"},{"side":"offer","event_time":"2026-08-09T21:05:48.2Z","price_level":"65063","new_quantity":"1"}]}]}"#,
            &trades(4),
            r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48.5Z","sequence_num":5,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"1919.41","volume_24_h":"19975.95927439","low_24_h":"1911.04","high_24_h":"1925","price_percent_chg_24_h":"0.02501394006035","best_bid":"1919.44","best_bid_quantity":"1"}]}]}"#,
            r#"{"channel":"heartbeats","timestamp":"2026-08-09T21:05:48.8Z","sequence_num":6,"events":[{"current_time":"2026-08-09 21:05:48.854840045 +0000 UTC m=+41691.260485341","heartbeat_counter":41691}]}"#,
        ],
        &[
            "ETH-USD history 1919.41x0.00639701 sell 7 #0 @1786309548228",
            "BTC-USD snapshot [65062.5x0.00583] [65063x1] None quote #2 @1786309548500",
            "ETH-USD gap sequence_num 4 after 2",
            "BTC-USD gap sequence_num 4 after 2",
            "BTC-USD trade 65083.6x1 sell 1068572090 65083.67x0.01034361 buy 1068572091 #4 @1786309548500",
            "BTC-USD ticker last 1919.41 high 1925 low 1911.04 pct 0.02501394006035 volume 19975.95927439 #5 @1786309548500",
        ],
    );
}

#[test]
fn kraken_numbers_are_kept_as_written_and_the_depth_is_what_was_subscribed() {
    check(
        Format::Kraken,
        &[
            r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":15413894943188002760}]}"#,
            r#"{"method":"subscribe","result":{"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"},"success":true}"#,
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":63388.7,"qty":0.25761908}],"asks":[{"qty":1.0,"price":63389.0}],"checksum":3726153463,"timestamp":"2026-08-02T03:35:51.302928Z"}]}"#,
            r#"{"data":[{"bids":[{"price":63381.0,"qty":0.00000000}],"asks":[],"symbol":"BTC\/USD"}],"type":"update","channel":"book"}"#,
            r#"{"channel":"book","type":"snapshot","data":[{"symbol":"SHIB/XBT","bids":[{"price":0.1,"qty":12345678901.12345678}],"asks":[]}]}"#,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"},{"symbol":"BTC/USD","side":"sell","price":1,"qty":1e-08,"ord_type":"limit","trade_id":10218209,"timestamp":"2023-10-06T17:35:55.440295Z"}]}"#,
            r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":63297.7,"bid_qty":5.45673101,"ask":63297.8,"ask_qty":0.36974422,"last":63297.8,"volume":1020.88391276,"vwap":63685.7,"low":63250.0,"high":64409.2,"change":0.7,"change_pct":0.00,"trades":47536,"timestamp":"2026-08-12T19:29:02.066592Z"}]}"#,
            r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ADA/USD","bid":0.5,"bid_qty":5,"ask":0.6,"ask_qty":7.50,"last":0.5}]}"#,
            r#"{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"ADA/USD","status":"cancel_only","qty_increment":1e-08},{"symbol":"X/Y","status":"online"}]}}"#,
            r#"{"channel":"heartbeat"}"#,
            r#"{"method":"pong","req_id":101,"time_in":"x","time_out":"y"}"#,
            r#"{"Error":"Exceeded msg rate"}"#,
        ],
        &[
            "BTC-USD trading open",
            "SHIB-BTC trading open",
            "ADA-USD trading open",
            "BTC-USD snapshot [63388.7x0.25761908] [63389x1] None Kraken(3726153463) depth 25 spelled 1.8 1.1 quote @1785641751302",
            "BTC-USD update [63381x0] [] None depth 25 spelled 1.8 quote",
            "SHIB-BTC snapshot [0.1x12345678901.12345678] [] None depth 10 spelled 1.8 quote",
            "BTC-USD trade 105944.2x0.00027625 buy 10218208 1x0.00000001 sell 10218209 @1696613755440",
            "BTC-USD ticker last 63297.8 open 63297.1 high 64409.2 low 63250 change 0.7 pct 0 volume 1020.88391276 @1786562942066",
            "ADA-USD ticker last 0.5",
            "ADA-USD quote 0.5x5 0.6x7.5",
            "ADA-USD trading cancel_only",
        ],
    );
}

#[test]
fn okx_books_chain_and_hash_where_the_venue_still_does() {
    check(
        Format::Okx,
        &[
            r#"{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"d604ccd0"}"#,
            "pong",
            r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please reconnect."}"#,
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.970","256","0","12"]],"ts":"1597026383085","checksum":0,"prevSeqId":-1,"seqId":123456}]}"#,
            r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026383086","prevSeqId":123456,"seqId":123456}]}"#,
            r#"{"arg":{"channel":"books5","instId":"BTC-USDT"},"data":[{"asks":[],"bids":[["1","1","0","1"]],"instId":"BTC-USDT","ts":"1","seqId":9}]}"#,
            r#"{"arg":{"channel":"books","instId":"BTC-USD-220527"},"action":"update","data":[{"asks":[["30249.4","0","0","0"]],"bids":[],"ts":"1652459225464","checksum":-914047754}]}"#,
            r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["63921.5","790.41","0","42"]],"bids":[["63921.4","1","0","1"]],"ts":"1786541241006","seqId":333794734980}]}"#,
            r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT-SWAP"},"data":[{"asks":[["63921.5","790.41","0","42"]],"bids":[],"ts":"1786541241006","seqId":333794734980}]}"#,
            r#"{"arg":{"channel":"trades","instId":"ETH-USD-220325-8800-P"},"data":[{"instId":"ETH-USD-220325-8800-P","tradeId":"1040968613","px":"0.0402","sz":"24","side":"buy","ts":"1786538760218","count":"2","source":"0","seqId":79706765242}]}"#,
            r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"63707.3","lastSz":"0.00164251","askPx":"63707.3","askSz":"0.15455902","bidPx":"63707.2","bidSz":"1.70080521","open24h":"63958.9","high24h":"64496.9","low24h":"63309.4","volCcy24h":"229576048.730317321","vol24h":"3601.1585121","ts":"1786613174873"}]}"#,
            r#"{"arg":{"channel":"tickers","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","last":"","open24h":"1","volCcy24h":"26.3","vol24h":"2630","ts":"1786613174873"}]}"#,
            r#"{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1","2","3","4","5","6","7","8","1"]]}"#,
        ],
        &[
            "BTC-USDT snapshot [8476.97x256] [8476.98x415] Previous { first: None, previous: -1, last: 123456 } spelled 3.0 2.0 #123456 @1597026383085",
            "BTC-USDT update [] [] Previous { first: None, previous: 123456, last: 123456 } #123456 @1597026383086",
            "BTC-USD-220527 update [] [30249.4x0] None Okx(3380919542) spelled 1.0 quote @1652459225464",
            "BTC-USDT quote 63921.4x1 63921.5x790.41 #333794734980 @1786541241006",
            "BTC-USDT-PERP snapshot [] [63921.5x790.41] Whole(333794734980) spelled 1.2 quote #333794734980 @1786541241006",
            "ETH-USD-220325-8800-P skipped 1040968612..1040968612 #79706765242 @1786538760218",
            "ETH-USD-220325-8800-P trade 0.0402x24 buy 1040968613 #79706765242 @1786538760218",
            "BTC-USDT ticker last 63707.3 open 63958.9 high 64496.9 low 63309.4 change -251.6 pct -0.3934 volume 3601.1585121 quote 229576048.730317321 @1786613174873",
            "BTC-USDT-PERP ticker open 1 volume 2630 @1786613174873",
        ],
    );
}

#[test]
fn bybit_books_step_and_the_quote_is_not_repeated() {
    let top = |kind: &str, number: u64, bid: &str, qty: &str| {
        format!(
            r#"{{"topic":"orderbook.1.BTCUSDT","type":"{kind}","ts":1786310818131,"data":{{"s":"BTCUSDT","b":[["{bid}","{qty}"]],"a":[["6.5","1"]],"u":{number},"seq":1}},"cts":1786310818129}}"#
        )
    };
    check(
        Format::BybitSpot,
        &[
            r#"{"success":true,"ret_msg":"subscribe","conn_id":"d9av..","op":"subscribe"}"#,
            r#"{"topic":"orderbook.200.BTCUSDT","ts":1786310818129,"type":"snapshot","data":{"s":"BTCUSDT","b":[["6.4","6.054"]],"a":[["6.5","10.470"]],"u":15076952,"seq":753843911359},"cts":1786310818027}"#,
            r#"{"topic":"orderbook.200.BTCUSDT","ts":1786310818130,"type":"delta","data":{"s":"BTCUSDT","b":[["6.4","0"]],"a":[],"u":15076953,"seq":753843913870}}"#,
            r#"{"topic":"orderbook.200.BTCUSDT","ts":1786310818130,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],"u":1,"seq":1}}"#,
            r#"{"topic":"orderbook.50.BTCUSDT","ts":1,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],"u":9,"seq":1}}"#,
            &top("snapshot", 7, "6.4", "1"),
            &top("snapshot", 7, "6.4", "1"),
            &top("delta", 8, "6.4", "0"),
            &top("delta", 9, "6.3", "2"),
            r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913},{"i":"2290000001189048101","T":1786310819680,"p":"65114.3","v":"1","S":"Buy","s":"BTCUSDT"}]}"#,
            r#"{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[],"ts":1786310818440}"#,
        ],
        &[
            "BTC-USDT snapshot [6.4x6.054] [6.5x10.47] Step(15076952) #15076952 @1786310818027",
            "BTC-USDT update [6.4x0] [] Step(15076953) #15076953 @1786310818130",
            "BTC-USDT snapshot [] [] Step(1) #1 @1786310818130",
            "BTC-USDT quote 6.4x1 6.5x1 #7 @1786310818129",
            "BTC-USDT quote - 6.5x1 #8 @1786310818129",
            "BTC-USDT quote 6.3x2 6.5x1 #9 @1786310818129",
            "BTC-USDT trade opaque 65114.2x0.004 sell a9188a0a-82bc-50de-be60-03eedbe3cdd7 65114.3x1 buy 2290000001189048101 @1786310819681",
        ],
    );
}

#[test]
fn bybit_tickers_are_merged_into_the_last_whole_one() {
    check(
        Format::BybitLinear,
        &[
            r#"{"topic":"tickers.ETHUSDT","type":"delta","data":{"symbol":"ETHUSDT","lastPrice":"5"},"ts":1}"#,
            r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","price24hPcnt":"0.001624","lastPrice":"65114.30","prevPrice24h":"65008.70","highPrice24h":"65282.30","lowPrice24h":"64694.40","volume24h":"17576.0440","turnover24h":"1142257236.5897","preOpenPrice":""},"cs":1,"ts":1786310817883}"#,
            r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","lastPrice":"65000.00","price24hPcnt":"-0.5","highPrice24h":""},"cs":2,"ts":1786310817884}"#,
            r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1749833474773,"data":{"s":"BTCUSDT","b":[["0.6131","17.9"]],"a":[],"u":24042997,"seq":209972815373},"cts":1749833474768}"#,
        ],
        &[
            "BTC-USDT-PERP ticker last 65114.3 open 65008.7 high 65282.3 low 64694.4 change 105.6 pct 0.1624 volume 17576.044 quote 1142257236.5897 @1786310817883",
            "BTC-USDT-PERP ticker last 65000 open 65008.7 low 64694.4 change -8.7 pct -50 volume 17576.044 quote 1142257236.5897 @1786310817884",
            "BTC-USDT-PERP snapshot [0.6131x17.9] [] Step(24042997) quote #24042997 @1749833474768",
        ],
    );
}

#[test]
fn what_is_wrong_with_a_message_has_a_name() {
    let good = r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"1","T":1,"m":true}"#;
    let labels = |bad: &[&str]| rejects(Format::Binance, good, bad);
    assert_eq!(
        labels(&[
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","#,
            "",
            "nonsense",
            r#"{"e":"somethingNew","s":"BTCUSDT"}"#,
            r#"{"e":"trade","E":1,"t":1,"p":"1.5","q":"1","T":1,"m":true}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":"x","p":"1.5","q":"1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1,5","q":"1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":1.5,"q":"1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.55","q":"1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"1.5","q":"-1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"BTCUSDT","t":1,"p":"99999999999999999999","q":"1","T":1}"#,
            r#"{"e":"trade","E":1,"s":"ETHUSDT","t":1,"p":"1.5","q":"1","T":1}"#,
        ]),
        [
            "malformed",
            "malformed",
            "malformed",
            "unknown",
            "missing_field",
            "bad_number",
            "bad_number",
            "missing_field",
            "beyond_scale",
            "bad_number",
            "beyond_scale",
            "symbol",
        ]
    );
}

#[test]
fn a_number_beyond_64_bits_that_nobody_reads_refuses_nothing() {
    check(
        Format::Binance,
        &[
            r#"{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"1.5","B":"2","a":"1.6","A":"3","x":340282366920938463463374607431768211456}"#,
        ],
        &["BTC-USDT quote 1.5x2 1.6x3 #1"],
    );
    check(
        Format::Okx,
        &[
            r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["1.6","3","0","1"]],"bids":[["1.5","2","0","1"]],"ts":"1786541241006","seqId":7,"x":-9223372036854775809}]}"#,
        ],
        &["BTC-USDT snapshot [1.5x2] [1.6x3] Whole(7) spelled 1.0 1.0 quote #7 @1786541241006"],
    );
    // Where it is read it is refused, not rounded.
    let good = r#"{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"1.5","B":"2","a":"1.6","A":"3"}"#;
    let huge = good.replace("\"u\":1", "\"u\":18446744073709551616");
    let mut parser = reading::parser(Format::Binance, &reading::plan(Format::Binance, &[good]));
    let (mut raw, mut events) = (huge.into_bytes(), Vec::new());
    let message = tapecast_ingest::venue::Message {
        raw: &mut raw,
        http: None,
        symbol: None,
    };
    let refused = parser.parse(message, tapecast_model::UnixNanos::new(1), &mut events);
    assert_eq!(refused.unwrap_err().label(), "bad_number");
}

#[test]
fn an_unreadable_change_to_an_unnumbered_book_is_a_gap() {
    let book = |symbol: &str| {
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"{symbol}","bids":[{{"price":1.5,"qty":1}}],"asks":[]}}]}}"#
        )
    };
    let (btc, eth) = (book("BTC/USD"), book("ETH/USD"));
    let cut = &btc[..btc.len() - 9];
    let lines = reading::events(Format::Kraken, &[&btc, &eth, cut, &eth, "{\"chann", "{}"]);
    let of_btc = "BTC-USD lost ? book: a message could not be read";
    let of_eth = "ETH-USD lost ? book: a message could not be read";
    let lost = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|l| l.contains(" lost ")).collect()
    };
    // What says neither whose news it is nor of what may have been anything.
    assert_eq!(lost(lines), [of_btc, of_btc, of_eth]);
    let nameless = r#"{"channel":"book","type":"update","da"#;
    let lines = reading::events(Format::Kraken, &[&btc, &eth, nameless]);
    assert_eq!(lost(lines), [of_btc, of_eth]);
    // Ids of trades show what is missing.
    let trade = r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD"#;
    let lines = reading::events(Format::Kraken, &[&btc, &eth, trade]);
    assert_eq!(lost(lines), [""; 0]);
}

#[test]
fn what_nothing_later_shows_is_told_at_once() {
    let quote = r#"{"u":5,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}"#;
    let depth =
        r#"{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":1,"u":1,"b":[["1","1"]],"a":[]}"#;
    let other = quote.replace("BTCUSDT", "ETHUSDT");
    let lost = |bad: &str| -> Vec<String> {
        let lines = reading::events(Format::Binance, &[quote, depth, &other, bad]);
        lines.into_iter().filter(|l| l.contains(" lost ")).collect()
    };
    let of_btc = "BTC-USDT lost ? quote: a message could not be read";
    let of_book = "BTC-USDT lost ? book: a message could not be read";
    let of_eth = "ETH-USDT lost ? quote: a message could not be read";
    assert_eq!(lost(&quote[..quote.len() - 4]), [of_btc]);
    assert_eq!(lost(&quote.replace("\"2\"", "\"x\"")), [of_btc]);
    assert_eq!(lost("{\"u\":6,"), [of_btc, of_eth]);
    // The next change would show it, but until then the book would be wrong.
    assert_eq!(lost(&depth.replace("[[\"1\"", "[[\"x\"")), [of_book]);
    let bybit = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786309548000,"data":[{"T":1786309548000,"s":"BTCUSDT","S":"Buy","v":"1","p":"1","i":"7"}]}"#;
    let lines = reading::events(Format::BybitLinear, &[bybit, &bybit[..90]]);
    assert_eq!(
        lines[1..],
        ["BTC-USDT-PERP lost ? trade: a message could not be read"]
    );
}

#[test]
fn a_coinbase_message_that_could_not_be_read_is_a_break_and_a_bad_part_is_lost_alone() {
    let message = |number: u64, price: &str| {
        format!(
            r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":{number},"events":[{{"type":"update","product_id":"BTC-USD","updates":[{{"side":"bid","price_level":"{price}","new_quantity":"1"}}]}}]}}"#
        )
    };
    let (one, bad, three) = (message(1, "5"), message(2, "x"), message(3, "6"));
    let unknown = r#"{"channel":"novelty","sequence_num":4,"events":[]}"#;
    let five = message(5, "7");
    let lines = reading::events(Format::Coinbase, &[&one, &bad, &three, unknown, &five]);
    let kinds: Vec<_> = lines.iter().map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["update", "lost", "update", "update"]);
    let other = message(3, "8");
    let lines = reading::events(
        Format::Coinbase,
        &[&one, &bad[..99], &three, &three, &other],
    );
    let kinds: Vec<_> = lines.iter().map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["update", "gap", "update", "gap", "update"]);
}

#[test]
fn a_bad_part_of_a_message_costs_its_own_instrument_only() {
    let level = |qty: &str| format!(r#"[{{"price":1.5,"qty":{qty}}}]"#);
    let kraken = |btc: &str| {
        format!(
            r#"{{"channel":"book","type":"snapshot","data":[{{"symbol":"BTC/USD","bids":{},"asks":[]}},{{"symbol":"ETH/USD","bids":{},"asks":[]}}]}}"#,
            level(btc),
            level("2")
        )
    };
    let lines = reading::events(Format::Kraken, &[&kraken("1"), &kraken("-1")]);
    let short: Vec<_> = lines
        .iter()
        .map(|l| l.split(" None").next().unwrap())
        .collect();
    assert_eq!(
        short,
        [
            "BTC-USD snapshot [1.5x1] []",
            "ETH-USD snapshot [1.5x2] []",
            "BTC-USD lost 1 book: quantity cannot be read",
            "ETH-USD snapshot [1.5x2] []",
        ]
    );
    let tickers = |last: &str| {
        format!(
            r#"[{{"e":"24hrMiniTicker","E":1672515782136,"s":"ETHBTC","c":"{last}"}},{{"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"5"}}]"#
        )
    };
    check(
        Format::Binance,
        &[&tickers("1"), &tickers("x")],
        &[
            "ETH-BTC ticker last 1 @1672515782136",
            "BNB-BTC ticker last 5 @1672515782136",
            "ETH-BTC lost 1 ticker: c cannot be read",
            "BNB-BTC ticker last 5 @1672515782136",
        ],
    );
}
