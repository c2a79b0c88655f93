//! How often one address may ask: plain requests, whatever for and over how many connections.
//!
//! One number is kept of an address, and only while it has asked a moment ago: what has all of its burst
//! left is forgotten. So there are never more than twice as many numbers as addresses that asked within
//! the time in which a burst comes back, and no asker pays for more than its share of the tidying.

use crate::admission::share_of;
use hashbrown::HashMap;
use std::collections::hash_map::RandomState;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tapecast_model::Mono;

/// The rates of all addresses.
#[derive(Debug)]
pub struct Rates {
    inner: Mutex<Inner>,
}

/// An address asks too often.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("your address asks more than {0} times a second; try again later")]
pub struct TooOften(pub u32);

#[derive(Debug)]
struct Inner {
    per_s: u32,
    /// Between two requests.
    every: Duration,
    /// So far ahead of its time may an address be: a burst of as many as a second allows.
    ahead: Duration,
    /// When an address has all of its burst again: the generic cell rate algorithm.
    // Keyed by what peers choose: with a random seed.
    whole_at: HashMap<IpAddr, Mono, RandomState>,
    /// With so many addresses it is time to forget some.
    tidy_at: usize,
}

impl Rates {
    /// So many requests a second of one address, with bursts of as many; at least one.
    pub fn new(per_s: u32) -> Self {
        let rates = Self {
            inner: Mutex::new(Inner {
                per_s: 1,
                every: Duration::ZERO,
                ahead: Duration::ZERO,
                whole_at: HashMap::default(),
                tidy_at: ADDRESSES_MIN,
            }),
        };
        rates.set(per_s);
        rates
    }

    /// Changes the rate. What an address has asked already counts against the new one.
    pub fn set(&self, per_s: u32) {
        let mut inner = self.lock();
        inner.per_s = per_s.max(1);
        inner.every = Duration::from_secs(1) / inner.per_s;
        inner.ahead = inner.every * (inner.per_s - 1);
    }

    /// A request from an address.
    ///
    /// # Errors
    /// If it asks too often; this request does not count then.
    pub fn ask(&self, address: IpAddr, now: Mono) -> Result<(), TooOften> {
        let mut inner = self.lock();
        let Inner {
            per_s,
            every,
            ahead,
            ..
        } = *inner;
        if inner.whole_at.len() >= inner.tidy_at {
            inner.whole_at.retain(|_, whole_at| *whole_at > now);
            inner.tidy_at = ADDRESSES_MIN.max(2 * inner.whole_at.len());
        }
        let whole_at = inner.whole_at.entry(share_of(address)).or_insert(now);
        if *whole_at > now.after(ahead) {
            return Err(TooOften(per_s));
        }
        *whole_at = (*whole_at).max(now).after(every);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many numbers are not worth to be tidied.
const ADDRESSES_MIN: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const TWO: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    const fn at(millis: u64) -> Mono {
        Mono::new(millis * 1_000_000)
    }

    fn asked(rates: &Rates, address: IpAddr, millis: u64, times: usize) -> usize {
        let ask = |_| rates.ask(address, at(millis)).is_ok();
        (0..times).map(ask).filter(|granted| *granted).count()
    }

    #[test]
    fn a_burst_then_the_rate_and_each_address_for_itself() {
        let rates = Rates::new(10);
        assert_eq!(asked(&rates, ONE, 5_000, 30), 10);
        assert_eq!(asked(&rates, TWO, 5_000, 3), 3);
        assert_eq!(asked(&rates, ONE, 5_099, 30), 0);
        assert_eq!(asked(&rates, ONE, 5_300, 30), 3);
        // What was refused did not count, and a rest brings back a burst and no more.
        assert_eq!(asked(&rates, ONE, 60_000, 30), 10);
        let told = rates.ask(ONE, at(60_000)).unwrap_err();
        assert_eq!(told, TooOften(10));
        rates.set(2);
        assert_eq!(asked(&rates, ONE, 70_000, 30), 2);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let rates = Rates::new(3);
        let asked = |host: u16| {
            let address = format!("2001:db8:1:2::{host:x}").parse().unwrap();
            rates.ask(address, at(1)).is_ok()
        };
        assert_eq!((1..=9).filter(|host| asked(*host)).count(), 3);
    }

    #[test]
    fn addresses_that_are_whole_again_are_forgotten() {
        let rates = Rates::new(1);
        for n in 0..100_000_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(n));
            // A thousand a second, each of which is whole after one.
            rates.ask(address, at(u64::from(n))).unwrap();
        }
        let kept = rates.inner.lock().unwrap().whole_at.len();
        assert!(kept <= 2_100, "{kept}");
    }
}
