//! Kraken v2, spot.
//!
//! Each book begins with a snapshot in its stream, and its checksum is verified with each message; a book that is
//! wrong or silent is asked for anew. The quote is the best of the book; without a book, it comes with the ticker at
//! each of its changes. Trades have dense ids, and their snapshot, the newest fifty, fills a hole after a reconnect.
//!
//! The list of instruments is the channel `instrument`: whole at first, and then what changes, at once. So nothing is
//! asked for by HTTP. Tokenised stocks (`AAPLx/USD`) are in it because they are asked for.
//!
//! Each stream of a request has an answer of its own. A stream that is asked for although it is there is refused with
//! a word that says so, which is as good as yes.

use super::VenueInstrument;
use super::venue::{
    Control, Definitions, Listing, LiveVenue, Refused, Request, StreamName, VenueRules,
};
use crate::event::Scales;
use crate::venue::tape::{Json, Node};
use crate::venue::{Carries, Format, Reject, VenueStream, trading};
use std::fmt::Write as _;
use tapecast_model::{
    ChannelKind, ChannelSet, InstrumentKind, QtyUnit, Scale, Symbol, Terms, TradingState,
};

/// Kraken v2, with these rules.
#[derive(Clone, Debug)]
pub struct KrakenSpot {
    rules: VenueRules,
}

/// What is asked for by one request: a channel with its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Instrument,
    Book,
    Trade,
    /// At each change of the best bid or offer.
    Ticker,
}

// === impl KrakenSpot ===

impl KrakenSpot {
    /// The venue with these rules.
    pub const fn new(rules: VenueRules) -> Self {
        Self { rules }
    }

    fn request(&self, id: u64, method: &str, names: &[&str]) -> String {
        let kind = names
            .first()
            .map_or(Kind::Instrument, |name| Kind::of(name));
        let channel = kind.channel();
        let mut text = format!("{{\"method\":\"{method}\",\"params\":{{\"channel\":\"{channel}\"");
        if kind != Kind::Instrument {
            text.push_str(",\"symbol\":[");
            for (at, name) in names.iter().enumerate() {
                // Symbols have neither quotes nor backslashes: `instrument` sees to it.
                let symbol = name.split_once(' ').map_or("", |(_, symbol)| symbol);
                let comma = if at > 0 { "," } else { "" };
                let _ = write!(text, "{comma}\"{symbol}\"");
            }
            text.push(']');
        }
        let _ = match kind {
            Kind::Instrument => write!(text, ",\"include_tokenized_assets\":true"),
            Kind::Book => write!(text, ",\"depth\":{}", self.rules.snapshot_levels),
            Kind::Ticker => write!(text, ",\"event_trigger\":\"bbo\""),
            Kind::Trade => Ok(()),
        };
        if method == "subscribe" {
            text.push_str(",\"snapshot\":true");
        }
        let _ = write!(text, "}},\"req_id\":{id}}}");
        text
    }
}

impl LiveVenue for KrakenSpot {
    fn format(&self) -> Format {
        Format::Kraken
    }

    fn rules(&self) -> &VenueRules {
        &self.rules
    }

    fn stream(&self, native: &str, channel: ChannelKind, wanted: ChannelSet) -> Option<StreamName> {
        let kind = match channel {
            ChannelKind::Trade => Kind::Trade,
            ChannelKind::Book => Kind::Book,
            ChannelKind::Ticker => Kind::Ticker,
            ChannelKind::Quote if !wanted.contains(ChannelKind::Book) => Kind::Ticker,
            ChannelKind::Quote
            | ChannelKind::Bar
            | ChannelKind::Status
            | ChannelKind::Instrument => return None,
        };
        Some(StreamName {
            group: 0,
            request: kind as u8,
            name: format!("{} {native}", kind.channel()),
        })
    }

    fn streams(&self) -> Vec<VenueStream> {
        vec![
            VenueStream::new(Carries::Trades, 1),
            VenueStream::new(Carries::Book, 1),
            VenueStream::new(Carries::Ticker, 1),
            VenueStream::new(Carries::SpareQuote, 1),
        ]
    }

    fn url(&self, _group: u8) -> String {
        format!("{}/v2", self.rules.stream_url)
    }

    fn shares_numbers(&self) -> bool {
        false
    }

    fn subscribe(&self, id: u64, names: &[&str]) -> String {
        self.request(id, "subscribe", names)
    }

    fn unsubscribe(&self, id: u64, names: &[&str]) -> String {
        self.request(id, "unsubscribe", names)
    }

    fn ping(&self, id: u64) -> Option<String> {
        Some(format!("{{\"method\":\"ping\",\"req_id\":{id}}}"))
    }

