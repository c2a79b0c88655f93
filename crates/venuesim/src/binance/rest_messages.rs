//! Templates of answers over HTTP, with the keys and the order of the documentation `[D]`.

use crate::clock::{Stamp, Unit};
use crate::decimal::{product, text, wide};
use crate::market::{Aggregate, Market};
use crate::truth::TruthTrade;

/// `{"code":-1121,"msg":"Invalid symbol."}`.
pub(super) fn mistake(code: i32, message: &str) -> String {
    let message = serde_json::Value::from(message);
    format!(r#"{{"code":{code},"msg":{message}}}"#)
}

/// `/api/v3/exchangeInfo`.
pub(super) fn exchange_info(time: u64, weight: u32, symbols: &[String]) -> String {
    format!(
        r#"{{"timezone":"UTC","serverTime":{time},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":{weight}}},{{"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100}},{{"rateLimitType":"ORDERS","interval":"DAY","intervalNum":1,"limit":200000}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":61000}}],"exchangeFilters":[],"symbols":[{}]}}"#,
        symbols.join(",")
    )
}

/// A symbol of `/api/v3/exchangeInfo`. The fields `…Precision` say nothing about the grain of prices.
pub(super) fn symbol(market: &Market) -> String {
    let config = &market.config;
    let status = market.status.name().unwrap_or("BREAK");
    let trading = status == "TRADING";
    let filters = filters(market);
    format!(
        r#"{{"symbol":"{}","status":"{status}","baseAsset":"{}","baseAssetPrecision":8,"quoteAsset":"{}","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET","STOP_LOSS","STOP_LOSS_LIMIT","TAKE_PROFIT","TAKE_PROFIT_LIMIT"],"icebergAllowed":true,"ocoAllowed":true,"otoAllowed":true,"opoAllowed":true,"quoteOrderQtyMarketAllowed":true,"allowTrailingStop":true,"cancelReplaceAllowed":true,"amendAllowed":true,"pegInstructionsAllowed":true,"isSpotTradingAllowed":{trading},"isMarginTradingAllowed":false,"filters":[{filters}],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"EXPIRE_MAKER","allowedSelfTradePreventionModes":["EXPIRE_TAKER","EXPIRE_MAKER","EXPIRE_BOTH","DECREMENT"]}}"#,
        config.symbol, config.base, config.quote,
    )
}

/// The filters of a symbol.
fn filters(market: &Market) -> String {
    let (tick, step) = (text(market.config.tick), text(market.config.step));
    format!(
        r#"{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000.00000000","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{step}","maxQty":"9000000.00000000","stepSize":"{step}"}},{{"filterType":"ICEBERG_PARTS","limit":100}},{{"filterType":"MARKET_LOT_SIZE","minQty":"0.00000000","maxQty":"100000.00000000","stepSize":"0.00000000"}},{{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}},{{"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}}"#
    )
}

/// A trade of `/api/v3/trades` and `/api/v3/historicalTrades`.
pub(super) fn trade(trade: &TruthTrade, stamp: Stamp) -> String {
    let quote = wide(product(trade.price, trade.qty));
    let time = stamp.of(trade.time_ms, Unit::Milli);
    let (id, maker) = (trade.id, trade.buyer_is_maker);
    let (price, qty) = (text(trade.price), text(trade.qty));
    format!(
        r#"{{"id":{id},"price":"{price}","qty":"{qty}","quoteQty":"{quote}","time":{time},"isBuyerMaker":{maker},"isBestMatch":true}}"#
    )
}

/// A trade of `/api/v3/aggTrades`.
pub(super) fn agg_trade(aggregate: &Aggregate, stamp: Stamp) -> String {
    let time = stamp.of(aggregate.time_ms, Unit::Milli);
    let (price, qty) = (text(aggregate.price), text(aggregate.qty));
    let Aggregate {
        id,
        first,
        last,
        buyer_is_maker,
        ..
    } = aggregate;
    format!(
        r#"{{"a":{id},"p":"{price}","q":"{qty}","f":{first},"l":{last},"T":{time},"m":{buyer_is_maker},"M":true}}"#
    )
}

/// A ticker of `/api/v3/ticker/24hr`, whole or small.
pub(super) fn ticker(market: &Market, stamp: Stamp, mini: bool) -> String {
    let day = &market.day;
    let symbol = &market.config.symbol;
    let (open, high, low, last) = (
        text(day.open),
        text(day.high),
        text(day.low),
        text(day.last),
    );
    let (volume, quote_volume) = (wide(day.volume), wide(day.quote_volume));
    let open_time = stamp.earlier(DAY_US, Unit::Milli);
    let window = format!(
        r#""openTime":{open_time},"closeTime":{},"firstId":{},"lastId":{},"count":{}"#,
        stamp.text(Unit::Milli),
        day.first_id(),
        day.last_id,
        day.count
    );
    if mini {
        return format!(
            r#"{{"symbol":"{symbol}","openPrice":"{open}","highPrice":"{high}","lowPrice":"{low}","lastPrice":"{last}","volume":"{volume}","quoteVolume":"{quote_volume}",{window}}}"#
        );
    }
    let (bid, ask) = market.book.best();
    let (bid, ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    format!(
        r#"{{"symbol":"{symbol}","priceChange":"{}","priceChangePercent":"{}","weightedAvgPrice":"{}","prevClosePrice":"{}","lastPrice":"{last}","lastQty":"{}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}","openPrice":"{open}","highPrice":"{high}","lowPrice":"{low}","volume":"{volume}","quoteVolume":"{quote_volume}",{window}}}"#,
        text(day.last - day.open),
        day.percent(),
        text(day.mean()),
        text(day.previous),
        text(day.last_qty),
        text(bid.0),
        text(bid.1),
        text(ask.0),
        text(ask.1)
    )
}

const DAY_US: u64 = 24 * 3_600 * 1_000_000;
