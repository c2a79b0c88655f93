//! Records: the instruments of a catalogue by index, and the owners of names. They are behind the
//! catalogue's lock.

use super::lease::Released;
use super::{CatalogError, Definition, Lease, Offer, Resolved};
use crate::symbol::{Instrument, InstrumentId, Symbol, Venue};
use hashbrown::HashMap;
use std::sync::{Arc, Weak};

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) venues: HashMap<Venue, VenueEntry>,
    /// By index.
    pub(super) records: Vec<Option<Record>>,
    /// Ids of indices that are free again, in their next generation.
    pub(super) free: Vec<InstrumentId>,
    pub(super) named: usize,
    pub(super) invented: usize,
}

#[derive(Debug)]
pub(super) struct Record {
    pub(super) instrument: Arc<Instrument>,
    /// For an invented instrument: the lease that everything that refers to it holds.
    pub(super) lease: Option<Weak<Lease>>,
}

/// The meaning of a name.
pub(super) enum Name {
    Taken(InstrumentId),
    Free(Definition),
}

#[derive(Debug, Default)]
pub(super) struct VenueEntry {
    pub(super) offer: Offer,
    pub(super) symbols: HashMap<Symbol, InstrumentId>,
}

// === impl Inner ===

impl Inner {
    /// The living instrument of an id.
    pub(super) fn record(&self, id: InstrumentId) -> Option<&Record> {
        let record = self.records.get(id.index())?.as_ref()?;
        (record.instrument.id == id).then_some(record)
    }

    pub(super) fn record_mut(&mut self, id: InstrumentId) -> Option<&mut Record> {
        let record = self.records.get_mut(id.index())?.as_mut()?;
        (record.instrument.id == id).then_some(record)
    }

    /// The owner of this name, or whether it is free.
    pub(super) fn look_up(&self, venue: &Venue, symbol: &Symbol) -> Result<Name, CatalogError> {
        let Some(entry) = self.venues.get(venue) else {
            return Err(CatalogError::UnknownVenue(venue.clone()));
        };
        if let Some(id) = entry.symbols.get(symbol) {
            return Ok(Name::Taken(*id));
        }
        let Some((price_scale, qty_scale)) = entry.offer.any_symbol else {
            return Err(CatalogError::UnknownSymbol(venue.clone(), symbol.clone()));
        };
        Ok(Name::Free(Definition {
            symbol: symbol.clone(),
            native: Box::from(symbol.as_str()),
            price_scale,
            qty_scale,
        }))
    }

    /// An id that no living instrument has.
    pub(super) fn free_id(&mut self, max: usize) -> Result<InstrumentId, CatalogError> {
        if let Some(id) = self.free.pop() {
            return Ok(id);
        }
        let index = u32::try_from(self.records.len()).ok();
        let index = index.ok_or(CatalogError::Full(max))?;
        self.records.push(None);
        Ok(InstrumentId::new(index))
    }

    pub(super) fn insert(
        &mut self,
        id: InstrumentId,
        venue: &Venue,
        definition: Definition,
        lease: Option<Weak<Lease>>,
    ) -> Arc<Instrument> {
        let Definition {
            symbol,
            native,
            price_scale,
            qty_scale,
        } = definition;
        let mut lossless = false;
        if let Some(entry) = self.venues.get_mut(venue) {
            lossless = entry.offer.lossless;
            entry.symbols.insert(symbol.clone(), id);
        }
        let instrument = Arc::new(Instrument {
            id,
            venue: venue.clone(),
            symbol,
            native,
            price_scale,
            qty_scale,
            lossless,
        });
        self.records[id.index()] = Some(Record {
            instrument: Arc::clone(&instrument),
            lease,
        });
        instrument
    }

    /// The owner of a name has another id.
    pub(super) fn rename(&mut self, instrument: &Instrument) {
        if let Some(entry) = self.venues.get_mut(&instrument.venue) {
            entry
                .symbols
                .insert(instrument.symbol.clone(), instrument.id);
        }
    }

    /// Ends an instrument if it is invented and has no lease. Returns whether it ended.
    pub(super) fn end(&mut self, id: InstrumentId) -> bool {
        let unheld = |record: &Record| {
            let held = record.lease.as_ref();
            held.is_some_and(|lease| lease.strong_count() == 0)
        };
        if !self.record(id).is_some_and(unheld) {
            // Somebody came back, or a source has named it.
            return false;
        }
        let Some(record) = self.records.get_mut(id.index()).and_then(Option::take) else {
            return false;
        };
        if let Some(entry) = self.venues.get_mut(&record.instrument.venue) {
            entry.symbols.remove(&record.instrument.symbol);
        }
        self.invented -= 1;
        // An index whose generations are used up is not used again.
        self.free.extend(id.next_generation());
        true
    }
}

// === impl Record ===

impl Record {
    /// The instrument, unless it is invented and about to end.
    pub(super) fn resolved(&self) -> Option<Resolved> {
        let lease = match &self.lease {
            Some(lease) => Some(lease.upgrade()?),
            None => None,
        };
        Some(Resolved {
            instrument: Arc::clone(&self.instrument),
            lease,
        })
    }

    /// The instrument, kept from ending if it is about to.
    pub(super) fn resolve(&mut self, released: &Arc<Released>) -> Resolved {
        let id = self.instrument.id;
        let lease = self.lease.as_mut().map(|held| {
            held.upgrade().unwrap_or_else(|| {
                let lease = Lease::new(id, released);
                *held = Arc::downgrade(&lease);
                lease
            })
        });
        Resolved {
            instrument: Arc::clone(&self.instrument),
            lease,
        }
    }
}
