//! The health of one channel of an instrument.
//!
//! Causes are stored separately, each with the time when it began. The worst cause decides: down before
//! stale before gap before pending. So the end of one cause does not hide another.

use super::limit::{Intervals, SilenceLimit};
use std::borrow::Cow;
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelState, FeedState, Mono, UnixNanos};

pub(in crate::pipeline) type Reason = Cow<'static, str>;

/// A moment, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct Moment {
    /// For limits.
    pub(in crate::pipeline) now: Mono,
    /// For `since`.
    pub(in crate::pipeline) wall: UnixNanos,
}

/// What is known of one channel.
#[derive(Debug)]
pub(super) struct ChannelHealth {
    kind: ChannelKind,
    limit: SilenceLimit,
    /// It is asked for, or has spoken.
    watched: bool,
    /// Nothing that it can be used with has come yet.
    pending: bool,
    down: Option<Box<Cause>>,
    stale: Option<Box<Cause>>,
    gap: Option<Box<Cause>>,
    /// When it became what it is without these causes: live or pending.
    since: UnixNanos,
    /// Its limit counts from here.
    from: Mono,
    /// The last event, if nothing has interrupted the channel since.
    last: Option<Mono>,
    /// So often its venue has said that it is only quiet, since the last data: each time its limit doubles.
    quiet: u8,
    /// Boxed, as most channels have a fixed limit, or none.
    pace: Option<Box<Intervals>>,
}

/// Why a channel is not what it should be. Rare, so that it is kept apart.
#[derive(Debug)]
struct Cause {
    reason: Reason,
    since: UnixNanos,
}

// === impl ChannelHealth ===

impl ChannelHealth {
    /// A channel without a state.
    pub(super) const fn new(kind: ChannelKind, limit: SilenceLimit) -> Self {
        Self {
            kind,
            limit,
            watched: false,
            pending: false,
            down: None,
            stale: None,
            gap: None,
            since: UnixNanos::new(0),
            from: Mono::new(0),
            last: None,
            quiet: 0,
            pace: None,
        }
    }

    /// Which channel it is.
    pub(super) const fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Whether it is asked for or has spoken.
    pub(super) const fn is_watched(&self) -> bool {
        self.watched
    }

    /// Whether its limit is over.
    pub(super) const fn is_silent(&self) -> bool {
        self.stale.is_some()
    }

    /// Its state; none while it is not watched.
    pub(super) fn state(&self) -> Option<ChannelState> {
        let (feed, since) = match self.cause() {
            Some((feed, cause)) => (feed, cause.since),
            None if self.pending => (FeedState::Pending, self.since),
            None => (FeedState::Live, self.since),
        };
        self.watched.then_some(ChannelState { feed, since })
    }

    /// Why it is not live, in words; none if it is, or is pending.
    pub(super) fn reason(&self) -> Option<&Reason> {
        self.cause().map(|(_, cause)| &cause.reason)
    }

    fn cause(&self) -> Option<(FeedState, &Cause)> {
        let causes = [
            (FeedState::Down, &self.down),
            (FeedState::Stale, &self.stale),
            (FeedState::Gap, &self.gap),
        ];
        causes
            .into_iter()
            .find_map(|(feed, cause)| Some((feed, cause.as_deref()?)))
    }

    /// Its data are expected. For a channel that already has data this changes nothing.
    pub(super) fn ask(&mut self, at: Moment) -> bool {
        if self.watched && self.down.is_none() {
            return false;
        }
        self.watched = true;
        // What is asked for anew comes whole: earlier losses do not matter.
        (self.down, self.stale, self.gap) = (None, None, None);
        self.begin(at);
        true
    }

    /// Its messages start again: nothing has come yet. A lost connection is still lost.
    pub(super) fn restart(&mut self, at: Moment) {
        if self.watched {
            self.stale = None;
            self.gap = None;
            self.begin(at);
        }
    }

    fn begin(&mut self, at: Moment) {
        self.pending = true;
        self.since = at.wall;
        self.interrupt(at.now);
    }

    /// A message came that cannot be used, such as a change to a book without a snapshot. It shows that
    /// the connection works, and the channel still waits. Returns whether this changed the state.
    pub(super) fn hear(&mut self, at: Moment) -> bool {
        if !self.watched {
            return self.ask(at);
        }
        let was_down = self.down.take().is_some();
        if self.pending {
            // Its first limit runs on: it counts until there is something to use.
            if was_down {
                self.begin(at);
            }
            return was_down;
        }
        self.tick(at.now);
        let revived = was_down | self.stale.take().is_some();
        self.settle(revived, at);
        revived
    }

