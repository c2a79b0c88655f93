//! The health of one instrument: whether its data can be trusted, as its status stream publishes it.
//!
//! Book, quote, trades and ticker each have their own state (see [`channel`]), so that a dead book is
//! announced although trades continue. The instrument's state is the worst of book and quote, because
//! these should have data regularly; if there is neither, it is the state of the connection, or `gap` while
//! trades or a ticker are lost. A quote that
//! is taken from the book has the book's state. A crossed book does not change a state; it is the reason
//! that a live status has. [`limit`] decides about silence; there is no limit while trading is not open.
//! If an instrument is requested without its channels, the first event of any channel is due.
//!
//! The last published state is kept, so that a status is published only when something changed. An event
//! on a channel that is live costs two stores, never a comparison of texts.

mod channel;
mod limit;

pub use limit::SilenceLimit;

use channel::ChannelHealth;
use std::time::Duration;
use tapecast_model::{
    ChannelKind, ChannelSet, ChannelState, ChannelStates, FeedState, Mono, Status, TradingState,
};

pub(super) use channel::{Moment, Reason};

/// The state of an instrument's feed, and the last published status.
#[derive(Debug)]
pub(super) struct Health {
    book: ChannelHealth,
    quote: ChannelHealth,
    trade: ChannelHealth,
    ticker: ChannelHealth,
    /// The quote is taken from the book.
    shared: bool,
    line: LineHealth,
    limit: SilenceLimit,
    /// Since when the first event, of whatever channel, is due.
    due_from: Option<Mono>,
    crossed: Option<Reason>,
    trading: TradingState,
    changed: bool,
    /// The status stream starts again: the state is published even if it has not changed.
    anew: bool,
    /// A channel has begun to have a limit since the last check: the time when its silence must be
    /// checked.
    look_at: Option<Mono>,
    said: Status,
}

/// What is known of the connection, as far as this instrument can tell.
#[derive(Debug)]
enum LineHealth {
    Pending,
    /// Nothing came that was due.
    Silent(Reason),
    Live,
    Down(Reason),
}

// === impl Health ===

impl Health {
    /// Nothing is asked for, and nothing has come.
    pub(super) fn new(limit: SilenceLimit) -> Self {
        Self {
            book: ChannelHealth::new(ChannelKind::Book, limit),
            quote: ChannelHealth::new(ChannelKind::Quote, limit),
            trade: ChannelHealth::new(ChannelKind::Trade, limit),
            ticker: ChannelHealth::new(ChannelKind::Ticker, limit),
            shared: false,
            line: LineHealth::Pending,
            limit,
            due_from: None,
            crossed: None,
            trading: TradingState::Unknown,
            changed: false,
            anew: false,
            look_at: None,
            said: Status {
                feed: FeedState::Pending,
                trading: TradingState::Unknown,
                reason: NO_DATA,
                channels: ChannelStates::NONE,
            },
        }
    }

    /// What was last said.
    pub(super) const fn said(&self) -> &Status {
        &self.said
    }

    /// These channels are asked for; none if it is not known which ones there are.
    pub(super) fn note_asked(&mut self, kinds: ChannelSet, at: Moment) {
        for kind in kinds.iter() {
            let asked = self.channel(kind).is_some_and(|channel| channel.ask(at));
            self.news_of(kind, asked);
        }
        if matches!(self.line, LineHealth::Down(_)) {
            self.line = LineHealth::Pending;
            self.changed = true;
        }
        if kinds.is_empty() && matches!(self.line, LineHealth::Pending) {
            self.due_from = Some(at.now);
            self.wait_for(self.line_look_at());
        }
    }

    /// Data of a channel came. They bring back this channel only.
    #[inline]
    pub(super) fn note_data(&mut self, kind: ChannelKind, at: Moment) {
        if kind == ChannelKind::Quote && std::mem::take(&mut self.shared) {
            // What its own stream was before that is past.
            self.quote.restart(at);
            self.changed = true;
        }
        let Some(channel) = self.channel(kind) else {
            return;
        };
        let mut news = channel.receive(at);
        if kind != ChannelKind::Book {
            // What comes next makes up for what was lost; a book needs a snapshot.
            news |= channel.heal(at);
        }
        if !matches!(self.line, LineHealth::Live) {
            self.line = LineHealth::Live;
            self.changed = true;
        }
        self.news_of(kind, news);
    }

    /// The venue was asked about a channel that was silent, and nothing has happened there.
    pub(super) fn note_quiet(&mut self, kind: ChannelKind, at: Moment) {
        let news = self
            .channel(kind)
            .is_some_and(|channel| channel.be_quiet(at));
        self.news_of(kind, news);
    }

    /// A message of the book came, but there is no book. The book's stream is alive.
    pub(super) fn note_heard(&mut self, at: Moment) {
        let news = self.book.hear(at);
        if !matches!(self.line, LineHealth::Live) {
            self.line = LineHealth::Live;
            self.changed = true;
        }
        self.news_of(ChannelKind::Book, news);
    }

