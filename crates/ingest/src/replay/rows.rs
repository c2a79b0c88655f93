//! Reads the rows of a recording to events, as a feed reads the messages of its venue: counts them, and gives
//! up the connection after too many refused messages in a row.
//!
//! Rows that say on which line they came are of a session, which has also written down what it said itself
//! ([`crate::aside`]). Each line has a parser of its own, messages that the session did not use have no events, and
//! nothing is concluded from refused messages: the session has done that.

use crate::aside::{Aside, Said, What};
use crate::capture::{Item, Row};
use crate::event::{Event, FeedEvent, Scales};
use crate::metrics::FeedCounters;
use crate::normaliser::Parser;
use crate::plan::{FeedPlan, PlannedInstrument};
use crate::venue::Reject;
use hashbrown::HashMap;
use std::borrow::Cow;
use tapecast_model::{InstrumentId, Scale, UnixNanos};

/// Reads the rows of a recording.
pub(crate) struct RowReader {
    make: MakeParser,
    /// What is used, with the scales and ids of the moment.
    plan: FeedPlan,
    ids: Vec<InstrumentId>,
    places: HashMap<Box<str>, usize>,
    /// Reads messages of which is not known on which line they came.
    parser: Parser,
    lines: HashMap<u32, Parser>,
    /// Counts messages.
    pub(crate) counters: FeedCounters,
    /// Refused messages in a row.
    faults: u32,
    /// Something was read.
    has_begun: bool,
}

/// Makes a parser for a line, of what is used and the ids of its instruments.
pub(crate) type MakeParser = Box<dyn Fn(&FeedPlan, &[InstrumentId]) -> Parser + Send>;

/// What became of a row, besides its events.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct TakenRow {
    /// Why its message was refused, if it was.
    pub(crate) refused: Option<Reject>,
    /// Too many messages in a row were refused: every instrument has got a gap.
    pub(crate) gave_up: bool,
}

/// Refused messages in a row that count as a lost connection.
const REJECTS_IN_A_ROW: u32 = 10;

// === impl RowReader ===

impl RowReader {
    /// A reader of what a plan uses; `ids` are those of the plan's instruments, in order.
    pub(crate) fn new(
        plan: &FeedPlan,
        ids: &[InstrumentId],
        make: MakeParser,
        counters: FeedCounters,
    ) -> Self {
        let planned = plan.instruments.iter().enumerate();
        let places = planned.map(|(at, planned)| (planned.native.clone(), at));
        Self {
            parser: make(plan, ids),
            make,
            places: places.collect(),
            plan: plan.clone(),
            ids: ids.to_vec(),
            lines: HashMap::new(),
            counters,
            faults: 0,
            has_begun: false,
        }
    }

    /// The recording begins again.
    pub(crate) fn reset(&mut self) {
        self.parser.reset();
        self.lines.clear();
        (self.faults, self.has_begun) = (0, false);
    }

    /// Says of every instrument which of its channels are asked for.
    pub(crate) fn announce_channels(&self, now: UnixNanos, out: &mut Vec<Event>) {
        self.parser.announce_channels(now, out);
    }

    /// Says the feed's word on itself of every instrument.
    pub(crate) fn announce(&mut self, event: &FeedEvent, now: UnixNanos, out: &mut Vec<Event>) {
        self.parser.announce(event, now, out);
        if matches!(event, FeedEvent::Gap(_) | FeedEvent::Down(_)) {
            // Their events are those of all instruments, which have been said.
            let unsaid = &mut Vec::new();
            for line in self.lines.values_mut() {
                line.announce(event, now, unsaid);
            }
        }
    }

    /// Appends the events of a row, received at `now`, to `out`, which must be empty.
    pub(crate) fn take(
        &mut self,
        item: Item<'_>,
        now: UnixNanos,
        out: &mut Vec<Event>,
    ) -> TakenRow {
        let had_begun = std::mem::replace(&mut self.has_begun, true);
        match item {
            Item::Aside(
                _,
                Aside {
                    what: What::Begin { first: true, .. },
                    ..
                },
            ) if had_begun => {
                self.parser.reset();
                self.lines.clear();
                self.announce(&FeedEvent::Restarted, now, out);
                TakenRow::default()
            }
            Item::Row(row) if row.line.is_some() || !row.used => {
                self.take_of_session(row, now, out)
            }
            Item::Row(row) => self.take_message(row, now, out),
            Item::Aside(_, aside) => {
                self.take_aside(aside, now, out);
                TakenRow::default()
            }
        }
    }

