//! How much a client may send: a rate of frames, and fair rounds of reading.
//!
//! The rate includes everything: pings, pongs, fragments, empty frames, refused requests, and reads that
//! bring less than a frame. Accepted requests have their own rate and do not count here. A client above
//! its rate is not read until it is below it again: TCP holds the client back, nothing is dropped, and
//! its subscriptions continue. A client that is held back for [`HELD_BACK_MAX`] without a pause is
//! closed.
//!
//! # Rounds
//! Connections with something to read are in a queue. Each is read once, at most [`READ_BYTES`], and then
//! goes to the end of the queue. A round stops after [`WORK_PER_ROUND`]; the next round continues at the
//! same place. Work is counted in frames and in topics of requests, over all connections.

use super::Shard;
use super::index::ConnId;
use super::socket::Socket;
use std::cmp::Reverse;
use std::io::ErrorKind;
use std::time::Duration;
use tapecast_model::{Mono, UnixNanos};
use tapecast_wire::CloseReason;

/// A connection's rate of frames, as the time to which what it has said is paid for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intake {
    paid_to: Mono,
    /// Not read before this time.
    pub(crate) held_to: Mono,
    /// Since when it has been held back without a pause.
    over_since: Option<Mono>,
    /// It is in the queue of connections with something to read.
    queued: bool,
}

/// What becomes of a connection that has said something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Allowance {
    /// There is more to be had.
    Left,
    /// It is over its rate: read on at this time.
    Hold(Mono),
    /// It has been held back for so long that it must be closed.
    Hopeless,
}

impl Intake {
    pub(crate) fn new(now: Mono) -> Self {
        Self {
            paid_to: now,
            held_to: Mono::default(),
            over_since: None,
            queued: false,
        }
    }

    /// Notes frames that were said, and judges whether to go on.
    pub(crate) fn note(&mut self, frames: u32, per_second: u32, now: Mono) -> Allowance {
        let paid_to = self.paid_to.max(now);
        if paid_to - now <= BURST / 2 {
            self.over_since = None;
        }
        let cost = BURST / per_second.max(1) * frames;
        // Debt has an end: one read must not silence a client for long.
        self.paid_to = paid_to.after(cost).min(now.after(BURST + DEBT_MAX));
        if self.paid_to - now <= BURST {
            return Allowance::Left;
        }
        let since = *self.over_since.get_or_insert(now);
        if now - since >= HELD_BACK_MAX {
            return Allowance::Hopeless;
        }
        // Not until there is room for some: one read for many frames.
        let ahead = self.paid_to - now;
        self.held_to = now.after(ahead.saturating_sub(BURST * 9 / 10));
        Allowance::Hold(self.held_to)
    }
}

impl<S: Socket> Shard<S> {
    /// A connection may have something to read.
    pub fn note_readable(&mut self, id: u32) {
        if let Some(conn) = self.conn_mut(id)
            && !std::mem::replace(&mut conn.session.intake.queued, true)
        {
            self.readers.push_back(id);
        }
    }

    /// Reads connections with something to read, in turn, until the round is over. `scratch` is the read
    /// buffer. Returns whether there is more to read at once.
    pub fn handle_readers(&mut self, scratch: &mut [u8], now: Mono, wall: UnixNanos) -> bool {
        while let Some(&Reverse((at, id))) = self.held.peek()
            && at <= now
        {
            self.held.pop();
            self.note_readable(id);
        }
        while self.work < WORK_PER_ROUND
            && let Some(id) = self.readers.pop_front()
        {
            if let Some(conn) = self.conn_mut(id) {
                conn.session.intake.queued = false;
            }
            if self.handle_readable(id, scratch, now, wall) {
                self.note_readable(id);
            }
        }
        !self.readers.is_empty()
    }

