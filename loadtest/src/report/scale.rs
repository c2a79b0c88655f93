//! Axes: from values to places between 0 and 1, and where the marks stand.

/// What kind of axis.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Equal steps, from zero.
    Linear,
    /// Equal factors.
    Log,
    /// Quantiles, spread out towards 1: 0, 0.9, 0.99 and so on stand at equal distances.
    Nines,
}

/// An axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
}

/// The most nines that are shown.
const NINES_MAX: f64 = 7.0;

impl Scale {
    /// Wide enough for all values.
    pub(super) fn over(kind: Kind, values: impl Iterator<Item = f64>) -> Self {
        let mapped = values.map(|v| kind.map(v)).filter(|v| v.is_finite());
        let (low, high) = mapped.fold((f64::MAX, f64::MIN), |(low, high), v| {
            (low.min(v), high.max(v))
        });
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        match kind {
            Kind::Linear => {
                let step = step(high.max(1e-9));
                Self {
                    kind,
                    low: 0.0,
                    high: ((high / step).ceil() * step).max(step),
                }
            }
            Kind::Log => Self {
                kind,
                low: low.floor(),
                high: high.ceil().max(low.floor() + 1.0),
            },
            Kind::Nines => Self {
                kind,
                low: 0.0,
                high: high.max(1.0),
            },
        }
    }

    /// From one value to another, as they are.
    pub(super) fn between(low: f64, high: f64) -> Self {
        Self {
            kind: Kind::Linear,
            low,
            high: if high > low { high } else { low + 1.0 },
        }
    }

    /// Where a value stands, 0 at the beginning and 1 at the end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let mapped = self.kind.map(value).clamp(self.low, self.high);
        (mapped - self.low) / (self.high - self.low)
    }

    /// Marks: places and texts.
    pub(super) fn marks(&self, spell: fn(f64) -> String) -> Vec<(f64, String)> {
        match self.kind {
            Kind::Linear => {
                let step = step(self.high - self.low);
                let first = (self.low / step).ceil();
                let marks = (0..).map(|n| (first + f64::from(n)) * step);
                let marks = marks.take_while(|v| *v <= self.high + step / 1e6);
                marks.map(|v| (self.place(v), spell(v))).collect()
            }
            Kind::Log => whole(self.low, self.high)
                .map(|power| {
                    let value = 10_f64.powf(power);
                    (self.place(value), spell(value))
                })
                .collect(),
            Kind::Nines => whole(0.0, self.high)
                .map(|nines| {
                    let share = 100.0 * (1.0 - 10_f64.powf(-nines));
                    let digits = if nines > 2.0 { nines - 2.0 } else { 0.0 };
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "a small whole number"
                    )]
                    let text = format!("{share:.*} %", digits as usize);
                    (nines / self.high, text)
                })
                .collect(),
        }
    }
}

impl Kind {
    fn map(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(1e-9).log10(),
            Self::Nines => (-(1.0 - value).max(1e-12).log10()).min(NINES_MAX),
        }
    }
}

fn whole(low: f64, high: f64) -> impl Iterator<Item = f64> {
    (0..)
        .map(move |n| low.ceil() + f64::from(n))
        .take_while(move |v| *v <= high + 1e-9)
}

/// A round step that gives four to ten marks.
fn step(range: f64) -> f64 {
    let rough = range / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<String> {
        let marks = scale.marks(|v| format!("{v}"));
        marks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn linear_axes_begin_at_zero_and_have_round_marks() {
        let scale = Scale::over(Kind::Linear, [3.0, 87.0].into_iter());
        assert_eq!(texts(&scale), ["0", "20", "40", "60", "80", "100"]);
        assert!((scale.place(50.0) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten() {
        let scale = Scale::over(Kind::Log, [30.0, 4_000.0].into_iter());
        assert_eq!(texts(&scale), ["10", "100", "1000", "10000"]);
        assert!((scale.place(100.0) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_stand_at_equal_distances_for_each_nine() {
        let scale = Scale::over(Kind::Nines, [0.0, 0.5, 0.999].into_iter());
        assert_eq!(texts(&scale), ["0 %", "90 %", "99 %", "99.9 %"]);
        assert!((scale.place(0.9) - 1.0 / 3.0).abs() < 1e-9);
        assert!(scale.place(1.0) <= 1.0);
    }

    #[test]
    fn no_values_are_no_trouble() {
        for kind in [Kind::Linear, Kind::Log, Kind::Nines] {
            let scale = Scale::over(kind, std::iter::empty());
            assert!(!texts(&scale).is_empty() && scale.place(0.5).is_finite());
        }
    }
}
