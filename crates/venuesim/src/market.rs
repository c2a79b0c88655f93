//! The market of one symbol: makers change a book, takers trade with it. Everything has its number here; what a
//! client receives of it, and when, is not the market's business.
//!
//! Numbers: each change of a level raises the number of the book by one to three, so that a message of several
//! changes spans several numbers. Trades count by one, orders that took them ("aggregate trades") by one.

mod book;
mod day;

pub(crate) use book::{Book, Changed, Changes, Level};
pub(crate) use day::Day;

use crate::config::{Kept, SymbolConfig};
use crate::random::Random;
use crate::truth::{TruthBook, TruthSymbol, TruthTrade};
use std::collections::VecDeque;
use std::time::Duration;

/// A symbol and its market.
#[derive(Debug)]
pub(crate) struct Market {
    /// How it was configured; `tick` and `every` may have changed since.
    pub(crate) config: SymbolConfig,
    /// Whether it trades.
    pub(crate) status: Status,
    /// The present book.
    pub(crate) book: Book,
    /// What has changed since the last message of each speed.
    pub(crate) fast: Changes,
    /// The same for the slow one.
    pub(crate) slow: Changes,
    /// The last 24 hours.
    pub(crate) day: Day,
    trades: VecDeque<TruthTrade>,
    aggregates: VecDeque<Aggregate>,
    next_trade: u64,
    next_aggregate: u64,
    renumbered: u32,
    /// States of the best levels, oldest first.
    past: VecDeque<TruthBook>,
    /// Whole books of some seconds ago, for answers that come too late: an older and a newer one.
    old: (TruthBook, TruthBook),
    kept: Kept,
    random: Random,
}

/// Whether a symbol trades, in the venue's words `[D]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    Trading,
    Halt,
    Break,
    CancelOnly,
    /// Gone from the list.
    Delisted,
}

/// What one change of the market brought.
#[derive(Debug, Default)]
pub(crate) struct Acted {
    /// Whether the best bid or offer is another.
    pub(crate) best: bool,
    /// Levels that have changed, in order.
    pub(crate) changed: Vec<Changed>,
    /// Trades, in order.
    pub(crate) trades: Vec<TruthTrade>,
    /// The same, one per price of the taker's order.
    pub(crate) aggregates: Vec<Aggregate>,
}

/// Trades of one taker's order at one price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Aggregate {
    pub(crate) id: u64,
    pub(crate) price: i64,
    pub(crate) qty: i64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) time_ms: u64,
    pub(crate) buyer_is_maker: bool,
}

// === impl Market ===

impl Market {
    /// A market that has traded before.
    pub(crate) fn open(config: SymbolConfig, kept: &Kept, now_ms: u64, mut random: Random) -> Self {
        let book = Book::open(&config, &mut random);
        let next_trade = 1_000_000 + random.below(3_000_000_000);
        Self {
            status: Status::Trading,
            fast: Changes::new(book.id()),
            slow: Changes::new(book.id()),
            day: Day::open(&config, next_trade, now_ms, &mut random),
            trades: VecDeque::new(),
            aggregates: VecDeque::new(),
            next_trade,
            next_aggregate: next_trade / 2,
            renumbered: 0,
            past: VecDeque::new(),
            old: (book.truth(OLD_LEVELS), book.truth(OLD_LEVELS)),
            kept: kept.clone(),
            book,
            random,
            config,
        }
    }

    /// When it changes next, from now.
    pub(crate) fn wait(&mut self) -> Duration {
        self.random.wait(self.config.every)
    }

    /// One change: a maker's, or a taker's order.
    pub(crate) fn act(&mut self, now_ms: u64) -> Acted {
        if self.status != Status::Trading {
            return Acted::default();
        }
        let before = self.book.best();
        let mut acted = Acted::default();
        let lean = self.lean();
        if self.random.one_in(self.config.taker_one_in) {
            self.take(lean, now_ms, &mut acted);
        } else {
            let changed = self.book.make(&self.config, lean, &mut self.random);
            self.note(&changed);
            acted.changed = changed;
        }
        let refilled = self.book.refill(&self.config, &mut self.random);
        self.note(&refilled);
        acted.changed.extend(refilled);
        acted.best = self.book.best() != before;
        acted
    }

    /// Keeps the present state of the best levels for comparison.
    pub(crate) fn remember(&mut self) {
        let last = self.past.back().map(|book| book.last_update_id);
        if last != Some(self.book.id()) {
            self.past.push_back(self.book.truth(self.kept.book_levels));
        }
        while self.past.len() > self.kept.books {
            self.past.pop_front();
        }
    }

    /// The same, with a number that is not the book's own.
    pub(crate) fn remember_as(&mut self, number: u64) {
        let mut book = self.book.truth(self.kept.book_levels);
        book.last_update_id = number;
        self.past.push_back(book);
        while self.past.len() > self.kept.books {
            self.past.pop_front();
        }
    }

    /// Keeps the whole book, for answers that come too late; call it every few seconds.
    pub(crate) fn age(&mut self) {
        let book = self.book.truth(OLD_LEVELS);
        self.old.0 = std::mem::replace(&mut self.old.1, book);
    }

    /// A whole book of some seconds ago.
    pub(crate) fn old(&self) -> &TruthBook {
        &self.old.0
    }

    /// The best levels behind a change, if they are remembered.
    pub(crate) fn past(&self, last_update_id: u64) -> Option<&TruthBook> {
        let mut past = self.past.iter().rev();
        past.find(|book| book.last_update_id == last_update_id)
    }

