//! The statistics of 24 hours. What was before the simulation is invented, and it does not leave the window
//! afterwards: a simulation is much shorter than a day.

use crate::config::SymbolConfig;
use crate::decimal::product;
use crate::random::Random;
use crate::truth::TruthTrade;

/// The last 24 hours. Prices and quantities in 0.00000001.
#[derive(Debug)]
pub(crate) struct Day {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) last: i64,
    pub(crate) last_qty: i64,
    /// The price of the trade before the window.
    pub(crate) previous: i64,
    pub(crate) volume: i128,
    pub(crate) quote_volume: i128,
    pub(crate) count: u64,
    pub(crate) last_id: u64,
}

// === impl Day ===

impl Day {
    /// An invented day before the first trade of the simulation.
    pub(crate) fn open(
        config: &SymbolConfig,
        next_trade: u64,
        now_ms: u64,
        random: &mut Random,
    ) -> Self {
        let off = |random: &mut Random, most: i64| {
            let price = config.price / 1_000 * (1_000 + random.between(-most, most));
            price / config.tick * config.tick
        };
        let open = off(random, 30);
        let edge = |part: i64| config.price / 100 * part / config.tick * config.tick;
        let gap = u64::try_from(config.every.as_millis()).unwrap_or(1).max(1);
        let count = (DAY_MS / (gap * config.taker_one_in.max(1)))
            .clamp(1, 5_000_000)
            .min(now_ms);
        let volume = i128::from(count) * i128::from(config.qty);
        Self {
            open,
            high: edge(104),
            low: edge(96),
            last: config.price,
            last_qty: config.qty,
            previous: off(random, 30),
            volume,
            quote_volume: volume * i128::from(config.price) / i128::from(crate::decimal::ONE),
            count,
            last_id: next_trade - 1,
        }
    }

    /// A trade.
    pub(crate) fn add(&mut self, trade: &TruthTrade) {
        self.high = self.high.max(trade.price);
        self.low = self.low.min(trade.price);
        self.last = trade.price;
        self.last_qty = trade.qty;
        self.volume += i128::from(trade.qty);
        self.quote_volume += product(trade.price, trade.qty);
        self.count += 1;
        self.last_id = trade.id;
    }

    /// The number of the first trade of the window.
    pub(crate) fn first_id(&self) -> u64 {
        (self.last_id + 1).saturating_sub(self.count)
    }

    /// The mean price.
    pub(crate) fn mean(&self) -> i64 {
        let mean = self.quote_volume * i128::from(crate::decimal::ONE) / self.volume.max(1);
        i64::try_from(mean).unwrap_or(self.last)
    }

    /// The change since the window's beginning, as the venue writes it: `-1.234`.
    pub(crate) fn percent(&self) -> String {
        let change = i128::from(self.last - self.open) * 100_000 / i128::from(self.open.max(1));
        let sign = if change < 0 { "-" } else { "" };
        let size = change.unsigned_abs();
        format!("{sign}{}.{:03}", size / 1_000, size % 1_000)
    }
}

const DAY_MS: u64 = 24 * 3_600 * 1_000;
