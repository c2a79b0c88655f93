//! The pipeline: hops 3 and 4 of an update's life. Events in, verified, numbered updates out.
//!
//! It has one owner and is synchronous. It has no thread, channel or clock; it receives the time as an
//! argument. It holds the state of every instrument of which it has seen an event (or, if a source has
//! named it, for which a client has asked); a topic begins with this state.
//!
//! # Invented instruments
//! For an instrument that only subscribers have named, it holds nothing and counts nothing. It answers
//! what the state would be, and the instrument may end at any moment. After an instrument has ended, new
//! instruments begin in a higher epoch than all before, so that clients do not mistake a new instrument
//! for the old one.
//!
//! # Definitions
//! Instruments come when the catalogue gets them. If the scales of one change, the pipeline, and nobody else, puts
//! another in its place ([`Catalog::redefine`]): the index stays, all streams begin in a new epoch, and nothing is
//! known but what the feed is. So the change has one place among the events. Events in the old scales that come
//! after it name the old instrument; they are counted and not published.
//!
//! # Limits
//! The [`Catalog`] limits the number of instruments. For each instrument the pipeline holds fifty trades,
//! one book and, while the book waits for a snapshot, a bounded backlog ([`BacklogLimits`]). Nothing
//! waits here: data that it cannot keep are counted. It notices silence when it gets the time: see
//! [`Pipeline::handle_time`].
//!
//! # Invariants
//! * Numbers of a stream are dense: +1 per event, crossed books included.
//! * Events that never came have numbers too, and are announced like all losses. A break affects every
//!   stream of its connection that holds data; a dropped book affects the quote that was taken from it.
//! * A book that is not verified is never published, and neither is a crossed book.
//!
//! # The way back
//! If a book breaks here or falls silent, the pipeline asks whoever serves the instrument for a snapshot
//! ([`crate::reseed`]). It does not wait for the answer: the next snapshot, asked for or not, restores the book.
//!
//! It knows nothing of topics, depths, intervals or encodings: see [`UpdateSink`].

mod health;
mod history;
mod instrument;
mod seen;
mod trades;

pub use health::SilenceLimit;

use crate::book::BacklogLimits;
use crate::event::{Event, EventBody, Scales};
use crate::metrics::{PipelineMetrics, VenueCounters};
use crate::reseed::ReseedRequests;
use hashbrown::HashMap;
use health::Moment;
use instrument::{InstrumentState, Outlet};
use std::sync::Arc;
use std::time::Duration;
use tapecast_model::market::{Answer, Current};
use tapecast_model::{
    Catalog, Epoch, EpochSource, Instrument, InstrumentId, MarketState, Mono, Seq, StreamKey,
    StreamPos, UnixNanos, UpdateSink, Venue,
};

/// What can be chosen about a pipeline.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Where epochs come from. Default: from the time, with nothing known of an earlier life.
    pub epochs: Arc<EpochSource>,
    /// When the process started.
    pub started: UnixNanos,
    /// How long a channel may be silent before it is stale. Default 5 s.
    pub silence: SilenceLimit,
    /// The same for single venues, where it differs.
    pub silence_by_venue: HashMap<Venue, SilenceLimit>,
    /// How many changes a book keeps while it waits for a snapshot.
    pub backlog: BacklogLimits,
    /// Where snapshots are asked for. Default: nobody can be asked.
    pub reseed: ReseedRequests,
}

/// Every instrument's verified, numbered state.
#[derive(Debug)]
pub struct Pipeline {
    catalog: Arc<Catalog>,
    config: PipelineConfig,
    metrics: PipelineMetrics,
    /// By index of instrument.
    instruments: Vec<Option<Box<InstrumentState>>>,
    venues: HashMap<Venue, Arc<VenueCounters>>,
    /// The invented instrument that was asked about last, as it would begin.
    asked: Option<Box<InstrumentState>>,
    begins: Beginning,
    /// When to look for silence again; none while no instrument is being waited for.
    sweep_at: Option<Mono>,
    /// The last event's receive time and when it was handled: tells the wall clock at any moment.
    clock: (UnixNanos, Mono),
}

/// What instruments begin with.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    epoch: Epoch,
    /// The time of it.
    at: UnixNanos,
    /// How many instruments had ended when it was chosen.
    endings: u64,
}

