//! Goal: whatever the order of events, the whole is the worst of what is regular, and each change is said
//! exactly once. Method: any steps go to the health and to a naive model, which keeps facts and no causes.

use super::Step::*;
use super::*;
use proptest::prelude::*;

/// One channel as a list of facts; what it is, is read off them.
#[derive(Clone, Debug, Default)]
struct Naive {
    watched: bool,
    usable: bool,
    down: bool,
    silent: bool,
    gap: bool,
    /// The second from which its limit counts.
    from: u64,
}

impl Naive {
    fn state(&self) -> Option<FeedState> {
        let states = [
            (self.down, FeedState::Down),
            (self.silent, FeedState::Stale),
            (self.gap, FeedState::Gap),
            (!self.usable, FeedState::Pending),
        ];
        let state = states
            .into_iter()
            .find_map(|(holds, state)| holds.then_some(state));
        self.watched.then_some(state.unwrap_or(FeedState::Live))
    }

    fn begin(&mut self, second: u64) {
        (self.watched, self.usable, self.silent, self.from) = (true, false, false, second);
    }
}

/// All of an instrument, naively.
#[derive(Clone, Debug, Default)]
struct Model {
    channels: [Naive; 4],
    shared: bool,
    line: Option<FeedState>,
    /// The second from which the first event of any channel is due.
    due_from: Option<u64>,
    trading: TradingState,
}

const KINDS: [ChannelKind; 4] = [Trade, Quote, Book, Ticker];

impl Model {
    fn of(&mut self, kind: ChannelKind) -> &mut Naive {
        &mut self.channels[KINDS.iter().position(|k| *k == kind).unwrap()]
    }

    fn take(&mut self, step: Step, second: u64) {
        match step {
            Asked(kinds) => {
                for kind in kinds {
                    let channel = self.of(*kind);
                    if !channel.watched || channel.down {
                        (channel.down, channel.gap) = (false, false);
                        channel.begin(second);
                    }
                }
                self.line = self.line.filter(|line| *line != FeedState::Down);
                if kinds.is_empty() && self.line.is_none() {
                    self.due_from = Some(second);
                }
            }
            Data(kind) => {
                self.shared &= kind != Quote;
                self.line = Some(FeedState::Live);
                let channel = self.of(kind);
                *channel = Naive {
                    watched: true,
                    usable: true,
                    gap: channel.gap && kind == Book,
                    from: second,
                    ..Naive::default()
                };
            }
            Heard => {
                self.line = Some(FeedState::Live);
                let book = self.of(Book);
                if !book.watched || (book.down && !book.usable) {
                    book.begin(second);
                } else if book.usable {
                    (book.silent, book.from) = (false, second);
                }
                book.down = false;
            }
            Gap(kind) => {
                let channel = self.of(kind);
                channel.gap |= channel.watched;
            }
            Healed => self.of(Book).gap = false,
            Repeated => {
                let trade = self.of(Trade);
                if std::mem::take(&mut trade.down) {
                    trade.begin(second);
                    self.line = self.line.map(|_| FeedState::Live);
                }
            }
            Down => {
                (self.line, self.due_from) = (Some(FeedState::Down), None);
                for channel in self.channels.iter_mut().filter(|c| c.watched) {
                    (channel.down, channel.silent) = (true, false);
                }
            }
            Restarted => {
                self.line = self.line.filter(|line| *line != FeedState::Stale);
                self.due_from = self.due_from.map(|_| second);
                for channel in self.channels.iter_mut().filter(|c| c.watched) {
                    channel.gap = false;
                    channel.begin(second);
                }
            }
            Shared => self.shared = true,
            Trading(state) => {
                if state.expects_data() && !self.trading.expects_data() {
                    self.channels.iter_mut().for_each(|c| c.from = second);
                    self.due_from = self.due_from.map(|_| second);
                }
                self.trading = state;
            }
            Time => self.look(second),
        }
    }

