//! A book of price levels, the makers that change it, and the changes that were not yet told.

use super::Lean;
use crate::config::SymbolConfig;
use crate::random::Random;
use crate::truth::TruthBook;
use std::collections::BTreeMap;

/// A price and a quantity.
pub(crate) type Level = (i64, i64);

/// All levels of both sides.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    id: u64,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

/// A level that has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed {
    /// The number of the change.
    pub(crate) id: u64,
    pub(crate) bid: bool,
    pub(crate) price: i64,
    /// 0 if the level is gone.
    pub(crate) qty: i64,
}

/// Levels that have changed since the last message, with what they have now.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    /// The first number of the message: one more than the last of the message before.
    pub(crate) first: u64,
    /// The last number of the message.
    pub(crate) last: u64,
    /// Price to quantity, 0 for none.
    pub(crate) bids: BTreeMap<i64, i64>,
    /// The same for offers.
    pub(crate) asks: BTreeMap<i64, i64>,
}

// === impl Book ===

impl Book {
    /// A book around a price.
    pub(crate) fn open(config: &SymbolConfig, random: &mut Random) -> Self {
        let mut book = Self {
            id: 1_000_000 + random.below(50_000_000_000),
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
        };
        let middle = config.price / config.tick * config.tick;
        book.bids.insert(middle, quantity(config, random));
        let ask = middle + config.tick;
        book.asks.insert(ask, quantity(config, random));
        while book.refill(config, random).len() == REFILLED_MAX {}
        book
    }

    /// The number of the last change.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The best bid and the best offer.
    pub(crate) fn best(&self) -> (Option<Level>, Option<Level>) {
        let level = |(price, qty): (&i64, &i64)| (*price, *qty);
        let bid = self.bids.last_key_value().map(level);
        (bid, self.asks.first_key_value().map(level))
    }

    /// The best levels of both sides, best first.
    pub(crate) fn truth(&self, levels: usize) -> TruthBook {
        let level = |(price, qty): (&i64, &i64)| (*price, *qty);
        TruthBook {
            last_update_id: self.id,
            bids: self.bids.iter().rev().take(levels).map(level).collect(),
            asks: self.asks.iter().take(levels).map(level).collect(),
        }
    }

    /// Sets a level; 0 removes it.
    pub(crate) fn set(&mut self, bid: bool, price: i64, qty: i64, random: &mut Random) -> Changed {
        let side = if bid { &mut self.bids } else { &mut self.asks };
        if qty == 0 {
            side.remove(&price);
        } else {
            side.insert(price, qty);
        }
        self.id += 1 + random.below(3);
        Changed {
            id: self.id,
            bid,
            price,
            qty,
        }
    }

    /// A maker changes a level, mostly near the best ones.
    pub(crate) fn make(
        &mut self,
        config: &SymbolConfig,
        lean: Lean,
        random: &mut Random,
    ) -> Vec<Changed> {
        let (Some((bid, _)), Some((ask, _))) = self.best() else {
            return Vec::new();
        };
        let tick = config.tick;
        let gap = (ask - bid) / tick;
        if gap > 2 && !random.one_in(4) {
            return vec![self.improve(config, lean, gap, random)];
        }
        let on_bids = random.one_in(2);
        let depth = match random.below(20) {
            0 => random.below(config.levels as u64),
            _ => random.exponential(8),
        };
        let depth = usize::try_from(depth).unwrap_or(0);
        let Some((price, next)) = self.at(on_bids, depth) else {
            return Vec::new();
        };
        let away = if on_bids { -tick } else { tick };
        let room = (next - price) / away;
        let changed = match random.below(8) {
            // Only the best level of a thin book is left alone.
            0 | 1 if depth > 0 || gap < WIDE_TICKS => self.set(on_bids, price, 0, random),
            2 | 3 if room > 1 => {
                let price = price + away * random.between(1, room - 1);
                self.set(on_bids, price, quantity(config, random), random)
            }
            _ => self.set(on_bids, price, quantity(config, random), random),
        };
        vec![changed]
    }

