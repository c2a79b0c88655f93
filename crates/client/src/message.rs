//! Messages of the server, typed.
//!
//! A [`Message`] keeps the received text and its meaning. Decimals stay text, exactly as sent; unknown
//! fields are ignored, and so are whole messages with an unknown `op` ([`MessageKind::Unknown`]), so that
//! a newer server causes no error. A message that is not a JSON object, or has no field that every
//! message of its kind has, is a [`MessageError`]; the connection stays usable.

use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::sync::OnceLock;
use tapecast_wire::binary::BinaryError;
use tokio_tungstenite::tungstenite::Utf8Bytes;

mod control;
mod frame;
pub(crate) mod origin;

pub use control::{
    Bye, Drain, Gap, Heartbeat, Limits, Pong, Refusal, Rejection, Subscribed, SubscribedTopic,
    Subscriptions, Unsubscribed, Welcome,
};
pub use frame::{
    Bar, Body, BookLevels, ChannelHealth, DataFrame, Definition, FrameType, Level, Quote, Status,
    Ticker, Trade,
};
use origin::Origin;

/// A message as it came and what it says.
#[derive(Clone, Debug)]
pub struct Message {
    source: Source,
    kind: MessageKind,
}

/// How a message came.
#[derive(Clone, Debug)]
enum Source {
    Text(Utf8Bytes),
    /// The text is made when it is first asked for.
    Binary(Box<(Origin, OnceLock<String>)>),
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageKind {
    /// The first message of a connection: what is in force.
    Welcome(Welcome),
    /// The answer to `subscribe`, and the notice of topics a pattern brings.
    Subscribed(Subscribed),
    /// The answer to `unsubscribe`.
    Unsubscribed(Unsubscribed),
    /// The answer to `list`.
    Subscriptions(Subscriptions),
    /// The answer to `ping`.
    Pong(Pong),
    /// A request was refused.
    Error(Refusal),
    /// Events of a topic were lost and will not come.
    Gap(Gap),
    /// A sign of life, with the positions of topics that were silent.
    Heartbeat(Heartbeat),
    /// The server is about to close: come back later, elsewhere.
    Drain(Drain),
    /// Why the connection is about to be closed.
    Bye(Bye),
    /// A frame of a topic.
    Data(Box<DataFrame>),
    /// A control message this SDK does not know, by its `op`.
    Unknown(String),
}

/// Why a text, or a binary frame, is not a message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// It is no JSON, or a field is missing or of the wrong type.
    #[error("cannot read a message: {0}")]
    Json(#[from] serde_json::Error),
    /// It is no object, or has neither `op` nor `topic`.
    #[error("the message is not an object with \"op\" or \"topic\"")]
    Shapeless,
    /// A record of a binary frame that cannot be read.
    #[error("cannot read a record: {0}")]
    Binary(#[from] BinaryError),
    /// A record of a binary frame that names no topic that was acknowledged.
    #[error("a record has the tid {0}, which no acknowledgement has named")]
    UnknownTopic(u32),
}

/// What every message begins with: enough to know what it is.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, default)]
    op: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
}

// === impl Message ===

impl Message {
    /// Reads one message.
    ///
    /// # Errors
    /// If the text is not a JSON object of the protocol.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        Self::from_frame(Utf8Bytes::from(text))
    }

    pub(crate) fn from_frame(text: Utf8Bytes) -> Result<Self, MessageError> {
        let kind = MessageKind::parse(text.as_str())?;
        let source = Source::Text(text);
        Ok(Self { source, kind })
    }

    pub(crate) fn from_binary(origin: Origin, frame: DataFrame) -> Self {
        Self {
            source: Source::Binary(Box::new((origin, OnceLock::new()))),
            kind: MessageKind::Data(Box::new(frame)),
        }
    }

    /// The text as it came; of a binary frame, what it would be as JSON.
    pub fn text(&self) -> &str {
        match &self.source {
            Source::Text(text) => text.as_str(),
            Source::Binary(binary) => {
                let (origin, text) = &**binary;
                text.get_or_init(|| origin.text())
            }
        }
    }

