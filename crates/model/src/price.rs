//! Prices and quantities: scaled integers; their [`Instrument`] has the scale.
//!
//! [`Instrument`]: crate::Instrument

use crate::decimal::{self, DecimalError};
use crate::scale::Scale;

/// A price in units of 10^-`price_scale` of the quote currency.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Price(i64);

/// A quantity in units of 10^-`qty_scale` of the base currency, or of contracts.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Qty(i64);

macro_rules! scaled {
    ($name:ident) => {
        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// From a scaled integer.
            pub const fn from_mantissa(mantissa: i64) -> Self {
                Self(mantissa)
            }

            /// The scaled integer.
            pub const fn mantissa(self) -> i64 {
                self.0
            }

            /// Whether this is zero.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            /// Parses a decimal text.
            ///
            /// # Errors
            /// As [`decimal::parse_scaled`].
            pub fn parse(text: &[u8], scale: Scale) -> Result<Self, DecimalError> {
                decimal::parse_scaled(text, scale).map(Self)
            }

            /// Appends the canonical spelling.
            pub fn write(self, out: &mut Vec<u8>, scale: Scale) {
                decimal::write_scaled(out, self.0, scale);
            }
        }
    };
}

scaled!(Price);
scaled!(Qty);
