//! The health of one instrument: whether what is held can be trusted, as its status stream says it.
//!
//! Causes are kept apart and the worst one speaks: down before stale before gap before live. A book
//! that its venue crossed is live, with a reason. What has been said is kept, so that a status is
//! published only when something changed; setting a cause costs a flag, never a comparison of texts.

use std::borrow::Cow;
use std::time::Duration;
use tapecast_model::{ChannelStates, FeedState, Mono, Status, TradingState};

type Reason = Cow<'static, str>;

/// What is known of an instrument's feed, and what has been said of it.
#[derive(Debug)]
pub(super) struct Health {
    down: Option<Reason>,
    stale: bool,
    gap: Option<Reason>,
    crossed: Option<Reason>,
    trading: TradingState,
    last_data: Mono,
    stale_after: Duration,
    changed: bool,
    said: Status,
}

// === impl Health ===

impl Health {
    /// Nothing has come yet.
    pub(super) fn new(stale_after: Duration) -> Self {
        let reason = Reason::Borrowed("no data yet");
        Self {
            down: Some(reason.clone()),
            stale: false,
            gap: None,
            crossed: None,
            trading: TradingState::Unknown,
            last_data: Mono::default(),
            stale_after,
            changed: false,
            said: Status {
                feed: FeedState::Down,
                trading: TradingState::Unknown,
                reason,
                channels: ChannelStates::NONE,
            },
        }
    }

    /// What was last said.
    pub(super) const fn said(&self) -> &Status {
        &self.said
    }

    /// Data came.
    pub(super) fn note_data(&mut self, now: Mono) {
        self.last_data = now;
        if self.stale || self.down.is_some() {
            self.stale = false;
            self.down = None;
            self.changed = true;
        }
    }

    /// The connection is gone; only data bring it back.
    pub(super) fn note_down(&mut self, reason: Reason) {
        self.down = Some(reason);
        self.changed = true;
    }

    /// There is no right book.
    pub(super) fn note_gap(&mut self, reason: Reason) {
        self.gap = Some(reason);
        self.changed = true;
    }

    /// There is a right book.
    pub(super) fn note_healed(&mut self) {
        self.changed |= self.gap.take().is_some();
    }

    /// The venue's book crossed.
    pub(super) fn note_crossed(&mut self, reason: Reason) {
        self.crossed = Some(reason);
        self.changed = true;
    }

    /// The book is not crossed, or is no more.
    pub(super) fn note_uncrossed(&mut self) {
        self.changed |= self.crossed.take().is_some();
    }

    /// Whether the book is crossed.
    pub(super) const fn is_crossed(&self) -> bool {
        self.crossed.is_some()
    }

    /// The venue's word on trading.
    pub(super) fn note_trading(&mut self, trading: TradingState) {
        self.changed |= self.trading != trading;
        self.trading = trading;
    }

    /// When silence becomes staleness; none while there is nothing to wait for.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let watched = !self.stale && self.down.is_none();
        watched.then(|| self.last_data.after(self.stale_after))
    }

    /// Notes the silence if it has lasted too long.
    pub(super) fn note_time(&mut self, now: Mono) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.stale = true;
            self.changed = true;
        }
    }

    /// The status, and the feed state before it, if there is something new to say.
    pub(super) fn take_news(&mut self) -> Option<(FeedState, &Status)> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let status = self.status();
        if status == self.said {
            return None;
        }
        let before = std::mem::replace(&mut self.said, status);
        Some((before.feed, &self.said))
    }

    fn status(&self) -> Status {
        let (feed, reason) = if let Some(reason) = &self.down {
            (FeedState::Down, reason.clone())
        } else if self.stale {
            (FeedState::Stale, silence(self.stale_after))
        } else if let Some(reason) = &self.gap {
            (FeedState::Gap, reason.clone())
        } else {
            (FeedState::Live, self.crossed.clone().unwrap_or_default())
        };
        Status {
            feed,
            trading: self.trading,
            reason,
            channels: ChannelStates::NONE,
        }
    }
}

fn silence(limit: Duration) -> Reason {
    format!(
        "no data for {}.{} s",
        limit.as_secs(),
        limit.subsec_millis() / 100
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    const fn at(seconds: u64) -> Mono {
        Mono::new(seconds * 1_000_000_000)
    }

    fn check(health: &mut Health, expected: Option<(FeedState, &str)>) {
        let news = health
            .take_news()
            .map(|(_, status)| (status.feed, status.reason.to_string()));
        assert_eq!(
            news,
            expected.map(|(feed, reason)| (feed, reason.to_owned()))
        );
    }

    #[test]
    fn the_worst_cause_speaks_and_each_change_is_said_once() {
        let mut health = Health::new(LIMIT);
        check(&mut health, None);
        health.note_data(at(1));
        check(&mut health, Some((FeedState::Live, "")));
        health.note_data(at(2));
        check(&mut health, None);
        health.note_gap("u 17 after 15".into());
        check(&mut health, Some((FeedState::Gap, "u 17 after 15")));
        health.note_data(at(3));
        check(&mut health, None);
        health.note_time(at(8));
        check(&mut health, Some((FeedState::Stale, "no data for 5.0 s")));
        health.note_down("connection closed".into());
        check(&mut health, Some((FeedState::Down, "connection closed")));
        health.note_data(at(9));
        check(&mut health, Some((FeedState::Gap, "u 17 after 15")));
        health.note_healed();
        check(&mut health, Some((FeedState::Live, "")));
    }

    #[test]
    fn what_changes_and_changes_back_is_not_said() {
        let mut health = Health::new(LIMIT);
        health.note_data(at(1));
        check(&mut health, Some((FeedState::Live, "")));
        health.note_crossed("crossed".into());
        health.note_uncrossed();
        check(&mut health, None);
        health.note_trading(TradingState::Unknown);
        check(&mut health, None);
    }

    #[test]
    fn silence_counts_from_the_last_data_and_not_while_down() {
        let mut health = Health::new(LIMIT);
        assert_eq!(health.deadline(), None);
        health.note_data(at(1));
        health.note_data(at(4));
        assert_eq!(health.deadline(), Some(at(9)));
        health.note_down("end".into());
        assert_eq!(health.deadline(), None);
        health.note_time(at(100));
        check(&mut health, Some((FeedState::Down, "end")));
    }

    #[test]
    fn limits_are_spelled_in_seconds() {
        assert_eq!(silence(Duration::from_millis(1_250)), "no data for 1.2 s");
    }
}