    /// The connection works, and nothing new came. Returns whether this changed the state.
    pub(super) fn connect(&mut self, at: Moment) -> bool {
        let was_down = self.down.take().is_some();
        if was_down {
            self.begin(at);
        }
        was_down
    }

    /// Data came. Returns whether this changed the state. A gap must be healed.
    #[inline]
    pub(super) fn receive(&mut self, at: Moment) -> bool {
        if self.watched && !self.pending && self.down.is_none() && self.stale.is_none() {
            self.tick(at.now);
            return false;
        }
        self.revive(at)
    }

    #[cold]
    fn revive(&mut self, at: Moment) -> bool {
        self.watched = true;
        self.pending = false;
        self.down = None;
        self.stale = None;
        self.tick(at.now);
        self.settle(true, at);
        true
    }

    /// Its venue says that nothing has happened. What is known is as good as new. Returns whether this changed the
    /// state. A channel that waits for its first data still waits.
    pub(super) fn be_quiet(&mut self, at: Moment) -> bool {
        if self.pending || !self.watched || self.down.is_some() {
            return false;
        }
        (self.from, self.last) = (at.now, None);
        self.quiet = self.quiet.saturating_add(1);
        let revived = self.stale.take().is_some();
        self.settle(revived, at);
        // Also to be looked at later than before.
        true
    }

    /// What was lost was made good.
    #[inline]
    pub(super) fn heal(&mut self, at: Moment) -> bool {
        let healed = self.gap.is_some();
        if healed {
            self.gap = None;
            self.settle(true, at);
        }
        healed
    }

    /// Its state cannot be trusted until it is healed.
    pub(super) fn lose(&mut self, reason: Reason, at: Moment) -> bool {
        Cause::set(&mut self.gap, self.watched, reason, at)
    }

    /// Its connection is gone, until it is asked for again or speaks.
    pub(super) fn go_down(&mut self, reason: Reason, at: Moment) -> bool {
        self.last = None;
        self.stale = None;
        Cause::set(&mut self.down, self.watched, reason, at)
    }

    /// Silence up to now says nothing: trading was not open.
    pub(super) fn interrupt(&mut self, now: Mono) {
        self.from = now;
        self.last = None;
    }

    /// When to look for silence, not later than its limit is over; none while it is not waited for.
    pub(super) fn look_at(&self) -> Option<Mono> {
        if !self.watched || self.down.is_some() || self.stale.is_some() {
            return None;
        }
        let shortest = if self.pending {
            self.limit.first(self.kind)
        } else {
            self.limit.shortest(self.kind)
        };
        Some(self.from.after(shortest?))
    }

    /// Looks whether its limit is over. Returns when to look again, or the limit that is over.
    pub(super) fn look(&self, now: Mono) -> Result<Option<Mono>, Duration> {
        let Some(earliest) = self.look_at() else {
            return Ok(None);
        };
        if now < earliest {
            return Ok(Some(earliest));
        }
        let limit = if self.pending {
            earliest - self.from
        } else {
            self.limit.at_pace(self.pace.as_deref(), self.quiet)
        };
        let due = self.from.after(limit);
        if now < due { Ok(Some(due)) } else { Err(limit) }
    }

    /// Its limit is over.
    pub(super) fn fall_silent(&mut self, reason: Reason, limit: Duration, at: Moment) {
        let late = at.now - self.from.after(limit);
        let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
        let since = UnixNanos::new(at.wall.get().saturating_sub(late));
        self.stale = Some(Box::new(Cause { reason, since }));
    }

    /// The channel had data: its limit starts again, and its pace is noted.
    #[inline]
    fn tick(&mut self, now: Mono) {
        (self.from, self.quiet) = (now, 0);
        let last = self.last.replace(now);
        if self.limit.follows_pace(self.kind)
            && let Some(last) = last
        {
            let pace = self.pace.get_or_insert_with(|| Box::new(Intervals::new()));
            pace.note(now - last);
        }
    }

    /// After a change for the better: what it is now, it is since now, unless another cause is left.
    fn settle(&mut self, changed: bool, at: Moment) {
        if changed && self.cause().is_none() {
            self.since = at.wall;
        }
    }
}

// === impl Cause ===

impl Cause {
    /// A cause that holds already began when it began; its newest reason counts.
    fn set(cause: &mut Option<Box<Self>>, watched: bool, reason: Reason, at: Moment) -> bool {
        if watched {
            let since = cause.as_ref().map_or(at.wall, |cause| cause.since);
            *cause = Some(Box::new(Self { reason, since }));
        }
        watched
    }
}
