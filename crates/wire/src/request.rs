//! Requests of clients: JSON text messages; a parse error names the place.
//!
//! A request that cannot be understood never ends the connection: the answer is an error that contains
//! the request's id, if the id could be read. Unknown fields are ignored, so that newer clients can use
//! older servers.

use crate::code::ErrorCode;
use serde_json::{Map, Value};
use tapecast_model::{Epoch, Seq, StreamPos};

/// A request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Adds topics.
    Subscribe(RequestId, Vec<TopicRequest>),
    /// Removes topics.
    Unsubscribe(RequestId, Vec<String>),
    /// Asks for fresh snapshots of subscribed topics.
    Resync(RequestId, Vec<String>),
    /// Asks what is subscribed.
    List(RequestId),
    /// Asks for a `pong`.
    Ping(RequestId),
}

/// A topic to subscribe, as the client wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TopicRequest {
    /// The text; not yet known to be a topic.
    pub topic: String,
    /// Where the client was, if it wants to resume.
    pub after: Option<StreamPos>,
}

/// The client's own mark on a request, given back verbatim: an integer, a string or absent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestId(Option<Box<str>>);

/// A request that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    /// The request's id, if one could be read.
    pub id: RequestId,
    /// What kind of error.
    pub code: ErrorCode,
    /// Where and what.
    pub message: String,
}

const OPS: &str = "subscribe, unsubscribe, resync, list, ping";
const EXAMPLE: &str = "trade:sim:BTC-USD";
const ID_BYTES_MAX: usize = 64;

// === impl Request ===

impl Request {
    /// Parses one text message.
    ///
    /// # Errors
    /// If it is not JSON, not an object, names no known operation or lacks a field.
    pub fn parse(text: &[u8]) -> Result<Self, RequestError> {
        let value: Value = serde_json::from_slice(text).map_err(|error| RequestError {
            id: RequestId::default(),
            code: ErrorCode::BadJson,
            message: describe(&error, text),
        })?;
        let Value::Object(object) = value else {
            return Err(RequestError {
                id: RequestId::default(),
                code: ErrorCode::BadJson,
                message: "a request must be a JSON object".to_owned(),
            });
        };
        let id = RequestId::of(&object)?;
        let op = match object.get("op") {
            Some(Value::String(op)) => op.as_str(),
            other => {
                let wrong = wrong_field("op", other, "a string");
                let message = format!("{wrong}; write one of {OPS}");
                return Err(id.error(ErrorCode::MissingField, message));
            }
        };
        match op {
            "subscribe" => Ok(Self::Subscribe(
                id.clone(),
                topics(&id, &object, topic_request)?,
            )),
            "unsubscribe" => Ok(Self::Unsubscribe(
                id.clone(),
                topics(&id, &object, topic_text)?,
            )),
            "resync" => Ok(Self::Resync(id.clone(), topics(&id, &object, topic_text)?)),
            "list" => Ok(Self::List(id)),
            "ping" => Ok(Self::Ping(id)),
            other => {
                let other: String = other.chars().take(32).collect();
                Err(id.error(
                    ErrorCode::UnknownOp,
                    format!("unknown operation {other:?}; write one of {OPS}"),
                ))
            }
        }
    }

    /// The client's mark on it.
    pub const fn id(&self) -> &RequestId {
        match self {
            Self::Subscribe(id, _)
            | Self::Unsubscribe(id, _)
            | Self::Resync(id, _)
            | Self::List(id)
            | Self::Ping(id) => id,
        }
    }

    /// How many topics it names.
    pub const fn topics(&self) -> usize {
        match self {
            Self::Subscribe(_, topics) => topics.len(),
            Self::Unsubscribe(_, topics) | Self::Resync(_, topics) => topics.len(),
            Self::List(_) | Self::Ping(_) => 0,
        }
    }

    /// The operation's name, for metrics.
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Subscribe(..) => "subscribe",
            Self::Unsubscribe(..) => "unsubscribe",
            Self::Resync(..) => "resync",
            Self::List(_) => "list",
            Self::Ping(_) => "ping",
        }
    }
}

/// The names [`Request::op`] gives.
pub const OP_LABELS: [&str; 5] = ["subscribe", "unsubscribe", "resync", "list", "ping"];

/// Reads the list of topics. An entry that is no topic at all is kept as its JSON text, to be refused
/// by itself: the others may be good.
fn topics<T>(
    id: &RequestId,
    object: &Map<String, Value>,
    read: fn(&Value) -> T,
) -> Result<Vec<T>, RequestError> {
    match object.get("topics") {
        Some(Value::Array(items)) => Ok(items.iter().map(read).collect()),
        other => {
            let wrong = wrong_field("topics", other, "a list");
            let message = format!("{wrong}; write a list of topics, for example [{EXAMPLE:?}]");
            Err(id.error(ErrorCode::MissingField, message))
        }
    }
}

