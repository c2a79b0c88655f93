//! Streams: what is numbered on its own. Each has numbers without holes, and a topic shows one of them.

use crate::symbol::InstrumentId;
use crate::topic::{Channel, ChannelKind, Timeframe};

/// A numbered sequence of events: one kind of event of one instrument.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamKey {
    /// Whose events.
    pub instrument: InstrumentId,
    /// Of which kind.
    pub kind: StreamKind,
}

/// A kind of event that is numbered on its own. Bars of each timeframe are.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum StreamKind {
    /// Trades.
    Trade,
    /// Best bid and offer.
    Quote,
    /// Price levels, to any depth.
    Book,
    /// 24 h statistics.
    Ticker,
    /// Feed and trading state.
    Status,
    /// The instrument's definition.
    Instrument,
    /// Bars of this length.
    Bar(Timeframe),
}

// === impl StreamKind ===

impl StreamKind {
    /// How many there are: one above the highest [`StreamKind::index`].
    pub const COUNT: usize = 6 + Timeframe::ALL.len();

    /// A dense index, below [`StreamKind::COUNT`]. It is for tables of this process only: another process
    /// may have another.
    pub const fn index(self) -> usize {
        match self {
            Self::Trade => 0,
            Self::Quote => 1,
            Self::Book => 2,
            Self::Ticker => 3,
            Self::Status => 4,
            Self::Instrument => 5,
            Self::Bar(timeframe) => 6 + timeframe.index(),
        }
    }

    /// The kind of channel that shows it.
    pub const fn channel(self) -> ChannelKind {
        match self {
            Self::Trade => ChannelKind::Trade,
            Self::Quote => ChannelKind::Quote,
            Self::Book => ChannelKind::Book,
            Self::Ticker => ChannelKind::Ticker,
            Self::Status => ChannelKind::Status,
            Self::Instrument => ChannelKind::Instrument,
            Self::Bar(_) => ChannelKind::Bar,
        }
    }

    /// The only stream of a kind of channel; none for bars, which have one for each timeframe.
    pub const fn only(kind: ChannelKind) -> Option<Self> {
        match kind {
            ChannelKind::Trade => Some(Self::Trade),
            ChannelKind::Quote => Some(Self::Quote),
            ChannelKind::Book => Some(Self::Book),
            ChannelKind::Ticker => Some(Self::Ticker),
            ChannelKind::Status => Some(Self::Status),
            ChannelKind::Instrument => Some(Self::Instrument),
            ChannelKind::Bar => None,
        }
    }
}

impl From<Channel> for StreamKind {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Trade => Self::Trade,
            Channel::Quote => Self::Quote,
            Channel::Book(_) => Self::Book,
            Channel::Bar(timeframe) => Self::Bar(timeframe),
            Channel::Ticker => Self::Ticker,
            Channel::Status => Self::Status,
            Channel::Instrument => Self::Instrument,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_an_index_of_its_own() {
        let only = ChannelKind::ALL.into_iter().filter_map(StreamKind::only);
        let bars = Timeframe::ALL.into_iter().map(StreamKind::Bar);
        let mut indexes: Vec<_> = only.chain(bars).map(StreamKind::index).collect();
        indexes.sort_unstable();
        assert!(indexes.into_iter().eq(0..StreamKind::COUNT));
    }

    #[test]
    fn topics_of_one_stream_agree_and_timeframes_do_not() {
        let stream = |channel: &str| {
            let topic: crate::Topic = format!("{channel}:x:A-B").parse().unwrap();
            StreamKind::from(topic.channel)
        };
        assert_eq!(stream("book.1"), stream("book.500"));
        assert_ne!(stream("bar.1s"), stream("bar.1m"));
        for channel in ["trade", "quote", "book.10", "ticker", "status", "bar.1h"] {
            let kind = stream(channel).channel();
            assert!(channel.starts_with(kind.label()));
            assert!(StreamKind::only(kind).is_none_or(|only| only == stream(channel)));
        }
    }
}
