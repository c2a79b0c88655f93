//! What clients may use: attempts to connect, weight of requests, messages; and what they get when they use more.
//! All clients are one address.

use crate::attempts::{Attempts, refusal, seconds};
use crate::config::Limits;
use crate::counts::Counts;
use crate::fault::Fault;
use crate::venue::Refusal;
use std::collections::VecDeque;
use std::time::Duration;

/// What the clients have used.
#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    start_ms: u64,
    /// The present minute of the wall clock, and what was used in it.
    minute: u64,
    used: u32,
    refused: u32,
    /// No request is answered before, although the weight would allow it.
    pause_until: Duration,
    banned_until: Duration,
    bans: u32,
    attempts: Attempts,
    closed: VecDeque<Duration>,
    counts: Counts,
}

/// Whether a request is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// It is.
    Answer,
    /// 429; the client may come back after so many seconds.
    TooMany(u64),
    /// 418; the client may come back after so many seconds.
    Banned(u64),
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(limits: Limits, start_ms: u64) -> Self {
        Self {
            start_ms,
            minute: start_ms / MINUTE_MS,
            used: 0,
            refused: 0,
            pause_until: Duration::ZERO,
            banned_until: Duration::ZERO,
            bans: 0,
            attempts: Attempts::new(limits.attempts, limits.attempts_window),
            closed: VecDeque::new(),
            counts: Counts::default(),
            limits,
        }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// An attempt to connect.
    pub(super) fn attempt(&mut self, now: Duration) -> Result<(), Refusal> {
        self.attempts.note(now, &mut self.counts);
        if let Some(left) = self.ban_left(now) {
            self.counts.impatient += 1;
            return Err(refusal(418, left));
        }
        self.attempts.judge(now, &mut self.counts)
    }

    /// A handshake that a fault refuses.
    pub(super) fn refuse_attempt(&mut self, fault: Fault, now: Duration) -> Refusal {
        self.attempts.refuse(fault, now)
    }

    /// A request of this weight.
    pub(super) fn request(&mut self, weight: u32, now: Duration) -> Verdict {
        self.turn_minute(now);
        self.counts.requests += 1;
        if let Some(left) = self.ban_left(now) {
            self.counts.impatient += 1;
            return Verdict::Banned(left);
        }
        if self.pause_until > now {
            self.counts.impatient += 1;
            return self.refuse(seconds(self.pause_until - now), now);
        }
        if self.used.saturating_add(weight) > self.limits.weight {
            self.counts.refused_requests += 1;
            if self.refused > 0 {
                self.counts.impatient += 1;
            }
            let left = MINUTE_MS - self.wall_ms(now) % MINUTE_MS;
            return self.refuse(left.div_ceil(1_000), now);
        }
        self.used += weight;
        self.counts.weight_max = self.counts.weight_max.max(self.used);
        Verdict::Answer
    }

    /// The weight that was used in this minute.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// Lets all requests fail for a while.
    pub(super) fn pause(&mut self, until: Duration) {
        self.pause_until = until;
    }

    /// Bans the clients for this long; this ban is not their fault.
    pub(super) fn ban(&mut self, time: Duration, now: Duration) {
        self.banned_until = now + time;
    }

    /// A connection was closed because of too many messages; several of them are a ban.
    pub(super) fn closed_for_messages(&mut self, now: Duration) {
        self.counts.closed_for_messages += 1;
        let window = self.limits.attempts_window;
        self.closed.retain(|closed| now - *closed < window);
        self.closed.push_back(now);
        if self.closed.len() >= self.limits.closed_before_ban {
            self.closed.clear();
            self.next_ban(now);
        }
    }

    pub(super) fn note_streams(&mut self, streams: usize) {
        self.counts.streams_max = self.counts.streams_max.max(streams);
    }

    pub(super) fn note_messages(&mut self, messages: usize) {
        self.counts.messages_max = self.counts.messages_max.max(messages);
    }

    pub(super) fn note_stray_pong(&mut self) {
        self.counts.stray_pongs += 1;
    }

    pub(super) fn note_missed_pong(&mut self) {
        self.counts.missed_pongs += 1;
    }

    /// Seconds until the end of a ban.
    fn ban_left(&self, now: Duration) -> Option<u64> {
        (self.banned_until > now).then(|| seconds(self.banned_until - now))
    }

    /// 429, or a ban for a client that does not stop.
    fn refuse(&mut self, retry_after: u64, now: Duration) -> Verdict {
        self.refused += 1;
        if self.refused <= self.limits.refused_before_ban {
            return Verdict::TooMany(retry_after);
        }
        self.refused = 0;
        Verdict::Banned(self.next_ban(now))
    }

    /// Bans, each time for longer; seconds.
    fn next_ban(&mut self, now: Duration) -> u64 {
        let times = 2_u32.saturating_pow(self.bans.min(20));
        let time = self.limits.ban.saturating_mul(times);
        let time = time.min(self.limits.ban_max);
        self.bans += 1;
        self.counts.bans += 1;
        self.ban(time, now);
        seconds(time)
    }

    fn turn_minute(&mut self, now: Duration) {
        let minute = self.wall_ms(now) / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.used = 0;
            self.refused = 0;
        }
    }

    fn wall_ms(&self, now: Duration) -> u64 {
        self.start_ms + u64::try_from(now.as_millis()).unwrap_or(u64::MAX / 2)
    }
}

const MINUTE_MS: u64 = 60_000;
