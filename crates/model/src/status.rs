//! The status of an instrument: whether its data can be trusted, and whether it trades.
//!
//! Each channel has its own [`ChannelState`], and the instrument's [`FeedState`] is the worst state of
//! the channels that should have data regularly.

use crate::time::UnixNanos;
use crate::topic::ChannelKind;
use std::borrow::Cow;

/// Feed and trading state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    /// What we know of the feed: the worst of the book's and the quote's; without both, the line's.
    pub feed: FeedState,
    /// What the venue says of trading.
    pub trading: TradingState,
    /// Why, in words; empty if there is nothing to say.
    pub reason: Cow<'static, str>,
    /// What we know of each channel that is asked for, or has spoken.
    pub channels: ChannelStates,
}

/// The states of an instrument's channels, by kind; none for a channel without a state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ChannelStates([Option<ChannelState>; ChannelKind::ALL.len()]);

/// What is known of one channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ChannelState {
    /// Whether its data can be trusted.
    pub feed: FeedState,
    /// When this state began.
    pub since: UnixNanos,
}

/// Whether what we hold can be trusted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FeedState {
    /// It is asked for, and nothing has come yet.
    Pending,
    /// Data arrive and their chain holds.
    Live,
    /// Nothing has come for longer than the limit.
    Stale,
    /// Something was lost; waiting for what starts it over.
    Gap,
    /// There is no connection, or the recording is at its end.
    Down,
}

/// What the venue says of trading.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum TradingState {
    /// The venue has not said, or in words that are not known here.
    #[default]
    Unknown,
    /// Normal trading.
    Open,
    /// No trading.
    Halted,
    /// Orders may be cancelled only.
    CancelOnly,
    /// Orders may be added that do not take liquidity.
    PostOnly,
    /// Trading has not begun; orders may be entered.
    PreOpen,
    /// Orders are collected and matched at one price.
    Auction,
    /// Limit orders only.
    LimitOnly,
    /// Orders that make positions smaller only.
    ReduceOnly,
    /// A contract is being settled.
    Settlement,
    /// Outside of trading hours.
    Closed,
    /// It will not trade again.
    Delisted,
}

// === impl ChannelStates ===

impl ChannelStates {
    /// No channel is watched.
    pub const NONE: Self = Self([None; ChannelKind::ALL.len()]);

    /// The state of one channel.
    pub const fn get(&self, kind: ChannelKind) -> Option<ChannelState> {
        self.0[kind.index()]
    }

    /// Sets the state of one channel.
    pub const fn set(&mut self, kind: ChannelKind, state: ChannelState) {
        self.0[kind.index()] = Some(state);
    }

    /// The channels that have a state, in order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = (ChannelKind, ChannelState)> {
        let states = self.0;
        ChannelKind::ALL
            .into_iter()
            .filter_map(move |kind| Some((kind, states[kind.index()]?)))
    }
}

impl FromIterator<(ChannelKind, ChannelState)> for ChannelStates {
    fn from_iter<I: IntoIterator<Item = (ChannelKind, ChannelState)>>(states: I) -> Self {
        let mut all = Self::NONE;
        for (kind, state) in states {
            all.set(kind, state);
        }
        all
    }
}

// === impl FeedState ===

impl FeedState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Live,
        Self::Stale,
        Self::Gap,
        Self::Down,
    ];

    /// The name in frames and metric labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Gap => "gap",
            Self::Down => "down",
        }
    }

    /// How bad it is: what does not arrive at all is worse than what arrives and cannot be trusted.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Live => 0,
            Self::Pending => 1,
            Self::Gap => 2,
            Self::Stale => 3,
            Self::Down => 4,
        }
    }
}

// === impl TradingState ===

impl TradingState {
    /// All states.
    pub const ALL: [Self; 12] = [
        Self::Unknown,
        Self::Open,
        Self::Halted,
        Self::CancelOnly,
        Self::PostOnly,
        Self::PreOpen,
        Self::Auction,
        Self::LimitOnly,
        Self::ReduceOnly,
        Self::Settlement,
        Self::Closed,
        Self::Delisted,
    ];

    /// The name in frames.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Halted => "halted",
            Self::CancelOnly => "cancel_only",
            Self::PostOnly => "post_only",
            Self::PreOpen => "pre_open",
            Self::Auction => "auction",
            Self::LimitOnly => "limit_only",
            Self::ReduceOnly => "reduce_only",
            Self::Settlement => "settlement",
            Self::Closed => "closed",
            Self::Delisted => "delisted",
        }
    }

    /// The state with this name; none if it is not known here, which readers take for `unknown`.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.label() == label)
    }

    /// Whether data are expected: the venue says that trading is open, or says nothing.
    pub const fn expects_data(self) -> bool {
        matches!(self, Self::Open | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_channels_are_kept_by_kind() {
        let state = |feed, since| ChannelState {
            feed,
            since: UnixNanos::new(since),
        };
        let mut states = ChannelStates::NONE;
        assert_eq!(states.iter().count(), 0);
        states.set(ChannelKind::Book, state(FeedState::Stale, 2));
        states.set(ChannelKind::Trade, state(FeedState::Live, 1));
        states.set(ChannelKind::Book, state(FeedState::Gap, 3));
        let all = [
            (ChannelKind::Trade, state(FeedState::Live, 1)),
            (ChannelKind::Book, state(FeedState::Gap, 3)),
        ];
        assert_eq!(states.iter().collect::<Vec<_>>(), all);
        assert_eq!(states, all.into_iter().collect());
        assert_eq!(states.get(ChannelKind::Quote), None);
    }

    #[test]
    fn no_two_states_are_equally_bad_and_live_is_best() {
        let mut severities = FeedState::ALL.map(FeedState::severity);
        assert_eq!(FeedState::Live.severity(), 0);
        severities.sort_unstable();
        assert_eq!(severities, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn trading_states_are_found_by_name() {
        for state in TradingState::ALL {
            assert_eq!(TradingState::of_label(state.label()), Some(state));
        }
        assert_eq!(TradingState::of_label("frozen"), None);
        let expecting = TradingState::ALL.into_iter().filter(|s| s.expects_data());
        assert_eq!(
            expecting.collect::<Vec<_>>(),
            [TradingState::Unknown, TradingState::Open]
        );
    }
}
