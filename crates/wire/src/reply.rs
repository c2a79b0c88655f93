//! Answers and other control messages of the server, always JSON text.
//!
//! They are made per client and never on the path of a data frame. Each function returns the JSON text;
//! [`crate::frame`] makes it a frame.

use crate::code::ErrorCode;
use crate::json::write_text;
use crate::request::{RequestError, RequestId};
use std::io::Write as _;
use tapecast_model::{Epoch, Scale, Seq, StreamPos, UnixNanos};

/// What is in force for a connection.
#[derive(Clone, Debug)]
pub struct Welcome<'a> {
    /// The connection's name in logs and on the admin listener.
    pub connection: u64,
    /// This process's name.
    pub node: &'a str,
    /// The time.
    pub now: UnixNanos,
    /// A heartbeat comes so often.
    pub heartbeat_ms: u64,
    /// A client that says nothing for so long is closed.
    pub idle_timeout_ms: u64,
    /// Topics a connection may have.
    pub topics: usize,
    /// Requests a second a connection may make.
    pub requests_per_s: u32,
    /// Frames per second that a connection may send in addition to its requests.
    pub messages_per_s: u32,
    /// The largest request.
    pub request_bytes: usize,
    /// What may be queued for a connection.
    pub outbox_bytes: usize,
}

/// A topic that was acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged<'a> {
    /// Its text.
    pub topic: &'a str,
    /// Where the topic starts for this client.
    pub pos: StreamPos,
    /// How it starts.
    pub start: Start,
    /// Digits after the point of its prices.
    pub price_scale: Scale,
    /// Digits after the point of its quantities.
    pub qty_scale: Scale,
    /// Its number in binary frames.
    pub tid: u32,
}

/// How a topic starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// A snapshot follows.
    Snapshot,
    /// Nothing is known yet.
    Nothing,
}

/// A topic that was refused.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The text as the client wrote it.
    pub topic: String,
    /// Why.
    pub code: ErrorCode,
    /// Why, in words.
    pub message: String,
}

/// A position that a client wanted to resume from and could not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotResumed {
    /// The events after it are no longer kept.
    TooOld,
    /// It belongs to another life of the stream.
    Epoch,
}

/// The first message of a connection.
pub fn welcome(w: &Welcome<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(300);
    let _ = write!(
        out,
        "{{\"op\":\"welcome\",\"protocol\":\"{}\",\"connection\":\"{:08x}\",\"node\":",
        crate::PROTOCOL,
        w.connection
    );
    write_text(&mut out, w.node);
    let _ = write!(
        out,
        ",\"now\":\"{}\",\"heartbeat_ms\":{},\"idle_timeout_ms\":{},\"limits\":{{\"topics\":{},\
         \"requests_per_s\":{},\"messages_per_s\":{},\"request_bytes\":{},\"outbox_bytes\":{}}}}}",
        w.now.get(),
        w.heartbeat_ms,
        w.idle_timeout_ms,
        w.topics,
        w.requests_per_s,
        w.messages_per_s,
        w.request_bytes,
        w.outbox_bytes
    );
    out
}

/// Acknowledges a subscription, topic by topic.
pub fn subscribed<'a>(
    id: &RequestId,
    topics: impl Iterator<Item = (Acknowledged<'a>, Option<NotResumed>)>,
    rejected: &[Rejected],
) -> Vec<u8> {
    let mut out = open("subscribed", id);
    out.extend_from_slice(b",\"topics\":[");
    for (index, (topic, not_resumed)) in topics.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let reason = not_resumed.map(|why| match why {
            NotResumed::TooOld => "too_old",
            NotResumed::Epoch => "epoch",
        });
        write_acknowledged(&mut out, &topic, reason);
    }
    out.push(b']');
    write_rejected(&mut out, rejected);
    out.push(b'}');
    out
}

/// Says that a topic begins again with another number and other scales: an acknowledgement that nobody asked
/// for, without an id. Identical for every client.
pub fn subscribed_anew(topic: &Acknowledged<'_>) -> Vec<u8> {
    let mut out = b"{\"op\":\"subscribed\",\"topics\":[".to_vec();
    write_acknowledged(&mut out, topic, Some("scale"));
    out.extend_from_slice(b"]}");
    out
}

fn write_acknowledged(out: &mut Vec<u8>, topic: &Acknowledged<'_>, reason: Option<&str>) {
    out.extend_from_slice(b"{\"topic\":");
    write_text(out, topic.topic);
    let start = match topic.start {
        Start::Snapshot => "snapshot",
        Start::Nothing => "none",
    };
    let _ = write!(
        out,
        ",\"epoch\":{},\"seq\":{},\"start\":\"{start}\"",
        topic.pos.epoch, topic.pos.seq
    );
    if let Some(reason) = reason {
        let _ = write!(out, ",\"reason\":\"{reason}\"");
    }
    let _ = write!(
        out,
        ",\"price_scale\":{},\"qty_scale\":{},\"tid\":{}}}",
        topic.price_scale, topic.qty_scale, topic.tid
    );
}

