//! Coinbase Advanced Trade: one connection, all channels, one number per message.
//!
//! `sequence_num` rises by one per message over the whole connection. A break means that something was
//! lost, and it is unknown of which book. So all books get a gap, before the data of the message that
//! showed the break. A message that could not be read counts as lost, also if it has no number of its own;
//! a repeated message, with the same number and text, is not a break.
//!
//! Trades come newest first, and their `side` is the maker's. Their ids rise by one per product, in all
//! 253 steps of which we have a recording, from the snapshot to the updates. The ticker does not always
//! agree with the book (22 of 154 differ in one recording), so no quote is taken from it.

use super::tape::{Json, Node};
use super::{
    BookHead, Carries, Decoder, EventVisitor, Message, MessageHead, Reject, TradeRow, VenueStream,
    What, rfc3339_time, trading,
};
use crate::event::TradeIds;
use tapecast_model::{Aggressor, ChannelKind, Decimal, EventTime, Side, Ticker, TradeId};

/// Reads Coinbase's messages.
#[derive(Default)]
pub struct Coinbase {
    json: Json,
    last: Option<u64>,
    /// A message without a number has come since.
    unnumbered: bool,
    /// A sum over the text of the last message, to know it again.
    last_sum: u32,
}

/// What an envelope says of all that is in it.
#[derive(Clone, Copy)]
struct Envelope {
    sequence: u64,
    time: Option<EventTime>,
}

impl Decoder for Coinbase {
    fn read(&mut self, message: Message<'_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let Self {
            json,
            last,
            unnumbered,
            last_sum,
        } = self;
        let Message { raw, http, .. } = message;
        // Before it is read, which rewrites it.
        let sum = crc32fast::hash(raw);
        json.read(raw, |root| {
            let Some(channel) = root.text_of("channel") else {
                let control = http.is_some() || root.text_of("type") == Some("error");
                return if control {
                    Ok(())
                } else {
                    Err(Reject::Unknown)
                };
            };
            let sequence = root
                .uint("sequence_num")
                .inspect_err(|_| *unnumbered = true)?;
            let time = root.text_of("timestamp").and_then(rfc3339_time);
            if *last == Some(sequence) && *last_sum == sum {
                // The same message once more.
                return Ok(());
            }
            let broken = match *last {
                Some(last) if last.checked_add(1) != Some(sequence) => {
                    Some(format!("sequence_num {sequence} after {last}"))
                }
                _ => unnumbered.then(|| format!("no sequence_num before {sequence}")),
            };
            let whole = broken.is_none();
            if let Some(broken) = broken {
                visitor.gap(broken);
            }
            let envelope = Envelope { sequence, time };
            let result = envelope.read(channel, root, visitor);
            // A refused message says nothing, not even the break: the next one must show it again.
            if result == Ok(()) || (whole && result == Err(Reject::Unknown)) {
                *last = Some(sequence);
                *last_sum = sum;
                *unnumbered = false;
            }
            result
        })
    }

    fn reset(&mut self) {
        self.last = None;
        self.unnumbered = false;
    }

    fn words(&self) -> &'static [(&'static str, ChannelKind)] {
        &[]
    }
}

/// Reads one event of a message.
type Reader = fn(Envelope, Node<'_, '_>, &mut dyn EventVisitor) -> Result<(), Reject>;

impl Envelope {
    fn read(
        self,
        channel: &str,
        root: Node<'_, '_>,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let (each, stream): (Reader, _) = match channel {
            "l2_data" => (Self::book, VenueStream::new(Carries::Book, 1)),
            "market_trades" => (Self::trades, VenueStream::new(Carries::Trades, 1)),
            "ticker" => (Self::tickers::<2>, VenueStream::new(Carries::Ticker, 2)),
            "ticker_batch" => (Self::tickers::<1>, VenueStream::new(Carries::Ticker, 1)),
            "status" => {
                let mut events = root.items("events")?;
                return events.try_for_each(|event| self.products(event, visitor));
            }
            "heartbeats" | "subscriptions" | "candles" => return Ok(()),
            _ => return Err(Reject::Unknown),
        };
        for event in root.items("events")? {
            if let Err(reject) = each(self, event, visitor) {
                visitor.fault(event.text_of("product_id"), stream, reject);
            }
        }
        Ok(())
    }