    /// Data of a channel came once more. That is no life; but if the channel was down, there is a connection.
    pub(super) fn note_repeated(&mut self, kind: ChannelKind, at: Moment) {
        let revived = self
            .channel(kind)
            .is_some_and(|channel| channel.connect(at));
        if revived && matches!(self.line, LineHealth::Down(_)) {
            self.line = LineHealth::Live;
        }
        self.news_of(kind, revived);
    }

    /// The quote is taken from the book: it is what the book is.
    pub(super) const fn note_shared(&mut self) {
        self.changed |= !self.shared;
        self.shared = true;
    }

    /// The connection is gone; only data bring a channel back, each its own.
    pub(super) fn note_down(&mut self, reason: Reason, at: Moment) {
        for channel in self.channels_mut() {
            channel.go_down(reason.clone(), at);
        }
        self.line = LineHealth::Down(reason);
        self.due_from = None;
        self.changed = true;
    }

    /// Data of a channel were lost: its state is not current.
    pub(super) fn note_gap(&mut self, kind: ChannelKind, reason: Reason, at: Moment) {
        let lost = self
            .channel(kind)
            .is_some_and(|channel| channel.lose(reason, at));
        self.changed |= lost;
    }

    /// What was lost of a channel was made good: there is a right book, or no trade is missing.
    pub(super) fn note_healed(&mut self, kind: ChannelKind, at: Moment) {
        let healed = self.channel(kind).is_some_and(|channel| channel.heal(at));
        self.changed |= healed;
    }

    /// Every stream starts again: expected data have not come yet.
    pub(super) fn note_restarted(&mut self, at: Moment) {
        for channel in self.channels_mut() {
            channel.restart(at);
        }
        if matches!(self.line, LineHealth::Silent(_)) {
            self.line = LineHealth::Pending;
        }
        self.due_from = self.due_from.map(|_| at.now);
        self.wait_anew();
        self.changed = true;
        self.anew = true;
    }

    /// The venue's book crossed.
    pub(super) fn note_crossed(&mut self, reason: Reason) {
        self.crossed = Some(reason);
        self.changed = true;
    }

    /// The book is not crossed, or no longer.
    pub(super) fn note_uncrossed(&mut self) {
        self.changed |= self.crossed.take().is_some();
    }

    /// Whether the book is crossed.
    pub(super) const fn is_crossed(&self) -> bool {
        self.crossed.is_some()
    }

    /// Whether the book, or a quote of its own, has been silent for longer than its limit.
    pub(super) const fn is_silent(&self) -> bool {
        self.book.is_silent() || (self.quote.is_silent() && !self.shared)
    }

    /// The venue's state of trading. Limits start again when trading opens.
    pub(super) fn note_trading(&mut self, trading: TradingState, at: Moment) {
        let opens = trading.expects_data() && !self.trading.expects_data();
        self.changed |= self.trading != trading;
        self.trading = trading;
        if opens {
            for channel in self.channels_mut() {
                channel.interrupt(at.now);
            }
            self.due_from = self.due_from.map(|_| at.now);
            self.wait_anew();
        }
    }

    /// When to look for silence, if something has come to be waited for since the last call.
    pub(super) const fn take_look(&mut self) -> Option<Mono> {
        self.look_at.take()
    }

    /// Looks for silence. Returns when to look again; none while nothing is waited for.
    pub(super) fn note_time(&mut self, at: Moment) -> Option<Mono> {
        self.look_at = None;
        if !self.trading.expects_data() {
            return None;
        }
        let alone = self.channels().filter(|c| self.is_own(c)).count() == 1;
        let shared = self.shared;
        let (mut next, mut silent) = (self.line_look_at(), false);
        if next.is_some_and(|look_at| look_at <= at.now) {
            self.line = LineHealth::Silent(silence(None, self.limit.first_of_any()));
            (next, silent) = (None, true);
        }
        for channel in self.channels_mut() {
            if shared && channel.kind() == ChannelKind::Quote {
                continue;
            }
            match channel.look(at.now) {
                Ok(look_at) => next = earlier(next, look_at),
                Err(limit) => {
                    let kind = (!alone).then_some(channel.kind());
                    channel.fall_silent(silence(kind, limit), limit, at);
                    silent = true;
                }
            }
        }
        self.changed |= silent;
        next
    }

    /// The status, and the feed state before it, if there is something new to say.
    #[inline]
    pub(super) fn take_news(&mut self) -> Option<(FeedState, &Status)> {
        if !self.changed {
            return None;
        }
        self.changed = false;
        self.news()
    }

    #[cold]
    fn news(&mut self) -> Option<(FeedState, &Status)> {
        let status = self.status();
        if !std::mem::take(&mut self.anew) && status == self.said {
            return None;
        }
        let before = std::mem::replace(&mut self.said, status);
        Some((before.feed, &self.said))
    }

    /// A change of one channel: there is something to say, and to wait for.
    fn news_of(&mut self, kind: ChannelKind, news: bool) {
        if news {
            self.changed = true;
            let look_at = self.channel(kind).and_then(|channel| channel.look_at());
            self.wait_for(look_at);
        }
    }

