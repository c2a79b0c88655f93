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
use tapecast_ingest::event::EventBody;
use tapecast_ingest::push::line::{self, Taken};
use tapecast_ingest::push::mistake::Mistake;
use tapecast_ingest::push::names::Instruments;
use tapecast_model::catalog::{Definition, Offer};
use tapecast_model::{
    Catalog, ChannelKind, ChannelSet, Instrument, InstrumentId, Scale, Symbol, UnixNanos, Venue,
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

    fn found(&self, symbol: &str) -> Option<InstrumentId> {
        let known = self.0.as_ref().filter(|i| i.symbol.as_str() == symbol);
        known.map(|i| i.id)
    }
}

impl Push {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            desk: Desk(catalog().map(|(_, instrument)| instrument)),
            seeds,
            planted: false,
        }
    }
}

/// A catalogue with one instrument, `desk:X-USD`.
pub(super) fn catalog() -> Option<(Catalog, Arc<Instrument>)> {
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
    let instrument = catalog.add_instrument(&venue, definition).ok()?;
    Some((catalog, instrument))
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
        let taken = line::take(line, UnixNanos::new(1), &mut self.desk);
        check(&taken)?;
        if let Some(turned) = Json::in_another_form(line, true) {
            let mut other = line::take(turned.as_bytes(), UnixNanos::new(1), &mut self.desk);
            if self.planted {
                swap_first_two(&mut other);
            }
            let agree = taken.mistakes.len() == other.mistakes.len()
                && (!taken.mistakes.is_empty() || taken.events == other.events);
            if !agree {
                return Err(Broken(format!(
                    "in another form it says something else: {taken:?}, {other:?} for {turned}"
                )));
            }
        }
        let at_head = taken.mistakes.iter().any(|mistake| {
            matches!(
                mistake.kind,
                Mistake::BadJson | Mistake::UnknownChannel | Mistake::UnknownSymbol
            )
        });
        Ok(if at_head { Depth::Head } else { Depth::Body })
    }
}

/// The planted fault: two trades of one line change places.
fn swap_first_two(taken: &mut Taken) {
    for event in &mut taken.events {
        if let EventBody::Trades { trades, .. } = &mut event.body
            && trades.len() == 2
        {
            trades.swap(0, 1);
        }
    }
}

fn check(taken: &Taken) -> Result<(), Broken> {
    let short = taken
        .mistakes
        .iter()
        .all(|m| m.message.len() <= MESSAGE_BYTES_MAX);
    let possible = taken.events.iter().all(|event| match &event.body {
        EventBody::Trades { trades, .. } => {
            !trades.is_empty() && trades.iter().all(|p| p.qty.mantissa() > 0)
        }
        EventBody::Book(book) => [&book.bids, &book.asks]
            .into_iter()
            .flatten()
            .all(|level| level.qty.mantissa() >= 0),
        _ => true,
    });
    if short && possible {
        Ok(())
    } else {
        Err(Broken(format!("impossible: {taken:?}")))
    }
}

/// The longest explanation of a mistake, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;
