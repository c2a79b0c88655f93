//! What clients have used of what they may.

/// What clients have used of what they may, over the whole simulation. A careful client keeps all of the second
/// group at zero, unless a fault of the script is the reason.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Requests.
    pub requests: u64,
    /// The most weight in one minute.
    pub weight_max: u32,
    /// Attempts to connect.
    pub attempts: u64,
    /// The most attempts in one window.
    pub attempts_max: usize,
    /// The most streams of one connection.
    pub streams_max: usize,
    /// The most messages of one connection within a second.
    pub messages_max: usize,

    /// Requests that were refused because of their weight.
    pub refused_requests: u64,
    /// Requests and attempts before the end of a `Retry-After`.
    pub impatient: u64,
    /// Attempts that were refused because there were too many.
    pub refused_attempts: u64,
    /// Messages that were refused because there were too many.
    pub refused_messages: u64,
    /// Connections that were cut because the client said nothing.
    pub silent: u64,
    /// Connections that were closed because of too many messages.
    pub closed_for_messages: u64,
    /// Bans that clients have earned.
    pub bans: u32,
    /// Pongs that no ping has asked for.
    pub stray_pongs: u64,
    /// Connections that were cut because a ping had no answer.
    pub missed_pongs: u64,
}
