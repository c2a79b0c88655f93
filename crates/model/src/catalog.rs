//! The catalogue: venues, their channels, and their instruments.
//!
//! Every part of the control path shares it: sources add to it, and subscriptions are resolved with it.
//! It has a lock, so it is never on the path of an update: that path holds an `Arc<Instrument>` from the
//! first event on.
//!
//! # Named and invented
//! An instrument that a source names stays until the process ends. On a venue with [`Offer::any_symbol`],
//! a subscriber may name a symbol before any source does: this instrument is *invented*. It exists as
//! long as it has a [`Lease`], and [`Catalog::collect`] ends it later; its index is then used again with
//! the next generation. When a source names an invented instrument, it is no longer invented.
//!
//! # Definitions that change
//! A venue may change the digits of an instrument while the process runs. [`Catalog::redefine`] then puts
//! a new instrument in the old one's place: it has the same name and the same index, and the next generation.
//! Only the market's state calls it, so that the change has one place among the events. Whoever holds the old
//! instrument knows by the generation that it is replaced.
//!
//! # Limits
//! At most `instruments_max` named instruments, and in addition half as many invented ones. So clients
//! that invent names cannot exclude publishers. Further instruments are refused by name. Invented instruments
//! that nobody wants any more, but whose leases are still held, need not count: see
//! [`Catalog::invent_beyond`].

mod lease;
mod records;

use crate::scale::Scale;
use crate::symbol::{Instrument, InstrumentId, Symbol, Venue};
use crate::topic::{ChannelSet, Interval, Topic};
pub use lease::Lease;
use lease::Released;
use records::{Inner, Name};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Venues and instruments of this process.
#[derive(Debug)]
pub struct Catalog {
    inner: RwLock<Inner>,
    instruments_max: usize,
    version: AtomicU64,
    endings: AtomicU64,
    released: Arc<Released>,
}

/// An instrument that a topic was resolved to.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The instrument.
    pub instrument: Arc<Instrument>,
    /// Keeps the instrument alive if no source has named it. Hold it as long as you refer to the instrument by id.
    pub lease: Option<Arc<Lease>>,
}

/// What a source says of its venue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer {
    /// The kinds of channel that can be subscribed on each of its symbols.
    pub channels: ChannelSet,
    /// Scales of prices and quantities if any symbol may be named, also before its first event.
    pub any_symbol: Option<(Scale, Scale)>,
    /// As [`Instrument::lossless`].
    pub lossless: bool,
}

/// What a source says of an instrument.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name in topics.
    pub symbol: Symbol,
    /// The venue's own name for it.
    pub native: Box<str>,
    /// Digits after the point of prices.
    pub price_scale: Scale,
    /// Digits after the point of quantities.
    pub qty_scale: Scale,
}