    fn head<'a>(self, native: &'a str, stream: VenueStream, what: What<'a>) -> MessageHead<'a> {
        MessageHead {
            native,
            stream,
            ts_event: self.time,
            venue_seq: Some(self.sequence),
            what,
        }
    }

    fn book(self, event: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let snapshot = match event.text("type")? {
            "snapshot" => true,
            "update" => false,
            _ => return Err(Reject::Missing("type")),
        };
        let what = What::Book(BookHead {
            snapshot,
            ..BookHead::default()
        });
        let head = self.head(
            event.text("product_id")?,
            VenueStream::new(Carries::Book, 1),
            what,
        );
        if !visitor.begin(&head)? {
            return Ok(());
        }
        for update in event.items("updates")? {
            let side = match update.text("side")? {
                "bid" => Side::Bid,
                "offer" | "ask" => Side::Ask,
                _ => return Err(Reject::Missing("side")),
            };
            visitor.level(
                side,
                update.text("price_level")?,
                update.text("new_quantity")?,
            )?;
        }
        visitor.finish()
    }

    fn trades(self, event: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        let history = event.text_of("type") == Some("snapshot");
        let stream = VenueStream::new(Carries::Trades, 1);
        let mut trades: Vec<_> = event.items("trades")?.collect();
        trades.reverse();
        let same =
            |a: &Node<'_, '_>, b: &Node<'_, '_>| a.text_of("product_id") == b.text_of("product_id");
        for run in trades.chunk_by(same) {
            let Some(native) = run.first().and_then(|t| t.text_of("product_id")) else {
                let missing = Reject::Missing("product_id");
                run.iter()
                    .for_each(|_| visitor.fault(None, stream, missing));
                continue;
            };
            let what = What::Trades {
                history,
                ids: TradeIds::Dense,
            };
            match visitor.begin(&self.head(native, stream, what)) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(reject) => {
                    visitor.fault(Some(native), stream, reject);
                    continue;
                }
            }
            for trade in run {
                if let Err(reject) = trade_row(*trade).and_then(|row| visitor.trade(&row)) {
                    visitor.fault(Some(native), stream, reject);
                }
            }
            visitor.finish()?;
        }
        Ok(())
    }

    fn products(self, event: Node<'_, '_>, visitor: &mut dyn EventVisitor) -> Result<(), Reject> {
        for product in event.items("products")? {
            let state = product.text_of("status").and_then(trading::coinbase);
            if let Some((native, state)) = product.text_of("id").zip(state) {
                visitor.trading(Some(native), state);
            }
        }
        Ok(())
    }

    fn tickers<const RANK: u32>(
        self,
        event: Node<'_, '_>,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let stream = VenueStream::new(Carries::Ticker, RANK);
        for item in event.items("tickers")? {
            if let Err(reject) = self.ticker(item, stream, visitor) {
                visitor.fault(item.text_of("product_id"), stream, reject);
            }
        }
        Ok(())
    }

    fn ticker(
        self,
        item: Node<'_, '_>,
        stream: VenueStream,
        visitor: &mut dyn EventVisitor,
    ) -> Result<(), Reject> {
        let number = |key| {
            let text = item.text_of(key);
            text.map(|t| Decimal::parse(t.as_bytes()).map_err(|e| Reject::of_number(key, e)))
                .transpose()
        };
        let ticker = Ticker {
            last: number("price")?,
            high: number("high_24_h")?,
            low: number("low_24_h")?,
            change_pct: number("price_percent_chg_24_h")?,
            volume: number("volume_24_h")?,
            ..Ticker::default()
        };
        let native = item.text("product_id")?;
        if visitor.begin(&self.head(native, stream, What::whole(&ticker)))? {
            visitor.finish()?;
        }
        Ok(())
    }
}

fn trade_row<'i>(trade: Node<'_, 'i>) -> Result<TradeRow<'i>, Reject> {
    let id = TradeId::new(trade.text("trade_id")?.as_bytes()).ok_or(Reject::Number("trade_id"))?;
    let aggressor = match trade.text_of("side") {
        Some("SELL") => Some(Aggressor::Buy),
        Some("BUY") => Some(Aggressor::Sell),
        _ => None,
    };
    let time = trade.text_of("time");
    let ts_event = time
        .map(|t| rfc3339_time(t).ok_or(Reject::Number("time")))
        .transpose()?;
    Ok(TradeRow {
        id,
        price: trade.text("price")?,
        qty: trade.text("size")?,
        aggressor,
        ts_event,
        market: true,
        first_id: None,
    })
}
