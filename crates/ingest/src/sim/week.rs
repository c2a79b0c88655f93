//! A week of every simulated symbol: at any moment of it the market looks like a market.
//!
//! Goal: whoever opens the demo after days sees what he saw in the first minute. Method: each market
//! is driven alone, so that a week takes a moment: now and then a burst of arrivals, then minutes
//! without any. After every arrival the book and the trades are held against bounds that follow from
//! the symbol's character, and against bounds in basis points that hold for all.

use super::character::Character;
use super::fair::REACH_HALVES;
use super::listing::{self, Listing};
use super::market::Market;
use super::random::Random;
use tapecast_model::{Aggressor, Book, Side, UnixNanos};

const MILLISECOND: u64 = 1_000_000;
const START: u64 = 1_786_309_548_000 * MILLISECOND;
const DAY: u64 = 86_400_000 * MILLISECOND;

/// One symbol's week, as it goes on.
struct Week {
    listing: Listing,
    market: Market,
    random: Random,
    now: u64,
    trades: u64,
    day: Range,
    ranges: Vec<i64>,
    /// Sizes of levels near the best prices and far from them, and how many they were.
    near: (i128, i128),
    far: (i128, i128),
    /// The widest spread and the furthest trade, in hundredths of a basis point.
    widest: i64,
    furthest: i64,
}

/// The lowest and highest fair value of a day.
struct Range {
    low: i64,
    high: i64,
}

// === impl Week ===

impl Week {
    fn new(listing: Listing, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let now = UnixNanos::new(START);
        let (mut market, trades) = Market::open(&listing, 100_000, now, &mut random);
        let mut week = Self {
            day: Range::new(),
            ranges: Vec::new(),
            now: START,
            trades: 0,
            near: (0, 0),
            far: (0, 0),
            widest: 0,
            furthest: 0,
            listing,
            market: {
                market.snapshot(now, &mut random);
                market
            },
            random,
        };
        week.check_book();
        // The trades of the past are near today's price too: the fair value moved for a minute at most.
        let (price, near) = (week.market.fair_price(), week.listing.price / 50);
        assert!(
            trades
                .iter()
                .all(|p| (p.price.mantissa() - price).abs() < near)
        );
        week
    }

    /// A taker or a maker comes.
    fn arrive(&mut self) {
        let now = UnixNanos::new(self.now);
        let taker = match self.random.below(8) {
            0 => Some(Aggressor::Buy),
            1 => Some(Aggressor::Sell),
            _ => None,
        };
        let touch =
            |book: &Book| [Side::Ask, Side::Bid].map(|side| book.best(side).copied().unwrap());
        let before = touch(self.market.book());
        let taken = taker.and_then(|side| {
            let taken = self.market.take(side, now, &mut self.random);
            taken.map(|(trades, _)| (side, trades))
        });
        let fair = self.market.fair_price();
        if let Some((side, trades)) = taken {
            let best = before[usize::from(side == Aggressor::Sell)];
            assert_eq!(trades[0].price, best.price, "{}", self.listing.symbol);
            for trade in &trades {
                assert!(trade.qty.mantissa() > 0 && trade.price.mantissa() > 0);
                let off = (trade.price.mantissa() - fair).abs();
                let Character { tick, spread, .. } = self.listing.character;
                assert!(
                    off <= 5 * spread + 3 * tick,
                    "{} off by {off}: {:?}",
                    self.listing.symbol,
                    self.listing.character
                );
                self.furthest = self.furthest.max(points(off, fair));
            }
            self.trades += trades.len() as u64;
        } else {
            self.market.requote(now, &mut self.random);
        }
        self.check_book();
        self.day.note(self.market.fair_price());
    }

