//! All that subscribers of all topics get, as text, apart from times and from what only a clock decides.

use std::fmt::Write as _;
use tapecast_model::{
    Body, FeedState, Instrument, Price, Qty, Side, StreamKind, Update, UpdateSink,
};

/// Levels of each side that are compared.
const LEVELS: usize = 25;

/// One line per update.
#[derive(Default)]
pub(crate) struct Journal(pub(crate) Vec<String>);

impl UpdateSink for Journal {
    fn publish(&mut self, update: &Update<'_>) {
        let it = update.instrument;
        let mut text = format!("{} ", it.native);
        let _ = match update.body {
            Body::Trades(trades) => {
                text.push_str("trades");
                trades.iter().try_for_each(|trade| {
                    let level = level(it, trade.price, trade.qty);
                    write!(text, " {:?} {level} {:?}", trade.id, trade.aggressor)
                })
            }
            Body::Quote(quote) => {
                let side =
                    |side: Option<(Price, Qty)>| side.map(|(price, qty)| level(it, price, qty));
                write!(text, "quote {:?} {:?}", side(quote.bid), side(quote.ask))
            }
            Body::Book { book, changes, .. } => {
                let _ = write!(text, "book {:?} {}", update.venue_seq, changes.is_none());
                [Side::Bid, Side::Ask].into_iter().try_for_each(|side| {
                    let levels = book.levels(side).take(LEVELS);
                    levels
                        .into_iter()
                        .try_for_each(|l| write!(text, " {}", level(it, l.price, l.qty)))
                })
            }
            Body::Lost {
                kind: StreamKind::Trade,
                events,
            } => write!(text, "lost {events} trades"),
            // Whether a state that is silent can be lost once more is a matter of clocks.
            Body::Lost { .. } => return,
            Body::Definition { terms, .. } => write!(text, "{terms:?}"),
            Body::Ticker(ticker) => write!(
                text,
                "ticker {:?}",
                ticker.last.map(|price| price.mantissa())
            ),
            // So is how long silence is allowed.
            Body::Status(status) if status.feed == FeedState::Down => {
                write!(text, "down {}", status.reason)
            }
            Body::Status(_) => return,
        };
        self.0.push(text);
    }
}

fn level(instrument: &Instrument, price: Price, qty: Qty) -> String {
    format!(
        "{}x{}",
        number(price.mantissa(), instrument.price_scale.digits()),
        number(qty.mantissa(), instrument.qty_scale.digits())
    )
}

/// In 0.00000001: the scales of a recording may be larger than those of the venue at the time.
fn number(mantissa: i64, digits: u8) -> i128 {
    i128::from(mantissa) * 10_i128.pow(u32::from(12 - digits))
}