    /// Adds levels at the far end while there are too few, and removes them while there are too many.
    pub(crate) fn refill(&mut self, config: &SymbolConfig, random: &mut Random) -> Vec<Changed> {
        let mut changed = Vec::new();
        for on_bids in [true, false] {
            while changed.len() < REFILLED_MAX {
                let side = if on_bids { &self.bids } else { &self.asks };
                let worst = if on_bids {
                    side.first_key_value()
                } else {
                    side.last_key_value()
                };
                let Some((&worst, _)) = worst else { break };
                if side.len() > config.levels + SPARE_LEVELS {
                    changed.push(self.set(on_bids, worst, 0, random));
                    continue;
                }
                if side.len() >= config.levels {
                    break;
                }
                let away = random.between(1, 4) * config.tick;
                let price = if on_bids { worst - away } else { worst + away };
                if price <= 0 {
                    break;
                }
                changed.push(self.set(on_bids, price, quantity(config, random), random));
            }
        }
        changed
    }

    /// The numbers begin again, far below.
    pub(crate) fn renumber(&mut self) {
        self.id /= 4;
    }

    /// Removes all levels.
    pub(crate) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    /// A maker quotes between the best bid and the best offer.
    fn improve(
        &mut self,
        config: &SymbolConfig,
        lean: Lean,
        gap: i64,
        random: &mut Random,
    ) -> Changed {
        let on_bids = match lean {
            Lean::None => random.one_in(2),
            Lean::Up => !random.one_in(3),
            Lean::Down => random.one_in(3),
        };
        let inside = random.between(1, (gap - 1).min(20)) * config.tick;
        let best = self.best();
        let price = match (on_bids, best) {
            (true, (Some((bid, _)), _)) => bid + inside,
            (false, (_, Some((ask, _)))) => ask - inside,
            _ => config.price,
        };
        self.set(on_bids, price, quantity(config, random), random)
    }

    /// The price of a level, counted from the best, and of the one behind it.
    fn at(&self, on_bids: bool, depth: usize) -> Option<(i64, i64)> {
        fn two<'a>(mut prices: impl Iterator<Item = &'a i64>) -> Option<(i64, i64)> {
            let price = *prices.next()?;
            Some((price, *prices.next()?))
        }
        if on_bids {
            two(self.bids.keys().rev().skip(depth))
        } else {
            two(self.asks.keys().skip(depth))
        }
    }
}

fn quantity(config: &SymbolConfig, random: &mut Random) -> i64 {
    let mean = u64::try_from(config.qty / config.step).unwrap_or(1);
    let steps = i64::try_from(random.exponential(mean)).unwrap_or(1);
    steps.max(1).saturating_mul(config.step)
}

// === impl Changes ===

impl Changes {
    /// Nothing has changed behind this number.
    pub(crate) fn new(id: u64) -> Self {
        Self {
            first: id + 1,
            last: id,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
        }
    }

    /// A level has changed.
    pub(crate) fn note(&mut self, changed: &Changed) {
        let side = if changed.bid {
            &mut self.bids
        } else {
            &mut self.asks
        };
        side.insert(changed.price, changed.qty);
        self.last = changed.id;
    }

    /// What has changed, for a message; the next one begins behind it. `None` if nothing has.
    pub(crate) fn take(&mut self) -> Option<Self> {
        if self.last < self.first {
            return None;
        }
        let next = Self::new(self.last);
        Some(std::mem::replace(self, next))
    }
}

/// A refill changes so many levels at most.
const REFILLED_MAX: usize = 8;
/// A side may have so many levels more than the least.
const SPARE_LEVELS: usize = 100;
/// Best levels are not removed when the best prices are so many ticks apart.
const WIDE_TICKS: i64 = 40;
