//! Why there is no connection or no answer: a kind for the session, and words for people.
//!
//! The words name the host, say what happened and, where it is known, what to do. They hold no query and no user
//! info of a URL. What a peer said is shortened, and what is not printable is taken out.

use std::error::Error;
use std::time::Duration;
use tapecast_model::UnixNanos;

/// Why something did not work.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What happened, for people.
    pub text: String,
}

/// Kinds of failures that a session treats differently.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The address cannot be used: trying again does not help.
    Url,
    /// The name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    Timeout,
    /// The TLS handshake failed, or the certificate does not verify.
    Tls,
    /// The peer answered the handshake with an HTTP status.
    Http {
        /// The status.
        status: u16,
        /// How long the peer wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The proxy cannot be reached, or refuses.
    Proxy,
    /// The peer speaks something else.
    Protocol,
    /// The answer is larger than the limit.
    TooLarge,
    /// The connection failed or ended.
    Io,
}

/// How long a `Retry-After` header asks to wait: seconds, or a date. None if it is neither. A date that has passed
/// asks for nothing.
pub fn retry_after(value: &str, now: UnixNanos) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a very long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value)
        .ok()?;
    let nanos = u64::try_from(date.as_nanosecond()).unwrap_or_default();
    Some(Duration::from_nanos(nanos.saturating_sub(now.get())))
}

/// What a peer said, fit for a line of text: at most 200 characters, none that moves the cursor.
pub(crate) fn said(text: &str) -> String {
    let mut said: String = text
        .trim()
        .chars()
        .take(SAID_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.trim().chars().nth(SAID_MAX).is_some() {
        said.push('…');
    }
    said
}

/// An error and its causes.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

// === impl Failure ===

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
        }
    }
}

/// Characters that a peer's words may have.
const SAID_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28 00:00:00 UTC.
    const NOW: UnixNanos = UnixNanos::from_millis(1_795_824_000_000);

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let check = |value: &str, expected: Option<u64>| {
            assert_eq!(
                retry_after(value, NOW),
                expected.map(Duration::from_secs),
                "{value}"
            );
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(u64::MAX));
        check("Sat, 28 Nov 2026 00:02:00 GMT", Some(120));
        check("Fri, 27 Nov 2026 00:02:00 GMT", Some(0));
        for wrong in ["", "soon", "-1", "1.5", "Sat, 99 Nov 2026 00:02:00 GMT"] {
            check(wrong, None);
        }
    }

    #[test]
    fn what_a_peer_said_is_short_and_printable() {
        assert_eq!(said(" a\r\nb\x1b[2J "), "a  b [2J");
        assert_eq!(said(&"é".repeat(300)).chars().count(), 201);
    }
}
