//! A simulated market as a source. After a restart it is the same market from its beginning.

use super::{Feed, Finish, Run};
use crate::config::SimSource;
use crate::faults::Faults;
use tapecast_ingest::sim::{SimConfig, SimError, Simulation};
use tapecast_model::{Catalog, InstrumentId, Venue};

pub(super) struct SimFeed {
    /// Never run itself.
    pristine: Simulation,
}

impl SimFeed {
    pub(super) fn new(
        source: SimSource,
        catalog: &Catalog,
        faults: &Faults,
    ) -> Result<Self, SimError> {
        let config = SimConfig {
            venue: source.venue,
            symbols: source.symbols,
            seed: source.seed,
            events_per_second: source.events_per_second,
        };
        let pristine = Simulation::new(&config, catalog)?;
        Ok(Self {
            pristine: pristine.with_fault(faults.of("sim")),
        })
    }
}

impl Feed for SimFeed {
    fn kind(&self) -> &'static str {
        "sim"
    }

    fn venue(&self) -> &Venue {
        self.pristine.venue()
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        self.pristine.instruments().collect()
    }

    fn run(&mut self, run: &Run) -> Finish {
        let market = self.pristine.afresh().counted(&run.metrics);
        market.run(&run.events, run.stop.flag());
        Finish::Stopped
    }
}
