//! The next participant of the simulated market: its symbol, and whether it quotes or takes.
//!
//! About every second arrival follows a recent one to its symbol, as in a self-exciting (Hawkes) process:
//! quiet and busy seconds alternate, and takers of one side come in runs. On average each symbol still
//! has its share of the arrivals.

use super::random::Random;
use tapecast_model::Aggressor;

/// Chooses the next arrival.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Sums of the seats' activities up to and including each.
    activity: Vec<u64>,
    /// The last arrivals, the oldest overwritten by the newest; full from the start.
    recent: Vec<Arrival>,
    oldest: usize,
}

/// An arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Arrival {
    pub(super) seat: usize,
    /// The side of a taker; a maker has none.
    pub(super) taker: Option<Aggressor>,
}

// === impl Crowd ===

impl Crowd {
    /// A crowd for so many seats, the first the most active; `per_second` arrivals are to come.
    pub(super) fn new(seats: usize, per_second: u64, random: &mut Random) -> Self {
        // The first symbol is some twenty times as active as the sixtieth.
        let activity = (0..seats as u64)
            .scan(0, |sum, rank| {
                *sum += 1_000_000 / (rank + 3);
                Some(*sum)
            })
            .collect();
        let window = (per_second * WINDOW_MILLIS / 1_000).clamp(WINDOW_MIN, WINDOW_MAX);
        let mut crowd = Self {
            activity,
            recent: Vec::new(),
            oldest: 0,
        };
        crowd.recent = (0..window).map(|_| crowd.stranger(random)).collect();
        crowd
    }

    /// The mean part of `whole` that a seat gets.
    pub(super) fn share(&self, seat: usize, whole: u64) -> u64 {
        let below = seat.checked_sub(1).and_then(|s| self.activity.get(s));
        let own = self
            .activity
            .get(seat)
            .map_or(0, |sum| sum - below.unwrap_or(&0));
        let all = self.activity.last().copied().unwrap_or(1).max(1);
        let share = u128::from(whole) * u128::from(own) / u128::from(all);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// The next arrival.
    pub(super) fn next(&mut self, random: &mut Random) -> Arrival {
        let arrival = if random.below(100) < FOLLOWERS_PERCENT {
            self.follower(random)
        } else {
            self.stranger(random)
        };
        if let Some(oldest) = self.recent.get_mut(self.oldest) {
            *oldest = arrival;
            self.oldest = (self.oldest + 1) % self.recent.len();
        }
        arrival
    }

    fn stranger(&self, random: &mut Random) -> Arrival {
        let place = random.below(self.activity.last().copied().unwrap_or(0));
        Arrival {
            seat: self.activity.partition_point(|&sum| sum <= place),
            taker: random.one_in(STRANGERS_TAKE_ONE_IN).then(|| side(random)),
        }
    }

    fn follower(&self, random: &mut Random) -> Arrival {
        let place = random.below(self.recent.len() as u64);
        let place = usize::try_from(place).unwrap_or(0);
        let Some(&Arrival { seat, taker }) = self.recent.get(place) else {
            return self.stranger(random);
        };
        let taker = match taker {
            Some(same) if random.one_in(2) => {
                Some(if random.one_in(4) { side(random) } else { same })
            }
            Some(_) => None,
            None => random.one_in(MAKERS_BRING_ONE_IN).then(|| side(random)),
        };
        Arrival { seat, taker }
    }
}

fn side(random: &mut Random) -> Aggressor {
    if random.one_in(2) {
        Aggressor::Buy
    } else {
        Aggressor::Sell
    }
}

/// So many of a hundred arrivals follow a recent one.
const FOLLOWERS_PERCENT: u64 = 55;
/// One in four arrivals takes: of those who follow a taker every second, of those who follow a maker
/// one in six.
const STRANGERS_TAKE_ONE_IN: u64 = 4;
const MAKERS_BRING_ONE_IN: u64 = 6;
/// How long an arrival is recent, and for how many that is at least and at most.
const WINDOW_MILLIS: u64 = 1_500;
const WINDOW_MIN: u64 = 64;
const WINDOW_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: activity clusters. Method: the arrivals of each second are counted. Independent
    /// ones would have a variance like their mean.
    #[test]
    fn arrivals_cluster_and_keep_their_shares() {
        let mut random = Random::new(5);
        let mut crowd = Crowd::new(60, 1_000, &mut random);
        let (mut counts, mut takers, mut nets) = (Vec::new(), 0, 0);
        for _ in 0..600 {
            let (mut of_first, mut net) = (0_u64, 0_i64);
            for _ in 0..1_000 {
                let arrival = crowd.next(&mut random);
                assert!(arrival.seat < 60);
                if arrival.seat == 0 {
                    of_first += 1;
                    net += match arrival.taker {
                        Some(Aggressor::Buy) => 1,
                        Some(Aggressor::Sell) => -1,
                        None => 0,
                    };
                    takers += u64::from(arrival.taker.is_some());
                }
            }
            counts.push(of_first);
            nets += net.unsigned_abs().pow(2);
        }
        let sum = counts.iter().sum::<u64>();
        let mean = sum / 600;
        let wanted = crowd.share(0, 1_000);
        assert!(
            (wanted * 9 / 10..=wanted * 11 / 10).contains(&mean),
            "{mean}, not {wanted}"
        );
        let variance = counts.iter().map(|n| n.abs_diff(mean).pow(2)).sum::<u64>() / 600;
        assert!(variance > mean * 3 / 2, "variance {variance}, mean {mean}");
        assert!(
            (sum / 5..=sum * 3 / 10).contains(&takers),
            "{takers} of {sum}"
        );
        // Sides chosen one by one would have a net whose square is their number.
        assert!(nets * 10 > takers * 11, "{nets} for {takers} takers");
    }
}