    /// What it says.
    pub fn kind(&self) -> &MessageKind {
        &self.kind
    }

    /// The frame, if it is one of a topic.
    pub fn data(&self) -> Option<&DataFrame> {
        if let MessageKind::Data(frame) = &self.kind {
            Some(frame)
        } else {
            None
        }
    }

    /// What it says, without the text.
    pub fn into_kind(self) -> MessageKind {
        self.kind
    }
}

impl PartialEq for Message {
    /// In whichever encoding they came.
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.text() == other.text()
    }
}

// === impl MessageKind ===

impl MessageKind {
    fn parse(text: &str) -> Result<Self, MessageError> {
        if !text.trim_start().starts_with('{') {
            return Err(MessageError::Shapeless);
        }
        let head: Head<'_> = serde_json::from_str(text)?;
        let Some(op) = head.op else {
            let topic = head.topic.ok_or(MessageError::Shapeless)?;
            return DataFrame::parse(text, &topic).map(|f| Self::Data(Box::new(f)));
        };
        Ok(match op.as_ref() {
            "welcome" => Self::Welcome(serde_json::from_str(text)?),
            "subscribed" => Self::Subscribed(serde_json::from_str(text)?),
            "unsubscribed" => Self::Unsubscribed(serde_json::from_str(text)?),
            "subscriptions" => Self::Subscriptions(serde_json::from_str(text)?),
            "pong" => Self::Pong(serde_json::from_str(text)?),
            "error" => Self::Error(serde_json::from_str(text)?),
            "gap" => Self::Gap(serde_json::from_str(text)?),
            "heartbeat" => Self::Heartbeat(serde_json::from_str(text)?),
            "drain" => Self::Drain(serde_json::from_str(text)?),
            "bye" => Self::Bye(serde_json::from_str(text)?),
            other => Self::Unknown(other.to_owned()),
        })
    }
}

