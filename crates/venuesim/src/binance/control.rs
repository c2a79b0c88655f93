//! Requests on a connection, their answers and their mistakes `[D]`. The venue's own messages are those of this
//! JSON reader, so that even the columns are right.

use super::BinanceSpot;
use super::twist::Twist;
use crate::fault::Fault;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A request of a client.
#[derive(Debug, Deserialize)]
struct Request {
    method: Method,
    #[serde(default)]
    params: Option<Vec<Value>>,
    /// `Some(Null)` if it is given as `null`.
    #[serde(default, deserialize_with = "given")]
    id: Option<Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

/// A mistake: the code, the message, and whether the number of the request is said.
#[derive(Debug)]
struct Mistake(u8, String, Option<Value>);

/// The reason of a close.
pub(super) const TOO_MANY_STREAMS: &str = "Too many streams";

// === impl BinanceSpot ===

impl BinanceSpot {
    /// Answers a text message.
    pub(super) fn control(&mut self, conn: u64, text: &str) {
        let answer = match Request::parse(text) {
            Ok((request, id)) => self.obey(conn, request, id),
            Err(mistake) => Some(mistake.text()),
        };
        if let Some(answer) = answer {
            self.say(conn, answer);
        }
    }

    fn obey(&mut self, conn: u64, request: Request, id: Value) -> Option<String> {
        let answer = match request.method {
            Method::Subscribe => self.obey_subscribe(conn, &request, &id)?,
            Method::Unsubscribe => request.streams().map(|streams| {
                self.unsubscribe(conn, &streams);
                Value::Null
            }),
            Method::ListSubscriptions => request.nothing().map(|()| json!(self.streams(conn))),
            Method::SetProperty => request.property(&id, 2).and_then(|()| {
                let value = request.value()?;
                if let Some(connection) = self.connections.get_mut(&conn) {
                    connection.combined = value;
                }
                Ok(Value::Null)
            }),
            Method::GetProperty => request.property(&id, 1).map(|()| {
                let connection = self.connections.get(&conn);
                json!(connection.is_some_and(|connection| connection.combined))
            }),
        };
        Some(match answer {
            Ok(result) => acknowledged(&result, &id),
            Err(mistake) => mistake.text(),
        })
    }

    /// `None`: there is no answer, or the connection has ended.
    fn obey_subscribe(
        &mut self,
        conn: u64,
        request: &Request,
        id: &Value,
    ) -> Option<Result<Value, Mistake>> {
        let streams = match request.streams() {
            Ok(streams) => streams,
            Err(mistake) => return Some(Err(mistake)),
        };
        let had = self.streams(conn);
        let mut new: Vec<&String> = streams.iter().filter(|name| !had.contains(name)).collect();
        new.sort_unstable();
        new.dedup();
        if had.len() + new.len() > self.config.limits.streams {
            self.over_streams(conn);
            return None;
        }
        let Some(fault) = self.faults.subscribes.pop_front() else {
            self.subscribe(conn, streams);
            return Some(Ok(Value::Null));
        };
        self.note_applied(fault, None, Some(conn));
        match fault {
            Fault::AckWithheld => {
                self.subscribe(conn, streams);
                None
            }
            Fault::SubscribeRefused => {
                self.refuse_subscribe(conn, id);
                None
            }
            _ => {
                if let Some(connection) = self.connections.get_mut(&conn) {
                    let silent = new.into_iter().cloned();
                    let twists = silent.map(|stream| Twist::new(Fault::AckWithoutData, stream));
                    connection.twists.extend(twists);
                }
                self.subscribe(conn, streams);
                Some(Ok(Value::Null))
            }
        }
    }

    /// An error: the documented form, or the one that only others have seen `[U]`.
    fn refuse_subscribe(&mut self, conn: u64, id: &Value) {
        let text = if self.random.one_in(2) {
            Mistake::of(2, "Invalid request: try again later").text()
        } else {
            format!(
                r#"{{"error":{{"code":2,"msg":"Invalid request: try again later"}},"id":{id}}}"#
            )
        };
        self.say(conn, text);
    }
}

/// `{"result":null,"id":1}` `[D]`.
fn acknowledged(result: &Value, id: &Value) -> String {
    format!(r#"{{"result":{result},"id":{id}}}"#)
}

// === impl Request ===

impl Request {
    /// Reads a request and checks its number: an integer, a short word, or `null`.
    fn parse(text: &str) -> Result<(Self, Value), Mistake> {
        let request: Self = serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                Mistake::of(2, &format!("Invalid request: {error}"))
            } else {
                Mistake::of(3, &format!("Invalid JSON: {error}"))
            }
        })?;
        let fits = match &request.id {
            Some(Value::Null) => true,
            Some(Value::Number(number)) => number.is_i64(),
            Some(Value::String(word)) => {
                word.len() <= ID_BYTES_MAX
                    && word
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            }
            _ => false,
        };
        match request.id.clone() {
            Some(id) if fits => Ok((request, id)),
            _ => Err(Mistake::of(
                2,
                "Invalid request: request ID must be an unsigned integer",
            )),
        }
    }

    /// The names of streams.
    fn streams(&self) -> Result<Vec<String>, Mistake> {
        let given = self.params.iter().flatten();
        let names: Option<Vec<String>> =
            given.map(|name| name.as_str().map(str::to_owned)).collect();
        match names {
            Some(names) if !names.is_empty() => Ok(names),
            // The words for this mistake are not documented [U].
            _ => Err(Mistake::of(
                2,
                "Invalid request: params must be stream names",
            )),
        }
    }

    /// There are no parameters.
    fn nothing(&self) -> Result<(), Mistake> {
        match &self.params {
            Some(params) if !params.is_empty() => Err(Mistake::too_many()),
            _ => Ok(()),
        }
    }

    /// The first parameter is the only property that there is, and there are so many parameters at most.
    fn property(&self, id: &Value, most: usize) -> Result<(), Mistake> {
        let params = self.params.as_deref().unwrap_or_default();
        match params.first().map(Value::as_str) {
            Some(Some("combined")) if params.len() > most => Err(Mistake::too_many()),
            Some(Some("combined")) => Ok(()),
            Some(Some(_)) => Err(Mistake(0, "Unknown property".to_owned(), Some(id.clone()))),
            _ => Err(Mistake::of(
                2,
                "Invalid request: property name must be a string",
            )),
        }
    }

    /// The second parameter.
    fn value(&self) -> Result<bool, Mistake> {
        let value = self.params.as_deref().unwrap_or_default().get(1);
        value
            .and_then(Value::as_bool)
            .ok_or_else(|| Mistake::of(1, "Invalid value type: expected Boolean"))
    }
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

// === impl Mistake ===

impl Mistake {
    fn of(code: u8, message: &str) -> Self {
        Self(code, message.to_owned(), None)
    }

    fn too_many() -> Self {
        Self::of(2, "Invalid request: too many parameters")
    }

    /// `{"code":2,"msg":"…"}`, some with the number of the request `[D]`.
    fn text(&self) -> String {
        let Self(code, message, id) = self;
        let message = Value::from(message.as_str());
        match id {
            Some(id) => format!(r#"{{"code":{code},"msg":{message},"id":{id}}}"#),
            None => format!(r#"{{"code":{code},"msg":{message}}}"#),
        }
    }
}

/// A number that is a word has at most so many bytes `[D]`.
const ID_BYTES_MAX: usize = 36;
