//! The last 24 hours of one simulated instrument, in 24 buckets of an hour: exact rolling sums.

use std::collections::VecDeque;
use tapecast_model::{Decimal, Scale, Ticker, UnixNanos};

/// What traded in the last 24 hours.
#[derive(Debug)]
pub(super) struct Day {
    price_scale: Scale,
    qty_scale: Scale,
    /// Oldest first, never empty, hours without a trade left out.
    hours: VecDeque<Hour>,
    last: i64,
}

#[derive(Clone, Copy, Debug)]
struct Hour {
    /// Hours since the epoch.
    number: u64,
    open: i64,
    high: i64,
    low: i64,
    volume: i128,
    quote_volume: i128,
}

// === impl Day ===

impl Day {
    /// A day that begins with one trade.
    pub(super) fn new(scales: (Scale, Scale), time: UnixNanos, price: i64, qty: i64) -> Self {
        let (price_scale, qty_scale) = scales;
        let hours = VecDeque::from([Hour::new(hour(time), price, qty)]);
        Self {
            price_scale,
            qty_scale,
            hours,
            last: price,
        }
    }

    /// Adds a trade; times do not go back.
    pub(super) fn add(&mut self, time: UnixNanos, price: i64, qty: i64) {
        self.last = price;
        let number = hour(time);
        match self
            .hours
            .back_mut()
            .filter(|newest| newest.number >= number)
        {
            Some(newest) => newest.add(price, qty),
            None => self.hours.push_back(Hour::new(number, price, qty)),
        }
    }

    /// The statistics at a moment.
    pub(super) fn ticker(&mut self, time: UnixNanos) -> Ticker {
        let oldest = hour(time).saturating_sub(23);
        while self.hours.len() > 1 && self.hours.front().is_some_and(|h| h.number < oldest) {
            self.hours.pop_front();
        }
        let price = |mantissa: i64| Decimal::new(i128::from(mantissa), self.price_scale.digits());
        let open = price(self.hours.front().map_or(self.last, |h| h.open));
        let last = price(self.last);
        let change = last.checked_sub(open);
        let volume = self.hours.iter().map(|h| h.volume).sum();
        let quote_volume = self.hours.iter().map(|h| h.quote_volume).sum();
        let quote_digits = self.price_scale.digits() + self.qty_scale.digits();
        Ticker {
            last: Some(last),
            open: Some(open),
            high: self.hours.iter().map(|h| h.high).max().map(price),
            low: self.hours.iter().map(|h| h.low).min().map(price),
            change,
            change_pct: change.and_then(|change| change.percent_of(open, 4)),
            volume: Some(Decimal::new(volume, self.qty_scale.digits())),
            quote_volume: Some(Decimal::new(quote_volume, quote_digits)),
        }
    }
}

// === impl Hour ===

impl Hour {
    fn new(number: u64, price: i64, qty: i64) -> Self {
        let mut hour = Self {
            number,
            open: price,
            high: price,
            low: price,
            volume: 0,
            quote_volume: 0,
        };
        hour.add(price, qty);
        hour
    }

    fn add(&mut self, price: i64, qty: i64) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.volume += i128::from(qty);
        self.quote_volume += i128::from(price) * i128::from(qty);
    }
}

fn hour(time: UnixNanos) -> u64 {
    time.get() / 3_600_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64) -> UnixNanos {
        UnixNanos::new(hours * 3_600_000_000_000)
    }

    fn text(figure: Option<Decimal>) -> String {
        figure.unwrap().to_string()
    }

    #[test]
    fn sums_are_exact_and_forget_what_is_older_than_a_day() {
        let scales = (Scale::new(2).unwrap(), Scale::new(8).unwrap());
        let mut day = Day::new(scales, at(100), 10_000, 50_000_000);
        day.add(at(101), 12_500, 1);
        day.add(at(102), 9_000, 200_000_000);
        let ticker = day.ticker(at(123));
        assert_eq!(text(ticker.open), "100");
        assert_eq!(text(ticker.high), "125");
        assert_eq!(text(ticker.low), "90");
        assert_eq!(text(ticker.last), "90");
        assert_eq!(text(ticker.change), "-10");
        assert_eq!(text(ticker.change_pct), "-10");
        assert_eq!(text(ticker.volume), "2.50000001");
        assert_eq!(text(ticker.quote_volume), "230.00000125");
        let ticker = day.ticker(at(125));
        assert_eq!(
            (text(ticker.open), text(ticker.volume)),
            ("90".into(), "2".into())
        );
        let ticker = day.ticker(at(1_000));
        assert_eq!(text(ticker.last), "90", "the last hour stays");
    }
}