/// Says that a field is not there, or is something else than it must be.
fn wrong_field(name: &str, found: Option<&Value>, should: &str) -> String {
    match found {
        None | Some(Value::Null) => format!("{name:?} is missing"),
        Some(_) => format!("{name:?} must be {should}"),
    }
}

fn topic_request(value: &Value) -> TopicRequest {
    read_topic(value).unwrap_or_else(|| TopicRequest {
        topic: value.to_string(),
        after: None,
    })
}

fn read_topic(value: &Value) -> Option<TopicRequest> {
    if let Value::String(topic) = value {
        return Some(TopicRequest {
            topic: topic.clone(),
            after: None,
        });
    }
    let topic = value.get("topic")?.as_str()?.to_owned();
    let after = match (value.get("epoch"), value.get("seq")) {
        (None, None) => None,
        (epoch, seq) => Some(StreamPos {
            epoch: Epoch::new(epoch?.as_u64()?),
            seq: Seq::new(seq?.as_u64()?),
        }),
    };
    Some(TopicRequest { topic, after })
}

fn topic_text(value: &Value) -> String {
    topic_request(value).topic
}

/// serde_json's message in plain words, with the byte instead of line and column.
fn describe(error: &serde_json::Error, text: &[u8]) -> String {
    if text.trim_ascii().is_empty() {
        return "the request is empty; a request must be a JSON object".to_owned();
    }
    let full = error.to_string();
    let what = full.split(" at line ").next().unwrap_or("not JSON");
    let what = match what.strip_prefix("EOF while parsing ") {
        Some("a value") => "the text ends where a value must be",
        Some("a string") => "the text ends within a string",
        Some("a list") => "the text ends within a list",
        Some("an object") => "the text ends within an object",
        Some(_) => "the text ends too early",
        None => what,
    };
    let line_start = text
        .split_inclusive(|&b| b == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    format!(
        "{what} at byte {}",
        line_start + error.column().saturating_sub(1)
    )
}

// === impl RequestId ===

impl RequestId {
    fn of(object: &Map<String, Value>) -> Result<Self, RequestError> {
        match object.get("id") {
            None | Some(Value::Null) => Ok(Self(None)),
            Some(Value::String(id)) if id.len() <= ID_BYTES_MAX => {
                Ok(Self(Some(Value::from(id.as_str()).to_string().into())))
            }
            // What is beyond 64 bits has become a float, and would not come back as it was.
            Some(Value::Number(id)) if !id.is_f64() => Ok(Self(Some(id.to_string().into()))),
            Some(_) => Err(RequestError {
                id: Self(None),
                code: ErrorCode::MissingField,
                message: format!(
                    "\"id\" must be an integer from -2^63 to 2^64-1 or a string of at most \
                     {ID_BYTES_MAX} bytes"
                ),
            }),
        }
    }

    /// Its JSON text, ready to be sent back; none if the request had none.
    pub fn as_json(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// An error that answers this request.
    pub fn error(&self, code: ErrorCode, message: String) -> RequestError {
        RequestError {
            id: self.clone(),
            code,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(text: &str) -> (ErrorCode, Option<String>, String) {
        let error = Request::parse(text.as_bytes()).unwrap_err();
        (
            error.code,
            error.id.as_json().map(str::to_owned),
            error.message,
        )
    }

    #[test]
    fn requests_as_documented() {
        let parse = |text: &str| Request::parse(text.as_bytes()).unwrap();
        let id = |text: &str| RequestId(Some(text.into()));
        assert_eq!(
            parse(
                r#"{"op":"subscribe","id":1,"topics":["trade:binance:BTC-USDT",{"topic":"a","epoch":412,"seq":7}]}"#
            ),
            Request::Subscribe(
                id("1"),
                vec![
                    TopicRequest {
                        topic: "trade:binance:BTC-USDT".into(),
                        after: None
                    },
                    TopicRequest {
                        topic: "a".into(),
                        after: Some(StreamPos {
                            epoch: Epoch::new(412),
                            seq: Seq::new(7)
                        }),
                    },
                ],
            )
        );
        assert_eq!(
            parse(r#"{"op":"unsubscribe","id":"x\"y","topics":["t"],"later":{}}"#),
            Request::Unsubscribe(id(r#""x\"y""#), vec!["t".into()])
        );
        assert_eq!(parse(r#"{"op":"list"}"#), Request::List(RequestId(None)));
        assert_eq!(
            parse(r#"{"op":"ping","id":18446744073709551615}"#),
            Request::Ping(id("18446744073709551615"))
        );
        assert_eq!(
            parse(r#"{"op":"resync","id":-6,"topics":[]}"#),
            Request::Resync(id("-6"), vec![])
        );
    }

    #[test]
    fn errors_name_the_place() {
        assert_eq!(
            refusal(r#"{"op":"subscribe" "id":1}"#),
            (
                ErrorCode::BadJson,
                None,
                "expected `,` or `}` at byte 18".into()
            )
        );
        assert_eq!(refusal("{\n\n\"op\" 1}").2, "expected `:` at byte 8");
        for (text, message) in [
            ("", "the request is empty; a request must be a JSON object"),
            (
                "\n ",
                "the request is empty; a request must be a JSON object",
            ),
            (r#"{"op":"#, "the text ends where a value must be at byte 5"),
            (r#"{"op":"pi"#, "the text ends within a string at byte 8"),
            (r#"{"topics":[1"#, "the text ends within a list at byte 11"),
            (
                r#"{"op":"ping""#,
                "the text ends within an object at byte 11",
            ),
            (
                r#"{"op":5}"#,
                "\"op\" must be a string; write one of subscribe, unsubscribe, resync, list, ping",
            ),
            (
                r#"{"op":null}"#,
                "\"op\" is missing; write one of subscribe, unsubscribe, resync, list, ping",
            ),
            (
                r#"{"op":"resync"}"#,
                "\"topics\" is missing; write a list of topics, for example [\"trade:sim:BTC-USD\"]",
            ),
            (
                r#"{"op":"resync","topics":"a"}"#,
                "\"topics\" must be a list; write a list of topics, for example [\"trade:sim:BTC-USD\"]",
            ),
        ] {
            assert_eq!(refusal(text).2, message, "{text}");
        }
        assert_eq!(refusal("[]").0, ErrorCode::BadJson);
        assert_eq!(refusal("\u{1}").0, ErrorCode::BadJson);
        assert_eq!(refusal(r#"{"id":4}"#).0, ErrorCode::MissingField);
        let (code, id, message) = refusal(r#"{"op":"sub","id":9}"#);
        assert_eq!((code, id.as_deref()), (ErrorCode::UnknownOp, Some("9")));
        assert!(
            message.contains("\"sub\"") && message.contains("subscribe"),
            "{message}"
        );
        assert_eq!(
            refusal(r#"{"op":"subscribe","topics":"a"}"#).0,
            ErrorCode::MissingField
        );
        assert_eq!(
            refusal(r#"{"op":"ping","id":1.5}"#).0,
            ErrorCode::MissingField
        );
    }

    #[test]
    fn ids_are_exact_or_refused_by_name_and_the_last_of_a_doubled_key_counts() {
        let id = |text: &str| {
            let request = format!(r#"{{"op":"ping","id":{text}}}"#);
            let parsed = Request::parse(request.as_bytes());
            parsed.map(|request| request.id().as_json().unwrap().to_owned())
        };
        let longest = format!("\"{}\"", "x".repeat(64));
        for exact in [
            "18446744073709551615",
            "-9223372036854775808",
            &longest,
            "0",
        ] {
            assert_eq!(id(exact).unwrap(), exact);
        }
        let too_long = format!("\"{}\"", "x".repeat(65));
        let beyond = [
            "18446744073709551616",
            "-9223372036854775809",
            "1.5",
            "1e3",
            "[]",
        ];
        for refused in beyond.into_iter().chain([too_long.as_str()]) {
            let error = id(refused).unwrap_err();
            assert_eq!(error.code, ErrorCode::MissingField, "{refused}");
            assert!(error.message.contains("\"id\""), "{}", error.message);
        }
        let doubled = concat!(
            r#"{"op":"list","op":"unsubscribe","id":1,"topics":["a"],"id":2,"#,
            r#""topics":[{"topic":"b","topic":"c"}]}"#
        );
        assert_eq!(
            Request::parse(doubled.as_bytes()).unwrap(),
            Request::Unsubscribe(RequestId(Some("2".into())), vec!["c".into()])
        );
    }

    #[test]
    fn an_entry_that_is_no_topic_is_kept_to_be_refused_by_itself() {
        let text = r#"{"op":"subscribe","topics":["a",5,{"topic":"b","epoch":1}]}"#;
        let Ok(Request::Subscribe(_, topics)) = Request::parse(text.as_bytes()) else {
            panic!("a request");
        };
        let texts: Vec<_> = topics.iter().map(|t| t.topic.as_str()).collect();
        assert_eq!(texts, ["a", "5", r#"{"epoch":1,"topic":"b"}"#]);
    }

    proptest! {
        #[test]
        fn no_message_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn deep_nesting_is_an_error_not_a_crash(depth in 0_usize..8_000) {
            let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            prop_assert!(Request::parse(text.as_bytes()).is_err());
        }
    }
}
