//! Control messages: all messages of the server that are not frames of a topic.
//!
//! Every field that a message can do without has a default, so that messages with fewer fields are
//! understood.

use super::nanos;
use serde::Deserialize;

/// The first message of a connection.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Welcome {
    /// `tapecast.v1`.
    pub protocol: String,
    /// The server's name for this connection.
    #[serde(default)]
    pub connection: String,
    /// Which server of a cluster this is.
    #[serde(default)]
    pub node: String,
    /// Milliseconds between heartbeats; zero if there are none.
    #[serde(default)]
    pub heartbeat_ms: u64,
    /// A client silent for so many milliseconds is closed.
    #[serde(default)]
    pub idle_timeout_ms: u64,
    /// What a connection may ask for.
    #[serde(default)]
    pub limits: Limits,
}

/// What a connection may ask for. Zero where the server does not say.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Limits {
    /// Topics subscribed at once.
    pub topics: usize,
    /// Requests a second.
    pub requests_per_s: u32,
    /// Frames per second that are not requests.
    pub messages_per_s: u32,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// Bytes queued for this client before it is closed.
    pub outbox_bytes: u64,
}

/// The answer to `subscribe`: each topic on its own.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Subscribed {
    /// The request's id; none for topics that begin anew with other scales, and those that a pattern brings.
    pub id: Option<u64>,
    /// What is subscribed now.
    pub topics: Vec<SubscribedTopic>,
    /// What is not, and why.
    pub rejected: Vec<Rejection>,
}

/// One topic of an acknowledgement.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct SubscribedTopic {
    /// The topic.
    pub topic: String,
    /// The life of its stream.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// The position its first frames build on.
    #[serde(default)]
    pub seq: Option<u64>,
    /// `snapshot`, `replay` or `none`.
    #[serde(default)]
    pub start: Option<String>,
    /// With `replay`: how many events follow.
    #[serde(default)]
    pub missed: Option<u64>,
    /// Why a resume failed: `too_old` or `epoch`. Or why the topic begins anew: `scale`.
    #[serde(default)]
    pub reason: Option<String>,
    /// Digits after the point of prices.
    #[serde(default)]
    pub price_scale: Option<u8>,
    /// Digits after the point of quantities.
    #[serde(default)]
    pub qty_scale: Option<u8>,
    /// The topic's number in binary frames.
    #[serde(default)]
    pub tid: Option<u32>,
}

/// A topic that was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Rejection {
    /// The topic as it was asked for.
    #[serde(default)]
    pub topic: String,
    /// The reason, one of the protocol's `error` values.
    pub error: String,
    /// The reason in words.
    #[serde(default)]
    pub message: String,
}

/// The answer to `unsubscribe`: no frame of these topics follows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Unsubscribed {
    /// The request's id.
    pub id: Option<u64>,
    /// What was unsubscribed.
    pub topics: Vec<String>,
    /// What was not, and why.
    pub rejected: Vec<Rejection>,
}

/// The answer to `list`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Subscriptions {
    /// The request's id.
    pub id: Option<u64>,
    /// The subscribed topics and their positions.
    pub topics: Vec<SubscribedTopic>,
}

/// The answer to `ping`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Pong {
    /// The request's id.
    pub id: Option<u64>,
    /// The server's clock, in nanoseconds since the epoch.
    #[serde(deserialize_with = "nanos")]
    pub now: Option<u64>,
}

/// A request was refused.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Refusal {
    /// The request's id, where it could be read.
    pub id: Option<u64>,
    /// The reason, one of the protocol's `error` values.
    pub error: String,
    /// The reason in words.
    pub message: String,
}

/// Events of a topic that will not come.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Gap {
    /// The topic.
    pub topic: String,
    /// The life of its stream.
    pub epoch: u64,
    /// The first event lost.
    pub from: u64,
    /// The last event lost: the `prev` of the topic's next frame.
    pub to: u64,
    /// Why: `slow_consumer`, `server_overload`, or `upstream`: they never came to the gateway.
    #[serde(default)]
    pub reason: String,
    /// Some of them never came to the gateway, independent of `reason`.
    #[serde(default)]
    pub upstream: bool,
}

/// A sign of life.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Heartbeat {
    /// The server's clock, in nanoseconds since the epoch.
    #[serde(deserialize_with = "nanos")]
    pub now: Option<u64>,
    /// Topics that were silent since the last heartbeat: name, epoch, and the `seq` of the last frame
    /// queued to this client.
    pub topics: Vec<(String, u64, u64)>,
    /// Bytes queued for this client.
    pub queued_bytes: u64,
    /// How old the oldest of them is.
    pub lag_ms: u64,
}

/// The server is about to close.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Drain {
    /// When, from now.
    pub in_ms: u64,
    /// Come back no earlier than this after the close.
    pub retry_min_ms: u64,
    /// And no later.
    pub retry_max_ms: u64,
}

/// Why the connection is about to be closed.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Bye {
    /// The reason, one of the protocol's `error` values.
    pub error: String,
    /// The reason in words.
    pub message: String,
}