    fn wait_anew(&mut self) {
        let looks = self.channels().filter_map(ChannelHealth::look_at).min();
        self.wait_for(earlier(looks, self.line_look_at()));
    }

    fn wait_for(&mut self, look_at: Option<Mono>) {
        if self.trading.expects_data() {
            self.look_at = earlier(self.look_at, look_at);
        }
    }

    /// When the first event of whatever channel is late, if it is due.
    fn line_look_at(&self) -> Option<Mono> {
        let from = self
            .due_from
            .filter(|_| matches!(self.line, LineHealth::Pending));
        from.map(|from| from.after(self.limit.first_of_any()))
    }

    const fn channel(&mut self, kind: ChannelKind) -> Option<&mut ChannelHealth> {
        match kind {
            ChannelKind::Book => Some(&mut self.book),
            ChannelKind::Quote => Some(&mut self.quote),
            ChannelKind::Trade => Some(&mut self.trade),
            ChannelKind::Ticker => Some(&mut self.ticker),
            ChannelKind::Bar | ChannelKind::Status | ChannelKind::Instrument => None,
        }
    }

    /// Those that should speak regularly first.
    fn channels(&self) -> impl Iterator<Item = &ChannelHealth> {
        [&self.book, &self.quote, &self.trade, &self.ticker].into_iter()
    }

    fn channels_mut(&mut self) -> impl Iterator<Item = &mut ChannelHealth> {
        let Self {
            book,
            quote,
            trade,
            ticker,
            ..
        } = self;
        [book, quote, trade, ticker].into_iter()
    }

    /// Whether it is watched, and not part of another.
    fn is_own(&self, channel: &ChannelHealth) -> bool {
        channel.is_watched() && !(self.shared && channel.kind() == ChannelKind::Quote)
    }

    fn status(&self) -> Status {
        let (feed, reason) = match self.worst() {
            Some((channel, FeedState::Pending)) => {
                let all = self.channels().filter(|c| self.is_own(c));
                let mut states = all.filter_map(ChannelHealth::state);
                let alone = states.all(|state| state.feed == FeedState::Pending);
                let kind = channel.kind().label();
                let of_kind = || format!("no {kind} data yet").into();
                let reason = if alone { NO_DATA } else { of_kind() };
                (FeedState::Pending, reason)
            }
            Some((_, FeedState::Live)) => {
                (FeedState::Live, self.crossed.clone().unwrap_or_default())
            }
            Some((channel, feed)) => (feed, channel.reason().cloned().unwrap_or_default()),
            None => self.state_of_line(),
        };
        let states = self.channels().map(|channel| {
            let of = if self.shared && channel.kind() == ChannelKind::Quote {
                &self.book
            } else {
                channel
            };
            Some((channel.kind(), of.state()?))
        });
        Status {
            feed,
            trading: self.trading,
            reason,
            channels: states.flatten().collect(),
        }
    }

    /// The state of an instrument without book and quote: that of its connection, unless data were lost.
    fn state_of_line(&self) -> (FeedState, Reason) {
        let lost = |channel: &&ChannelHealth| {
            let state = channel.state().filter(|_| self.is_own(channel));
            state.is_some_and(|state| state.feed == FeedState::Gap)
        };
        match (&self.line, self.channels().find(lost)) {
            (LineHealth::Live, Some(channel)) => (
                FeedState::Gap,
                channel.reason().cloned().unwrap_or_default(),
            ),
            (line, _) => line.state(),
        }
    }

    /// The channel that decides, and how it is: of equally bad ones the book.
    fn worst(&self) -> Option<(&ChannelHealth, FeedState)> {
        let regular = [&self.book, &self.quote].into_iter();
        let regular = regular.filter(|channel| self.is_own(channel));
        let states = regular.filter_map(|c| c.state().map(|ChannelState { feed, .. }| (c, feed)));
        states.reduce(|worst, other| {
            if other.1.severity() > worst.1.severity() {
                other
            } else {
                worst
            }
        })
    }
}

impl LineHealth {
    fn state(&self) -> (FeedState, Reason) {
        match self {
            Self::Pending => (FeedState::Pending, NO_DATA),
            Self::Silent(reason) => (FeedState::Stale, reason.clone()),
            Self::Live => (FeedState::Live, Reason::Borrowed("")),
            Self::Down(reason) => (FeedState::Down, reason.clone()),
        }
    }
}

const NO_DATA: Reason = Reason::Borrowed("no data yet");

fn earlier(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    one.into_iter().chain(other).min()
}

/// Says that a limit is over, of which channel unless it is the only one.
fn silence(kind: Option<ChannelKind>, limit: Duration) -> Reason {
    let (seconds, tenths) = (limit.as_secs(), limit.subsec_millis() / 100);
    let kind = kind.map_or("", ChannelKind::label);
    let space = if kind.is_empty() { "" } else { " " };
    format!("no {kind}{space}data for {seconds}.{tenths} s").into()
}

#[cfg(test)]
mod tests;
