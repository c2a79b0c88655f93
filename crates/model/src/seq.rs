//! Positions in a stream.
//!
//! A stream is numbered once, where it is ingested: +1 per event. A sequence number alone is never
//! compared across restarts; a [`StreamPos`] is.

use std::fmt;

/// The number of an event in its stream. The first event is 1; 0 means "before the first".
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Seq(u64);

/// Which life of a stream a number belongs to: the time of its beginning in milliseconds or more, and
/// higher whenever continuity was lost permanently. An [`EpochSource`](crate::EpochSource) gives it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Epoch(u64);

/// A place in a stream that means the same on every machine.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamPos {
    /// The stream's life.
    pub epoch: Epoch,
    /// The event within that life.
    pub seq: Seq,
}

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// From a number.
    pub const fn new(seq: u64) -> Self {
        Self(seq)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// `events` later.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        Self(self.0 + events)
    }
}

impl Epoch {
    /// From a number.
    pub const fn new(epoch: u64) -> Self {
        Self(epoch)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