    fn check_book(&mut self) {
        let (book, symbol) = (self.market.book(), &self.listing.symbol);
        let Character {
            tick,
            spread,
            step,
            levels,
            lot,
            ..
        } = self.listing.character;
        let best = |side| book.best(side).unwrap().price.mantissa();
        let (bid, ask) = (best(Side::Bid), best(Side::Ask));
        assert!(0 < bid && bid < ask, "{symbol}: {bid} {ask}");
        assert!(ask - bid <= 5 * spread + 3 * tick, "{symbol}: {bid} {ask}");
        self.widest = self.widest.max(points(ask - bid, ask));
        for side in [Side::Bid, Side::Ask] {
            assert_eq!(book.depth(side), levels, "{symbol}");
            let best = best(side);
            let (mut last, mut near, mut far, mut total) = (best, 0, 0, 0);
            for (rank, level) in book.levels(side).enumerate() {
                let (price, qty) = (level.price.mantissa(), level.qty.mantissa());
                assert!(
                    price > 0 && qty > 0 && price % tick == 0,
                    "{symbol}: {price} {qty}"
                );
                let away = (price - best).abs();
                let gap = (price - last).abs();
                assert!(
                    gap <= 2 * step.max(away / 32),
                    "{symbol}: a hole of {gap} at {away}"
                );
                assert!(rank == 0 || gap * 2 >= step, "{symbol}: crowded at {away}");
                if away <= 10 * step {
                    near += qty;
                    self.near = (self.near.0 + i128::from(qty), self.near.1 + 1);
                } else if away > 40 * step {
                    far += qty;
                    self.far = (self.far.0 + i128::from(qty), self.far.1 + 1);
                }
                total = away;
                last = price;
            }
            // Thick near the best price: at least ten steps of it hold more than half a usual level;
            // and the book reaches further than it is dense, but not to nowhere.
            assert!(near > lot / 2, "{symbol}: {near} of {lot} near {best}");
            assert!(far < near * 40, "{symbol}: {near} near, {far} far");
            assert!(
                (30 * step..=400 * step).contains(&total),
                "{symbol}: reaches {total}"
            );
        }
    }

    /// Goes on to the next arrival.
    fn wait(&mut self) {
        let gap = if self.random.one_in(8) {
            self.random.exponential(8 * 600_000 * MILLISECOND)
        } else {
            self.random.exponential(200 * MILLISECOND)
        };
        let before = (self.now - START) / DAY;
        self.now += gap;
        if (self.now - START) / DAY != before {
            self.ranges
                .push(self.day.per_cent_of(self.listing.character.sway));
            self.day = Range::new();
        }
    }

    fn finish(mut self) {
        let Listing {
            symbol,
            price,
            character: Character { sway, .. },
            ..
        } = &self.listing;
        let (price, sway) = (*price, *sway);
        let reach = price * sway * REACH_HALVES / 20_000 + 1;
        assert!(
            (self.market.fair_price() - price).abs() <= reach,
            "{symbol}"
        );
        assert!(self.ranges.len() >= 6, "{symbol}: {:?}", self.ranges);
        // A usual day's range is one and a half of its moves; never next to nothing, never a crash.
        self.ranges.sort_unstable();
        let middle = self.ranges[self.ranges.len() / 2];
        assert!(
            self.ranges[0] >= 8 && middle >= 30,
            "{symbol}: {:?}",
            self.ranges
        );
        assert!(
            self.ranges[self.ranges.len() - 1] <= 450,
            "{symbol}: {:?}",
            self.ranges
        );
        let mean = |(sum, count): (i128, i128)| sum / count;
        let (near, far) = (mean(self.near), mean(self.far));
        assert!(
            far * 10 < near * 7,
            "{symbol}: levels of {near} near, {far} far"
        );
        assert!(self.trades > 40, "{symbol}: {}", self.trades);
        assert!(
            self.widest <= 6_000,
            "{symbol}: {} bp/100 wide",
            self.widest
        );
        assert!(
            self.furthest <= 6_000,
            "{symbol}: a print {} bp/100 away",
            self.furthest
        );
        let ticker = self.market.ticker(UnixNanos::new(self.now));
        assert!(ticker.volume.unwrap().mantissa() > 0);
    }
}

// === impl Range ===

impl Range {
    fn new() -> Self {
        Self {
            low: i64::MAX,
            high: i64::MIN,
        }
    }

    fn note(&mut self, price: i64) {
        self.low = self.low.min(price);
        self.high = self.high.max(price);
    }

    /// In hundredths of a usual day's move, `sway` basis points.
    fn per_cent_of(&self, sway: i64) -> i64 {
        (self.high - self.low) * 10_000 / self.low * 100 / sway
    }
}

/// Hundredths of a basis point.
fn points(distance: i64, price: i64) -> i64 {
    distance * 1_000_000 / price
}

/// One in `every` symbols of the demo, and some of those beyond it.
fn a_week(seed: u64, every: usize) {
    let beyond = listing::listings(400).skip(60).step_by(85);
    for listing in listing::listings(60).step_by(every).chain(beyond) {
        let mut week = Week::new(listing, seed);
        while week.now < START + 7 * DAY {
            week.arrive();
            week.wait();
        }
        week.finish();
    }
}

#[test]
fn after_a_week_every_symbol_is_a_market_still() {
    a_week(1, 1);
}

#[test]
fn another_week_is_no_different() {
    a_week(2, 3);
}

#[test]
fn nor_is_a_third() {
    a_week(20_260_713, 4);
}
