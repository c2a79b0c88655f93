//! What exists: venues, what they offer, and their instruments.
//!
//! Shared by everyone on the control path: sources add to it, subscriptions are resolved against it.
//! It is behind a lock, and so never on the path of an update: that path holds an
//! `Arc<Instrument>` from the first event on. It only grows, up to a limit.

use crate::decimal::Scale;
use crate::symbol::{Instrument, InstrumentId, Symbol, Venue};
use crate::topic::{ChannelSet, Interval, Topic};
use hashbrown::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Venues and instruments of this process.
#[derive(Debug)]
pub struct Catalog {
    inner: RwLock<Inner>,
    instruments_max: usize,
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
    /// Nobody serves this venue.
    #[error("no venue {0}")]
    UnknownVenue(Venue),
    /// The venue has no such instrument.
    #[error("{0} has no symbol {1}")]
    UnknownSymbol(Venue, Symbol),
    /// The venue does not offer this kind of channel.
    #[error("{0} offers no {1} channel")]
    ChannelNotOffered(Venue, &'static str),
    /// This kind of channel is not conflated.
    #[error("interval {0} is not offered for {1}: subscribe without @{0}, every event is sent")]
    IntervalNotOffered(Interval, &'static str),
    /// Two sources claim the same instrument.
    #[error("{0}:{1} comes from two sources; give one of them another venue name")]
    Duplicate(Venue, Symbol),
    /// The catalogue is full.
    #[error("more than {0} instruments")]
    Full(usize),
}

#[derive(Debug, Default)]
struct Inner {
    venues: HashMap<Venue, VenueEntry>,
    instruments: Vec<Arc<Instrument>>,
    version: u64,
}

#[derive(Debug, Default)]
struct VenueEntry {
    offer: Offer,
    symbols: HashMap<Symbol, InstrumentId>,
}

// === impl Catalog ===

impl Catalog {
    /// An empty catalogue for at most `instruments_max` instruments.
    pub fn new(instruments_max: usize) -> Self {
        Self {
            inner: RwLock::default(),
            instruments_max,
        }
    }

    /// Adds a venue, or adds to what it offers: several sources may serve one venue.
    pub fn add_venue(&self, venue: &Venue, offer: Offer) {
        let mut inner = self.write();
        let entry = inner.venues.entry(venue.clone()).or_default();
        entry.offer.channels = entry.offer.channels.union(offer.channels);
        entry.offer.any_symbol = entry.offer.any_symbol.or(offer.any_symbol);
        entry.offer.lossless |= offer.lossless;
        inner.version += 1;
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
        let lossless = entry.offer.lossless;
        self.insert(&mut inner, venue, definition, lossless)
    }

    /// The instrument of a topic, if its venue offers this kind of channel at this interval. On a
    /// venue with [`Offer::any_symbol`], a new symbol comes into being by being named.
    ///
    /// # Errors
    /// If there is no such venue, symbol, channel or interval, or the catalogue is full.
    pub fn resolve(&self, topic: &Topic) -> Result<Arc<Instrument>, CatalogError> {
        let (venue, symbol, kind) = (&topic.venue, &topic.symbol, topic.channel.kind());
        {
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
            if let Some(id) = known {
                return Ok(Arc::clone(&inner.instruments[id.index()]));
            }
            // Half of the catalogue is kept for sources: subscribers who invent names must not be
            // able to shut out those who publish.
            if inner.instruments.len() >= self.instruments_max.div_ceil(2) {
                return Err(CatalogError::Full(self.instruments_max));
            }
        }
        self.ensure(venue, symbol)
    }

    /// The instrument of this name, made if its venue lets any symbol be named.
    ///
    /// # Errors
    /// If there is no such venue or symbol, or the catalogue is full.
    pub fn ensure(&self, venue: &Venue, symbol: &Symbol) -> Result<Arc<Instrument>, CatalogError> {
        let mut inner = self.write();
        let Some(entry) = inner.venues.get(venue) else {
            return Err(CatalogError::UnknownVenue(venue.clone()));
        };
        if let Some(id) = entry.symbols.get(symbol) {
            return Ok(Arc::clone(&inner.instruments[id.index()]));
        }
        let Some((price_scale, qty_scale)) = entry.offer.any_symbol else {
            return Err(CatalogError::UnknownSymbol(venue.clone(), symbol.clone()));
        };
        let (lossless, native) = (entry.offer.lossless, Box::from(symbol.as_str()));
        let definition = Definition {
            symbol: symbol.clone(),
            native,
            price_scale,
            qty_scale,
        };
        self.insert(&mut inner, venue, definition, lossless)
    }

    /// The instrument of an id that this catalogue gave out.
    pub fn get(&self, id: InstrumentId) -> Option<Arc<Instrument>> {
        self.read().instruments.get(id.index()).cloned()
    }

    /// Every instrument, in order of id.
    pub fn instruments(&self) -> Vec<Arc<Instrument>> {
        self.read().instruments.clone()
    }

    /// Moves with each change, so that what was made of the catalogue is known to be current or not.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// At most `max` instruments from this place in the order of ids on. Whoever reads the whole
    /// catalogue reads it in such lots, so that the lock is never held for long; none is the end.
    pub fn lot(&self, from: usize, max: usize) -> Vec<Arc<Instrument>> {
        let inner = self.read();
        let rest = inner.instruments.get(from..).unwrap_or_default();
        rest[..rest.len().min(max)].to_vec()
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

    fn insert(
        &self,
        inner: &mut Inner,
        venue: &Venue,
        definition: Definition,
        lossless: bool,
    ) -> Result<Arc<Instrument>, CatalogError> {
        let index = inner.instruments.len();
        let id = u32::try_from(index)
            .ok()
            .filter(|_| index < self.instruments_max);
        let id = InstrumentId::new(id.ok_or(CatalogError::Full(self.instruments_max))?);
        let Definition {
            symbol,
            native,
            price_scale,
            qty_scale,
        } = definition;
        if let Some(entry) = inner.venues.get_mut(venue) {
            entry.symbols.insert(symbol.clone(), id);
        }
        let venue = venue.clone();
        let instrument = Arc::new(Instrument {
            id,
            venue,
            symbol,
            native,
            price_scale,
            qty_scale,
            lossless,
        });
        inner.instruments.push(Arc::clone(&instrument));
        inner.version += 1;
        Ok(instrument)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::ChannelKind;

    fn names(venue: &str, symbol: &str) -> (Venue, Symbol) {
        (Venue::new(venue).unwrap(), Symbol::new(symbol).unwrap())
    }

    fn resolve(catalog: &Catalog, topic: &str) -> Result<Arc<Instrument>, CatalogError> {
        catalog.resolve(&topic.parse().unwrap())
    }

    #[test]
    fn a_symbol_is_known_only_where_it_trades() {
        let catalog = Catalog::new(10);
        let (okx, btc) = names("okx", "BTC-USDT");
        let channels = ChannelSet::EMPTY.with(ChannelKind::Trade);
        catalog.add_venue(
            &okx,
            Offer {
                channels,
                ..Offer::default()
            },
        );
        let scale = Scale::new(1).unwrap();
        let definition = Definition {
            symbol: btc.clone(),
            native: "BTC-USDT".into(),
            price_scale: scale,
            qty_scale: scale,
        };
        let added = catalog.add_instrument(&okx, definition.clone()).unwrap();
        assert_eq!(resolve(&catalog, "trade:okx:BTC-USDT"), Ok(added));
        let twice = catalog.add_instrument(&okx, definition);
        assert_eq!(
            twice,
            Err(CatalogError::Duplicate(okx.clone(), btc.clone()))
        );
        let (kraken, eth) = names("kraken", "ETH-USD");
        assert_eq!(
            resolve(&catalog, "book.10:okx:BTC-USDT@100ms"),
            Err(CatalogError::ChannelNotOffered(okx.clone(), "book"))
        );
        assert_eq!(
            resolve(&catalog, "trade:okx:ETH-USD"),
            Err(CatalogError::UnknownSymbol(okx, eth.clone()))
        );
        assert_eq!(
            resolve(&catalog, "trade:kraken:ETH-USD"),
            Err(CatalogError::UnknownVenue(kraken))
        );
    }

    #[test]
    fn any_symbol_comes_into_being_by_name_up_to_the_limit() {
        let catalog = Catalog::new(2);
        let (bench, _) = names("bench", "x");
        let scale = Scale::new(8).unwrap();
        let channels = ChannelSet::EMPTY.with(ChannelKind::Quote);
        let any_symbol = Some((scale, scale));
        catalog.add_venue(
            &bench,
            Offer {
                channels,
                any_symbol,
                lossless: false,
            },
        );
        let one = resolve(&catalog, "quote:bench:A").unwrap();
        assert_eq!(catalog.ensure(&bench, &names("b", "A").1), Ok(one));
        let named = resolve(&catalog, "quote:bench:B");
        assert_eq!(
            named,
            Err(CatalogError::Full(2)),
            "the other half is for sources"
        );
        catalog.ensure(&bench, &names("b", "B").1).unwrap();
        assert_eq!(
            catalog.ensure(&bench, &names("b", "C").1),
            Err(CatalogError::Full(2))
        );
        assert_eq!(catalog.instruments().len(), 2);
    }

    #[test]
    fn the_version_moves_with_each_change_and_lots_cover_all() {
        let catalog = Catalog::new(10);
        let (desk, _) = names("desk", "x");
        let scale = Scale::new(8).unwrap();
        let mut versions = vec![catalog.version()];
        let offer = Offer {
            channels: ChannelSet::EMPTY.with(ChannelKind::Quote),
            any_symbol: Some((scale, scale)),
            lossless: false,
        };
        catalog.add_venue(&desk, offer);
        versions.push(catalog.version());
        for symbol in ["A", "B", "C", "A"] {
            catalog.ensure(&desk, &names("x", symbol).1).unwrap();
            versions.push(catalog.version());
        }
        assert_eq!(versions, [0, 1, 2, 3, 4, 4]);
        let lots: Vec<usize> = [0, 2, 3, 9].map(|from| catalog.lot(from, 2).len()).into();
        assert_eq!(lots, [2, 1, 0, 0]);
        assert_eq!(catalog.lot(1, 2), catalog.instruments()[1..]);
    }

    #[test]
    fn an_interval_is_refused_where_nothing_is_conflated_and_names_no_symbol() {
        let catalog = Catalog::new(10);
        let scale = Scale::new(8).unwrap();
        let channels = ChannelKind::ALL
            .into_iter()
            .fold(ChannelSet::EMPTY, ChannelSet::with);
        let offer = Offer {
            channels,
            any_symbol: Some((scale, scale)),
            lossless: false,
        };
        catalog.add_venue(&names("desk", "A").0, offer);
        for topic in ["status:desk:A@100ms", "instrument:desk:A@5s"] {
            let refusal = resolve(&catalog, topic).unwrap_err();
            assert!(matches!(refusal, CatalogError::IntervalNotOffered(..)));
            assert!(refusal.to_string().contains("without @"), "{refusal}");
        }
        assert_eq!(catalog.instruments().len(), 0);
        for channel in ["trade", "quote", "book.25", "ticker"] {
            resolve(&catalog, &format!("{channel}:desk:A@10ms")).unwrap();
        }
        assert_eq!(catalog.instruments().len(), 1);
    }
}