/// Nanoseconds, sent as a string because they exceed 2^53.
fn nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text: Option<Cow<'de, str>> = Option::deserialize(deserializer)?;
    text.map(|t| t.parse().map_err(serde::de::Error::custom))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(text: &str) -> DataFrame {
        match Message::parse(text).unwrap().into_kind() {
            MessageKind::Data(frame) => *frame,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_trade_frame_keeps_its_decimals_as_text() {
        let text = r#"{"topic":"trade:binance:BTC-USDT","type":"update","epoch":412,"seq":88121,"prev":88120,"ts_recv":"1723161255512345678","ts_out":"1723161255512361002","trades":[{"id":"3735683260","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000000000000000007"}],"new":1}"#;
        let message = Message::parse(text).unwrap();
        assert_eq!(message.text(), text);
        let frame = message.data().unwrap();
        assert_eq!(
            (frame.epoch, frame.seq, frame.prev),
            (412, 88_121, Some(88_120))
        );
        assert_eq!(frame.ts_recv, Some(1_723_161_255_512_345_678));
        let Body::Trades(trades) = &frame.body else {
            panic!("{frame:?}")
        };
        assert_eq!(
            (trades[0].price.as_str(), trades[0].ts_event),
            ("61837.64", Some(7))
        );
    }

    #[test]
    fn a_snapshot_has_no_predecessor_and_may_come_in_parts() {
        let frame = data(
            r#"{"topic":"book.25:coinbase:BTC-USD@250ms","type":"snapshot","epoch":1,"seq":9,"part":[1,3],"bids":[["2","1"]],"asks":[],"checksum":7,"venue_seq":"9051"}"#,
        );
        assert!(frame.is_snapshot() && frame.is_first_part() && !frame.is_last_part());
        let Body::Book(levels) = frame.body else {
            panic!()
        };
        assert_eq!(
            levels.bids,
            [Level {
                price: "2".into(),
                qty: "1".into()
            }]
        );
        assert_eq!(
            (levels.checksum, levels.venue_seq.as_deref()),
            (Some(7), Some("9051"))
        );
    }

    #[test]
    fn every_channel_is_read() {
        let head = |topic: &str, rest: &str| {
            data(&format!(
                r#"{{"topic":"{topic}","type":"update","epoch":1,"seq":2,"prev":1,{rest}}}"#
            ))
            .body
        };
        let quote = head("quote:k:A-B", r#""bid":"1","bid_qty":"2""#);
        assert!(
            matches!(quote, Body::Quote(q) if q.bid.as_deref() == Some("1") && q.ask.is_none())
        );
        let bar =
            r#""start":"60","open":"1","high":"2","low":"1","close":"2","volume":"3","final":true"#;
        assert!(matches!(head("bar.1m:k:A-B", bar), Body::Bar(b) if b.is_final));
        let ticker = head("ticker:k:A-B", r#""last":"63707.3""#);
        assert!(matches!(ticker, Body::Ticker(t) if t.last.as_deref() == Some("63707.3")));
        let status = head("status:k:A-B", r#""feed":"stale","trading":"open""#);
        assert!(matches!(status, Body::Status(s) if s.feed == "stale" && s.channels.is_empty()));
        let instrument = head(
            "instrument:k:A-B",
            r#""native":"AB","tick":"0.1","trading":"new""#,
        );
        let Body::Definition(definition) = instrument else {
            panic!()
        };
        assert_eq!(definition.tick.as_deref(), Some("0.1"));
        assert_eq!((&*definition.trading, definition.lot), ("unknown", None));
        assert_eq!(head("later:k:A-B", r#""tick":"0.1""#), Body::Other);
    }

    #[test]
    fn a_status_says_what_is_known_of_each_channel() {
        let frame = data(
            r#"{"topic":"status:k:A-B","type":"snapshot","epoch":1,"seq":2,"feed":"stale","trading":"frozen","channels":{"book":{"feed":"stale","since":"1795237252974344959"},"later":{"feed":"odd"}}}"#,
        );
        let Body::Status(status) = frame.body else {
            panic!()
        };
        let health = |feed: &str, since| ChannelHealth {
            feed: feed.into(),
            since,
        };
        assert_eq!(status.trading, "unknown", "a word from the future");
        assert_eq!(
            status.channels.into_iter().collect::<Vec<_>>(),
            [
                (
                    "book".into(),
                    health("stale", Some(1_795_237_252_974_344_959))
                ),
                ("later".into(), health("odd", None)),
            ]
        );
    }

    #[test]
    fn control_messages_are_read() {
        let kind = |text: &str| Message::parse(text).unwrap().into_kind();
        let MessageKind::Subscribed(ack) = kind(
            r#"{"op":"subscribed","id":1,"topics":[{"topic":"t","epoch":4,"seq":8,"start":"snapshot"}],"rejected":[{"topic":"x","error":"bad_topic","message":"m"}]}"#,
        ) else {
            panic!()
        };
        assert_eq!(
            (ack.topics[0].seq, ack.rejected[0].error.as_str()),
            (Some(8), "bad_topic")
        );
        let MessageKind::Heartbeat(beat) =
            kind(r#"{"op":"heartbeat","now":"5","topics":[["quote:k:A",412,51219]],"lag_ms":3}"#)
        else {
            panic!()
        };
        assert_eq!(
            (beat.now, beat.topics[0].2, beat.lag_ms),
            (Some(5), 51_219, 3)
        );
        assert_eq!(
            kind(r#"{"op":"later"}"#),
            MessageKind::Unknown("later".into())
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in ["", "{}", "[\"welcome\"]", "nonsense"] {
            assert!(
                matches!(Message::parse(text), Err(MessageError::Shapeless)),
                "{text}"
            );
        }
        for text in [
            "{",
            "{\"op\":5}",
            r#"{"topic":"trade:a:B","type":"update"}"#,
        ] {
            assert!(
                matches!(Message::parse(text), Err(MessageError::Json(_))),
                "{text}"
            );
        }
    }
}