    fn look(&mut self, second: u64) {
        let due = self.due_from.is_some_and(|from| from + 5 <= second);
        if self.trading.expects_data() && self.line.is_none() && due {
            self.line = Some(FeedState::Stale);
        }
        for kind in [Quote, Book, Ticker] {
            let waits = self.trading.expects_data() && !(kind == Quote && self.shared);
            let channel = self.of(kind);
            let due = channel.from + 5 <= second && (channel.usable || kind != Ticker);
            channel.silent |= waits && channel.watched && !channel.down && due;
        }
    }

    fn states(&self) -> Vec<(ChannelKind, FeedState)> {
        let of = |kind| {
            if kind == Quote && self.shared {
                Book
            } else {
                kind
            }
        };
        let state = |kind| Some((kind, self.clone().of(of(kind)).state()?));
        KINDS.into_iter().filter_map(state).collect()
    }

    fn feed(&self) -> FeedState {
        let bad = [
            FeedState::Down,
            FeedState::Stale,
            FeedState::Gap,
            FeedState::Pending,
        ];
        let regular: Vec<_> = self
            .states()
            .into_iter()
            .filter(|(k, _)| matches!(k, Book | Quote))
            .collect();
        let live = self.line == Some(FeedState::Live);
        if regular.is_empty() && live && self.states().iter().any(|(_, s)| *s == FeedState::Gap) {
            return FeedState::Gap;
        }
        if regular.is_empty() {
            return self.line.unwrap_or(FeedState::Pending);
        }
        let worst = bad
            .into_iter()
            .find(|bad| regular.iter().any(|(_, state)| state == bad));
        worst.unwrap_or(FeedState::Live)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || prop::sample::select(KINDS.to_vec());
    let sets: Vec<&'static [ChannelKind]> = vec![&[], &[Book], &[Trade], &[Quote, Book], &KINDS];
    prop_oneof![
        2 => prop::sample::select(sets).prop_map(Asked),
        8 => kind().prop_map(Data),
        2 => Just(Heard),
        3 => kind().prop_map(Gap),
        2 => Just(Healed),
        2 => Just(Repeated),
        1 => Just(Down),
        1 => Just(Restarted),
        1 => Just(Shared),
        1 => prop::sample::select(TradingState::ALL.to_vec()).prop_map(Trading),
        6 => Just(Time),
    ]
}

proptest! {
    #[test]
    fn the_whole_is_the_worst_of_what_is_regular_and_each_change_is_said_once(
        steps in prop::collection::vec((step(), 0_u64..4), 1..60),
    ) {
        let (mut health, mut model) = (Health::new(LIMIT), Model::default());
        let (mut second, mut heard) = (1, health.said().clone());
        for (step, pause) in steps {
            second += pause;
            health.take(step, at(second));
            model.take(step, second);
            let news = health.take_news().map(|(before, status)| (before, status.clone()));
            if let Some((before, status)) = news {
                prop_assert_eq!(before, heard.feed);
                prop_assert!(status != heard || matches!(step, Restarted), "{:?} is said twice", status);
                for (kind, state) in status.channels.iter() {
                    // A quote may be the book's at one time and its own at another.
                    let own = kind != Quote;
                    let as_before = heard.channels.get(kind).filter(|old| own && old.feed == state.feed);
                    prop_assert!(state.since.get() <= second * 1_000_000_000);
                    prop_assert!(as_before.is_none_or(|old| old.since <= state.since));
                }
                heard = status;
            }
            prop_assert_eq!(&heard, health.said());
            let states: Vec<_> = heard.channels.iter().map(|(k, state)| (k, state.feed)).collect();
            prop_assert_eq!(states, model.states(), "after {:?}", step);
            prop_assert_eq!(heard.feed, model.feed(), "after {:?}", step);
            prop_assert_eq!(heard.trading, model.trading);
            prop_assert!(health.take_news().is_none(), "nothing is said twice");
        }
    }
}
