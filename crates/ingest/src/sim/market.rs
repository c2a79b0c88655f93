//! One simulated instrument: a [fair value](super::fair), makers who quote around it, a book of their
//! orders, and takers who trade at its best prices.
//!
//! Makers act first: if the book is no longer around the fair value, or if takers have emptied it, the
//! makers quote again before the next taker trades. So a trade is never far from the fair value, even if
//! arrivals are rare. The book is never empty, locked or crossed.

use super::character::Character;
use super::day::Day;
use super::fair::{FINE, Fair};
use super::listing::Listing;
use super::random::Random;
use super::shape::{self, Draft};
use crate::event::BookEvent;
use smallvec::SmallVec;
use tapecast_model::{
    Aggressor, Book, EventTime, Level, Price, Qty, Side, Ticker, Trade, TradeId, UnixNanos,
};

/// A simulated instrument's state.
#[derive(Debug)]
pub(super) struct Market {
    character: Character,
    fair: Fair,
    book: Book,
    /// The venue's number of the last book message.
    number: u64,
    last_trade_id: u64,
    day: Day,
}

/// Trades, oldest first.
pub(super) type Trades = SmallVec<[Trade; 1]>;

// === impl Market ===

impl Market {
    /// A market that has traded for a day, so many times; the newest trades of that day come with it.
    pub(super) fn open(
        listing: &Listing,
        trades_a_day: u64,
        now: UnixNanos,
        random: &mut Random,
    ) -> (Self, Trades) {
        let Listing {
            character, price, ..
        } = *listing;
        let past = UnixNanos::new(now.get().saturating_sub(PAST_NANOS));
        let ways = (character.spread, character.sway);
        let mut fair = Fair::new(price, ways, past, random);
        let scales = (listing.price_scale, listing.qty_scale);
        let bulk = bulk(character.order, trades_a_day);
        let tick = |price: i64| price / FINE / character.tick * character.tick;
        let mut day = Day::new(scales, past, tick(fair.center()), bulk);
        let recent = recent(trades_a_day, now, random);
        let end = recent.first().copied().unwrap_or(now);
        let step = end.get().saturating_sub(past.get()) / PAST_STEPS;
        for number in 1..PAST_STEPS {
            let time = UnixNanos::new(past.get() + step * number);
            fair.advance(time, random);
            let traded = bulk / 100 * random.between(50, 150);
            day.add(time, tick(fair.center()), traded.max(1));
        }
        let mut market = Self {
            character,
            fair,
            book: Book::new(),
            number: 0,
            last_trade_id: 1_000_000 + random.below(1_000_000),
            day,
        };
        let mut trades = Trades::new();
        for time in recent {
            market.fair.advance(time, random);
            let bid = tick(market.fair.center()) - character.spread / 2;
            let (taker, price) = if random.one_in(2) {
                (Aggressor::Buy, bid + character.spread)
            } else {
                (Aggressor::Sell, bid)
            };
            let price = price / character.tick * character.tick;
            let qty = market.order(random);
            market.day.add(time, price, qty);
            trades.push(market.trade(price, qty, taker, time));
        }
        (market, trades)
    }

    /// The whole book as a message.
    pub(super) fn snapshot(&mut self, now: UnixNanos, random: &mut Random) -> BookEvent {
        let mut change = self.requote(now, random);
        let levels = |side| self.book.levels(side).copied().collect();
        change.bids = levels(Side::Bid);
        change.asks = levels(Side::Ask);
        change.snapshot = true;
        change
    }

    /// Makers look at the fair value: they follow it if it has moved away, and change sizes.
    pub(super) fn requote(&mut self, now: UnixNanos, random: &mut Random) -> BookEvent {
        self.fair.advance(now, random);
        let center = self.fair.center();
        let follow = !self.stands_around(center, 1) || random.one_in(REFRESH_ONE_IN);
        self.number += 1;
        let mut draft = Draft::new(&mut self.book, &self.character, self.number);
        if follow {
            let (bid, ask) = best_prices(&self.character, center, random);
            draft.quote(bid, ask, random);
        }
        for side in [Side::Bid, Side::Ask] {
            draft.stir(side, random);
        }
        draft.finish(random)
    }

