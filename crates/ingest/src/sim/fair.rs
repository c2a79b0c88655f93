//! The fair value of a simulated instrument: the price around which its makers quote.
//!
//! It changes with time, not with messages, so that a market with ten events per second and one with a
//! million move alike. It returns to its home within half a day (an Ornstein-Uhlenbeck process), is
//! turned back at the limit of [`REACH_HALVES`], and has calm and busy times. Takers move it a little to
//! their side for some seconds.

use super::random::Random;
use tapecast_model::UnixNanos;

/// A fair value, in [`FINE`]ths of a price's last digit.
#[derive(Debug)]
pub(super) struct Fair {
    home: i64,
    /// The standard deviation of a day's move.
    sway: i64,
    value: i64,
    /// What takers have lately pushed it by, and how far they can.
    pressure: i64,
    pressure_max: i64,
    at: UnixNanos,
    mood: Mood,
    mood_until: UnixNanos,
}

/// How fast it wanders.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mood {
    Calm,
    Usual,
    Busy,
}

// === impl Fair ===

impl Fair {
    /// A fair value that has wandered for long. `home` and `spread` are in units of a price's last
    /// digit, `sway` in basis points.
    pub(super) fn new(
        home: i64,
        (spread, sway): (i64, i64),
        at: UnixNanos,
        random: &mut Random,
    ) -> Self {
        let home = home * FINE;
        let sway = home / 10_000 * sway;
        Self {
            home,
            sway,
            // Half a day's move is what the process strays from home in the long run.
            value: home + random.bell(sway / 2),
            pressure: 0,
            pressure_max: spread * FINE,
            at,
            mood: Mood::Usual,
            mood_until: at,
        }
    }

    /// Goes on to a moment. Times that are less than a millisecond apart are one.
    pub(super) fn advance(&mut self, now: UnixNanos, random: &mut Random) {
        let nanos = now.get().saturating_sub(self.at.get());
        if nanos < STEP_NANOS {
            return;
        }
        self.at = now;
        if now >= self.mood_until {
            self.mood = Mood::draw(random);
            let lasts = random.exponential(MOOD_NANOS);
            self.mood_until = UnixNanos::new(now.get().saturating_add(lasts));
        }
        // After a pause longer than that it is as if it had lasted so long.
        let micros = i64::try_from(nanos / 1_000)
            .unwrap_or(i64::MAX)
            .min(PAUSE_MICROS_MAX);
        let deviation = scaled(self.sway, micros.isqrt(), DAY_MICROS.isqrt());
        self.value += random.bell(self.mood.of(deviation));
        self.value += scaled(self.home - self.value, micros, RETURN_MICROS);
        self.value = self.turned_back(self.value);
        let eased = scaled(self.pressure, micros.min(PRESSURE_MICROS), PRESSURE_MICROS);
        self.pressure -= eased;
    }

    /// A taker bought (or sold): makers lean that way for a while.
    pub(super) fn press(&mut self, up: bool) {
        let push = self.pressure_max / 4;
        let pressed = self.pressure + if up { push } else { -push };
        self.pressure = pressed.clamp(-self.pressure_max, self.pressure_max);
    }

    /// Where makers quote around, in [`FINE`]ths.
    pub(super) fn center(&self) -> i64 {
        self.value + self.pressure
    }

    /// In units of a price's last digit, without what takers press.
    #[cfg(test)]
    pub(super) fn price(&self) -> i64 {
        self.value / FINE
    }

    /// Reflected at the ends of its range.
    fn turned_back(&self, value: i64) -> i64 {
        let reach = self.sway * REACH_HALVES / 2;
        let (low, high) = (self.home - reach, self.home + reach);
        if value > high {
            (2 * high - value).max(low)
        } else if value < low {
            (2 * low - value).min(high)
        } else {
            value
        }
    }
}

// === impl Mood ===

impl Mood {
    fn draw(random: &mut Random) -> Self {
        match random.below(20) {
            0..8 => Self::Calm,
            8..17 => Self::Usual,
            _ => Self::Busy,
        }
    }

    fn of(self, deviation: i64) -> i64 {
        match self {
            Self::Calm => deviation / 2,
            Self::Usual => deviation,
            Self::Busy => deviation * 2,
        }
    }
}

/// `value * parts / of`, which may be more than 64 bits on the way.
fn scaled(value: i64, parts: i64, of: i64) -> i64 {
    let scaled = i128::from(value) * i128::from(parts) / i128::from(of);
    i64::try_from(scaled).unwrap_or(value)
}

/// Parts of a price's last digit: a cheap symbol moves by less than a digit in a millisecond.
pub(super) const FINE: i64 = 1 << 20;
/// How far from home it may be, in halves of a usual day's move.
pub(super) const REACH_HALVES: i64 = 5;
const STEP_NANOS: u64 = 1_000_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// It is mostly home again after so long.
const RETURN_MICROS: i64 = DAY_MICROS / 2;
/// Longer pauses count as this long, so that it does not overshoot its home.
const PAUSE_MICROS_MAX: i64 = RETURN_MICROS / 4;
/// What takers press is forgotten within so long.
const PRESSURE_MICROS: i64 = 10_000_000;
/// A mood lasts ten minutes on average.
const MOOD_NANOS: u64 = 600_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn wandered(every: u64, days: u64) -> (i64, i64, i64) {
        let mut random = Random::new(3);
        let start = UnixNanos::new(1_786_309_548 * SECOND);
        let mut fair = Fair::new(1_000_000, (10, 300), start, &mut random);
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for step in 1..=days * 86_400 * SECOND / every {
            fair.advance(UnixNanos::new(start.get() + step * every), &mut random);
            low = low.min(fair.price());
            high = high.max(fair.price());
        }
        (low, fair.price(), high)
    }

    #[test]
    fn it_moves_alike_however_often_it_is_asked() {
        for every in [SECOND, 20 * SECOND, 600 * SECOND] {
            let (low, _, high) = wandered(every, 20);
            assert!((925_000..=985_000).contains(&low), "{every}: {low}");
            assert!((1_015_000..=1_075_000).contains(&high), "{every}: {high}");
        }
    }

    #[test]
    fn what_takers_press_is_bounded_and_forgotten() {
        let mut random = Random::new(4);
        let start = UnixNanos::new(1_786_309_548 * SECOND);
        let mut fair = Fair::new(1_000_000, (10, 0), start, &mut random);
        for _ in 0..100 {
            fair.press(true);
        }
        assert_eq!(fair.center(), 1_000_010 * FINE);
        fair.advance(UnixNanos::new(start.get() + 60 * SECOND), &mut random);
        assert_eq!(fair.center(), 1_000_000 * FINE);
    }
}
