//! Requests on a connection, their answers and their mistakes `[D; acknowledgements and the depth C]`.

use super::connection::{Channel, INSTRUMENTS, Key, Subscription};
use super::messages::EXCEEDED;
use super::twist::Twist;
use super::{KrakenSpot, time};
use crate::clock::Unit;
use crate::fault::Fault;
use serde_json::Value;

/// A request about a channel.
#[derive(Debug)]
struct Request {
    subscribe: bool,
    channel: Channel,
    /// None of definitions.
    symbols: Vec<String>,
    depth: usize,
    bbo: bool,
    snapshot: bool,
    tokenised: bool,
    number: Option<String>,
}

/// Keys of an answer, and what they have.
type Fields = Vec<(&'static str, String)>;

// === impl KrakenSpot ===

impl KrakenSpot {
    /// Answers a text message.
    pub(super) fn control(&mut self, conn: u64, text: &str) {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let number = value.get("req_id").filter(|number| number.is_i64());
        let number = number.map(Value::to_string);
        match value["method"].as_str() {
            Some("ping") => {
                let mut fields = vec![("method", quoted("pong"))];
                fields.extend(number.map(|number| ("req_id", number)));
                self.say_fields(conn, fields);
            }
            Some(method @ ("subscribe" | "unsubscribe")) => {
                let subscribe = method == "subscribe";
                match Request::parse(subscribe, &value["params"], number.clone()) {
                    Ok(request) => self.obey(conn, request),
                    Err(mistake) => self.refuse(conn, (method, number), None, &mistake),
                }
            }
            // The words for other mistakes are those that others have seen [L].
            _ => self.refuse(conn, ("error", number), None, "Malformed request"),
        }
    }

    fn obey(&mut self, conn: u64, request: Request) {
        self.begin_heartbeats(conn);
        if !request.subscribe {
            return self.obey_unsubscribe(conn, &request);
        }
        let fault = self.next_fault(&request);
        if let Some(fault) = fault {
            self.note_applied(fault, None, Some(conn));
        }
        if request.channel == Channel::Instrument {
            return self.subscribe(conn, INSTRUMENTS, (&request, None), fault);
        }
        let odd = self.random.below(request.symbols.len() as u64);
        let odd = usize::try_from(odd).unwrap_or(0);
        let heard = match fault {
            Some(Fault::ExceededRate) => request.symbols.len() / 2,
            _ => request.symbols.len(),
        };
        for (place, symbol) in request.symbols.iter().take(heard).enumerate() {
            let listed = self.by_symbol.get(symbol).copied();
            let listed = listed.filter(|index| self.listings[*index].is_listed());
            let refused = fault == Some(Fault::SubscribeRefused) && place == odd;
            match listed.filter(|_| !refused) {
                Some(index) => {
                    let key = (index, request.channel);
                    self.subscribe(conn, key, (&request, Some(symbol)), fault);
                }
                None => {
                    let mistake = format!("Currency pair not supported {symbol}");
                    self.refuse(conn, request.head(), Some(symbol), &mistake);
                }
            }
        }
        if heard < request.symbols.len() {
            self.say(conn, EXCEEDED.to_owned());
        }
    }

    /// The fault that waits for a request like this.
    fn next_fault(&mut self, request: &Request) -> Option<Fault> {
        let fits = match self.faults.subscribes.front()? {
            Fault::SubscribeRefused | Fault::ExceededRate => !request.symbols.is_empty(),
            Fault::ThinSnapshot => request.channel == Channel::Book && request.snapshot,
            _ => true,
        };
        fits.then(|| self.faults.subscribes.pop_front())?
    }

    fn subscribe(
        &mut self,
        conn: u64,
        key: Key,
        (request, symbol): (&Request, Option<&str>),
        fault: Option<Fault>,
    ) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        // Whether another depth of the same book is another subscription is not documented [U].
        if connection.subscriptions.contains_key(&key) {
            return self.refuse(conn, request.head(), symbol, "Already subscribed");
        }
        let without_data = fault == Some(Fault::AckWithoutData);
        let twists = without_data.then(|| Twist::new(Fault::AckWithoutData));
        let subscription = Subscription {
            depth: request.depth,
            bbo: request.bbo,
            tokenised: request.tokenised,
            held: false,
            twists: twists.into_iter().collect(),
        };
        connection.subscriptions.insert(key, subscription);
        let most = connection.subscriptions.len();
        self.counts.streams_max = self.counts.streams_max.max(most);
        let times = match fault {
            Some(Fault::AckWithheld) => 0,
            Some(Fault::AckTwice) => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.acknowledge(conn, request, symbol);
        }
        if fault == Some(Fault::ThinSnapshot) {
            self.say_thin_book(conn, key);
        } else if request.snapshot && !without_data {
            self.say_snapshot(conn, key);
        }
    }

    fn obey_unsubscribe(&mut self, conn: u64, request: &Request) {
        let symbols: Vec<Option<&str>> = match request.channel {
            Channel::Instrument => vec![None],
            _ => request
                .symbols
                .iter()
                .map(|name| Some(name.as_str()))
                .collect(),
        };
        for symbol in symbols {
            let index = symbol.and_then(|symbol| self.by_symbol.get(symbol).copied());
            let key = match symbol {
                None => INSTRUMENTS,
                Some(_) => (index.unwrap_or(usize::MAX), request.channel),
            };
            let Some(connection) = self.connections.get_mut(&conn) else {
                return;
            };
            let subscription = connection.subscriptions.get(&key);
            // The depth has to be that of the subscription [U].
            let found = subscription.is_some_and(|found| found.depth == request.depth);
            if found {
                connection.subscriptions.remove(&key);
                self.acknowledge(conn, request, symbol);
            } else {
                self.refuse(conn, request.head(), symbol, "Subscription Not Found");
            }
        }
    }

    /// One acknowledgement per symbol `[C]`.
    fn acknowledge(&mut self, conn: u64, request: &Request, symbol: Option<&str>) {
        let mut result: Fields = vec![("channel", quoted(request.channel.name()))];
        match request.channel {
            Channel::Book => result.push(("depth", request.depth.to_string())),
            Channel::Ticker if request.subscribe => {
                let trigger = if request.bbo { "bbo" } else { "trades" };
                result.push(("event_trigger", quoted(trigger)));
            }
            _ => {}
        }
        if request.subscribe {
            result.push(("snapshot", request.snapshot.to_string()));
        }
        result.extend(symbol.map(|symbol| ("symbol", quoted(symbol))));
        if request.channel == Channel::Instrument && request.subscribe {
            let warning = r#"["tick_size is deprecated, use price_increment"]"#;
            result.push(("warnings", warning.to_owned()));
        }
        let (method, number) = request.head();
        let mut fields = vec![("method", quoted(method))];
        fields.extend(number.map(|number| ("req_id", number)));
        fields.push(("result", self.object(result)));
        fields.push(("success", "true".to_owned()));
        self.say_fields(conn, fields);
    }

    fn refuse(
        &mut self,
        conn: u64,
        (method, number): (&str, Option<String>),
        symbol: Option<&str>,
        mistake: &str,
    ) {
        let mut fields = vec![("error", quoted(mistake)), ("method", quoted(method))];
        fields.extend(number.map(|number| ("req_id", number)));
        fields.push(("success", "false".to_owned()));
        fields.extend(symbol.map(|symbol| ("symbol", quoted(symbol))));
        self.say_fields(conn, fields);
    }

    /// Sends an answer with its times.
    fn say_fields(&mut self, conn: u64, mut fields: Fields) {
        let us = self.stamp().text(Unit::Micro);
        fields.push(("time_in", quoted(&time::text(us))));
        let later = us + 20 + self.random.below(40);
        fields.push(("time_out", quoted(&time::text(later))));
        let text = self.object(fields);
        self.say(conn, text);
    }

    /// An object. Its keys come in the order of the alphabet mostly, but not always `[C]`.
    fn object(&mut self, mut fields: Fields) -> String {
        if self.random.one_in(3) {
            for place in 1..fields.len() {
                let other = self.random.below(place as u64 + 1);
                fields.swap(place, usize::try_from(other).unwrap_or(0));
            }
        }
        let fields = fields.iter();
        let fields: Vec<String> = fields
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

// === impl Request ===

impl Request {
    fn parse(subscribe: bool, params: &Value, number: Option<String>) -> Result<Self, String> {
        let name = params["channel"].as_str().unwrap_or_default();
        let channel = Channel::of(name);
        // The words are not documented [U].
        let channel = channel.ok_or_else(|| format!("Channel not supported {name}"))?;
        let depth = match channel {
            Channel::Book => params.get("depth").map_or(Some(10), Value::as_u64),
            _ => Some(0),
        };
        let depth = depth.and_then(|depth| usize::try_from(depth).ok());
        let fits = |depth: &usize| channel != Channel::Book || DEPTHS.contains(depth);
        let depth = depth.filter(fits);
        let depth = depth.ok_or_else(|| "Subscription depth not supported".to_owned())?;
        let trigger = params.get("event_trigger").map(Value::as_str);
        let bbo = match trigger {
            None | Some(Some("trades")) => false,
            Some(Some("bbo")) => true,
            // The words are not documented [U].
            Some(_) => return Err("Event trigger not supported".to_owned()),
        };
        let symbols = params["symbol"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Option<Vec<String>> = symbols
            .iter()
            .map(|symbol| symbol.as_str().map(str::to_owned))
            .collect();
        let symbols = names.filter(|names| channel == Channel::Instrument || !names.is_empty());
        // The words are not documented [U].
        let symbols = symbols.ok_or_else(|| "Symbol(s) not found".to_owned())?;
        let flag = |key: &str| params.get(key).and_then(Value::as_bool);
        Ok(Self {
            subscribe,
            channel,
            symbols,
            depth,
            bbo,
            // Trades have no snapshot unless it is asked for.
            snapshot: flag("snapshot").unwrap_or(channel != Channel::Trade),
            tokenised: flag("include_tokenized_assets").unwrap_or(false),
            number,
        })
    }

    /// The method and the number, for an answer.
    fn head(&self) -> (&'static str, Option<String>) {
        let method = if self.subscribe {
            "subscribe"
        } else {
            "unsubscribe"
        };
        (method, self.number.clone())
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The depths that books have `[D]`.
const DEPTHS: [usize; 5] = [10, 25, 100, 500, 1_000];
