//! What can be wrong with a published line: its name in answers, how it is counted, and the explanation.

use crate::venue::Reject;
use crate::venue::cursor::Syntax;
use std::fmt;
use tapecast_model::DecimalError;

/// What is wrong with a line: answered to its publisher.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineError {
    /// What kind of mistake.
    pub kind: Mistake,
    /// Where it is and what should be there.
    pub message: String,
}

/// A kind of mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mistake {
    /// It is not a JSON object.
    BadJson,
    /// A field that must be there is not.
    MissingField,
    /// A field is not what it should be.
    BadField,
    /// A number has more digits than the instrument.
    BeyondScale,
    /// The channel does not exist.
    UnknownChannel,
    /// The symbol does not exist.
    UnknownSymbol,
    /// The line is too long.
    TooLarge,
    /// A trade with a quantity of zero: skipped, and not a loss.
    NoTrade,
}

// === impl LineError ===

impl LineError {
    /// A mistake with its explanation.
    pub fn new(kind: Mistake, message: fmt::Arguments<'_>) -> Self {
        Self {
            kind,
            message: message.to_string(),
        }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self::new(Mistake::MissingField, format_args!("{field} is missing"))
    }

    pub(super) fn bad(field: impl fmt::Display, should: &str) -> Self {
        Self::new(Mistake::BadField, format_args!("{field} must be {should}"))
    }

    pub(super) fn number(field: impl fmt::Display, error: DecimalError) -> Self {
        match error {
            DecimalError::BeyondScale { scale } => Self::new(
                Mistake::BeyondScale,
                format_args!(
                    "{field} has more than {scale} digits after the point; write fewer, or raise price_scale or \
                     qty_scale of the source"
                ),
            ),
            DecimalError::Overflow => {
                let why = format_args!("{field} has more digits than can be kept; write fewer");
                Self::new(Mistake::BeyondScale, why)
            }
            DecimalError::Empty | DecimalError::Syntax { .. } => {
                Self::bad(field, "a decimal number, for example 1.5")
            }
        }
    }
}

impl From<Syntax> for LineError {
    fn from(syntax: Syntax) -> Self {
        Self::new(Mistake::BadJson, format_args!("{syntax}"))
    }
}

// === impl Mistake ===

impl Mistake {
    /// The name in answers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::BeyondScale => "beyond_scale",
            Self::UnknownChannel => "unknown_channel",
            Self::UnknownSymbol => "unknown_symbol",
            Self::TooLarge => "too_large",
            Self::NoTrade => "no_print",
        }
    }

    /// How it is counted; rows that are not trades have their own count.
    pub const fn reject(self) -> Option<Reject> {
        Some(match self {
            Self::BadJson => Reject::Malformed,
            Self::MissingField => Reject::Missing("field"),
            Self::BadField => Reject::Number("field"),
            Self::BeyondScale => Reject::Scale,
            Self::UnknownChannel => Reject::Unknown,
            Self::UnknownSymbol => Reject::Symbol,
            Self::TooLarge => Reject::Oversized,
            Self::NoTrade => return None,
        })
    }
}
