//! The instruments that a publisher has named, by symbol: each is looked for in the catalogue once.

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use tapecast_model::{Catalog, Instrument, InstrumentId, Symbol, Venue};

/// Finds the instrument of a symbol.
pub trait Instruments {
    /// The instrument of this name.
    ///
    /// # Errors
    /// If there is none and none may be made: why.
    fn find(&mut self, symbol: &str) -> Result<&Instrument, String>;

    /// The instrument of this name if it has been found before.
    fn found(&self, symbol: &str) -> Option<InstrumentId>;
}

/// What has been named so far.
pub struct Names {
    venue: Venue,
    catalog: Arc<Catalog>,
    instruments: Vec<Arc<Instrument>>,
    // Keyed by what a peer sends: with a random seed, that no answer shows.
    by_symbol: HashMap<Box<str>, usize, RandomState>,
}

// === impl Names ===

impl Names {
    /// Nothing yet, of a venue.
    pub fn new(venue: Venue, catalog: Arc<Catalog>) -> Self {
        Self {
            venue,
            catalog,
            instruments: Vec::new(),
            by_symbol: HashMap::default(),
        }
    }

    /// The instrument of this name; `note` is told of one that is named for the first time.
    ///
    /// # Errors
    /// If there is none and none may be made: why.
    pub fn find_and_note(
        &mut self,
        symbol: &str,
        note: impl FnOnce(&Instrument),
    ) -> Result<&Instrument, String> {
        let at = match self.by_symbol.get(symbol) {
            Some(at) => *at,
            None => {
                let name = Symbol::new(symbol).map_err(|e| e.to_string())?;
                let found = self.catalog.ensure(&self.venue, &name);
                let found = found.map_err(|e| e.to_string())?;
                note(&found);
                self.instruments.push(found);
                let at = self.instruments.len() - 1;
                self.by_symbol.insert(symbol.into(), at);
                at
            }
        };
        Ok(&self.instruments[at])
    }
}

impl Names {
    /// The instrument of this name if it has been named.
    pub fn named(&self, symbol: &str) -> Option<InstrumentId> {
        let at = self.by_symbol.get(symbol)?;
        Some(self.instruments[*at].id)
    }
}

impl Instruments for Names {
    fn found(&self, symbol: &str) -> Option<InstrumentId> {
        self.named(symbol)
    }

    fn find(&mut self, symbol: &str) -> Result<&Instrument, String> {
        self.find_and_note(symbol, |_| {})
    }
}
