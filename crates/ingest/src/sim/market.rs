//! One simulated instrument: a fair price that wanders and returns, a book around it, and trades that
//! eat into the book.
//!
//! The book is never empty, locked or crossed: before a level is quoted, whatever stands against it
//! is taken away.

use super::day::Day;
use super::listing::Listing;
use super::random::Random;
use crate::event::{BookEvent, Link};
use smallvec::SmallVec;
use tapecast_model::{
    Aggressor, Book, EventTime, Level, Price, Qty, Side, Ticker, Trade, TradeId, UnixNanos,
};

/// A simulated instrument's state.
#[derive(Debug)]
pub(super) struct Market {
    /// Where the price returns to, in units of its last digit.
    home: i64,
    /// The fair price in [`FINE`]ths of that unit.
    fair: i64,
    /// The usual distance of two levels.
    grid: i64,
    /// The usual size of a level.
    lot: i64,
    book: Book,
    /// The venue's number of the last book message.
    number: u64,
    last_trade_id: u64,
    day: Day,
}

/// A change to the book in the making: every level goes to the book and to the message.
struct Draft<'a> {
    book: &'a mut Book,
    event: BookEvent,
}

/// A taker's prints, oldest first, and the change they make to the book.
pub(super) type Taken = (SmallVec<[Trade; 1]>, BookEvent);

// === impl Market ===

impl Market {
    /// A market that has traded for a day; the newest prints of that day come with it.
    pub(super) fn open(
        listing: &Listing,
        now: UnixNanos,
        random: &mut Random,
    ) -> (Self, SmallVec<[Trade; 1]>) {
        let home = listing.price;
        let lot = usual_size(listing);
        let scales = (listing.price_scale, listing.qty_scale);
        let past = UnixNanos::new(now.get().saturating_sub(PAST_NANOS));
        let price = home + random.bell(home / 100);
        let mut market = Self {
            home,
            fair: home * FINE,
            grid: (home / GRID_PARTS).max(1),
            lot,
            book: Book::new(),
            number: 0,
            last_trade_id: 1_000_000 + random.below(1_000_000),
            day: Day::new(scales, past, price, lot * random.between(200, 2_000)),
        };
        let mut prints = SmallVec::new();
        for step in 1..=PAST_PRINTS {
            // The price drifts home from where it began, and the newest prints are small.
            let left = i64::try_from(PAST_PRINTS - step).unwrap_or(0);
            let recent = left < 50;
            let parts = i64::try_from(PAST_PRINTS).unwrap_or(i64::MAX);
            let noise = random.bell(if recent { market.grid } else { home / 400 });
            let price = (home + (price - home) * left / parts + noise).max(1);
            let qty = if recent {
                market.size(random)
            } else {
                lot * random.between(200, 2_000)
            };
            let time = UnixNanos::new(past.get() + PAST_NANOS / PAST_PRINTS * step);
            market.day.add(time, price, qty);
            if recent {
                let side = if random.one_in(2) {
                    Aggressor::Buy
                } else {
                    Aggressor::Sell
                };
                prints.push(market.print(price, qty, side, time));
            }
        }
        (market, prints)
    }

    /// The whole book as a message.
    pub(super) fn snapshot(&mut self, random: &mut Random) -> BookEvent {
        let mut change = self.requote(random);
        let levels = |side| self.book.levels(side).copied().collect();
        change.bids = levels(Side::Bid);
        change.asks = levels(Side::Ask);
        change.snapshot = true;
        change
    }

    /// Makers follow the fair price.
    pub(super) fn requote(&mut self, random: &mut Random) -> BookEvent {
        self.wander(random);
        let spread = 1 + random.between(0, self.grid);
        let bid = (self.fair / FINE - spread / 2).max(self.grid * 4 * ROOM_LEVELS);
        let ask = bid + spread;
        let (grid, lot) = (self.grid, self.lot);
        self.number += 1;
        let mut draft = Draft::new(&mut self.book, self.number);
        draft.clear_beyond(Side::Bid, bid);
        draft.clear_beyond(Side::Ask, ask);
        for (side, best) in [(Side::Bid, bid), (Side::Ask, ask)] {
            draft.set(side, best, size(lot, random));
            draft.stir(side, lot, random);
            draft.fill(side, (grid, lot), random);
        }
        draft.event
    }

    /// A taker trades at the touch, and through it if the size asks for more.
    pub(super) fn take(&mut self, now: UnixNanos, random: &mut Random) -> Option<Taken> {
        let (taker, maker_side) = if random.one_in(2) {
            (Aggressor::Buy, Side::Ask)
        } else {
            (Aggressor::Sell, Side::Bid)
        };
        let mut left = self.size(random);
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
        if eaten.is_empty() {
            return None;
        }
        let prints = eaten
            .iter()
            .map(|(level, qty)| {
                let price = level.price.mantissa();
                self.day.add(now, price, *qty);
                self.print(price, *qty, taker, now)
            })
            .collect();
        let (grid, lot) = (self.grid, self.lot);
        self.number += 1;
        let mut draft = Draft::new(&mut self.book, self.number);
        for (level, qty) in &eaten {
            draft.set(
                maker_side,
                level.price.mantissa(),
                level.qty.mantissa() - qty,
            );
        }
        draft.fill(maker_side, (grid, lot), random);
        Some((prints, draft.event))
    }