    /// Trades that are remembered, oldest first.
    pub(crate) fn trades(&self) -> &VecDeque<TruthTrade> {
        &self.trades
    }

    /// Aggregate trades that are remembered, oldest first.
    pub(crate) fn aggregates(&self) -> &VecDeque<Aggregate> {
        &self.aggregates
    }

    /// What is known of the symbol.
    pub(crate) fn truth(&self) -> TruthSymbol {
        TruthSymbol {
            symbol: self.config.symbol.clone(),
            status: self.status.name(),
            tick: self.config.tick,
            step: self.config.step,
        }
    }

    /// Prices get one more digit, from now on; the next quotes use it. Whether that is possible.
    pub(crate) fn refine(&mut self) -> bool {
        let can = self.config.tick % 10 == 0;
        if can {
            self.config.tick /= 10;
        }
        can
    }

    /// All numbers begin again, far below the present ones.
    pub(crate) fn renumber(&mut self) {
        self.renumbered += 1;
        self.next_trade /= 4;
        self.next_aggregate /= 4;
        self.book.renumber();
        self.fast = Changes::new(self.book.id());
        self.slow = Changes::new(self.book.id());
        self.past.clear();
        self.forget_old();
    }

    /// Forgets all books: the symbol is gone. Trades stay.
    pub(crate) fn clear(&mut self) {
        self.book.clear();
        self.fast = Changes::new(self.book.id());
        self.slow = Changes::new(self.book.id());
        self.past.clear();
        self.forget_old();
    }

    fn forget_old(&mut self) {
        let book = self.book.truth(OLD_LEVELS);
        self.old = (book.clone(), book);
    }

    /// Which way the market is pulled: up or down if it is far from where it began.
    fn lean(&self) -> Lean {
        let Some(((bid, _), (ask, _))) = self.book.best().0.zip(self.book.best().1) else {
            return Lean::None;
        };
        let off = i128::from(bid / 2 + ask / 2 - self.config.price) * 200;
        if off > i128::from(self.config.price) {
            Lean::Down
        } else if -off > i128::from(self.config.price) {
            Lean::Up
        } else {
            Lean::None
        }
    }

    /// A taker's order: it trades at the best prices, often with several makers.
    fn take(&mut self, lean: Lean, now_ms: u64, acted: &mut Acted) {
        let taker_sells = match lean {
            Lean::None => self.random.one_in(2),
            Lean::Down => !self.random.one_in(3),
            Lean::Up => self.random.one_in(3),
        };
        let step = self.config.step;
        let mean = u64::try_from(self.config.qty / step).unwrap_or(1);
        let steps = i64::try_from(self.random.exponential(mean)).unwrap_or(1);
        let mut left = steps.max(1).saturating_mul(step);
        for _ in 0..TAKEN_LEVELS_MAX {
            let best = if taker_sells {
                self.book.best().0
            } else {
                self.book.best().1
            };
            let Some((price, there)) = best.filter(|_| left > 0) else {
                break;
            };
            let taken = left.min(there);
            left -= taken;
            let changed = self
                .book
                .set(taker_sells, price, there - taken, &mut self.random);
            self.note(&[changed]);
            acted.changed.push(changed);
            self.trade(price, taken, taker_sells, now_ms, acted);
        }
    }

    /// Trades at one price, with one maker or two.
    fn trade(
        &mut self,
        price: i64,
        qty: i64,
        buyer_is_maker: bool,
        now_ms: u64,
        acted: &mut Acted,
    ) {
        let steps = qty / self.config.step;
        let part = if steps > 1 && self.random.one_in(3) {
            self.random.between(1, steps - 1) * self.config.step
        } else {
            qty
        };
        let first = self.next_trade;
        for qty in [part, qty - part] {
            if qty == 0 {
                continue;
            }
            let trade = TruthTrade {
                id: self.next_trade,
                price,
                qty,
                time_ms: now_ms,
                buyer_is_maker,
                renumbered: self.renumbered,
            };
            self.next_trade += 1;
            self.day.add(&trade);
            self.trades.push_back(trade);
            acted.trades.push(trade);
        }
        let aggregate = Aggregate {
            id: self.next_aggregate,
            price,
            qty,
            first,
            last: self.next_trade - 1,
            time_ms: now_ms,
            buyer_is_maker,
        };
        self.next_aggregate += 1;
        self.aggregates.push_back(aggregate);
        acted.aggregates.push(aggregate);
        while self.trades.len() > self.kept.trades {
            self.trades.pop_front();
        }
        while self.aggregates.len() > self.kept.trades {
            self.aggregates.pop_front();
        }
    }

    fn note(&mut self, changed: &[book::Changed]) {
        for changed in changed {
            self.fast.note(changed);
            self.slow.note(changed);
        }
    }
}

/// Which way a market is pulled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lean {
    None,
    Up,
    Down,
}

// === impl Status ===

impl Status {
    /// As the venue writes it; `None` if the symbol is not in its list.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Trading => Some("TRADING"),
            Self::Halt => Some("HALT"),
            Self::Break => Some("BREAK"),
            Self::CancelOnly => Some("CANCEL_ONLY"),
            Self::Delisted => None,
        }
    }
}

/// An old book has so many levels at most: those of the largest answer.
const OLD_LEVELS: usize = 5_000;
/// A taker goes through so many levels at most.
const TAKEN_LEVELS_MAX: usize = 3;

#[cfg(test)]
mod tests;
