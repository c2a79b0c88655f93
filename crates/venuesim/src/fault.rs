//! What goes wrong at a venue, and whether a client can notice it by the venue's rules.

/// Something that goes wrong.
///
/// Faults of a message, of a request or of a handshake wait for the next one that fits; they are *applied* when
/// it came. Other faults are applied at once. A fault that finds nothing to be applied to is counted and
/// forgotten.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fault {
    /// A connection breaks without a close frame.
    Cut,
    /// All connections break at the same moment, as for works at the venue.
    CutAll,
    /// A connection is closed with code 1000, as if all were well.
    CloseNormal,
    /// A connection is closed with code 1008.
    ClosePolicy,
    /// A connection is half open: the socket stays, nothing is sent or read any more.
    HalfOpen,
    /// `serverShutdown` on a connection; some seconds later it is closed.
    ServerShutdown,
    /// Many pings at once; an answer to each would be too many messages.
    PingStorm,
    /// All messages of a connection come seconds late, for half a minute.
    LateConnection,

    /// The next `SUBSCRIBE` works and is not acknowledged.
    AckWithheld,
    /// The next `SUBSCRIBE` is answered with an error.
    SubscribeRefused,
    /// The next `SUBSCRIBE` is acknowledged, and its streams are silent until they are subscribed again.
    AckWithoutData,
    /// A stream that has spoken is silent until it is subscribed again.
    SilentStream,
    /// A symbol's depth messages come every five seconds, for a minute; none is missing.
    SlowedDepth,

    /// A depth message is missing.
    SkippedDepth,
    /// A depth message comes twice.
    RepeatedDepth,
    /// Two depth messages come in the wrong order.
    SwappedDepth,
    /// A level is missing in a depth message.
    LostLevel,
    /// A trade is missing.
    LostTrade,
    /// A trade comes twice.
    RepeatedTrade,
    /// All numbers of a symbol begin again below the last ones, after its connections were cut.
    Renumbering,

    /// Half of a message instead of a depth message: it is no JSON.
    GarbageFrame,
    /// A message of a kind that nobody knows.
    UnknownKind,
    /// A number of a message is a string.
    ChangedType,
    /// Decimals of a depth message have an exponent; their values are right.
    Exponents,
    /// A depth message has a key twice, with the same value.
    DoubledKey,
    /// Five megabytes of a kind that nobody knows.
    HugeUnknown,
    /// Five megabytes of a depth message: it removes levels that are not there.
    HugeDepth,

    /// The next book over HTTP is older than the stream.
    StaleSnapshot,
    /// The next request is answered with 429.
    RestTooMany,
    /// The next request is answered with 418, and the ban holds for some seconds.
    RestBanned,
    /// The next request is answered with 451: not from this country.
    RestRegion,
    /// The next request is answered with 500, 502 or 503.
    RestServerError,
    /// The next request has no answer.
    RestTimeout,
    /// The next answer breaks off.
    RestTruncated,
    /// The next answer is no JSON.
    RestGarbage,
    /// The next handshake is answered with 403.
    ConnectForbidden,
    /// The next handshake is answered with 429.
    ConnectTooMany,
    /// The next handshake is answered with 503.
    ConnectUnavailable,

    /// Prices of a symbol get one more digit.
    FinerTick,
    /// A new symbol.
    Listing,
    /// A symbol leaves the list.
    Delisting,
    /// A symbol has the status HALT for some seconds.
    Halt,
    /// A symbol has the status BREAK for some seconds.
    Break,
    /// A symbol has the status CANCEL_ONLY for some seconds; the venue has it since July 2026.
    CancelOnly,
    /// The venue's clock is seconds behind, for half a minute.
    ClockBehind,
    /// The venue's clock is seconds ahead, for half a minute.
    ClockAhead,
}

/// Whether the venue's rules let a client notice a fault: by numbers, closes, statuses, pings or their absence.
/// What only a deadline or a comparison of the client's own finds is invisible.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// They do.
    Visible,
    /// They do not.
    Invisible,
}

// === impl Fault ===