// === impl PipelineConfig ===

impl PipelineConfig {
    /// The defaults, for a process that started at this time.
    pub fn new(started: UnixNanos) -> Self {
        Self {
            epochs: Arc::default(),
            started,
            silence: SilenceLimit::Fixed(Duration::from_secs(5)),
            silence_by_venue: HashMap::new(),
            backlog: BacklogLimits::default(),
            reseed: ReseedRequests::default(),
        }
    }
}

// === impl Pipeline ===

impl Pipeline {
    /// A pipeline without any state.
    pub fn new(catalog: Arc<Catalog>, config: PipelineConfig, metrics: PipelineMetrics) -> Self {
        let clock = (config.started, Mono::default());
        let begins = Beginning {
            epoch: config.epochs.next(config.started),
            at: config.started,
            endings: catalog.endings(),
        };
        Self {
            catalog,
            config,
            metrics,
            instruments: Vec::new(),
            asked: None,
            begins,
            venues: HashMap::new(),
            sweep_at: None,
            clock,
        }
    }

    /// Takes an event and publishes what comes of it.
    pub fn handle_event(&mut self, event: Event, now: Mono, sink: &mut impl UpdateSink) {
        self.clock = (event.ts_recv, now);
        let id = event.instrument;
        if let EventBody::Redefined(scales) = event.body {
            return self.redefine(id, scales, (event.ts_recv, now), sink);
        }
        if !self.ensure(id) {
            self.metrics.count_unknown_instrument();
            return;
        }
        let Some(state) = self.instruments[id.index()].as_deref_mut() else {
            return;
        };
        let mut outlet = Outlet {
            sink,
            metrics: &self.metrics,
            epochs: &self.config.epochs,
            reseed: &self.config.reseed,
        };
        if let Some(deadline) = state.handle(event, now, &mut outlet) {
            self.sweep_at = Some(self.sweep_at.map_or(deadline, |at| at.min(deadline)));
        }
    }

    /// Puts another instrument in the place of one whose scales have changed.
    fn redefine(
        &mut self,
        id: InstrumentId,
        scales: Scales,
        (ts_recv, now): (UnixNanos, Mono),
        sink: &mut impl UpdateSink,
    ) {
        if !self.ensure(id) {
            return self.metrics.count_unknown_instrument();
        }
        let Some(state) = self.instruments[id.index()].as_deref_mut() else {
            return;
        };
        let Scales {
            price_scale,
            qty_scale,
        } = scales;
        if state.scales() == scales {
            return;
        }
        let Some(by) = self.catalog.redefine(id, price_scale, qty_scale) else {
            return self.metrics.count_unknown_instrument();
        };
        let mut outlet = Outlet {
            sink,
            metrics: &self.metrics,
            epochs: &self.config.epochs,
            reseed: &self.config.reseed,
        };
        let at = Moment { now, wall: ts_recv };
        if let Some(deadline) = state.redefine(by, self.config.backlog, at, &mut outlet) {
            self.sweep_at = Some(self.sweep_at.map_or(deadline, |at| at.min(deadline)));
        }
    }

    /// Says which channels have fallen silent. Cheap if called often: it looks at them only when
    /// one may have, and at most ten times a second.
    pub fn handle_time(&mut self, now: Mono, sink: &mut impl UpdateSink) {
        if self.sweep_at.is_none_or(|at| now < at) {
            return;
        }
        let (unix, mono) = self.clock;
        let since = u64::try_from((now - mono).as_nanos()).unwrap_or(u64::MAX);
        let ts_recv = UnixNanos::new(unix.get().saturating_add(since));
        let mut outlet = Outlet {
            sink,
            metrics: &self.metrics,
            epochs: &self.config.epochs,
            reseed: &self.config.reseed,
        };
        let states = self.instruments.iter_mut().flatten();
        let deadlines = states.filter_map(|state| state.handle_time(now, ts_recv, &mut outlet));
        self.sweep_at = deadlines
            .min()
            .map(|next| next.max(now.after(SWEEP_EVERY_MIN)));
    }

