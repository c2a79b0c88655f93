//! Reading trade frames, fast enough for a tenth of everything a core can send.
//!
//! The order of a frame's first fields is part of the protocol (`topic`, `type`, `epoch`, `seq`,
//! `prev`), so they are read where they stand; the trades are found by search. What does not read like
//! that is reported as unreadable and counted, never skipped in silence.

use memchr::memmem::Finder;

/// Finds what matters in frames.
#[derive(Debug)]
pub struct FrameScanner {
    id: Finder<'static>,
    ts_event: Finder<'static>,
    stamp: Finder<'static>,
}

/// The beginning of a data frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHead<'a> {
    /// The topic.
    pub topic: &'a [u8],
    /// It is the state, not an update.
    pub snapshot: bool,
    /// The life of the stream.
    pub epoch: u64,
    /// The last event in it.
    pub seq: u64,
    /// The last event before it; zero in a snapshot.
    pub prev: u64,
    /// Everything after that.
    pub rest: &'a [u8],
}

/// What the harness published in one trade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Print {
    /// The publisher's number.
    pub id: u64,
    /// The publisher's intended time.
    pub stamp: u64,
}

struct Cursor<'a>(&'a [u8]);

// === impl FrameScanner ===

impl FrameScanner {
    /// A scanner.
    pub fn new() -> Self {
        Self {
            id: Finder::new(b"\"id\":\""),
            ts_event: Finder::new(b"\"ts_event\":\""),
            stamp: Finder::new(b"\"t\":"),
        }
    }

    /// Reads the beginning of a data frame.
    #[inline]
    pub fn head<'a>(&self, payload: &'a [u8]) -> Option<FrameHead<'a>> {
        let mut at = Cursor(payload);
        at.expect(b"{\"topic\":\"")?;
        let topic = at.until_quote()?;
        at.expect(b",\"type\":\"")?;
        let snapshot = match at.until_quote()? {
            b"update" => false,
            b"snapshot" => true,
            _ => return None,
        };
        at.expect(b",\"epoch\":")?;
        let epoch = at.number()?;
        at.expect(b",\"seq\":")?;
        let seq = at.number()?;
        let prev = match at.expect(b",\"prev\":") {
            Some(()) => at.number()?,
            None if snapshot => 0,
            None => return None,
        };
        Some(FrameHead {
            topic,
            snapshot,
            epoch,
            seq,
            prev,
            rest: at.0,
        })
    }

    /// The trades of a frame, in order. Ends early where one cannot be read.
    pub fn prints<'a>(&'a self, rest: &'a [u8]) -> impl Iterator<Item = Print> + 'a {
        let mut at = Cursor(rest);
        std::iter::from_fn(move || {
            at.after(&self.id)?;
            let id = at.number()?;
            at.after(&self.ts_event)?;
            let stamp = at.number()?;
            Some(Print { id, stamp })
        })
    }

    /// A frame of the ceiling: `{"e":1,"t":<ns>,"n":<number>,…`.
    #[inline]
    pub fn ceiling(&self, payload: &[u8]) -> Option<Print> {
        let mut at = Cursor(payload);
        at.after(&self.stamp)?;
        let stamp = at.number()?;
        at.expect(b",\"n\":")?;
        Some(Print {
            id: at.number()?,
            stamp,
        })
    }
}

impl Default for FrameScanner {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    #[inline]
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    #[inline]
    fn until_quote(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'"', self.0)?;
        let text = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(text)
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        let mut digits = 0;
        while let Some(digit) = self
            .0
            .get(digits)
            .map(|b| b.wrapping_sub(b'0'))
            .filter(|d| *d < 10)
        {
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            digits += 1;
        }
        self.0 = &self.0[digits..];
        (digits > 0).then_some(number)
    }

    #[inline]
    fn after(&mut self, finder: &Finder<'_>) -> Option<()> {
        let at = finder.find(self.0)?;
        self.0 = &self.0[at + finder.needle().len()..];
        Some(())
    }
}

/// The number in `trade:bench:T<number>-USD`.
#[inline]
pub fn topic_number(topic: &[u8]) -> Option<u32> {
    let mut at = Cursor(topic.strip_prefix(b"trade:bench:T")?);
    let number = at.number()?;
    (at.0 == b"-USD")
        .then(|| u32::try_from(number).ok())
        .flatten()
}

/// The name of the topic with a number.
pub fn topic_name(number: u32) -> String {
    format!("trade:bench:T{number}-USD")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPDATE: &[u8] = br#"{"topic":"trade:bench:T17-USD","type":"update","epoch":412,"seq":90,"prev":88,"ts_recv":"1","ts_out":"2","trades":[{"id":"0000000007","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000000000000000123"},{"id":"0000000009","price":"1","qty":"1","side":"buy","ts_event":"0000000000000000456"}]}"#;

    #[test]
    fn a_trade_frame_is_read() {
        let scanner = FrameScanner::new();
        let head = scanner.head(UPDATE).unwrap();
        assert_eq!(topic_number(head.topic), Some(17));
        assert_eq!(
            (head.snapshot, head.epoch, head.seq, head.prev),
            (false, 412, 90, 88)
        );
        let prints: Vec<Print> = scanner.prints(head.rest).collect();
        assert_eq!(
            prints,
            [Print { id: 7, stamp: 123 }, Print { id: 9, stamp: 456 }]
        );
    }

    #[test]
    fn a_snapshot_has_no_predecessor_and_an_update_must_have_one() {
        let scanner = FrameScanner::new();
        let text =
            br#"{"topic":"trade:bench:T0-USD","type":"snapshot","epoch":1,"seq":0,"trades":[]}"#;
        let head = scanner.head(text).unwrap();
        assert!(head.snapshot && scanner.prints(head.rest).next().is_none());
        let text =
            br#"{"topic":"trade:bench:T0-USD","type":"update","epoch":1,"seq":0,"trades":[]}"#;
        assert_eq!(scanner.head(text), None);
    }

    #[test]
    fn a_frame_of_the_ceiling_is_read() {
        let text = br#"{"e":1,"t":0000000000000000012,"n":0000000034,"s":"t0","x":"abc"}"#;
        assert_eq!(
            FrameScanner::new().ceiling(text),
            Some(Print { id: 34, stamp: 12 })
        );
    }

    #[test]
    fn names_and_numbers_of_topics_agree() {
        for number in [0, 7, 999, u32::MAX] {
            assert_eq!(topic_number(topic_name(number).as_bytes()), Some(number));
        }
        for other in [
            "trade:bench:T-USD",
            "trade:sim:T1-USD",
            "trade:bench:T1-USDT",
        ] {
            assert_eq!(topic_number(other.as_bytes()), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(cut in 0_usize..UPDATE.len(), byte in any::<u8>()) {
            let scanner = FrameScanner::new();
            let mut bytes = UPDATE.to_vec();
            bytes[cut] = byte;
            for text in [&bytes[..], &UPDATE[..cut]] {
                if let Some(head) = scanner.head(text) {
                    let _ = scanner.prints(head.rest).count();
                }
                let _ = scanner.ceiling(text);
            }
        }
    }
}
