//! A place in the bytes of one record. Each read is checked against the record's end, and names its place
//! if it fails.

use super::{NO_TIME, RecordError};
use tapecast_model::{Decimal, EventTime, UnixNanos};

/// What of a record is not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    record: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(record: &'a [u8], at: usize) -> Self {
        Self { record, at }
    }

    /// Where the next byte is.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The next bytes, so many.
    pub(super) fn bytes(
        &mut self,
        what: &'static str,
        count: usize,
    ) -> Result<&'a [u8], RecordError> {
        let at = self.at;
        let end = at.checked_add(count);
        let bytes = end.and_then(|end| self.record.get(at..end));
        let bytes = bytes.ok_or(RecordError::Truncated { what, at })?;
        self.at += count;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], RecordError> {
        let at = self.at;
        let bytes = self.bytes(what, N)?.first_chunk();
        bytes.copied().ok_or(RecordError::Truncated { what, at })
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, RecordError> {
        self.array(what).map(|[byte]| byte)
    }

    pub(super) fn word(&mut self, what: &'static str) -> Result<u32, RecordError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn number(&mut self, what: &'static str) -> Result<u64, RecordError> {
        self.array(what).map(u64::from_le_bytes)
    }

    pub(super) fn signed(&mut self, what: &'static str) -> Result<i64, RecordError> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// Flags, none of them unknown.
    pub(super) fn flags(&mut self, what: &'static str, known: u8) -> Result<u8, RecordError> {
        let at = self.at;
        let value = self.byte(what)?;
        if value & !known != 0 {
            return Err(RecordError::Unknown { what, at, value });
        }
        Ok(value)
    }

    /// A number with a meaning.
    pub(super) fn code<T>(
        &mut self,
        what: &'static str,
        meaning: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, RecordError> {
        let at = self.at;
        let value = self.byte(what)?;
        meaning(value).ok_or(RecordError::Unknown { what, at, value })
    }

    /// How many follow; refused if so many of `least` bytes each do not fit.
    pub(super) fn count(&mut self, what: &'static str, least: usize) -> Result<usize, RecordError> {
        let at = self.at;
        let count = self.word(what)? as usize;
        let left = self.record.len() - self.at;
        match count.checked_mul(least) {
            Some(bytes) if bytes <= left => Ok(count),
            _ => Err(RecordError::Range { what, at }),
        }
    }

    /// A text behind its length.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, RecordError> {
        let length = self.count(what, 1)?;
        let at = self.at;
        let text = std::str::from_utf8(self.bytes(what, length)?);
        text.or(Err(RecordError::Text { what, at }))
    }

    /// A decimal in its only form.
    pub(super) fn decimal(&mut self, what: &'static str) -> Result<Decimal, RecordError> {
        let at = self.at;
        let scale = self.byte(what)?;
        let mantissa = self.array(what).map(i128::from_le_bytes)?;
        let decimal = Decimal::new(mantissa, scale);
        if decimal.scale() != scale {
            return Err(RecordError::Range { what, at });
        }
        Ok(decimal)
    }

    /// The time behind its width, if there is one.
    pub(super) fn time(&mut self, what: &'static str) -> Result<Option<EventTime>, RecordError> {
        let at = self.at;
        let width = self.byte(what)?;
        if width == NO_TIME {
            return Ok(None);
        }
        let nanos = UnixNanos::new(self.number(what)?);
        let time = EventTime::padded(nanos, width);
        time.map(Some).ok_or(RecordError::Range { what, at })
    }
}
