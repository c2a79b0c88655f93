//! Reading data frames, fast enough for a tenth of everything a core can send.
//!
//! The order of a frame's first fields is part of the protocol (`topic`, `type`, `epoch`, `seq`,
//! `prev`), so they are read where they stand; what an event carries is found by search. What does not
//! read like that is reported as unreadable and counted, never skipped in silence.

use memchr::memmem::Finder;

/// Price levels of a side of the books that are published.
pub const LEVELS: usize = 20;
/// The best bid; each level below is one lower. The best ask is one above.
pub const BID_BEST: u64 = 1_000;

/// Finds what matters in frames.
#[derive(Debug)]
pub struct FrameScanner {
    id: Finder<'static>,
    ts_event: Finder<'static>,
    bid_qty: Finder<'static>,
    bids: Finder<'static>,
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

/// What the harness published in one event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SentEvent {
    /// The publisher's number.
    pub id: u64,
    /// The publisher's intended time.
    pub stamp: u64,
}

/// The quantities of a published book: bids falling, then asks rising. A quantity is the publisher's
/// number of the event that set it, plus one; zero where there is no order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Levels(pub [u64; 2 * LEVELS]);

struct Cursor<'a>(&'a [u8]);

// === impl FrameScanner ===

impl FrameScanner {
    /// A scanner.
    pub fn new() -> Self {
        Self {
            id: Finder::new(b"\"id\":\""),
            ts_event: Finder::new(b"\"ts_event\":\""),
            bid_qty: Finder::new(b"\"bid_qty\":\""),
            bids: Finder::new(b"\"bids\":["),
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
    pub fn trades<'a>(&'a self, rest: &'a [u8]) -> impl Iterator<Item = SentEvent> + 'a {
        let mut at = Cursor(rest);
        std::iter::from_fn(move || {
            at.after(&self.id)?;
            let id = at.number()?;
            at.after(&self.ts_event)?;
            let stamp = at.number()?;
            Some(SentEvent { id, stamp })
        })
    }

    /// The trades of a frame whose ids are somebody else's and may be anything: only their times.
    pub fn stamps<'a>(&'a self, rest: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
        let mut at = Cursor(rest);
        std::iter::from_fn(move || {
            at.after(&self.ts_event)?;
            at.number()
        })
    }

    /// The quote of a frame: its number stands in the size of the bid.
    pub fn quote(&self, rest: &[u8]) -> Option<SentEvent> {
        let mut at = Cursor(rest);
        at.after(&self.ts_event)?;
        let stamp = at.number()?;
        at.after(&self.bid_qty)?;
        let id = at.number()?.checked_sub(1)?;
        Some(SentEvent { id, stamp })
    }

    /// Applies the levels of a book's frame; the event's number is the largest quantity in it.
    pub fn book(&self, rest: &[u8], levels: &mut Levels) -> Option<SentEvent> {
        let mut at = Cursor(rest);
        at.after(&self.ts_event)?;
        let stamp = at.number()?;
        at.after(&self.bids)?;
        let newest = at.levels(levels)?;
        at.expect(b",\"asks\":[")?;
        let id = newest.max(at.levels(levels)?).checked_sub(1)?;
        Some(SentEvent { id, stamp })
    }

    /// A frame of the ceiling: `{"e":1,"t":<ns>,"n":<number>,…`.
    #[inline]
    pub fn ceiling(&self, payload: &[u8]) -> Option<SentEvent> {
        let mut at = Cursor(payload);
        at.after(&self.stamp)?;
        let stamp = at.number()?;
        at.expect(b",\"n\":")?;
        Some(SentEvent {
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

// === impl Levels ===

impl Levels {
    /// A book without orders.
    pub fn empty() -> Self {
        Self([0; 2 * LEVELS])
    }

    /// The place of a price.
    #[inline]
    pub fn place(price: u64) -> Option<usize> {
        let best = BID_BEST as usize;
        let price = usize::try_from(price).ok()?;
        let place = if price <= best {
            best - price
        } else {
            price - best - 1 + LEVELS
        };
        let right_side = (place < LEVELS) == (price <= best);
        (right_side && place < 2 * LEVELS).then_some(place)
    }

    /// The price at a place.
    pub fn price(place: usize) -> u64 {
        if place < LEVELS {
            BID_BEST - place as u64
        } else {
            BID_BEST + 1 + (place - LEVELS) as u64
        }
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
        let (number, rest) = number(self.0)?;
        self.0 = rest;
        Some(number)
    }

    #[inline]
    fn after(&mut self, finder: &Finder<'_>) -> Option<()> {
        let at = finder.find(self.0)?;
        self.0 = &self.0[at + finder.needle().len()..];
        Some(())
    }

    /// `["price","qty"],…]`; the largest quantity.
    fn levels(&mut self, levels: &mut Levels) -> Option<u64> {
        let mut newest = 0;
        if self.expect(b"]").is_some() {
            return Some(newest);
        }
        loop {
            self.expect(b"[\"")?;
            let place = Levels::place(self.number()?)?;
            self.expect(b"\",\"")?;
            let qty = self.number()?;
            self.expect(b"\"]")?;
            levels.0[place] = qty;
            newest = newest.max(qty);
            if self.expect(b",").is_none() {
                self.expect(b"]")?;
                return Some(newest);
            }
        }
    }
}

/// The decimal number that a text begins with, and the rest of it.
#[inline]
pub(crate) fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    let mut digits = 0;
    while let Some(digit) = text
        .get(digits)
        .map(|b| b.wrapping_sub(b'0'))
        .filter(|d| *d < 10)
    {
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
        digits += 1;
    }
    (digits > 0).then(|| (number, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPDATE: &[u8] = br#"{"topic":"trade:bench:T17-USD","type":"update","epoch":412,"seq":90,"prev":88,"ts_recv":"1","ts_out":"2","trades":[{"id":"0000000007","price":"61837.64","qty":"0.1605","side":"buy","ts_event":"0000000000000000123"},{"id":"0000000009","price":"1","qty":"1","side":"buy","ts_event":"0000000000000000456"}]}"#;
    const QUOTE: &[u8] = br#"{"topic":"quote:bench:T0-USD","type":"update","epoch":1,"seq":9,"prev":8,"ts_event":"77","ts_recv":"1","ts_out":"2","bid":"1000","bid_qty":"6","ask":"1001","ask_qty":"1"}"#;
    const BOOK: &[u8] = br#"{"topic":"book.25:bench:T0-USD","type":"update","epoch":1,"seq":9,"prev":8,"ts_event":"88","ts_recv":"1","ts_out":"2","bids":[["1000","6"],["981","0"]],"asks":[["1001","5"]],"checksum":1}"#;

    #[test]
    fn a_trade_frame_is_read() {
        let scanner = FrameScanner::new();
        let head = scanner.head(UPDATE).unwrap();
        assert_eq!(head.topic, b"trade:bench:T17-USD");
        assert_eq!(
            (head.snapshot, head.epoch, head.seq, head.prev),
            (false, 412, 90, 88)
        );
        let trades: Vec<SentEvent> = scanner.trades(head.rest).collect();
        assert_eq!(
            trades,
            [
                SentEvent { id: 7, stamp: 123 },
                SentEvent { id: 9, stamp: 456 }
            ]
        );
        let stamps: Vec<u64> = scanner.stamps(head.rest).collect();
        assert_eq!(stamps, [123, 456]);
    }

    #[test]
    fn a_quote_and_a_book_are_read() {
        let scanner = FrameScanner::new();
        let head = scanner.head(QUOTE).unwrap();
        assert_eq!(
            scanner.quote(head.rest),
            Some(SentEvent { id: 5, stamp: 77 })
        );
        let mut levels = Levels::empty();
        levels.0[LEVELS - 1] = 3;
        let head = scanner.head(BOOK).unwrap();
        let event = scanner.book(head.rest, &mut levels);
        assert_eq!(event, Some(SentEvent { id: 5, stamp: 88 }));
        let mut expected = Levels::empty();
        (expected.0[0], expected.0[LEVELS]) = (6, 5);
        assert_eq!(levels, expected);
    }

    #[test]
    fn every_price_of_a_book_has_a_place_and_no_other_has() {
        for place in 0..2 * LEVELS {
            assert_eq!(Levels::place(Levels::price(place)), Some(place));
        }
        let (lowest, highest) = (Levels::price(LEVELS - 1), Levels::price(2 * LEVELS - 1));
        assert_eq!(Levels::place(lowest - 1), None);
        assert_eq!(Levels::place(highest + 1), None);
    }

    #[test]
    fn a_snapshot_has_no_predecessor_and_an_update_must_have_one() {
        let scanner = FrameScanner::new();
        let text =
            br#"{"topic":"trade:bench:T0-USD","type":"snapshot","epoch":1,"seq":0,"trades":[]}"#;
        let head = scanner.head(text).unwrap();
        assert!(head.snapshot && scanner.trades(head.rest).next().is_none());
        let text =
            br#"{"topic":"trade:bench:T0-USD","type":"update","epoch":1,"seq":0,"trades":[]}"#;
        assert_eq!(scanner.head(text), None);
    }

    #[test]
    fn a_frame_of_the_ceiling_is_read() {
        let text = br#"{"e":1,"t":0000000000000000012,"n":0000000034,"s":"t0","x":"abc"}"#;
        assert_eq!(
            FrameScanner::new().ceiling(text),
            Some(SentEvent { id: 34, stamp: 12 })
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(which in 0_usize..3, cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let scanner = FrameScanner::new();
            let original = [UPDATE, QUOTE, BOOK][which];
            let cut = cut.index(original.len());
            let mut bytes = original.to_vec();
            bytes[cut] = byte;
            for text in [&bytes[..], &original[..cut]] {
                if let Some(head) = scanner.head(text) {
                    let _ = scanner.trades(head.rest).count();
                    let _ = scanner.stamps(head.rest).count();
                    let _ = scanner.quote(head.rest);
                    let _ = scanner.book(head.rest, &mut Levels::empty());
                }
                let _ = scanner.ceiling(text);
            }
        }
    }
}
