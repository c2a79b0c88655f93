//! Instruments that come, and change, while the feed runs: what a venue's metadata say.

use super::{Normaliser, Parser, ServedInstrument};
use crate::event::{Event, EventBody, Scales};
use crate::plan::{NoSymbol, PlannedInstrument};
use tapecast_model::{ChannelSet, InstrumentId, UnixNanos};

impl Parser {
    /// Serves one more instrument from now on, under this id of the catalogue.
    ///
    /// # Errors
    /// If another instrument that is served has its symbol or its native name.
    pub fn add(&mut self, planned: PlannedInstrument, id: InstrumentId) -> Result<(), NoSymbol> {
        self.normaliser.add(planned, id)
    }

    /// The venue says that the numbers of an instrument have other scales from now on: tells the pipeline in `out`
    /// and reads what follows in these scales, under the id that is returned. None, and nothing in `out`, if
    /// nothing changes, if the native name is not served, or if the generations of its id are used up.
    pub fn redefine(
        &mut self,
        native: &str,
        scales: Scales,
        ts_recv: UnixNanos,
        out: &mut Vec<Event>,
    ) -> Option<InstrumentId> {
        let at = self.normaliser.by_native.get(native).copied()??;
        let served = &mut self.normaliser.instruments[at];
        let Scales {
            price_scale,
            qty_scale,
        } = scales;
        let planned = &mut served.planned;
        if (planned.price_scale, planned.qty_scale) == (price_scale, qty_scale) {
            return None;
        }
        let next = served.id.next_generation()?;
        out.push(Event {
            instrument: served.id,
            ts_event: None,
            ts_recv,
            venue_seq: None,
            body: EventBody::Redefined(scales),
        });
        (planned.price_scale, planned.qty_scale) = (price_scale, qty_scale);
        served.id = next;
        (served.last_quote, served.newest_quote) = Default::default();
        served.lose(ChannelSet::ALL);
        Some(next)
    }

    /// What is known of an instrument's streams is lost.
    pub fn lose(&mut self, native: &str) {
        let at = self.normaliser.by_native.get(native).copied().flatten();
        if let Some(at) = at {
            self.normaliser.instruments[at].lose(ChannelSet::ALL);
        }
    }
}

impl Normaliser {
    fn add(&mut self, planned: PlannedInstrument, id: InstrumentId) -> Result<(), NoSymbol> {
        let PlannedInstrument { native, symbol, .. } = &planned;
        let mut served = self.instruments.iter().map(|served| &served.planned);
        if let Some(first) = served.find(|p| p.native == *native || p.symbol == *symbol) {
            return Err(NoSymbol::Taken {
                native: native.clone(),
                first: first.native.clone(),
                symbol: symbol.clone(),
            });
        }
        self.by_native
            .insert(native.clone(), Some(self.instruments.len()));
        self.instruments.push(ServedInstrument::new(planned, id));
        Ok(())
    }
}
