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
    /// The next `SUBSCRIBE` is acknowledged twice.
    AckTwice,
    /// The last symbols of the next `SUBSCRIBE` are lost: too many messages, and it is not said which.
    ExceededRate,
    /// The next book begins with a few levels and without a sum; the whole book follows.
    ThinSnapshot,
    /// A stream that has spoken is silent until it is subscribed again.
    SilentStream,
    /// All streams of a connection are silent until it ends; signs of life go on.
    SilentConnection,
    /// A symbol's depth messages come every five seconds, for a minute; none is missing.
    SlowedDepth,

    /// A depth message is missing.
    SkippedDepth,
    /// A depth message is missing that changes none of the ten best levels.
    SkippedDeep,
    /// A depth message comes twice.
    RepeatedDepth,
    /// Two depth messages come in the wrong order.
    SwappedDepth,
    /// A level is missing in a depth message.
    LostLevel,
    /// A depth message has a wrong sum.
    WrongSum,
    /// A depth message has no sum, or 0.
    AbsentSum,
    /// A whole book comes in mid-stream; it is right.
    MidSnapshot,
    /// A trade is missing.
    LostTrade,
    /// A trade comes twice.
    RepeatedTrade,
    /// Old trades come once more, and are said to be old.
    OldTrades,
    /// A ticker has the time zero.
    ZeroTime,
    /// All numbers of a symbol begin again below the last ones, after its connections were cut.
    Renumbering,

    /// Half of a message instead of a depth message: it is no JSON.
    GarbageFrame,
    /// A message of a kind that nobody knows.
    UnknownKind,
    /// A number of a message is a string.
    ChangedType,
    /// Decimals of a message have an exponent; their values are right.
    Exponents,
    /// A depth message has a key twice, with the same value.
    DoubledKey,
    /// The keys of a message come in another order.
    ReorderedKeys,
    /// A symbol has a status that nobody knows, for some seconds.
    UnknownStatus,
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
    /// Prices of a symbol get one more digit; it is said seconds later.
    LateTick,
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
    /// The venue says that it is under maintenance, for some seconds; books go on.
    Maintenance,
    /// The venue says that orders can only be cancelled, for some seconds; books go on.
    SystemCancelOnly,
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