    /// A taker trades at the best price, and through it if the size asks for more. `None` if makers
    /// have to come first.
    pub(super) fn take(
        &mut self,
        taker: Aggressor,
        now: UnixNanos,
        random: &mut Random,
    ) -> Option<(Trades, BookEvent)> {
        self.fair.advance(now, random);
        if !self.stands_around(self.fair.center(), 2) {
            return None;
        }
        let maker_side = match taker {
            Aggressor::Buy => Side::Ask,
            Aggressor::Sell => Side::Bid,
        };
        let mut left = self.order(random);
        let eaten: SmallVec<[(Level, i64); 4]> = self
            .book
            .levels(maker_side)
            .take(EATEN_LEVELS_MAX)
            .map_while(|level| {
                let qty = left.min(level.qty.mantissa());
                left -= qty;
                (qty > 0).then_some((*level, qty))
            })
            .collect();
        let trades = eaten
            .iter()
            .map(|(level, qty)| {
                let price = level.price.mantissa();
                self.day.add(now, price, *qty);
                self.trade(price, *qty, taker, now)
            })
            .collect();
        self.fair.press(taker == Aggressor::Buy);
        self.number += 1;
        let mut draft = Draft::new(&mut self.book, &self.character, self.number);
        for (level, qty) in &eaten {
            let rest = level.qty.mantissa() - qty;
            draft.set(maker_side, level.price.mantissa(), rest);
        }
        Some((trades, draft.finish(random)))
    }

    /// The 24 h statistics.
    pub(super) fn ticker(&mut self, now: UnixNanos) -> Ticker {
        self.day.ticker(now)
    }

    /// The fair value, for tests of what is near it.
    #[cfg(test)]
    pub(super) fn fair_price(&self) -> i64 {
        self.fair.price()
    }

    /// Its book, for tests of its shape.
    #[cfg(test)]
    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// Whether the best prices are not too far apart, and their middle not too far from a price;
    /// `patience` widens both.
    fn stands_around(&self, center: i64, patience: i64) -> bool {
        let best = |side| self.book.best(side).map(|level| level.price.mantissa());
        let Some((bid, ask)) = best(Side::Bid).zip(best(Side::Ask)) else {
            return false;
        };
        let Character { tick, spread, .. } = self.character;
        let off = ((bid + ask) * FINE / 2 - center).abs();
        let slack = (spread * FINE / 3).max(tick * FINE * 3 / 4);
        off <= slack * patience && ask - bid <= (spread * 3 / 2).max(tick) * patience
    }

    /// The size of a taker's order: most are small, some very large.
    fn order(&self, random: &mut Random) -> i64 {
        let mean = u64::try_from(self.character.order).unwrap_or(1);
        let size = i64::try_from(random.exponential(mean)).unwrap_or(i64::MAX);
        let large = if random.one_in(40) {
            random.between(4, 20)
        } else {
            1
        };
        // A usual size on top makes some of them round.
        let least = shape::size(self.character.order / 8, random);
        size.saturating_mul(large).max(least)
    }

    fn trade(&mut self, price: i64, qty: i64, taker: Aggressor, time: UnixNanos) -> Trade {
        self.last_trade_id += 1;
        Trade {
            id: TradeId::from_number(self.last_trade_id),
            price: Price::from_mantissa(price),
            qty: Qty::from_mantissa(qty),
            aggressor: Some(taker),
            ts_event: Some(EventTime::new(time)),
        }
    }
}

/// What makers quote around a fair value, on ticks and never locked.
fn best_prices(character: &Character, center: i64, random: &mut Random) -> (i64, i64) {
    let Character { tick, spread, .. } = *character;
    let ticks = spread / tick;
    let spread = random.between((ticks / 2).max(1), (ticks * 3 / 2).max(1)) * tick;
    let bid = (center - spread * FINE / 2 + tick * FINE / 2).div_euclid(tick * FINE) * tick;
    (bid, bid + spread)
}

/// What traded in one of the steps of the day before the simulation begins.
fn bulk(order: i64, trades_a_day: u64) -> i64 {
    let traded = i128::from(order) * i128::from(trades_a_day / PAST_STEPS);
    i64::try_from(traded)
        .unwrap_or(i64::MAX / 1_000)
        .clamp(100, i64::MAX / 1_000)
}

/// When the newest trades of the past were, oldest first: as often as trades will come.
fn recent(trades_a_day: u64, now: UnixNanos, random: &mut Random) -> Vec<UnixNanos> {
    let gap = (DAY_NANOS / trades_a_day.max(1)).clamp(1, RECENT_NANOS / RECENT_TRADES);
    let mut time = now.get();
    let mut times: Vec<_> = (0..RECENT_TRADES)
        .map(|_| {
            time = time.saturating_sub(1 + random.exponential(gap));
            UnixNanos::new(time)
        })
        .collect();
    times.reverse();
    times
}

/// Makers quote again from time to time, although the fair value has not moved.
const REFRESH_ONE_IN: u64 = 8;
/// A taker goes through so many levels at most.
const EATEN_LEVELS_MAX: usize = 3;
const DAY_NANOS: u64 = 24 * 3_600_000_000_000;
/// The day before the simulation begins, and the steps it is made of.
const PAST_NANOS: u64 = DAY_NANOS / 24 * 23;
const PAST_STEPS: u64 = 200;
/// The trades of that day which are shown, and within what time they were at most.
const RECENT_TRADES: u64 = 50;
const RECENT_NANOS: u64 = 600_000_000_000;
