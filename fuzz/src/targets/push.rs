//! Lines of a push source.
//!
//! # Rules
//! * What is published is possible, as for venues.
//! * A line says the same in another form; see [`super::venue`]. The fast reader must agree with the
//!   one that explains mistakes.
//! * A mistake is explained in one short line.

use super::{Broken, Depth, Target};
use crate::json::Json;
use std::sync::Arc;
use tapecast_ingest::event::{Event, EventBody};
use tapecast_ingest::push::line::{self, Instruments, LineError, Mistake};
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Instrument, Scale, Symbol, UnixNanos, Venue,
};

pub(super) struct Push {
    desk: Desk,
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

/// The one instrument there is.
struct Desk(Option<Arc<Instrument>>);

impl Instruments for Desk {
    fn find(&mut self, symbol: &str) -> Result<&Instrument, String> {
        match &self.0 {
            Some(instrument) if instrument.symbol.as_str() == symbol => Ok(instrument),
            _ => Err("no such symbol".to_owned()),
        }
    }
}

impl Push {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            desk: Desk(instrument()),
            seeds,
            planted: false,
        }
    }
}

fn instrument() -> Option<Arc<Instrument>> {
    let (venue, symbol) = (Venue::new("desk").ok()?, Symbol::new("X-USD").ok()?);
    let scale = Scale::new(8)?;
    let catalog = Catalog::new(1);
    let channels = ChannelKind::ALL
        .into_iter()
        .fold(ChannelSet::EMPTY, ChannelSet::with);
    catalog.add_venue(
        &venue,
        Offer {
            channels,
            any_symbol: None,
            lossless: false,
        },
    );
    let definition = Definition {
        native: symbol.as_str().into(),
        symbol,
        price_scale: scale,
        qty_scale: scale,
    };
    catalog.add_instrument(&venue, definition).ok()
}

impl Target for Push {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let line = input
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        let read = line::read(line, UnixNanos::new(1), &mut self.desk);
        check(&read)?;
        if let Some(turned) = Json::in_another_form(line, true) {
            let mut other = line::read(turned.as_bytes(), UnixNanos::new(1), &mut self.desk);
            if self.planted
                && let Ok(event) = &mut other
                && let EventBody::Trades { prints, .. } = &mut event.body
                && prints.len() == 2
            {
                prints.swap(0, 1);
            }
            let agree = match (&read, &other) {
                (Ok(one), Ok(two)) => one == two,
                (one, two) => one.is_err() == two.is_err(),
            };
            if !agree {
                return Err(Broken(format!(
                    "in another form it says something else: {read:?}, {other:?} for {turned}"
                )));
            }
        }
        Ok(match read {
            Err(LineError {
                kind: Mistake::BadJson | Mistake::UnknownChannel | Mistake::UnknownSymbol,
                ..
            }) => Depth::Head,
            _ => Depth::Body,
        })
    }
}

fn check(read: &Result<Event, LineError>) -> Result<(), Broken> {
    let possible = match read {
        Err(error) => error.message.len() <= 400,
        Ok(event) => match &event.body {
            EventBody::Trades { prints, .. } => {
                !prints.is_empty() && prints.iter().all(|p| p.qty.mantissa() > 0)
            }
            EventBody::Book(book) => [&book.bids, &book.asks]
                .into_iter()
                .flatten()
                .all(|level| level.qty.mantissa() >= 0),
            _ => true,
        },
    };
    if possible {
        Ok(())
    } else {
        Err(Broken(format!("impossible: {read:?}")))
    }
}
