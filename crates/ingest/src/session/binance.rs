//! Binance spot.
//!
//! Market data come from `data-stream.binance.vision`, which has no account functions and is reached from more
//! places. One line has all four streams of an instrument. A book begins with a REST snapshot of 1,000 levels: with
//! fewer, levels outside of it appear only when they change. Times are asked for in microseconds.
//!
//! An unknown symbol is accepted and silent, so names are checked against the list of instruments before they are
//! asked for. Trades are not repeated after a reconnect, and no public request returns them by id: a hole is said.

use super::VenueInstrument;
use super::venue::{
    Control, Definitions, Listing, LiveVenue, Refused, Request, StreamName, VenueRules,
};
use crate::event::Scales;
use crate::venue::binance::diff_rank;
use crate::venue::tape::{Json, Node};
use crate::venue::{Carries, Format, Reject, VenueStream, trading};
use std::fmt::Write as _;
use tapecast_model::{
    ChannelKind, ChannelSet, Decimal, InstrumentKind, QtyUnit, Scale, Symbol, Terms, TradingState,
};

/// Binance spot, with these rules.
#[derive(Clone, Debug)]
pub struct BinanceSpot {
    rules: VenueRules,
}

/// A stream of a book, as the decoder gets its rank.
const DEPTH: &str = "@depth@100ms";

// === impl BinanceSpot ===

impl BinanceSpot {
    /// The venue with these rules.
    pub const fn new(rules: VenueRules) -> Self {
        Self { rules }
    }

    /// What a snapshot of so many levels costs.
    const fn snapshot_weight(levels: u32) -> u32 {
        match levels {
            0..=100 => 5,
            101..=500 => 25,
            501..=1_000 => 50,
            _ => 250,
        }
    }

    fn request(id: u64, method: &str, names: &[&str]) -> String {
        let mut text = format!("{{\"method\":\"{method}\",\"params\":[");
        for (at, name) in names.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            // Names are of the venue's list and have neither quotes nor backslashes: `read_definitions` sees to it.
            let _ = write!(text, "\"{name}\"");
        }
        let _ = write!(text, "],\"id\":{id}}}");
        text
    }
}

impl LiveVenue for BinanceSpot {
    fn format(&self) -> Format {
        Format::Binance
    }

    fn rules(&self) -> &VenueRules {
        &self.rules
    }

    fn stream(&self, native: &str, channel: ChannelKind, _: ChannelSet) -> Option<StreamName> {
        let suffix = match channel {
            ChannelKind::Trade => "@trade",
            ChannelKind::Quote => "@bookTicker",
            ChannelKind::Book => DEPTH,
            ChannelKind::Ticker => "@ticker",
            ChannelKind::Bar | ChannelKind::Status | ChannelKind::Instrument => return None,
        };
        let name = format!("{}{suffix}", native.to_lowercase());
        Some(StreamName {
            group: 0,
            request: 0,
            name,
        })
    }

    fn streams(&self) -> Vec<VenueStream> {
        vec![
            VenueStream::new(Carries::Trades, 2),
            VenueStream::new(Carries::Quote, 1),
            VenueStream::new(Carries::Book, diff_rank(DEPTH)),
            VenueStream::new(Carries::Ticker, 2),
        ]
    }

    fn shares_numbers(&self) -> bool {
        true
    }

    fn url(&self, _group: u8) -> String {
        format!("{}/stream?timeUnit=MICROSECOND", self.rules.stream_url)
    }

    fn subscribe(&self, id: u64, names: &[&str]) -> String {
        Self::request(id, "SUBSCRIBE", names)
    }

    fn unsubscribe(&self, id: u64, names: &[&str]) -> String {
        Self::request(id, "UNSUBSCRIBE", names)
    }

    fn ping(&self, _: u64) -> Option<String> {
        None
    }

    fn control(&self, text: &[u8]) -> Control {
        if text.starts_with(b"{\"stream\":\"") && !text.starts_with(b"{\"stream\":\"!server") {
            return Control::Data;
        }
        let mut text = text.to_vec();
        let control = Json::default().read(&mut text, |root| Ok(control(root)));
        control.unwrap_or(Control::Data)
    }

    fn name_of(&self, text: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(text).ok()?;
        let (_, rest) = text.split_once("\"stream\":\"")?;
        let (name, _) = rest.split_once('"')?;
        Some(name.to_owned())
    }

    fn definitions(&self) -> Definitions {
        Definitions::Http(Request {
            url: format!("{}/api/v3/exchangeInfo", self.rules.rest_url),
            weight: 20,
        })
    }

    fn read_definitions(&self, body: &mut [u8]) -> Result<Listing, String> {
        let read = Json::default().read(body, |root| {
            let mut list = Vec::new();
            for item in root.items("symbols")? {
                // One that cannot be read is left out, and the others are served.
                list.extend(instrument(item).ok());
            }
            Ok(list)
        });
        match read {
            Ok(list) if list.is_empty() => Err("it lists no instrument that can be read".into()),
            Ok(instruments) => Ok(Listing {
                instruments,
                is_whole: true,
            }),
            Err(reject) => Err(format!("it cannot be read: {}", reject.label())),
        }
    }