/// Acknowledges the end of subscriptions.
pub fn unsubscribed(id: &RequestId, topics: &[String], rejected: &[Rejected]) -> Vec<u8> {
    let mut out = open("unsubscribed", id);
    out.extend_from_slice(b",\"topics\":[");
    for (index, topic) in topics.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(&mut out, topic);
    }
    out.push(b']');
    write_rejected(&mut out, rejected);
    out.push(b'}');
    out
}

/// Answers `list`.
pub fn subscriptions<'a>(
    id: &RequestId,
    topics: impl Iterator<Item = (&'a str, StreamPos)>,
) -> Vec<u8> {
    let mut out = open("subscriptions", id);
    out.extend_from_slice(b",\"topics\":[");
    for (index, (topic, pos)) in topics.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"topic\":");
        write_text(&mut out, topic);
        let _ = write!(out, ",\"epoch\":{},\"seq\":{}}}", pos.epoch, pos.seq);
    }
    out.extend_from_slice(b"]}");
    out
}

/// Answers `ping`.
pub fn pong(id: &RequestId, now: UnixNanos) -> Vec<u8> {
    let mut out = open("pong", id);
    let _ = write!(out, ",\"now\":\"{}\"}}", now.get());
    out
}

/// Answers what cannot be understood or done.
pub fn error(error: &RequestError) -> Vec<u8> {
    let mut out = open("error", &error.id);
    let _ = write!(out, ",\"error\":\"{}\",\"message\":", error.code.label());
    write_text(&mut out, &error.message);
    out.push(b'}');
    out
}

/// A notice that events of a topic were lost. Identical for every client that lost the same.
#[derive(Clone, Copy, Debug)]
pub struct Gap<'a> {
    /// Its text.
    pub topic: &'a str,
    /// The stream's life.
    pub epoch: Epoch,
    /// The first event that is lost.
    pub from: Seq,
    /// The last one.
    pub to: Seq,
    /// Why.
    pub cause: GapCause,
    /// Some of them never came here: said where that is not the cause.
    pub upstream: bool,
}

/// Why events were lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GapCause {
    /// The client did not read.
    SlowConsumer,
    /// The gateway fell behind.
    ServerOverload,
    /// They never came here: lost at the venue, on the way, or because they could not be read.
    Upstream,
}

impl GapCause {
    /// The name in notices.
    pub const fn label(self) -> &'static str {
        match self {
            Self::SlowConsumer => "slow_consumer",
            Self::ServerOverload => "server_overload",
            Self::Upstream => "upstream",
        }
    }
}

/// Says that events of a topic were lost.
pub fn write_gap(out: &mut Vec<u8>, gap: &Gap<'_>) {
    let Gap {
        topic,
        epoch,
        from,
        to,
        cause,
        upstream,
    } = *gap;
    out.extend_from_slice(b"{\"op\":\"gap\",\"topic\":");
    write_text(out, topic);
    let reason = cause.label();
    let _ = write!(
        out,
        ",\"epoch\":{epoch},\"from\":{from},\"to\":{to},\"reason\":\"{reason}\""
    );
    if upstream && cause != GapCause::Upstream {
        out.extend_from_slice(b",\"upstream\":true");
    }
    out.push(b'}');
}

/// Says that the server is alive, and which topics were silent since the last heartbeat.
pub fn heartbeat<'a>(
    now: UnixNanos,
    silent: impl Iterator<Item = (&'a str, StreamPos)>,
    queued_bytes: usize,
    lag_ms: u64,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let _ = write!(
        out,
        "{{\"op\":\"heartbeat\",\"now\":\"{}\",\"topics\":[",
        now.get()
    );
    for (index, (topic, pos)) in silent.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'[');
        write_text(&mut out, topic);
        let _ = write!(out, ",{},{}]", pos.epoch, pos.seq);
    }
    let _ = write!(
        out,
        "],\"queued_bytes\":{queued_bytes},\"lag_ms\":{lag_ms}}}"
    );
    out
}

/// Says why the connection is about to be closed.
pub fn bye(code: ErrorCode, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(100);
    let _ = write!(
        out,
        "{{\"op\":\"bye\",\"error\":\"{}\",\"message\":",
        code.label()
    );
    write_text(&mut out, message);
    out.push(b'}');
    out
}

fn open(op: &str, id: &RequestId) -> Vec<u8> {
    let mut out = Vec::with_capacity(200);
    let _ = write!(out, "{{\"op\":\"{op}\"");
    if let Some(id) = id.as_json() {
        let _ = write!(out, ",\"id\":{id}");
    }
    out
}