    /// When [`Pipeline::handle_time`] next has something to look at.
    pub fn next_deadline(&self) -> Option<Mono> {
        self.sweep_at
    }

    /// The instrument that has taken the place of this one, because its scales have changed.
    fn replaced(&self, id: InstrumentId) -> Option<&Arc<Instrument>> {
        let state = self.instruments.get(id.index())?.as_deref()?;
        state.replaces(id)
    }

    /// The position of a stream and its present state. This publishes and numbers nothing.
    pub fn current(&mut self, stream: StreamKey) -> Current<'_> {
        let pos = StreamPos {
            epoch: self.begins().epoch,
            seq: Seq::ZERO,
        };
        let id = stream.instrument;
        let state = if !self.has(id) && self.catalog.is_invented(id) {
            self.asked = self.begin(id);
            self.asked.as_deref_mut()
        } else if self.ensure(id) {
            self.instruments[id.index()].as_deref_mut()
        } else {
            None
        };
        match state {
            Some(state) => {
                let (pos, update) = state.current(stream.kind);
                Current { pos, update }
            }
            None => Current { pos, update: None },
        }
    }

    /// Ends invented instruments without leases, at most `most` of them. Returns whether there may be
    /// others.
    pub fn collect(&mut self, most: usize) -> bool {
        let more = self.catalog.collect(most);
        self.metrics.set_invented(self.catalog.invented());
        more
    }

    /// What instruments begin with: a new epoch after any has ended.
    fn begins(&mut self) -> Beginning {
        let endings = self.catalog.endings();
        if endings != self.begins.endings {
            let (at, _) = self.clock;
            let epoch = self.config.epochs.next(at);
            self.begins = Beginning { epoch, at, endings };
        }
        self.begins
    }

    /// Whether it holds the state of this very instrument.
    fn has(&self, id: InstrumentId) -> bool {
        let state = self.instruments.get(id.index()).and_then(Option::as_ref);
        state.is_some_and(|state| state.id() == id)
    }

    /// Makes an instrument's state on first use; false if the instrument is unknown.
    fn ensure(&mut self, id: InstrumentId) -> bool {
        if self.has(id) {
            return true;
        }
        let Some(state) = self.begin(id) else {
            return false;
        };
        if self.instruments.len() <= id.index() {
            self.instruments.resize_with(id.index() + 1, || None);
        }
        self.instruments[id.index()] = Some(state);
        true
    }

    /// The state in which an instrument begins; none if the instrument is unknown.
    fn begin(&mut self, id: InstrumentId) -> Option<Box<InstrumentState>> {
        let Beginning { epoch, at, .. } = self.begins();
        let instrument = self.catalog.get(id)?;
        let venue = &instrument.venue;
        let counters = self
            .venues
            .entry_ref(venue)
            .or_insert_with(|| Arc::new(self.metrics.of_venue(venue)));
        let silence = self.config.silence_by_venue.get(venue);
        let state = InstrumentState::new(
            Arc::clone(&instrument),
            Arc::clone(counters),
            (epoch, at),
            silence.copied().unwrap_or(self.config.silence),
            self.config.backlog,
        );
        Some(Box::new(state))
    }
}

impl MarketState for Pipeline {
    type Input = Event;

    fn received(event: &Event) -> UnixNanos {
        event.ts_recv
    }

    fn handle(&mut self, event: Event, now: Mono, sink: &mut impl UpdateSink) {
        self.handle_event(event, now, sink);
    }

    fn handle_time(&mut self, now: Mono, sink: &mut impl UpdateSink) {
        self.handle_time(now, sink);
    }

    fn next_deadline(&self) -> Option<Mono> {
        self.next_deadline()
    }

    fn current(&mut self, stream: StreamKey) -> Answer<'_> {
        // Not `if let`: the borrow would last over the other case.
        if self.replaced(stream.instrument).is_none() {
            return Answer::Now(self.current(stream));
        }
        match self.replaced(stream.instrument) {
            Some(by) => Answer::Replaced(by),
            None => Answer::Later,
        }
    }

    fn collect(&mut self, most: usize) -> bool {
        self.collect(most)
    }
}

/// Silence is noticed at most this much late: fine for limits of seconds, and cheap for thousands of
/// instruments.
const SWEEP_EVERY_MIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