    fn turnover(&self) -> Option<Request> {
        Some(Request {
            url: format!("{}/api/v3/ticker/24hr?type=MINI", self.rules.rest_url),
            weight: 80,
        })
    }

    fn read_turnover(&self, body: &mut [u8]) -> Result<Vec<(Box<str>, Decimal)>, String> {
        let figure = |item: Node<'_, '_>| {
            let figure = item.text_of("quoteVolume")?;
            let figure = Decimal::parse(figure.as_bytes()).ok()?;
            Some((item.text_of("symbol")?.into(), figure))
        };
        let read = Json::default().read(body, |root| {
            Ok(root.elements().filter_map(figure).collect::<Vec<_>>())
        });
        match read {
            Ok(all) if all.is_empty() => Err("it has no figure that can be read".to_owned()),
            Ok(all) => Ok(all),
            Err(reject) => Err(format!("it cannot be read: {}", reject.label())),
        }
    }

    fn snapshot(&self, native: &str) -> Option<Request> {
        let VenueRules {
            rest_url,
            snapshot_levels,
            ..
        } = &self.rules;
        let mut symbol = String::new();
        for byte in native.bytes() {
            match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'-' | b'.' => {
                    symbol.push(char::from(byte));
                }
                other => {
                    let _ = write!(symbol, "%{other:02X}");
                }
            }
        }
        Some(Request {
            url: format!("{rest_url}/api/v3/depth?symbol={symbol}&limit={snapshot_levels}"),
            weight: Self::snapshot_weight(*snapshot_levels),
        })
    }
}

fn control(root: Node<'_, '_>) -> Control {
    let shutdown = |node: Node<'_, '_>| node.text_of("e") == Some("serverShutdown");
    if shutdown(root) || root.get("data").is_some_and(shutdown) {
        return Control::EndsSoon;
    }
    let id = root.uint_of("id").ok().flatten();
    let error = root.get("error").unwrap_or(root);
    if let Some(reason) = error.text_of("msg") {
        let reason = reason.chars().take(200).collect();
        let what = Refused::All;
        return Control::Refused { id, what, reason };
    }
    match id {
        Some(id) if root.get("e").is_none() && root.get("stream").is_none() => {
            let id = Some(id);
            Control::Accepted { id, name: None }
        }
        _ => Control::Data,
    }
}

/// An instrument of the list. The steps of prices and sizes give the digits, not the `*Precision` fields.
fn instrument(item: Node<'_, '_>) -> Result<VenueInstrument, Reject> {
    let native = item.text("symbol")?;
    if native.is_empty() || native.contains(['"', '\\', '@', '/']) || native.len() > 64 {
        return Err(Reject::Symbol);
    }
    let (base, quote) = (item.text("baseAsset")?, item.text("quoteAsset")?);
    let (mut tick, mut lot, mut min_qty) = (None, None, None);
    for filter in item.items("filters")? {
        match filter.text_of("filterType") {
            Some("PRICE_FILTER") => tick = Some(step(filter.text("tickSize")?)?),
            Some("LOT_SIZE") => {
                lot = Some(step(filter.text("stepSize")?)?);
                min_qty = filter.text_of("minQty").and_then(|text| step(text).ok());
            }
            _ => {}
        }
    }
    let (tick, lot) = (
        tick.ok_or(Reject::Missing("tickSize"))?,
        lot.ok_or(Reject::Missing("stepSize"))?,
    );
    let status = item.text_of("status").and_then(trading::binance);
    Ok(VenueInstrument {
        native: native.into(),
        symbol: Symbol::new(&format!("{base}-{quote}")).ok(),
        scales: Scales {
            price_scale: Scale::new(tick.scale()).ok_or(Reject::Scale)?,
            qty_scale: Scale::new(lot.scale()).ok_or(Reject::Scale)?,
        },
        trading: status.unwrap_or(TradingState::Unknown),
        terms: Terms {
            kind: Some(InstrumentKind::Spot),
            qty_unit: Some(QtyUnit::Base),
            tick: Some(tick),
            lot: Some(lot),
            min_qty,
            ..Terms::UNKNOWN
        },
    })
}