    fn take_message(&mut self, row: Row<'_>, now: UnixNanos, out: &mut Vec<Event>) -> TakenRow {
        let message = match row.message {
            Ok(message) => message,
            Err((_, raw)) => {
                self.counters.reject(Reject::Line);
                self.parser.lost(raw, now, out);
                return TakenRow {
                    refused: Some(Reject::Line),
                    gave_up: false,
                };
            }
        };
        self.counters.messages.inc();
        self.counters.bytes.inc_by(message.raw.len() as u64);
        let result = self.parser.parse(message, now, out);
        let asides = self.parser.asides();
        self.counters.count_asides(asides);
        let beside = asides.beside;
        let mut gave_up = false;
        match result {
            Ok(()) => self.faults = 0,
            Err(reject) => {
                self.counters.reject(reject);
                self.faults += u32::from(reject.is_fault() && !beside);
                if self.faults == REJECTS_IN_A_ROW {
                    self.faults = 0;
                    gave_up = true;
                    self.reconnect(now, out);
                }
            }
        }
        TakenRow {
            refused: result.err(),
            gave_up,
        }
    }

    /// A message of a session's line, or an answer that it got.
    fn take_of_session(&mut self, row: Row<'_>, now: UnixNanos, out: &mut Vec<Event>) -> TakenRow {
        let (Ok(message), Some(line)) = (row.message, row.line) else {
            return TakenRow::default();
        };
        let make = || (self.make)(&self.plan, &self.ids);
        let parser = self.lines.entry(line).or_insert_with(make);
        let bytes = message.raw.len() as u64;
        let result = parser.parse(message, now, out);
        if !row.used {
            // A decoder may need it to read the next one.
            out.clear();
            return TakenRow::default();
        }
        self.counters.messages.inc();
        self.counters.bytes.inc_by(bytes);
        self.counters.count_asides(parser.asides());
        if let Err(reject) = result {
            self.counters.reject(reject);
        }
        TakenRow {
            refused: result.err(),
            gave_up: false,
        }
    }

    fn take_aside(&mut self, aside: Aside, now: UnixNanos, out: &mut Vec<Event>) {
        match aside.what {
            What::Open { line, again, .. } => {
                if !(again && self.lines.contains_key(&line)) {
                    let parser = (self.make)(&self.plan, &self.ids);
                    self.lines.insert(line, parser);
                }
            }
            What::Close { line, .. } => {
                self.lines.remove(&line);
            }
            What::Said {
                line,
                native,
                event,
            } => {
                if let Said::Redefined {
                    price_scale,
                    qty_scale,
                } = event
                {
                    let (price, qty) = (Scale::new(price_scale), Scale::new(qty_scale));
                    if let Some((price_scale, qty_scale)) = price.zip(qty) {
                        let scales = Scales {
                            price_scale,
                            qty_scale,
                        };
                        self.redefine(&native, scales, now, out);
                    }
                    return;
                }
                let Some(at) = self.places.get(&*native).copied() else {
                    return;
                };
                let PlannedInstrument {
                    price_scale,
                    qty_scale,
                    ..
                } = self.plan.instruments[at];
                let scales = Scales {
                    price_scale,
                    qty_scale,
                };
                if matches!(event, Said::Gap { .. } | Said::Down { .. })
                    && let Some(parser) = self.lines.get_mut(&line)
                {
                    parser.lose(&native);
                }
                out.extend(event.event(self.ids[at], scales, now));
            }
            What::Dropped { .. } => {
                let reason = Cow::Borrowed("rows are missing in the recording");
                self.announce(&FeedEvent::Gap(reason), now, out);
            }
            // A recording that is played once more begins with the scales that it began with.
            What::Instrument(defined) => {
                if let Some((_, scales)) = defined.content() {
                    self.redefine(&defined.native, scales, now, out);
                }
            }
            What::Begin { .. }
            | What::Sent { .. }
            | What::Answer { .. }
            | What::Binary { .. }
            | What::Unknown => {}
        }
    }

    /// The venue has changed the scales of an instrument: another one takes its place.
    fn redefine(&mut self, native: &str, scales: Scales, now: UnixNanos, out: &mut Vec<Event>) {
        let Some(id) = self.parser.redefine(native, scales, now, out) else {
            return;
        };
        let unsaid = &mut Vec::new();
        for line in self.lines.values_mut() {
            line.redefine(native, scales, now, unsaid);
        }
        if let Some(at) = self.places.get(native).copied() {
            self.ids[at] = id;
            let planned = &mut self.plan.instruments[at];
            (planned.price_scale, planned.qty_scale) = (scales.price_scale, scales.qty_scale);
        }
    }

    /// What a live feed would do after too many refused messages, as far as a recording can.
    fn reconnect(&mut self, now: UnixNanos, out: &mut Vec<Event>) {
        self.counters.reconnects_rejects.inc();
        self.parser.reset();
        out.clear();
        let gap = FeedEvent::Gap(Cow::Borrowed("ten messages in a row could not be read"));
        self.parser.announce(&gap, now, out);
    }
}