    /// Reads once what a connection has sent. Returns whether there may be more to read at once.
    pub fn handle_readable(
        &mut self,
        id: u32,
        scratch: &mut [u8],
        now: Mono,
        wall: UnixNanos,
    ) -> bool {
        let room = scratch.len().min(READ_BYTES);
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        if conn.session.ended.is_some() || now < conn.session.intake.held_to {
            return false;
        }
        let read = conn.socket.try_read(&mut scratch[..room]);
        self.work += READ_WORK;
        let more = match read {
            Ok(0) => {
                let conn = self.conn_mut(id);
                let closing = conn.and_then(|c| c.session.closing.as_ref().map(|c| c.reason));
                self.end(id, closing.unwrap_or(CloseReason::Gone));
                false
            }
            Ok(read) => {
                let frames = self.hear(id, &mut scratch[..read], now, wall);
                self.work += frames as usize;
                self.allow(id, frames, now)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => {
                self.end(id, CloseReason::Gone);
                false
            }
        };
        // A read may make something to write.
        if self
            .conn_mut(id)
            .is_some_and(|conn| conn.socket.pending() > 0)
        {
            self.set_dirty(id);
        }
        self.apply_effects(now);
        self.reap();
        more
    }

    /// Rates what was read. Returns whether to read on at once.
    pub(super) fn allow(&mut self, id: ConnId, frames: u32, now: Mono) -> bool {
        let per_second = self.limits(id).messages_per_s;
        // A read that brings no whole frame counts as one: nobody may drip bytes for nothing.
        let rated = frames.max(1) - self.granted.min(frames);
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        match conn.session.intake.note(rated, per_second, now) {
            Allowance::Left => true,
            Allowance::Hold(until) => {
                self.held.push(Reverse((until, id)));
                self.metrics.readers_held.inc();
                false
            }
            Allowance::Hopeless => {
                let message = format!(
                    "far more than {per_second} messages per second for {} s; send fewer",
                    HELD_BACK_MAX.as_secs()
                );
                self.close(id, CloseReason::RequestRate, &message, now);
                // What is closed is still read for its answer, at the same rate.
                let until = now.after(BURST);
                self.held.push(Reverse((until, id)));
                if let Some(conn) = self.conn_mut(id) {
                    conn.session.intake.held_to = until;
                }
                false
            }
        }
    }
}

/// Messages come in bursts of as many as a second allows.
const BURST: Duration = Duration::from_secs(1);
/// A connection is held back for at most this time at once.
const DEBT_MAX: Duration = Duration::from_secs(2);
/// A connection that is held back for so long without a pause is closed.
const HELD_BACK_MAX: Duration = Duration::from_secs(10);
/// Bytes of one read: of the smallest frames, some hundred.
const READ_BYTES: usize = 4 * 1024;
/// A read and the answer to it cost as much as so many frames.
const READ_WORK: usize = 16;
/// How much a round may read before data continue: about half a millisecond.
pub(super) const WORK_PER_ROUND: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::new(ms * 1_000_000)
    }

    #[test]
    fn a_burst_is_free_and_then_the_rate_holds() {
        let mut intake = Intake::new(at(1_000));
        for _ in 0..100 {
            assert_eq!(intake.note(1, 100, at(1_000)), Allowance::Left);
        }
        // A tenth of the burst comes back in a tenth of a second; one frame is owed.
        assert_eq!(intake.note(1, 100, at(1_000)), Allowance::Hold(at(1_110)));
        assert_eq!(intake.note(10, 100, at(1_110)), Allowance::Left);
        assert_eq!(intake.note(1, 100, at(1_110)), Allowance::Hold(at(1_220)));
        // A rest of a second, and all is forgotten.
        assert_eq!(intake.note(100, 100, at(3_000)), Allowance::Left);
        assert_eq!(intake.over_since, None);
    }

    #[test]
    fn one_read_holds_nobody_back_for_long() {
        let mut intake = Intake::new(at(0));
        assert_eq!(intake.note(1_000_000, 1, at(0)), Allowance::Hold(at(2_100)));
    }

    #[test]
    fn who_never_rests_is_hopeless_after_ten_seconds_and_who_rests_is_not() {
        let (mut flood, mut bursts) = (Intake::new(at(0)), Intake::new(at(0)));
        let mut hopeless = None;
        for ms in 0..30_000 {
            if at(ms) >= flood.held_to
                && hopeless.is_none()
                && flood.note(600, 500, at(ms)) == Allowance::Hopeless
            {
                hopeless = Some(ms);
            }
            if ms % 3_000 == 0 {
                assert_ne!(bursts.note(700, 500, at(ms)), Allowance::Hopeless);
            }
        }
        assert!(
            (10_000..12_000).contains(&hopeless.unwrap()),
            "{hopeless:?}"
        );
    }
}