/// A step, whose scale is the digits after the point that it has, without zeros at the end.
fn step(text: &str) -> Result<Decimal, Reject> {
    let step = Decimal::parse(text.as_bytes()).map_err(|e| Reject::of_number("tickSize", e))?;
    if step.mantissa() <= 0 {
        return Err(Reject::Number("tickSize"));
    }
    Ok(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue() -> BinanceSpot {
        BinanceSpot::new(VenueRules::of("binance", &toml::Table::new()).unwrap())
    }

    #[test]
    fn the_digits_of_steps() {
        for (text, expected) in [
            ("0.01000000", 2),
            ("0.00000001", 8),
            ("1.00000000", 0),
            ("10", 0),
            ("0.00001000", 5),
            ("1e-8", 8),
            ("0.5", 1),
        ] {
            assert_eq!(step(text).map(Decimal::scale), Ok(expected), "{text}");
        }
        for text in ["0", "0.00000000", "-1", "x", ""] {
            assert!(step(text).is_err(), "{text}");
        }
    }

    #[test]
    fn answers_are_told_apart_from_data() {
        let venue = venue();
        let control = |text: &str| venue.control(text.as_bytes());
        let refused = |id, reason: &str| Control::Refused {
            id,
            what: Refused::All,
            reason: reason.into(),
        };
        assert_eq!(
            control(r#"{"result":null,"id":7}"#),
            Control::Accepted {
                id: Some(7),
                name: None
            }
        );
        assert_eq!(
            control(r#"{"code":2,"msg":"Invalid request","id":7}"#),
            refused(Some(7), "Invalid request")
        );
        assert_eq!(
            control(r#"{"error":{"code":3,"msg":"Invalid JSON"}}"#),
            refused(None, "Invalid JSON")
        );
        for text in [
            r#"{"e":"serverShutdown","E":1770123456789}"#,
            r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#,
        ] {
            assert_eq!(control(text), Control::EndsSoon);
        }
        for text in [
            r#"{"stream":"btcusdt@trade","data":{"e":"trade","msg":"x","id":3}}"#,
            r#"{"e":"trade","id":3}"#,
            "{",
            "",
            "null",
        ] {
            assert_eq!(control(text), Control::Data, "{text}");
        }
    }

    #[test]
    fn the_list_gives_symbols_scales_and_states() {
        let mut body = br#"{"timezone":"UTC","symbols":[
            {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":[
              {"filterType":"PRICE_FILTER","minPrice":"0.01","tickSize":"0.01000000"},
              {"filterType":"LOT_SIZE","minQty":"0.00010000","stepSize":"0.00001000"}]},
            {"symbol":"BAD","status":"TRADING","baseAsset":"B","quoteAsset":"AD","filters":[]},
            {"symbol":"ODD","status":"NEW_WORD","baseAsset":"O","quoteAsset":"D","filters":[
              {"filterType":"PRICE_FILTER","tickSize":"1"},{"filterType":"LOT_SIZE","stepSize":"1"}]}]}"#
            .to_vec();
        let list = venue().read_definitions(&mut body).unwrap().instruments;
        let names: Vec<_> = list.iter().map(|i| &*i.native).collect();
        assert_eq!(names, ["BTCUSDT", "ODD"]);
        let first = &list[0];
        let scales = (
            first.scales.price_scale.digits(),
            first.scales.qty_scale.digits(),
        );
        assert_eq!((scales, first.trading), ((2, 5), TradingState::Open));
        assert_eq!(first.symbol.as_ref().map(Symbol::as_str), Some("BTC-USDT"));
        let steps = [first.terms.tick, first.terms.lot, first.terms.min_qty];
        let steps = steps.map(|step| step.unwrap().to_string());
        assert_eq!(steps, ["0.01", "0.00001", "0.0001"]);
        assert_eq!(list[1].trading, TradingState::Unknown);
        assert_eq!(list[1].terms.min_qty, None);
        for body in ["", "{}", r#"{"symbols":[]}"#, r#"{"symbols":7}"#, "<html>"] {
            assert!(
                venue()
                    .read_definitions(&mut body.as_bytes().to_vec())
                    .is_err()
            );
        }
    }

    #[test]
    fn the_turnover_is_read_of_each_instrument() {
        let venue = venue();
        let request = venue.turnover().unwrap();
        assert!(request.url.ends_with("/api/v3/ticker/24hr?type=MINI"));
        let read = |text: &str| venue.read_turnover(&mut text.as_bytes().to_vec());
        let all = read(
            r#"[{"symbol":"BTCUSDT","volume":"2","quoteVolume":"130000.50000000"},{"symbol":"X"},
                {"symbol":"ETHUSDT","quoteVolume":"7"},{"symbol":"BAD","quoteVolume":"x"}]"#,
        );
        let expected = [("BTCUSDT", "130000.5"), ("ETHUSDT", "7")];
        let expected = expected
            .map(|(native, text)| (native.into(), Decimal::parse(text.as_bytes()).unwrap()));
        assert_eq!(all.unwrap(), expected);
        for text in ["[]", "{}", "", "<html>", r#"[{"symbol":"X"}]"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_ascii_is_escaped_in_addresses() {
        let venue = venue();
        let url = venue.snapshot("币安USDT").unwrap().url;
        assert!(
            url.ends_with("depth?symbol=%E5%B8%81%E5%AE%89USDT&limit=1000"),
            "{url}"
        );
        let stream = venue
            .stream("币安USDT", ChannelKind::Trade, ChannelSet::ALL)
            .unwrap();
        assert_eq!(stream.name, "币安usdt@trade");
    }
}
