//! The names of errors in messages, and the codes with which connections are closed.

/// The closed set of `error` values.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The message is not JSON, or not an object.
    BadJson,
    /// There is no such operation.
    UnknownOp,
    /// A field is missing or of the wrong type.
    MissingField,
    /// The text is no topic.
    BadTopic,
    /// There is no such venue or symbol.
    UnknownSymbol,
    /// The venue does not offer the channel.
    ChannelNotOffered,
    /// The depth is not offered.
    DepthNotOffered,
    /// The interval is not offered.
    IntervalNotOffered,
    /// The topic is not subscribed by this client.
    NotSubscribed,
    /// More requests than allowed.
    TooManyRequests,
    /// More topics than allowed.
    TooManyTopics,
    /// The message is larger than allowed.
    TooLarge,
    /// The client does not read.
    SlowConsumer,
    /// The client says nothing.
    Idle,
    /// The server is going away.
    Draining,
    /// Our fault.
    Internal,
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CloseReason {
    /// The client asked for it.
    Client,
    /// The connection is gone without a closing handshake.
    Gone,
    /// The server is going away.
    Drain,
    /// The client broke the WebSocket protocol.
    Protocol,
    /// The client sent a kind of message that is not taken.
    Unsupported,
    /// The client sent text that is not UTF-8.
    NotUtf8,
    /// The client sent a message larger than allowed.
    TooLarge,
    /// Our fault.
    Internal,
    /// Nothing has come from the client for too long.
    Idle,
    /// The client does not read what it subscribed to.
    SlowConsumer,
    /// The client asks too much.
    RequestRate,
}

impl ErrorCode {
    /// All errors, in order of [`ErrorCode::index`].
    pub const ALL: [Self; 16] = [
        Self::BadJson,
        Self::UnknownOp,
        Self::MissingField,
        Self::BadTopic,
        Self::UnknownSymbol,
        Self::ChannelNotOffered,
        Self::DepthNotOffered,
        Self::IntervalNotOffered,
        Self::NotSubscribed,
        Self::TooManyRequests,
        Self::TooManyTopics,
        Self::TooLarge,
        Self::SlowConsumer,
        Self::Idle,
        Self::Draining,
        Self::Internal,
    ];

    /// A dense index, below [`ErrorCode::ALL`]'s length.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in messages and metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::UnknownOp => "unknown_op",
            Self::MissingField => "missing_field",
            Self::BadTopic => "bad_topic",
            Self::UnknownSymbol => "unknown_symbol",
            Self::ChannelNotOffered => "channel_not_offered",
            Self::DepthNotOffered => "depth_not_offered",
            Self::IntervalNotOffered => "interval_not_offered",
            Self::NotSubscribed => "not_subscribed",
            Self::TooManyRequests => "too_many_requests",
            Self::TooManyTopics => "too_many_topics",
            Self::TooLarge => "too_large",
            Self::SlowConsumer => "slow_consumer",
            Self::Idle => "idle",
            Self::Draining => "draining",
            Self::Internal => "internal",
        }
    }
}

impl CloseReason {
    /// All reasons, in order of [`CloseReason::index`].
    pub const ALL: [Self; 11] = [
        Self::Client,
        Self::Gone,
        Self::Drain,
        Self::Protocol,
        Self::Unsupported,
        Self::NotUtf8,
        Self::TooLarge,
        Self::Internal,
        Self::Idle,
        Self::SlowConsumer,
        Self::RequestRate,
    ];

    /// A dense index, below [`CloseReason::ALL`]'s length.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The close code on the wire.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Client | Self::Gone => 1000,
            Self::Drain => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::NotUtf8 => 1007,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Idle => 4008,
            Self::SlowConsumer => 4013,
            Self::RequestRate => 4029,
        }
    }

    /// The error that a `bye` names before the close; none if no client can read it.
    pub const fn error(self) -> Option<ErrorCode> {
        match self {
            Self::Client | Self::Gone => None,
            // The closed set of errors has no nearer name for what cannot be read at all.
            Self::Protocol | Self::Unsupported | Self::NotUtf8 => Some(ErrorCode::BadJson),
            Self::Drain => Some(ErrorCode::Draining),
            Self::TooLarge => Some(ErrorCode::TooLarge),
            Self::Internal => Some(ErrorCode::Internal),
            Self::Idle => Some(ErrorCode::Idle),
            Self::SlowConsumer => Some(ErrorCode::SlowConsumer),
            Self::RequestRate => Some(ErrorCode::TooManyRequests),
        }
    }

    /// The name in metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gone => "gone",
            Self::Drain => "drain",
            Self::Protocol => "protocol",
            Self::Unsupported => "unsupported",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
            Self::Idle => "idle",
            Self::SlowConsumer => "slow_consumer",
            Self::RequestRate => "request_rate",
        }
    }
}
