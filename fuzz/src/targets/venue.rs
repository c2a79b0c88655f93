//! Venues' messages: the decoders, their fast roads, and what becomes of it in the normaliser.
//!
//! An input is up to [`MESSAGES_MAX`] messages, one a line, of one connection.
//!
//! # Rules
//! * What is published is possible: trades have a size above zero, levels none below it, times lie
//!   between 1980 and 2200.
//! * A message says the same in another form: members in another order, white space, a field that
//!   nobody knows, a doubled key reduced to its last value.
//! * A message that is refused leaves no news behind, only what says that news were lost.

use super::{Broken, Depth, Target};
use crate::json::Json;
use crate::seeds;
use hashbrown::HashMap;
use tapecast_ingest::event::{Event, EventBody};
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::plan::FeedPlan;
use tapecast_ingest::scan::RecordingScan;
use tapecast_ingest::venue::{Format, Message, Reject};
use tapecast_model::{InstrumentId, UnixNanos};

/// Messages of one input; more are not looked at.
const MESSAGES_MAX: usize = 8;
/// 1980 and 2200, in nanoseconds: times outside are no times of trades.
const TIMES: std::ops::Range<u64> = 315_532_800_000_000_000..7_258_118_400_000_000_000;

pub(super) struct Venue {
    format: Format,
    plan: FeedPlan,
    ids: Vec<InstrumentId>,
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl Venue {
    pub(super) fn new(format: Format, mut seeds: Vec<Vec<u8>>) -> Self {
        seeds.extend(seeds::recorded(format));
        let mut scan = RecordingScan::new(format, HashMap::new());
        let mut decoder = format.decoder();
        for seed in &seeds {
            for line in lines(seed) {
                let mut raw = line.to_vec();
                let message = message(&mut raw);
                let _rejected = decoder.read(message, &mut scan);
            }
        }
        let plan = scan.into_plan();
        let ids = (0..plan.instruments.len() as u32).map(InstrumentId::new);
        Self {
            format,
            ids: ids.collect(),
            plan,
            seeds,
            planted: false,
        }
    }

    fn parser(&self) -> Parser {
        Parser::new(self.format, self.plan.clone(), &self.ids)
    }
}

impl Target for Venue {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let (mut parser, mut other) = (self.parser(), self.parser());
        let mut depth = Depth::Head;
        for line in lines(input) {
            let (result, events) = parse(&mut parser, line);
            depth = depth.max_of(result);
            check(result, &events)?;
            let Some(turned) = Json::in_another_form(line, true) else {
                // The other connection hears the same, so that both stay in step.
                let _same = parse(&mut other, line);
                continue;
            };
            let (result_of_other, mut events_of_other) = parse(&mut other, turned.as_bytes());
            if self.planted {
                lose_last_level(&mut events_of_other);
            }
            let agree = result.is_ok() == result_of_other.is_ok()
                && (result.is_err() || events == events_of_other);
            if !agree {
                return Err(Broken(format!(
                    "in another form it says something else: {result:?} {events:?}, {result_of_other:?} \
                     {events_of_other:?} for {turned}"
                )));
            }
        }
        Ok(depth)
    }
}

impl Depth {
    /// Past the head, if this message is.
    const fn max_of(self, result: Result<(), Reject>) -> Self {
        match result {
            Err(
                Reject::Malformed
                | Reject::Utf8
                | Reject::Unknown
                | Reject::Oversized
                | Reject::Symbol
                | Reject::Line,
            ) => self,
            _ => Self::Body,
        }
    }
}

/// The planted fault: the last of three bids or more is lost.
fn lose_last_level(events: &mut [Event]) {
    for event in events {
        match &mut event.body {
            EventBody::Book(book) if book.bids.len() >= 3 => drop(book.bids.pop()),
            EventBody::Trades { trades, .. } if trades[0].qty.mantissa() % 7 == 3 => trades.clear(),
            EventBody::Quote(quote) if quote.ask.is_none() => quote.bid = None,
            _ => {}
        }
    }
}

fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == b'\n').take(MESSAGES_MAX)
}

fn message(raw: &mut [u8]) -> Message<'_> {
    Message {
        raw,
        http: None,
        symbol: None,
    }
}

fn parse(parser: &mut Parser, text: &[u8]) -> (Result<(), Reject>, Vec<Event>) {
    let (mut raw, mut events) = (text.to_vec(), Vec::new());
    let result = parser.parse(message(&mut raw), UnixNanos::new(1), &mut events);
    (result, events)
}

fn check(result: Result<(), Reject>, events: &[Event]) -> Result<(), Broken> {
    for event in events {
        let time = |at: Option<tapecast_model::EventTime>| {
            at.is_none_or(|at| TIMES.contains(&at.nanos().get()))
        };
        let possible = match &event.body {
            EventBody::Trades { trades, .. } => {
                !trades.is_empty()
                    && trades
                        .iter()
                        .all(|p| p.qty.mantissa() > 0 && time(p.ts_event))
            }
            EventBody::Quote(quote) => [quote.bid, quote.ask]
                .into_iter()
                .flatten()
                .all(|(_, qty)| qty.mantissa() >= 0),
            EventBody::Book(book) => [&book.bids, &book.asks]
                .into_iter()
                .flatten()
                .all(|level| level.qty.mantissa() >= 0),
            EventBody::SkippedIds { .. }
            | EventBody::Ticker(_)
            | EventBody::Redefined(_)
            | EventBody::Defined(_)
            | EventBody::Trading(_)
            | EventBody::Feed(_) => true,
        };
        if !possible || !time(event.ts_event) {
            return Err(Broken(format!("impossible: {event:?}")));
        }
        if result.is_err() && !matches!(event.body, EventBody::Feed(_)) {
            return Err(Broken(format!("refused and published: {event:?}")));
        }
    }
    Ok(())
}