impl Fault {
    /// All of them.
    pub const ALL: [Self; 46] = [
        Self::Cut,
        Self::CutAll,
        Self::CloseNormal,
        Self::ClosePolicy,
        Self::HalfOpen,
        Self::ServerShutdown,
        Self::PingStorm,
        Self::LateConnection,
        Self::AckWithheld,
        Self::SubscribeRefused,
        Self::AckWithoutData,
        Self::SilentStream,
        Self::SlowedDepth,
        Self::SkippedDepth,
        Self::RepeatedDepth,
        Self::SwappedDepth,
        Self::LostLevel,
        Self::LostTrade,
        Self::RepeatedTrade,
        Self::Renumbering,
        Self::GarbageFrame,
        Self::UnknownKind,
        Self::ChangedType,
        Self::Exponents,
        Self::DoubledKey,
        Self::HugeUnknown,
        Self::HugeDepth,
        Self::StaleSnapshot,
        Self::RestTooMany,
        Self::RestBanned,
        Self::RestRegion,
        Self::RestServerError,
        Self::RestTimeout,
        Self::RestTruncated,
        Self::RestGarbage,
        Self::ConnectForbidden,
        Self::ConnectTooMany,
        Self::ConnectUnavailable,
        Self::FinerTick,
        Self::Listing,
        Self::Delisting,
        Self::Halt,
        Self::Break,
        Self::CancelOnly,
        Self::ClockBehind,
        Self::ClockAhead,
    ];

    /// Whether a client can notice it by the venue's rules, and by which.
    pub fn mark(self) -> (Mark, &'static str) {
        use Mark::{Invisible, Visible};
        match self {
            Self::Cut | Self::CutAll => (Visible, "the socket ends"),
            Self::CloseNormal | Self::ClosePolicy => (Visible, "a close frame"),
            Self::HalfOpen => (Visible, "no ping of the venue for 20 s"),
            Self::ServerShutdown => (Visible, "the event, then a close frame"),
            Self::PingStorm => (Visible, "the pings; a close frame if all are answered"),
            Self::LateConnection => (Visible, "E falls behind E of the messages before"),
            Self::AckWithheld => (Visible, "no answer with the number of the request"),
            Self::SubscribeRefused => (Visible, "an error"),
            Self::AckWithoutData => (Invisible, "a quiet stream is allowed"),
            Self::SilentStream => (Invisible, "a quiet stream is allowed"),
            Self::SlowedDepth => (Invisible, "a quiet stream is allowed, and U = u + 1 holds"),
            Self::SkippedDepth => (Visible, "U of the next message is above u + 1"),
            Self::RepeatedDepth => (Visible, "u is not above the last u"),
            Self::SwappedDepth => (Visible, "U is above u + 1, then u below the last u"),
            Self::LostLevel => (Invisible, "the venue has no checksum"),
            Self::LostTrade => (Visible, "t of the next trade is above t + 1"),
            Self::RepeatedTrade => (Visible, "t is not above the last t"),
            Self::Renumbering => (Visible, "the socket ends, then lower numbers everywhere"),
            Self::GarbageFrame => (Visible, "no JSON, then U above u + 1"),
            Self::UnknownKind | Self::HugeUnknown => (Visible, "the kind of the message"),
            Self::ChangedType => (Visible, "the type of a field; numbers if it was refused"),
            Self::Exponents => (Visible, "the spelling; numbers if it was refused"),
            Self::DoubledKey => (Visible, "the key; numbers if it was refused"),
            Self::HugeDepth => (Visible, "the size; U above u + 1 if it was refused"),
            Self::StaleSnapshot => (Visible, "lastUpdateId is below the first U"),
            Self::RestTooMany => (Visible, "status 429 and Retry-After"),
            Self::RestBanned => (Visible, "status 418 and Retry-After"),
            Self::RestRegion => (Visible, "status 451"),
            Self::RestServerError => (Visible, "status 500, 502 or 503"),
            Self::RestTimeout => (Visible, "no answer"),
            Self::RestTruncated => (Visible, "fewer bytes than announced"),
            Self::RestGarbage => (Visible, "no JSON"),
            Self::ConnectForbidden => (Visible, "status 403"),
            Self::ConnectTooMany => (Visible, "status 429 and Retry-After"),
            Self::ConnectUnavailable => (Visible, "status 503"),
            Self::FinerTick => (Visible, "digits of prices, and tickSize in exchangeInfo"),
            Self::Listing | Self::Delisting => (Visible, "the list in exchangeInfo"),
            Self::Halt | Self::Break | Self::CancelOnly => (Visible, "the status in exchangeInfo"),
            Self::ClockBehind | Self::ClockAhead => (Visible, "E jumps"),
        }
    }
}
