//! How many digits after the point the numbers of an instrument have.

use std::fmt;

/// Digits after the decimal point, 0 to [`Scale::MAX`]. Chosen per instrument, never per message.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Scale(u8);

/// The unit of each scale: 10 to the power of its digits.
pub(crate) const POW10: [i64; 19] = {
    let mut table = [1_i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

// === impl Scale ===

impl Scale {
    /// The largest scale an `i64` mantissa is good for.
    pub const MAX: Self = Self(18);

    /// A scale of `digits`, or none if that is more than [`Scale::MAX`].
    pub const fn new(digits: u8) -> Option<Self> {
        if digits <= Self::MAX.0 {
            Some(Self(digits))
        } else {
            None
        }
    }

    /// A scale of `digits`, cut to [`Scale::MAX`].
    pub const fn saturating(digits: u8) -> Self {
        if digits <= Self::MAX.0 {
            Self(digits)
        } else {
            Self::MAX
        }
    }

    /// Digits after the point.
    pub const fn digits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
