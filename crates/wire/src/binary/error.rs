//! Why bytes are not a record.

use super::HEADER_BYTES;

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BinaryError {
    /// Less than a header is left of the message.
    #[error("the message has {0} bytes left, but a record's header has {HEADER_BYTES}")]
    Header(usize),
    /// The length in the header cannot be.
    #[error("a record's header says {length} bytes, but the message has {left} left")]
    Length {
        /// What the header says, in bytes.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// Something ends behind the record's end.
    #[error("{0} extends past the end of its record")]
    Truncated(&'static str),
    /// A number without a known meaning.
    #[error("unknown {what} {value}")]
    Unknown {
        /// What it should be.
        what: &'static str,
        /// The number.
        value: u8,
    },
    /// The record before this one would have a number below zero.
    #[error("prev would be below zero")]
    Prev,
    /// An id of a trade is empty, or holds what no id may.
    #[error("an id is not printable text of 1 to 39 characters")]
    Id,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

// === impl BinaryError ===

impl BinaryError {
    pub(super) const fn unknown(what: &'static str, value: u8) -> Self {
        Self::Unknown { what, value }
    }
}