/// Why something is not in the catalogue.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CatalogError {
    /// No source has this venue.
    #[error("unknown venue {0}; GET /v1/instruments lists the venues")]
    UnknownVenue(Venue),
    /// The venue has no such instrument.
    #[error("venue {0} has no symbol {1}; GET /v1/instruments lists the symbols")]
    UnknownSymbol(Venue, Symbol),
    /// The venue does not offer this kind of channel.
    #[error("venue {0} has no {1} channel; GET /v1/topics lists the topics")]
    ChannelNotOffered(Venue, &'static str),
    /// This kind of channel is not conflated.
    #[error("interval {0} is not offered for {1}; subscribe without @{0} to receive every event")]
    IntervalNotOffered(Interval, &'static str),
    /// Two sources claim the same instrument.
    #[error("{0}:{1} comes from two sources; give one of them another venue name")]
    Duplicate(Venue, Symbol),
    /// The catalogue is full.
    #[error("more than {0} instruments; raise limits.instruments_max")]
    Full(usize),
    /// Subscribers have invented as many instruments as they may.
    #[error("more than {0} symbols that no source has published; subscribe to a published symbol")]
    TooManyInvented(usize),
}

// === impl Resolved ===

impl From<Arc<Instrument>> for Resolved {
    /// An instrument that a source has named.
    fn from(instrument: Arc<Instrument>) -> Self {
        Self {
            instrument,
            lease: None,
        }
    }
}

impl From<&Arc<Instrument>> for Resolved {
    fn from(instrument: &Arc<Instrument>) -> Self {
        Arc::clone(instrument).into()
    }
}

// === impl Catalog ===

impl Catalog {
    /// An empty catalogue for at most `instruments_max` named instruments.
    pub fn new(instruments_max: usize) -> Self {
        Self {
            inner: RwLock::default(),
            instruments_max,
            version: AtomicU64::new(0),
            endings: AtomicU64::new(0),
            released: Arc::default(),
        }
    }

    /// Adds a venue, or adds to what it offers: several sources may serve one venue.
    pub fn add_venue(&self, venue: &Venue, offer: Offer) {
        let mut inner = self.write();
        let entry = inner.venues.entry(venue.clone()).or_default();
        entry.offer.channels = entry.offer.channels.union(offer.channels);
        entry.offer.any_symbol = entry.offer.any_symbol.or(offer.any_symbol);
        entry.offer.lossless |= offer.lossless;
        self.changed();
    }

    /// Adds an instrument of a venue that was added before.
    ///
    /// # Errors
    /// If the venue is unknown, has this symbol already, or the catalogue is full.
    pub fn add_instrument(
        &self,
        venue: &Venue,
        definition: Definition,
    ) -> Result<Arc<Instrument>, CatalogError> {
        let mut inner = self.write();
        let Some(entry) = inner.venues.get(venue) else {
            return Err(CatalogError::UnknownVenue(venue.clone()));
        };
        if entry.symbols.contains_key(&definition.symbol) {
            return Err(CatalogError::Duplicate(venue.clone(), definition.symbol));
        }
        self.name(&mut inner, venue, definition)
    }

    /// The instrument of a topic, if its venue offers this kind of channel at this interval. None if the
    /// symbol has not been named yet but its venue accepts any symbol: see [`Catalog::invent`].
    ///
    /// # Errors
    /// If this venue, symbol, channel or interval does not exist.
    pub fn find(&self, topic: &Topic) -> Result<Option<Resolved>, CatalogError> {
        let (venue, symbol, kind) = (&topic.venue, &topic.symbol, topic.channel.kind());
        let inner = self.read();
        let Some(entry) = inner.venues.get(venue) else {
            return Err(CatalogError::UnknownVenue(venue.clone()));
        };
        let known = entry.symbols.get(symbol);
        if known.is_none() && entry.offer.any_symbol.is_none() {
            return Err(CatalogError::UnknownSymbol(venue.clone(), symbol.clone()));
        }
        if !entry.offer.channels.contains(kind) {
            return Err(CatalogError::ChannelNotOffered(venue.clone(), kind.label()));
        }
        if let Some(interval) = topic.interval.filter(|_| !kind.takes_interval()) {
            return Err(CatalogError::IntervalNotOffered(interval, kind.label()));
        }
        Ok(known.and_then(|id| inner.record(*id)?.resolved()))
    }

    /// As [`Catalog::find`], but creates a symbol that has not been named before.
    ///
    /// # Errors
    /// As [`Catalog::find`], and if as many instruments are invented as may be.
    pub fn resolve(&self, topic: &Topic) -> Result<Resolved, CatalogError> {
        match self.find(topic)? {
            Some(resolved) => Ok(resolved),
            None => self.invent(&topic.venue, &topic.symbol),
        }
    }

    /// The instrument of this name, invented if its venue lets any symbol be named.
    ///
    /// # Errors
    /// If this venue or symbol does not exist, or the limit of invented instruments is reached.
    pub fn invent(&self, venue: &Venue, symbol: &Symbol) -> Result<Resolved, CatalogError> {
        self.invent_within(venue, symbol, 0)
    }

    /// As [`Catalog::invent`], but instruments that are about to end do not count: those whose claims have
    /// all been released (see [`Lease`]), up to [`leaving_max`].
    ///
    /// # Errors
    /// As [`Catalog::invent`].
    pub fn invent_beyond(&self, venue: &Venue, symbol: &Symbol) -> Result<Resolved, CatalogError> {
        // Before the released ones are collected: at every moment an instrument that ends is one of both.
        let leaving = self.released.leaving();
        self.invent_within(venue, symbol, leaving)
    }

    fn invent_within(
        &self,
        venue: &Venue,
        symbol: &Symbol,
        leaving: usize,
    ) -> Result<Resolved, CatalogError> {
        let mut inner = self.write();
        let definition = match inner.look_up(venue, symbol)? {
            Name::Free(definition) => {
                // So that who invents and lets go finds the room that this left.
                self.collect_some(&mut inner, COLLECTED_BESIDE);
                definition
            }
            Name::Taken(id) => {
                let record = inner.record_mut(id);
                let record = record.ok_or(CatalogError::Full(self.instruments_max))?;
                let resolved = record.resolve(&self.released);
                self.collect_some(&mut inner, COLLECTED_BESIDE);
                return Ok(resolved);
            }
        };
        let max = self.instruments_max.div_ceil(2);
        let room = max + leaving.min(leaving_max(max));
        while inner.invented >= room {
            if self.released.is_empty() {
                return Err(CatalogError::TooManyInvented(max));
            }
            self.collect_some(&mut inner, COLLECTED_BESIDE);
        }
        let id = inner.free_id(self.instruments_max)?;
        let lease = Lease::new(id, &self.released);
        let held = Some(Arc::downgrade(&lease));
        let instrument = inner.insert(id, venue, definition, held);
        inner.invented += 1;
        Ok(Resolved {
            instrument,
            lease: Some(lease),
        })
    }

    /// The instrument of this name, named by a source: made if its venue lets any symbol be named.
    ///
    /// # Errors
    /// If this venue or symbol does not exist, or the catalogue is full.
    pub fn ensure(&self, venue: &Venue, symbol: &Symbol) -> Result<Arc<Instrument>, CatalogError> {
        let mut inner = self.write();
        match inner.look_up(venue, symbol)? {
            Name::Taken(id) => self.keep_in(&mut inner, id),
            Name::Free(definition) => self.name(&mut inner, venue, definition),
        }
    }

    /// Puts an instrument with other scales in the place of this one, which ends: same name, same index, next
    /// generation. If it was invented, it is named from now on. None if the instrument has ended already,
    /// if its generations are used up, or if it was invented and the catalogue is full.
    pub fn redefine(
        &self,
        id: InstrumentId,
        price_scale: Scale,
        qty_scale: Scale,
    ) -> Option<Arc<Instrument>> {
        let mut inner = self.write();
        let next = id.next_generation()?;
        self.keep_in(&mut inner, id).ok()?;
        let record = inner.record_mut(id)?;
        let instrument = Arc::new(Instrument {
            id: next,
            price_scale,
            qty_scale,
            ..Instrument::clone(&record.instrument)
        });
        record.instrument = Arc::clone(&instrument);
        inner.rename(&instrument);
        self.changed();
        Some(instrument)
    }

    /// The instrument of an id that this catalogue gave out, unless it has ended.
    pub fn get(&self, id: InstrumentId) -> Option<Arc<Instrument>> {
        let inner = self.read();
        inner
            .record(id)
            .map(|record| Arc::clone(&record.instrument))
    }

    /// Whether only subscribers have named the instrument.
    pub fn is_invented(&self, id: InstrumentId) -> bool {
        self.read()
            .record(id)
            .is_some_and(|record| record.lease.is_some())
    }

    /// Every instrument that a source has named, in order of index.
    pub fn instruments(&self) -> Vec<Arc<Instrument>> {
        let inner = self.read();
        let named = inner.records.iter().flatten().filter(|r| r.lease.is_none());
        named.map(|record| Arc::clone(&record.instrument)).collect()
    }

    /// At most `max` of them, from this index on. Read the whole catalogue in such portions, so that the lock
    /// is never held for long; an empty portion is the end.
    pub fn portion(&self, from: usize, max: usize) -> Vec<Arc<Instrument>> {
        let inner = self.read();
        let rest = inner.records.get(from..).unwrap_or_default();
        let named = rest.iter().flatten().filter(|r| r.lease.is_none());
        let portion = named.take(max);
        portion
            .map(|record| Arc::clone(&record.instrument))
            .collect()
    }

    /// How many instruments are invented.
    pub fn invented(&self) -> usize {
        self.read().invented
    }

    /// Moves with each change of what [`Catalog::instruments`] or [`Catalog::venues`] say. Read it
    /// before the lists: then a list is never older than its version.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// How many instruments have ended so far.
    pub fn endings(&self) -> u64 {
        self.endings.load(Ordering::Acquire)
    }

    /// Ends invented instruments without leases, at most `most` of them. Returns whether there may be
    /// others.
    pub fn collect(&self, most: usize) -> bool {
        if self.released.is_empty() {
            return false;
        }
        self.collect_some(&mut self.write(), most)
    }

    /// Every venue by name, with what it offers.
    pub fn venues(&self) -> Vec<(Venue, Offer)> {
        let mut venues: Vec<_> = self
            .read()
            .venues
            .iter()
            .map(|(venue, entry)| (venue.clone(), entry.offer))
            .collect();
        venues.sort_by(|a, b| a.0.cmp(&b.0));
        venues
    }

    /// Adds an instrument for a source.
    fn name(
        &self,
        inner: &mut Inner,
        venue: &Venue,
        definition: Definition,
    ) -> Result<Arc<Instrument>, CatalogError> {
        if inner.named >= self.instruments_max {
            return Err(CatalogError::Full(self.instruments_max));
        }
        let id = inner.free_id(self.instruments_max)?;
        let instrument = inner.insert(id, venue, definition, None);
        inner.named += 1;
        self.changed();
        Ok(instrument)
    }

    /// An instrument that a source names: if it was invented, it stays from now on.
    fn keep_in(
        &self,
        inner: &mut Inner,
        id: InstrumentId,
    ) -> Result<Arc<Instrument>, CatalogError> {
        let full = inner.named >= self.instruments_max;
        let record = inner.record_mut(id);
        let record = record.ok_or(CatalogError::Full(self.instruments_max))?;
        let instrument = Arc::clone(&record.instrument);
        if record.lease.is_some() {
            if full {
                return Err(CatalogError::Full(self.instruments_max));
            }
            record.lease = None;
            inner.invented -= 1;
            inner.named += 1;
            self.changed();
        }
        Ok(instrument)
    }

    fn collect_some(&self, inner: &mut Inner, most: usize) -> bool {
        for _ in 0..most {
            let Some(id) = self.released.take() else {
                return false;
            };
            if inner.end(id) {
                self.endings.fetch_add(1, Ordering::Release);
            }
        }
        !self.released.is_empty()
    }

    fn changed(&self) {
        // Under the lock for writing: whoever reads the new number and then the lists sees the change.
        self.version.fetch_add(1, Ordering::Release);
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many topics or instruments that all have left may be there beyond a limit, until the parts that
/// still know them have removed them: as many as the limit allows, and at most the topics of some clients.
/// So the memory is bounded, also if those parts hang.
pub const fn leaving_max(max: usize) -> usize {
    if max < LEAVING_MAX { max } else { LEAVING_MAX }
}

const LEAVING_MAX: usize = 4_096;
/// Releases looked at whenever a lease is made: more than one, so that they cannot pile up.
const COLLECTED_BESIDE: usize = 8;

#[cfg(test)]
mod tests;
