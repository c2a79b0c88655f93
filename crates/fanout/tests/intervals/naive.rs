//! A conflator that keeps every event and compares whole states: slow, and right by looking at it.

use crate::market::{Levels, Market, Told};
use tapecast_model::{Channel, StreamKind, Topic};

/// When a frame goes out, and of which epoch and number.
pub(crate) type Expected = (u64, (u64, u64));

/// One interval topic of a subscriber who never leaves.
pub(crate) struct Naive {
    kind: StreamKind,
    depth: usize,
    interval: u64,
    last_frame: Option<u64>,
    waiting: Vec<Told>,
    /// The view of a book topic; none while it is unknown.
    view: Option<[Levels; 2]>,
    epoch: u64,
    pub(crate) frames: Vec<Expected>,
}

const TICK: u64 = 1_000_000;
const TRADES_MAX: u64 = 512;

impl Naive {
    pub(crate) fn of(topic: &Topic) -> Self {
        Self {
            kind: topic.channel.into(),
            depth: match topic.channel {
                Channel::Book(depth) => depth.levels(),
                _ => 0,
            },
            interval: topic.interval.map_or(0, |i| i.millis() * 1_000_000),
            last_frame: None,
            waiting: Vec::new(),
            view: None,
            epoch: 1,
            frames: Vec::new(),
        }
    }

    /// A turn begins: what is due goes out. The clock ticks in milliseconds.
    pub(crate) fn look(&mut self, now: u64, market: &Market) {
        let over = self.last_frame.map_or(0, |at| at + self.interval);
        if !self.waiting.is_empty() && now >= over.div_ceil(TICK) * TICK {
            self.send_waiting(now, market);
        }
    }

    /// An update was published.
    pub(crate) fn hear(&mut self, told: &Told, now: u64, market: &Market) {
        if told.kind != self.kind {
            return;
        }
        if told.lost {
            if self.kind == StreamKind::Trade {
                self.send_waiting(now, market);
            }
            self.waiting.clear();
            self.view = None;
            return;
        }
        let waiting: u64 = self.waiting.iter().map(|told| told.trades).sum();
        if let Some(last) = self.waiting.last()
            && self.kind == StreamKind::Trade
            && (last.at.0 != told.at.0 || waiting + told.trades > TRADES_MAX)
        {
            self.send_waiting(now, market);
        }
        self.waiting.push(told.clone());
        let over = self.last_frame.is_none_or(|at| now >= at + self.interval);
        let waiting: u64 = self.waiting.iter().map(|told| told.trades).sum();
        if self.waiting.len() == 1 && over || waiting >= TRADES_MAX {
            self.send_waiting(now, market);
        }
    }

    fn send_waiting(&mut self, now: u64, market: &Market) {
        let Some(last) = self.waiting.drain(..).next_back() else {
            return;
        };
        if self.kind == StreamKind::Book {
            let mut state = market.books[&last.at].clone();
            state.iter_mut().for_each(|side| side.truncate(self.depth));
            let before = self.view.replace(state);
            if before == self.view && last.at.0 == self.epoch {
                return;
            }
        }
        self.epoch = last.at.0;
        self.last_frame = Some(now);
        self.frames.push((now, last.at));
    }
}