    fn control(&self, text: &[u8]) -> Control {
        if let Some(rest) = text.strip_prefix(b"{\"channel\":\"") {
            if [&b"book\""[..], b"trade\"", b"ticker\""]
                .iter()
                .any(|channel| rest.starts_with(channel))
            {
                return Control::Data;
            }
            if rest.starts_with(b"heartbeat\"") {
                return Control::Alive;
            }
        }
        let mut text = text.to_vec();
        let control = Json::default().read(&mut text, |root| Ok(control(root)));
        control.unwrap_or(Control::Data)
    }

    fn name_of(&self, text: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(text).ok()?;
        let word = |key: &str| {
            let (_, rest) = text.split_once(key)?;
            rest.split_once('"').map(|(word, _)| word)
        };
        let (channel, symbol) = (word("\"channel\":\"")?, word("\"symbol\":\"")?);
        Some(format!("{channel} {symbol}"))
    }

    fn definitions(&self) -> Definitions {
        Definitions::Stream(StreamName {
            group: 0,
            request: Kind::Instrument as u8,
            name: Kind::Instrument.channel().to_owned(),
        })
    }

    fn read_definitions(&self, body: &mut [u8]) -> Result<Listing, String> {
        let read = Json::default().read(body, |root| {
            let mut instruments = Vec::new();
            let data = root.need("data")?;
            // It is an object; all other channels have arrays.
            let all = [data].into_iter().filter(|data| data.is_object());
            for part in all.chain(data.elements()) {
                if let Ok(pairs) = part.items("pairs") {
                    // One that cannot be read is left out, and the others are served.
                    instruments.extend(pairs.filter_map(|pair| instrument(pair).ok()));
                }
            }
            Ok(Listing {
                instruments,
                is_whole: root.text_of("type") == Some("snapshot"),
            })
        });
        match read {
            Ok(list) if list.instruments.is_empty() && list.is_whole => {
                Err("it lists no instrument that can be read".into())
            }
            Ok(list) => Ok(list),
            Err(reject) => Err(format!("it cannot be read: {}", reject.label())),
        }
    }

    fn snapshot(&self, _native: &str) -> Option<Request> {
        None
    }
}

// === impl Kind ===

impl Kind {
    /// The kind of a stream with this name.
    fn of(name: &str) -> Self {
        let channel = name.split_once(' ').map_or(name, |(channel, _)| channel);
        let all = [Self::Book, Self::Trade, Self::Ticker];
        let kind = all.into_iter().find(|kind| kind.channel() == channel);
        kind.unwrap_or(Self::Instrument)
    }

    /// The channel's name at the venue.
    const fn channel(self) -> &'static str {
        match self {
            Self::Instrument => "instrument",
            Self::Book => "book",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
        }
    }
}

fn control(root: Node<'_, '_>) -> Control {
    if let Some(channel) = root.text_of("channel") {
        return match channel {
            "heartbeat" => Control::Alive,
            "instrument" => Control::Definitions,
            "status" => system(root),
            _ => Control::Data,
        };
    }
    let id = root.uint_of("req_id").ok().flatten();
    let error = root.text_of("error").or_else(|| root.text_of("Error"));
    if error.is_some_and(is_rate) {
        return Control::RateExceeded;
    }
    let name = || {
        let result = root.get("result").unwrap_or(root);
        let channel = result.text_of("channel");
        let symbol = result.text_of("symbol").or_else(|| root.text_of("symbol"));
        match (channel, symbol) {
            (Some(channel), Some(symbol)) => Some(format!("{channel} {symbol}")),
            (Some(channel), None) => Some(channel.to_owned()),
            (None, symbol) => symbol.map(str::to_owned),
        }
    };
    match (root.text_of("method"), root.flag("success"), error) {
        (Some("pong"), ..) => Control::Pong,
        (Some("subscribe"), Some(true), _) => Control::Accepted { id, name: name() },
        (Some("unsubscribe" | "ping"), ..) => Control::Alive,
        (_, _, Some(error)) if is_there(error) => Control::Accepted { id, name: name() },
        (_, _, Some(error)) => {
            let what = name().map_or(Refused::Unnamed, Refused::One);
            let reason = error.chars().take(200).collect();
            Control::Refused { id, what, reason }
        }
        _ => Control::Data,
    }
}

/// Whether an error says that we ask too fast.
fn is_rate(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    error.contains("msg rate") || error.contains("rate limit")
}

/// Whether an error says that what is asked for is there already.
fn is_there(error: &str) -> bool {
    error.to_ascii_lowercase().contains("already subscribed")
}

