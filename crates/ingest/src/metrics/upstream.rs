//! What happens on the way to a venue, as it is counted.

/// Something that a session of a live venue has done or met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UpstreamEvent {
    /// A line was opened.
    LineOpened,
    /// An open line ended, for whatever reason.
    LineEnded,
    /// A new line was opened in the place of an old one.
    Rotation,
    /// The venue refused a stream, or a snapshot.
    Refusal,
    /// A stream was asked for anew, because it was dead, broken or could not be read.
    AskedAnew,
    /// A silent stream was asked for anew, to see whether it is only quiet.
    Probe,
    /// The venue said that we ask too fast.
    RateExceeded,
    /// A snapshot was older than the stream, and asked for again.
    OldSnapshot,
    /// A request by HTTP failed.
    RequestFailed,
    /// A message was dropped unread, because too many waited.
    Overflow,
    /// The venue's messages began to come far later than usual.
    Slowed,
    /// A row is in no file of the recording: the disk was too slow, or full.
    Unrecorded,
}

// === impl UpstreamEvent ===

impl UpstreamEvent {
    /// All of them, in order of declaration.
    pub const ALL: [Self; 12] = [
        Self::LineOpened,
        Self::LineEnded,
        Self::Rotation,
        Self::Refusal,
        Self::AskedAnew,
        Self::Probe,
        Self::RateExceeded,
        Self::OldSnapshot,
        Self::RequestFailed,
        Self::Overflow,
        Self::Slowed,
        Self::Unrecorded,
    ];

    /// The name in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LineOpened => "line_opened",
            Self::LineEnded => "line_ended",
            Self::Rotation => "rotation",
            Self::Refusal => "refusal",
            Self::AskedAnew => "asked_anew",
            Self::Probe => "probe",
            Self::RateExceeded => "rate_exceeded",
            Self::OldSnapshot => "old_snapshot",
            Self::RequestFailed => "request_failed",
            Self::Overflow => "overflow",
            Self::Slowed => "slowed",
            Self::Unrecorded => "unrecorded",
        }
    }
}