    /// The 24 h statistics.
    pub(super) fn ticker(&mut self, now: UnixNanos) -> Ticker {
        self.day.ticker(now)
    }

    /// The fair price, for tests of where it goes.
    #[cfg(test)]
    pub(super) fn fair_price(&self) -> i64 {
        self.fair / FINE
    }

    fn wander(&mut self, random: &mut Random) {
        let home = self.home * FINE;
        self.fair += random.bell(home / GRID_PARTS) + (home - self.fair) / RETURN_PARTS;
        self.fair = self.fair.clamp(home / 2, home * 2);
    }

    fn size(&self, random: &mut Random) -> i64 {
        size(self.lot, random)
    }

    fn print(&mut self, price: i64, qty: i64, taker: Aggressor, time: UnixNanos) -> Trade {
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

// === impl Draft ===

impl<'a> Draft<'a> {
    fn new(book: &'a mut Book, number: u64) -> Self {
        let event = BookEvent {
            link: Link::Step(number),
            makes_quote: true,
            ..BookEvent::default()
        };
        Self { book, event }
    }

    fn set(&mut self, side: Side, price: i64, qty: i64) {
        let level = Level::new(Price::from_mantissa(price), Qty::from_mantissa(qty));
        self.book.apply(side, level);
        match side {
            Side::Bid => self.event.bids.push(level),
            Side::Ask => self.event.asks.push(level),
        }
    }

    /// Takes away the levels that are better than the price to be quoted.
    fn clear_beyond(&mut self, side: Side, price: i64) {
        while let Some(best) = self.book.best(side).map(|level| level.price.mantissa()) {
            let better = match side {
                Side::Bid => best > price,
                Side::Ask => best < price,
            };
            if !better {
                break;
            }
            self.set(side, best, 0);
        }
    }

    /// Changes the size of a few levels, more likely near the top, and sometimes takes one away.
    fn stir(&mut self, side: Side, lot: i64, random: &mut Random) {
        for _ in 0..random.below(3) {
            let depth = self.book.depth(side) as u64;
            let rank = random.below(depth).min(random.below(depth));
            let Some(level) = usize::try_from(rank)
                .ok()
                .and_then(|r| self.book.levels(side).nth(r))
            else {
                return;
            };
            let price = level.price.mantissa();
            let gone = rank > 0 && random.one_in(4);
            self.set(side, price, if gone { 0 } else { size(lot, random) });
        }
    }

    /// Keeps the number of levels within bounds, and no hole behind the best.
    fn fill(&mut self, side: Side, (grid, lot): (i64, i64), random: &mut Random) {
        let away = |price: i64, distance: i64| match side {
            Side::Bid => price - distance,
            Side::Ask => price + distance,
        };
        let top = {
            let mut prices = self.book.levels(side).map(|level| level.price.mantissa());
            prices.next().zip(prices.next())
        };
        if let Some((best, second)) = top
            && (best - second).abs() > 3 * grid
        {
            let price = away(best, random.between(1, 2 * grid));
            self.set(side, price, size(lot, random));
        }
        while self.book.depth(side) < LEVELS_MIN {
            let Some(worst) = self.book.levels(side).next_back() else {
                return;
            };
            let price = away(worst.price.mantissa(), random.between(1, 2 * grid));
            self.set(side, price, size(lot, random));
        }
        while self.book.depth(side) > LEVELS_MAX {
            let Some(worst) = self.book.levels(side).next_back() else {
                return;
            };
            self.set(side, worst.price.mantissa(), 0);
        }
    }
}

/// Mostly near the usual size, now and then much larger.
fn size(lot: i64, random: &mut Random) -> i64 {
    let usual = random.between(1, 2 * lot);
    if random.one_in(12) {
        usual.saturating_mul(random.between(2, 10))
    } else {
        usual
    }
}

/// The quantity that is worth about a thousand of the quote currency.
fn usual_size(listing: &Listing) -> i64 {
    let digits = u32::from(listing.price_scale.digits() + listing.qty_scale.digits());
    let worth = 10_i128.saturating_pow(digits).saturating_mul(1_000);
    i64::try_from(worth / i128::from(listing.price.max(1)))
        .unwrap_or(i64::MAX / 1_000)
        .max(1)
}

/// Parts of the last digit in which the fair price wanders.
const FINE: i64 = 1_024;
/// Levels stand about two hundredths of a per mille apart, which is also how far the price goes in
/// one step: a few per cent a day at thirty steps a second.
const GRID_PARTS: i64 = 50_000;
/// One step brings the price so much of the way home.
const RETURN_PARTS: i64 = 20_000;
/// Levels of each side after requoting.
const LEVELS_MIN: usize = 55;
const LEVELS_MAX: usize = 80;
/// Room below the best bid for [`LEVELS_MAX`] levels at their widest.
const ROOM_LEVELS: i64 = LEVELS_MAX as i64;
/// A taker goes through so many levels at most.
const EATEN_LEVELS_MAX: usize = 3;
/// The day before the simulation begins.
const PAST_NANOS: u64 = 23 * 3_600_000_000_000;
/// Prints of that day; the newest fifty are shown.
const PAST_PRINTS: u64 = 200;