fn system(root: Node<'_, '_>) -> Control {
    let mut items = root.get("data").into_iter().flat_map(Node::elements);
    let word = items.find_map(|item| item.text_of("system"));
    match word {
        Some(word) => Control::System {
            trading: trading::kraken(word).unwrap_or(TradingState::Unknown),
            word: word.chars().take(40).collect(),
        },
        None => Control::Alive,
    }
}

/// An instrument of the list. The checksum is made of numbers with its precision, whatever the steps are.
fn instrument(pair: Node<'_, '_>) -> Result<VenueInstrument, Reject> {
    let native = pair.text("symbol")?;
    if native.contains(['"', '\\']) || native.len() > 64 {
        return Err(Reject::Symbol);
    }
    let scale = |key: &'static str| {
        let digits = pair.uint(key)?;
        let digits = u8::try_from(digits).or(Err(Reject::Scale))?;
        Scale::new(digits).ok_or(Reject::Scale)
    };
    let (base, quote) = (pair.text("base")?, pair.text("quote")?);
    let status = pair.text_of("status").and_then(trading::kraken);
    let step = |key| pair.few_digits(key).filter(|step| step.mantissa() > 0);
    Ok(VenueInstrument {
        native: native.into(),
        symbol: Symbol::new(&format!("{base}-{quote}")).ok(),
        scales: Scales {
            price_scale: scale("price_precision")?,
            qty_scale: scale("qty_precision")?,
        },
        trading: status.unwrap_or(TradingState::Unknown),
        terms: Terms {
            kind: Some(InstrumentKind::Spot),
            qty_unit: Some(QtyUnit::Base),
            tick: step("price_increment").or_else(|| step("tick_size")),
            lot: step("qty_increment"),
            min_qty: step("qty_min"),
            ..Terms::UNKNOWN
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue() -> KrakenSpot {
        KrakenSpot::new(VenueRules::of("kraken", &toml::Table::new()).unwrap())
    }

    #[test]
    fn a_request_is_of_one_channel_and_has_its_parameters() {
        let venue = venue();
        assert_eq!(
            venue.subscribe(7, &["book BTC/USD", "book ETH/USD"]),
            r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":100,"snapshot":true},"req_id":7}"#
        );
        assert_eq!(
            venue.unsubscribe(8, &["book BTC/USD"]),
            r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100},"req_id":8}"#
        );
        assert_eq!(
            venue.subscribe(9, &["ticker BTC/USD"]),
            r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo","snapshot":true},"req_id":9}"#
        );
        assert_eq!(
            venue.subscribe(1, &["instrument"]),
            r#"{"method":"subscribe","params":{"channel":"instrument","include_tokenized_assets":true,"snapshot":true},"req_id":1}"#
        );
    }

    #[test]
    fn a_quote_is_of_the_book_or_comes_with_the_ticker() {
        let venue = venue();
        let name = |channel, wanted: &[ChannelKind]| {
            let wanted = wanted.iter().fold(ChannelSet::EMPTY, |set, k| set.with(*k));
            venue.stream("BTC/USD", channel, wanted).map(|s| s.name)
        };
        use ChannelKind::{Book, Quote, Ticker};
        assert_eq!(name(Quote, &[Quote, Book]), None);
        let ticker = Some("ticker BTC/USD".to_owned());
        assert_eq!(name(Quote, &[Quote, Ticker]), ticker);
        assert_eq!(name(Ticker, &[Quote, Ticker]), ticker);
    }

    fn check(text: &str, expected: &Control) {
        assert_eq!(venue().control(text.as_bytes()), *expected, "{text}");
    }

    fn accepted(id: Option<u64>, name: &str) -> Control {
        let name = Some(name.to_owned());
        Control::Accepted { id, name }
    }

    fn refused(id: Option<u64>, what: Refused, reason: &str) -> Control {
        let reason = reason.to_owned();
        Control::Refused { id, what, reason }
    }

    #[test]
    fn answers_as_they_were_captured_are_told_apart_from_data() {
        let cases = [
            (
                r#"{"method":"subscribe","result":{"channel":"book","depth":25,"snapshot":true,"symbol":"BTC/USD"},"success":true,"time_in":"2026-08-02T03:35:50.983359Z","time_out":"2026-08-02T03:35:50.983398Z"}"#,
                accepted(None, "book BTC/USD"),
            ),
            (
                r#"{"error":"Subscription depth not supported","method":"subscribe","success":false,"time_in":"x","time_out":"x"}"#,
                refused(None, Refused::Unnamed, "Subscription depth not supported"),
            ),
            (
                r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":2950167385101900187}]}"#,
                Control::System {
                    trading: TradingState::Open,
                    word: "online".into(),
                },
            ),
            (r#"{"channel":"heartbeat"}"#, Control::Alive),
        ];
        for (text, expected) in cases {
            check(text, &expected);
        }
    }

    #[test]
    fn answers_as_they_are_documented_are_told_apart_from_data() {
        let cases = [
            (
                r#"{"method":"subscribe","req_id":9,"result":{"channel":"instrument","snapshot":true},"success":true}"#,
                accepted(Some(9), "instrument"),
            ),
            (
                r#"{"error":"Currency pair not supported NO/PE","method":"subscribe","req_id":4,"success":false,"symbol":"NO/PE"}"#,
                refused(
                    Some(4),
                    Refused::One("NO/PE".into()),
                    "Currency pair not supported NO/PE",
                ),
            ),
            (r#"{"Error":"Exceeded msg rate"}"#, Control::RateExceeded),
            (
                r#"{"error":"Exceeded msg rate","method":"subscribe","success":false}"#,
                Control::RateExceeded,
            ),
            (
                r#"{"method":"pong","req_id":3,"time_in":"x"}"#,
                Control::Pong,
            ),
            (
                r#"{"method":"unsubscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true}"#,
                Control::Alive,
            ),
            (
                r#"{"error":"Already subscribed","method":"subscribe","success":false,"req_id":4,"symbol":"BTC/USD"}"#,
                accepted(Some(4), "BTC/USD"),
            ),
            (
                r#"{"error":"Subscription Not Found","method":"unsubscribe","success":false}"#,
                Control::Alive,
            ),
            (
                r#"{"type":"snapshot","channel":"instrument","data":{}}"#,
                Control::Definitions,
            ),
            (
                r#"{"type":"update","channel":"trade","data":[]}"#,
                Control::Data,
            ),
            (
                r#"{"channel":"ticker","type":"update","data":[]}"#,
                Control::Data,
            ),
            (
                r#"{"channel":"ohlc","type":"update","data":[]}"#,
                Control::Data,
            ),
            ("{", Control::Data),
            ("", Control::Data),
            ("null", Control::Data),
        ];
        for (text, expected) in cases {
            check(text, &expected);
        }
    }

    #[test]
    fn the_list_gives_symbols_scales_and_states() {
        let mut body = br#"{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD","status":"enabled","precision":4,"margin_rate":0.015}],"pairs":[
            {"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"qty_increment":1e-08,"price_precision":1,"cost_min":0.5,"tick_size":0.1,"price_increment":0.1,"qty_min":0.0001},
            {"symbol":"AAPLx/USD","base":"AAPLx","quote":"USD","status":"limit_only","qty_precision":6,"price_precision":2},
            {"symbol":"BAD/USD","base":"BAD","quote":"USD","status":"online","qty_precision":"x","price_precision":2},
            {"symbol":"\u00d6/USD","base":"\u00d6","quote":"USD","status":"new_word","qty_precision":6,"price_precision":2}]}}"#
            .to_vec();
        let list = venue().read_definitions(&mut body).unwrap();
        assert!(list.is_whole);
        let all: Vec<_> = list
            .instruments
            .iter()
            .map(|i| (&*i.native, i.symbol.as_ref().map(Symbol::as_str), i.trading))
            .collect();
        assert_eq!(
            all,
            [
                ("BTC/USD", Some("BTC-USD"), TradingState::Open),
                ("AAPLx/USD", Some("AAPLx-USD"), TradingState::LimitOnly),
                ("Ö/USD", None, TradingState::Unknown),
            ]
        );
        let scales = list.instruments[0].scales;
        assert_eq!(
            (scales.price_scale.digits(), scales.qty_scale.digits()),
            (1, 8)
        );
        let terms = list.instruments[0].terms;
        let steps = [terms.tick, terms.lot, terms.min_qty];
        let steps = steps.map(|step| step.unwrap().to_string());
        assert_eq!(steps, ["0.1", "0.00000001", "0.0001"]);
        let unknown = list.instruments[1].terms;
        assert_eq!(unknown.figures(), [None; 4]);
        let mut part =
            br#"{"channel":"instrument","type":"update","data":{"assets":[],"pairs":[]}}"#.to_vec();
        assert_eq!(
            venue().read_definitions(&mut part),
            Ok(Listing::default()),
            "a part, of nothing"
        );
        for body in [
            "",
            "{}",
            r#"{"type":"snapshot","data":{"pairs":[]}}"#,
            "<html>",
        ] {
            assert!(
                venue()
                    .read_definitions(&mut body.as_bytes().to_vec())
                    .is_err(),
                "{body}"
            );
        }
    }

    #[test]
    fn the_stream_of_a_message_is_found_although_it_cannot_be_read() {
        let venue = venue();
        let name = |text: &str| venue.name_of(text.as_bytes());
        assert_eq!(
            name(r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","price":"#),
            Some("trade BTC/USD".into())
        );
        assert_eq!(name("{"), None);
    }
}