fn write_rejected(out: &mut Vec<u8>, rejected: &[Rejected]) {
    out.extend_from_slice(b",\"rejected\":[");
    for (index, refusal) in rejected.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"topic\":");
        write_text(out, &refusal.topic);
        let _ = write!(out, ",\"error\":\"{}\",\"message\":", refusal.code.label());
        write_text(out, &refusal.message);
        out.push(b'}');
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Request;

    fn text(bytes: Vec<u8>) -> String {
        let text = String::from_utf8(bytes).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    fn id(request: &str) -> RequestId {
        match Request::parse(request.as_bytes()).unwrap() {
            Request::Ping(id) => id,
            other => panic!("{other:?}"),
        }
    }

    fn pos(epoch: u64, seq: u64) -> StreamPos {
        StreamPos {
            epoch: Epoch::new(epoch),
            seq: Seq::new(seq),
        }
    }

    #[test]
    fn control_messages_as_documented() {
        let welcome = welcome(&Welcome {
            connection: 0x7f3a_91c2,
            node: "edge-2",
            now: UnixNanos::new(1_786_309_548_228_568_804),
            heartbeat_ms: 1000,
            idle_timeout_ms: 30_000,
            topics: 1024,
            requests_per_s: 20,
            messages_per_s: 500,
            request_bytes: 16_384,
            outbox_bytes: 4_194_304,
        });
        assert_eq!(
            text(welcome),
            r#"{"op":"welcome","protocol":"tapecast.v1","connection":"7f3a91c2","node":"edge-2","now":"1786309548228568804","heartbeat_ms":1000,"idle_timeout_ms":30000,"limits":{"topics":1024,"requests_per_s":20,"messages_per_s":500,"request_bytes":16384,"outbox_bytes":4194304}}"#
        );
        let ping = id(r#"{"op":"ping","id":7}"#);
        assert_eq!(
            text(pong(&ping, UnixNanos::new(5))),
            r#"{"op":"pong","id":7,"now":"5"}"#
        );
        let unknown = ping.error(ErrorCode::BadTopic, "a \"b\"".into());
        assert_eq!(
            text(error(&unknown)),
            r#"{"op":"error","id":7,"error":"bad_topic","message":"a \"b\""}"#
        );
        let gap = |cause, upstream| {
            let mut out = Vec::new();
            let gap = Gap {
                topic: "trade:binance:BTC-USDT",
                epoch: Epoch::new(412),
                from: Seq::new(88_122),
                to: Seq::new(91_500),
                cause,
                upstream,
            };
            write_gap(&mut out, &gap);
            text(out)
        };
        assert_eq!(
            gap(GapCause::SlowConsumer, false),
            r#"{"op":"gap","topic":"trade:binance:BTC-USDT","epoch":412,"from":88122,"to":91500,"reason":"slow_consumer"}"#
        );
        assert_eq!(
            gap(GapCause::ServerOverload, true),
            r#"{"op":"gap","topic":"trade:binance:BTC-USDT","epoch":412,"from":88122,"to":91500,"reason":"server_overload","upstream":true}"#
        );
        assert_eq!(
            gap(GapCause::Upstream, true),
            r#"{"op":"gap","topic":"trade:binance:BTC-USDT","epoch":412,"from":88122,"to":91500,"reason":"upstream"}"#
        );
        assert_eq!(
            text(heartbeat(
                UnixNanos::new(9),
                [("quote:kraken:BTC-USD", pos(412, 51_219))].into_iter(),
                0,
                3
            )),
            r#"{"op":"heartbeat","now":"9","topics":[["quote:kraken:BTC-USD",412,51219]],"queued_bytes":0,"lag_ms":3}"#
        );
        assert_eq!(
            text(bye(ErrorCode::SlowConsumer, "queue full")),
            r#"{"op":"bye","error":"slow_consumer","message":"queue full"}"#
        );
    }

    #[test]
    fn acknowledgements_name_each_topic() {
        let scale = |digits| Scale::new(digits).unwrap();
        let accepted = Acknowledged {
            topic: "trade:binance:BTC-USDT",
            pos: pos(412, 88_120),
            start: Start::Snapshot,
            price_scale: scale(2),
            qty_scale: scale(8),
            tid: 3,
        };
        let refused = Rejected {
            topic: "book.26:coinbase:BTC-USD".into(),
            code: ErrorCode::DepthNotOffered,
            message: "no".into(),
        };
        let one = id(r#"{"op":"ping","id":1}"#);
        assert_eq!(
            text(subscribed(
                &one,
                [(accepted, Some(NotResumed::TooOld))].into_iter(),
                &[refused]
            )),
            concat!(
                r#"{"op":"subscribed","id":1,"topics":[{"topic":"trade:binance:BTC-USDT","epoch":412,"seq":88120,"#,
                r#""start":"snapshot","reason":"too_old","price_scale":2,"qty_scale":8,"tid":3}],"#,
                r#""rejected":[{"topic":"book.26:coinbase:BTC-USD","error":"depth_not_offered","message":"no"}]}"#
            )
        );
        let none = id(r#"{"op":"ping"}"#);
        assert_eq!(
            text(unsubscribed(&none, &["a".into()], &[])),
            r#"{"op":"unsubscribed","topics":["a"],"rejected":[]}"#
        );
        assert_eq!(
            text(subscriptions(
                &one,
                [("a", pos(1, 2)), ("b", pos(3, 4))].into_iter()
            )),
            r#"{"op":"subscriptions","id":1,"topics":[{"topic":"a","epoch":1,"seq":2},{"topic":"b","epoch":3,"seq":4}]}"#
        );
    }
}
