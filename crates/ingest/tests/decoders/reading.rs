//! Reads messages as a replay does, without files or threads, and spells events shortly.

use crate::figures::figures;
use hashbrown::HashMap;
use tapecast_ingest::event::{Event, EventBody, FeedEvent, TradeIds};
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::plan::FeedPlan;
use tapecast_ingest::scan::RecordingScan;
use tapecast_ingest::venue::{Format, Message};
use tapecast_model::{Decimal, InstrumentId, Level, Price, Qty, UnixNanos};

/// Scans messages; those that cannot be read count for nothing.
pub(crate) fn plan(format: Format, messages: &[&str]) -> FeedPlan {
    let mut scan = RecordingScan::new(format, HashMap::new());
    let mut decoder = format.decoder();
    for text in messages {
        let mut raw = text.as_bytes().to_vec();
        let message = Message {
            raw: &mut raw,
            http: None,
            symbol: None,
        };
        let _rejected = decoder.read(message, &mut scan);
    }
    scan.into_plan()
}

/// A parser of a plan whose instruments have the ids 0, 1, 2 and so on.
pub(crate) fn parser(format: Format, plan: &FeedPlan) -> Parser {
    let ids: Vec<_> = (0..plan.instruments.len() as u32)
        .map(InstrumentId::new)
        .collect();
    Parser::new(format, plan.clone(), &ids)
}

/// The events that messages come to.
pub(crate) fn events(format: Format, messages: &[&str]) -> Vec<String> {
    let plan = plan(format, messages);
    let mut parser = parser(format, &plan);
    let mut events = Vec::new();
    for text in messages {
        let mut raw = text.as_bytes().to_vec();
        let message = Message {
            raw: &mut raw,
            http: None,
            symbol: None,
        };
        let _rejected = parser.parse(message, UnixNanos::new(1), &mut events);
    }
    events.iter().map(|event| spell(&plan, event)).collect()
}

pub(crate) fn check(format: Format, messages: &[&str], expected: &[&str]) {
    assert_eq!(events(format, messages), expected);
}

/// What each of `bad` is rejected for, by a parser that knows what `good` says.
pub(crate) fn rejects(format: Format, good: &str, bad: &[&str]) -> Vec<&'static str> {
    let mut parser = parser(format, &plan(format, &[good]));
    let mut events = Vec::new();
    let mut read = |text: &&str| {
        let mut raw = text.as_bytes().to_vec();
        let message = Message {
            raw: &mut raw,
            http: None,
            symbol: None,
        };
        parser
            .parse(message, UnixNanos::new(1), &mut events)
            .unwrap_err()
            .label()
    };
    let labels = bad.iter().map(&mut read).collect();
    let says_loss = |event: &Event| matches!(event.body, EventBody::Feed(FeedEvent::Lost { .. }));
    assert!(events.iter().all(says_loss), "{events:?}");
    labels
}

fn spell(plan: &FeedPlan, event: &Event) -> String {
    let planned = &plan.instruments[event.instrument.index()];
    let number = |mantissa: i64, scale: u8| Decimal::new(i128::from(mantissa), scale).to_string();
    let price = |p: Price| number(p.mantissa(), planned.price_scale.digits());
    let pair = |p: Price, q: Qty| {
        format!(
            "{}x{}",
            price(p),
            number(q.mantissa(), planned.qty_scale.digits())
        )
    };
    let levels = |levels: &[Level]| {
        let spelled: Vec<_> = levels.iter().map(|l| pair(l.price, l.qty)).collect();
        format!("[{}]", spelled.join(" "))
    };
    let mut line = match &event.body {
        EventBody::SkippedIds { first, last } => format!("skipped {first}..{last}"),
        EventBody::Redefined(scales) => format!("{scales:?}"),
        EventBody::Defined(terms) => format!("{terms:?}"),
        EventBody::Trades {
            trades,
            history,
            ids,
        } => {
            let mut line = String::from(if *history { "history" } else { "trade" });
            line += if *ids == TradeIds::Dense {
                ""
            } else {
                " opaque"
            };
            for trade in trades {
                let side = trade.aggressor.map_or("-", |a| a.label());
                line += &format!(" {} {side} {:?}", pair(trade.price, trade.qty), trade.id);
            }
            line
        }
        EventBody::Quote(quote) => {
            let side = |s: Option<(Price, Qty)>| s.map_or("-".into(), |(p, q)| pair(p, q));
            format!("quote {} {}", side(quote.bid), side(quote.ask))
        }
        EventBody::Book(book) => {
            let kind = if book.snapshot { "snapshot" } else { "update" };
            let mut line = format!(
                "{kind} {} {} {:?}",
                levels(&book.bids),
                levels(&book.asks),
                book.link
            );
            line += &book.checksum.map_or(String::new(), |c| format!(" {c:?}"));
            line += &book.depth.map_or(String::new(), |d| format!(" depth {d}"));
            let sides = [&book.bids, &book.asks];
            let first = sides.iter().filter_map(|side| side.first());
            let spelled: Vec<_> = first
                .filter(|l| l.spelled != [0, 0])
                .map(|l| format!(" {}.{}", l.spelled[0], l.spelled[1]))
                .collect();
            if !spelled.is_empty() {
                line += &format!(" spelled{}", spelled.concat());
            }
            if book.makes_quote {
                line + " quote"
            } else {
                line
            }
        }
        EventBody::Ticker(ticker) => figures(ticker),
        EventBody::Trading(state) => format!("trading {}", state.label()),
        EventBody::Feed(event) => spell_feed(event),
    };
    line += &event.venue_seq.map_or(String::new(), |n| format!(" #{n}"));
    let millis = |t: tapecast_model::EventTime| t.nanos().get() / 1_000_000;
    line += &event
        .ts_event
        .map_or(String::new(), |t| format!(" @{}", millis(t)));
    format!("{} {line}", planned.symbol)
}

fn spell_feed(event: &FeedEvent) -> String {
    match event {
        FeedEvent::Gap(reason) => format!("gap {reason}"),
        FeedEvent::Lost {
            channels,
            events,
            reason,
        } => {
            let kinds: Vec<_> = channels.iter().map(|kind| kind.label()).collect();
            let events = events.map_or("?".into(), |n| n.to_string());
            format!("lost {events} {}: {reason}", kinds.join("+"))
        }
        other => format!("{other:?}"),
    }
}
