//! A plan that grows while its feed runs, as one from a venue's metadata does.

use crate::reading::parser;
use tapecast_ingest::event::{Event, EventBody, Scales};
use tapecast_ingest::normaliser::Parser;
use tapecast_ingest::plan::{FeedPlan, NoSymbol, PlannedInstrument};
use tapecast_ingest::venue::{Carries, Format, Message, Reject, VenueStream};
use tapecast_model::{InstrumentId, Scale, Symbol, UnixNanos};

const fn scales(price: u8, qty: u8) -> Scales {
    Scales {
        price_scale: Scale::saturating(price),
        qty_scale: Scale::saturating(qty),
    }
}

fn planned(native: &str, symbol: &str, scales: Scales) -> PlannedInstrument {
    let trades = VenueStream::new(Carries::Trades, TRADES);
    PlannedInstrument::new(native, Symbol::new(symbol).unwrap(), scales, [trades])
}

/// The rank of the stream `trade`.
const TRADES: u32 = 2;

fn trade(native: &str, id: u32, price: &str, qty: &str) -> String {
    format!(
        r#"{{"e":"trade","E":1730000000100,"s":"{native}","t":{id},"p":"{price}","q":"{qty}","T":1730000000099,"m":true}}"#
    )
}

fn parse(parser: &mut Parser, text: &str) -> Result<Vec<Event>, Reject> {
    let (mut raw, mut events) = (text.as_bytes().to_vec(), Vec::new());
    let message = Message {
        raw: &mut raw,
        http: None,
        symbol: None,
    };
    parser.parse(message, UnixNanos::new(1), &mut events)?;
    Ok(events)
}

/// Of which instrument the one trade is, and its price.
fn price(events: &[Event]) -> (InstrumentId, i64) {
    let mut prices = events.iter().filter_map(|event| match &event.body {
        EventBody::Trades { trades, .. } => Some((event.instrument, trades[0].price.mantissa())),
        _ => None,
    });
    let price = prices.next();
    assert_eq!((prices.next(), events.len()), (None, 1), "{events:?}");
    price.unwrap()
}

#[test]
fn an_instrument_is_served_from_the_moment_that_it_is_added() {
    let mut parser = parser(Format::Binance, &FeedPlan::default());
    let message = trade("NEWUSDT", 1, "1.5", "2");
    let before = parse(&mut parser, &message);
    assert!(before.is_err() || before.is_ok_and(|events| events.is_empty()));
    let id = InstrumentId::new(4);
    parser
        .add(planned("NEWUSDT", "NEW-USDT", scales(2, 0)), id)
        .unwrap();
    assert_eq!(price(&parse(&mut parser, &message).unwrap()), (id, 150));
    let twice = parser.add(planned("NEWUSDT", "OTHER-USDT", scales(2, 0)), id);
    assert!(matches!(twice, Err(NoSymbol::Taken { .. })), "{twice:?}");
    let same = parser.add(planned("NEW_USDT", "NEW-USDT", scales(2, 0)), id);
    assert!(matches!(same, Err(NoSymbol::Taken { .. })), "{same:?}");
}

#[test]
fn other_scales_are_told_once_and_in_order_with_the_numbers() {
    let mut parser = parser(Format::Binance, &FeedPlan::default());
    let id = InstrumentId::new(4);
    parser
        .add(planned("ABCUSDT", "ABC-USDT", scales(1, 0)), id)
        .unwrap();
    let message = trade("ABCUSDT", 1, "1.5", "2");
    assert_eq!(price(&parse(&mut parser, &message).unwrap()), (id, 15));
    // The tick has gained two digits, and the numbers that need them come with the news.
    let finer = trade("ABCUSDT", 2, "1.505", "2");
    assert_eq!(parse(&mut parser, &finer), Err(Reject::Scale));
    let (now, mut out) = (UnixNanos::new(9), Vec::new());
    let next = parser.redefine("ABCUSDT", scales(3, 0), now, &mut out);
    assert_eq!(next, id.next_generation());
    let told = out.first().unwrap();
    assert_eq!((told.instrument, told.ts_recv), (id, now));
    assert_eq!(told.body, EventBody::Redefined(scales(3, 0)));
    let events = parse(&mut parser, &finer).unwrap();
    assert_eq!(price(&events), (next.unwrap(), 1_505));
    // Nothing new, and nobody we know.
    assert_eq!(
        parser.redefine("ABCUSDT", scales(3, 0), now, &mut out),
        None
    );
    assert_eq!(
        parser.redefine("XYZUSDT", scales(3, 0), now, &mut out),
        None
    );
    assert_eq!(out.len(), 1);
}
