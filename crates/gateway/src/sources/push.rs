//! Your own events as a source, on its own runtime: pages, probes and handshakes do not delay publishers.
//! After a restart it has the same address; publishers that connect in between wait.

use super::{Feed, Finish, Run};
use crate::config::PushSource;
use crate::faults::Faults;
use std::sync::Arc;
use tapecast_ingest::event::FeedEvent;
use tapecast_ingest::push::{PushConfig, PushError, PushFaults, PushServer, UnboundPush};
use tapecast_model::{Catalog, ChannelSet, InstrumentId, Venue};

/// A source that has its symbols, and not yet its address.
pub(super) struct Unbound {
    push: UnboundPush,
    faults: PushFaults,
}

pub(super) struct PushFeed {
    server: PushServer,
}

impl Unbound {
    pub(super) fn new(
        source: PushSource,
        catalog: &Arc<Catalog>,
        faults: &Faults,
    ) -> Result<Self, PushError> {
        let config = PushConfig {
            listen: source.listen,
            venue: source.venue,
            symbols: source.symbols,
            price_scale: source.price_scale,
            qty_scale: source.qty_scale,
        };
        let faults = PushFaults {
            acceptor: faults.of("push"),
            publisher: faults.of("publisher"),
        };
        let push = UnboundPush::new(config, Arc::clone(catalog))?;
        Ok(Self { push, faults })
    }

    /// Takes its address.
    pub(super) fn bind(self) -> Result<PushFeed, PushError> {
        let server = self.push.bind()?.with_faults(self.faults);
        Ok(PushFeed { server })
    }
}

impl Feed for PushFeed {
    fn kind(&self) -> &'static str {
        "push"
    }

    fn venue(&self) -> &Venue {
        self.server.venue()
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        self.server.instruments()
    }

    fn run(&mut self, run: &Run) -> Finish {
        // What is listed is due, whichever channels the desk has of it.
        let due = FeedEvent::Subscribed(ChannelSet::EMPTY);
        if run.tell(self, &due).is_err() {
            return Finish::Stopped;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let ran = runtime.and_then(|runtime| {
            let (events, stop) = (run.events.clone(), run.stop.told());
            runtime.block_on(self.server.run(events, &run.metrics, stop))
        });
        match ran {
            Ok(()) => Finish::Stopped,
            Err(error) => Finish::Failed(error.to_string()),
        }
    }
}
