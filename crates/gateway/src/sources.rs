//! The sources of data: each on its own thread, behind a [`SourceHandle`].
//!
//! Everything that can fail at the start fails before a client can connect: [`Prepared`] scans recordings and
//! reserves symbols in the catalogue, for `config check` too, and [`Prepared::bind`] takes the addresses of
//! push sources. A source that fails later restarts: see [`handle`]. A kind of source is a [`Feed`]; each kind
//! has its own file.

mod handle;
mod live;
mod push;
mod recording;
mod replay;
mod report;
mod sim;
mod stop;

pub use handle::{Feed, Finish, Run, SourceHandle};
pub use stop::Stop;

use crate::config::{Source, Span};
use crate::faults::Faults;
use crate::parts::{Part, Parts, State};
use crate::start_error::StartError;
use crate::state_dir::KeptVenues;
use hashbrown::{HashMap, HashSet};
use prometheus::Registry;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tapecast_connect::ConnectError;
use tapecast_fanout::pace::Pacer;
use tapecast_ingest::event::SourceId;
use tapecast_ingest::feed::StartGate;
use tapecast_ingest::metrics::FeedMetrics;
use tapecast_ingest::pipeline::SilenceLimit;
use tapecast_ingest::push::PushError;
use tapecast_ingest::replay::ReplayError;
use tapecast_ingest::reseed::ReseedRequests;
use tapecast_ingest::sim::SimError;
use tapecast_ingest::sources::SourceOpener;
use tapecast_model::catalog::CatalogError;
use tapecast_model::{Catalog, Venue};
use tokio::sync::watch;

/// Sources that have all they need except for their addresses, and the catalogue in which their symbols are.
pub struct Prepared {
    catalog: Arc<Catalog>,
    reseed: ReseedRequests,
    gate: Arc<StartGate>,
    /// Each with whether the process is not ready without it.
    sources: Vec<(Made, bool)>,
}

enum Made {
    Feed(Box<dyn Feed>),
    Push(push::Unbound),
}

/// Sources that can start.
pub struct Bound {
    gate: Arc<StartGate>,
    /// Each with whether the process is not ready without it.
    feeds: Vec<(Box<dyn Feed>, bool)>,
}

/// Why a source cannot start.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    /// A simulated market.
    #[error("source {0} (sim): {1}")]
    Sim(usize, SimError),
    /// A recording.
    #[error("source {0} (replay): {1}")]
    Replay(usize, Box<ReplayError>),
    /// A recording without any content.
    #[error(
        "source {number} (replay): {} is empty; record again, or correct the source's path",
        path.display()
    )]
    Empty {
        /// Which source.
        number: usize,
        /// The file.
        path: PathBuf,
    },
    /// A desk's own events.
    #[error("source {0} (push): {1}")]
    Push(usize, PushError),
    /// A connection to a venue.
    #[error("source {0} (live): {1}")]
    Live(usize, live::LiveError),
}

/// Why the command to start replays does nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotStarted {
    /// There is none to start.
    #[error(
        "no source waits for this command; a replay with start = \"on-command\" in the configuration does"
    )]
    NoneWaits,
    /// Each has been played to its end.
    #[error(
        "the replays have ended; a replay plays once, or for ever with loop = true: restart the process to \
         play it again"
    )]
    AllEnded,
}

/// Sources that run. Whoever drops them ends them, and waits for their threads.
#[derive(Debug)]
pub struct Sources {
    handles: Vec<SourceHandle>,
    gate: Arc<StartGate>,
    /// Whether venues have said which instruments there are.
    defined: Vec<watch::Receiver<bool>>,
}

/// What sources have of the process.
pub struct Around<'a> {
    /// Where each gets a channel for its events.
    pub opener: SourceOpener,
    /// How many batches of events may wait in all channels together.
    pub waiting_max: usize,
    /// What lossless ones wait for.
    pub pacer: Pacer,
    /// Where the state of each is kept.
    pub parts: &'a Parts,
    /// Where they keep what they learn of their venues.
    pub venues: &'a Arc<KeptVenues>,
}

impl SourceError {
    /// The key that is wrong, behind that of the source.
    fn key(&self) -> String {
        let is_full = |error: &CatalogError| matches!(error, CatalogError::Full(_));
        let of_catalog = |error| if is_full(error) { "symbols" } else { "venue" };
        let (number, key) = match self {
            Self::Sim(number, error) => match error {
                SimError::Symbols(_) => (number, "symbols"),
                SimError::EventsPerSecond(_) => (number, "events_per_second"),
                SimError::Name(_) => (number, "venue"),
                SimError::Catalog(error) => (number, of_catalog(error)),
            },
            Self::Replay(number, error) => match &**error {
                ReplayError::Capture(_) | ReplayError::LeftOut { .. } => (number, "path"),
                ReplayError::Nothing { .. } => (number, "format"),
                ReplayError::Catalog { source, .. } if is_full(source) => (number, "path"),
                ReplayError::Catalog { .. } => (number, "venue"),
                ReplayError::Speed(_) => (number, "speed"),
            },
            Self::Empty { number, .. } => (number, "path"),
            Self::Live(number, error) => (number, key_of(error)),
            Self::Push(number, error) => match error {
                PushError::Listen { .. } => (number, "listen"),
                PushError::Catalog(error) => (number, of_catalog(error)),
            },
        };
        format!("source {number}: {key}")
    }
}

/// The key of a connection that is wrong.
const fn key_of(error: &live::LiveError) -> &'static str {
    match error {
        live::LiveError::Connect(ConnectError::Proxy { .. }) => "proxy",
        live::LiveError::Connect(_) => "ca_file",
        live::LiveError::Record { .. } | live::LiveError::Taken(_) => "record",
    }
}

impl From<SourceError> for StartError {
    fn from(error: SourceError) -> Self {
        Self::of_key(error.key(), error)
    }
}

/// How long the channels of each venue may be silent. `of_all` counts for sources that do not say. Of sources of
/// one venue, the most patient counts for all: none is stale earlier than it says itself.
pub fn silence_by_venue(sources: &[Source], of_all: Option<Span>) -> HashMap<Venue, SilenceLimit> {
    let mut limits = HashMap::new();
    for source in sources {
        let Ok(venue) = Venue::new(source.venue()) else {
            continue;
        };
        let limit = source.silence(of_all);
        let of_venue = limits.entry(venue).or_insert(limit);
        if patience(limit) > patience(*of_venue) {
            *of_venue = limit;
        }
    }
    limits
}

/// By what limits are compared: what follows a pace has at least [`PACE_MIN`].
const fn patience(limit: SilenceLimit) -> Duration {
    match limit {
        SilenceLimit::Fixed(limit) => limit,
        SilenceLimit::ByPace => PACE_MIN,
    }
}

/// The shortest limit by pace: see [`SilenceLimit::ByPace`].
const PACE_MIN: Duration = Duration::from_secs(30);

impl Prepared {
    /// Makes every source ready, except for its address, and reserves its symbols: at most `instruments_max`.
    ///
    /// # Errors
    /// If a recording cannot be read, or a symbol comes from two sources.
    pub fn new(
        sources: &[Source],
        instruments_max: usize,
        faults: &Faults,
    ) -> Result<Self, StartError> {
        let catalog = Arc::new(Catalog::new(instruments_max));
        let gate = Arc::new(StartGate::default());
        let reseed = ReseedRequests::default();
        let mut prepared = Vec::with_capacity(sources.len());
        let mut recorded = HashSet::new();
        for (index, source) in sources.iter().enumerate() {
            let number = index + 1;
            let made = match source.clone() {
                Source::Sim(source) => {
                    let made = sim::SimFeed::new(source, &catalog, faults);
                    Made::Feed(Box::new(made.map_err(|e| SourceError::Sim(number, e))?))
                }
                Source::Replay(source) if replay::is_empty(&source.path) => {
                    return Err(SourceError::Empty {
                        number,
                        path: source.path,
                    }
                    .into());
                }
                Source::Replay(source) => {
                    let made = replay::ReplayFeed::new(source, &catalog, &gate, faults);
                    let made = made.map_err(|e| SourceError::Replay(number, Box::new(e)))?;
                    Made::Feed(Box::new(made))
                }
                Source::Live(source) => {
                    let dir = source.record_dir();
                    if let Some(dir) = dir.filter(|dir| !recorded.insert(dir.clone())) {
                        return Err(SourceError::Live(number, live::LiveError::Taken(dir)).into());
                    }
                    let made = live::LiveFeed::new(*source, &catalog, &reseed, faults);
                    Made::Feed(Box::new(made.map_err(|e| SourceError::Live(number, e))?))
                }
                Source::Push(source) => {
                    let made = push::Unbound::new(source, &catalog, faults);
                    Made::Push(made.map_err(|e| SourceError::Push(number, e))?)
                }
            };
            prepared.push((made, source.is_required()));
        }
        Ok(Self {
            catalog,
            reseed,
            gate,
            sources: prepared,
        })
    }

    /// All venues and symbols.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Where the pipeline asks venues for snapshots.
    pub const fn reseed(&self) -> &ReseedRequests {
        &self.reseed
    }

    /// Takes the addresses of push sources. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If an address is in use.
    pub fn bind(self) -> Result<Bound, StartError> {
        let mut feeds = Vec::with_capacity(self.sources.len());
        for (index, (made, required)) in self.sources.into_iter().enumerate() {
            let feed: Box<dyn Feed> = match made {
                Made::Feed(feed) => feed,
                Made::Push(plan) => {
                    let feed = plan.bind();
                    Box::new(feed.map_err(|e| SourceError::Push(index + 1, e))?)
                }
            };
            feeds.push((feed, required));
        }
        Ok(Bound {
            gate: self.gate,
            feeds,
        })
    }
}

impl Sources {
    /// Starts every source.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        bound: Bound,
        around: &Around<'_>,
        registry: &Registry,
    ) -> Result<Self, StartError> {
        let counters = FeedMetrics::register(registry)?;
        let Bound { gate, feeds } = bound;
        // Equal parts, so that what is on its way is no more than with one source.
        let room = (around.waiting_max / feeds.len().max(1)).max(1);
        // Filled one by one: those that run are ended if the next one cannot start.
        let mut sources = Self {
            handles: Vec::with_capacity(feeds.len()),
            gate,
            defined: feeds
                .iter()
                .filter_map(|(feed, _)| feed.defined())
                .collect(),
        };
        for (index, (mut feed, required)) in feeds.into_iter().enumerate() {
            feed.keep_in(around.venues);
            let number = index + 1;
            let metrics = around.parts.metrics();
            let gauge = metrics.source_up(number, feed.kind(), feed.venue());
            let name = format!("source {number} ({})", feed.kind());
            let part = around.parts.enter(name, feed.kind(), required);
            let id = SourceId(u32::try_from(number).unwrap_or(u32::MAX));
            let events = around.opener.open(id, room);
            let watch = around.parts.watch_over(&part);
            let run = Run::new(events, counters.clone(), around.pacer.clone(), part, gauge);
            let handle = SourceHandle::start(number, feed, run, watch)?;
            sources.handles.push(handle);
        }
        Ok(sources)
    }

    /// What `POST /replay/start` does: starts the replays that wait for it. If they play already, nothing
    /// changes.
    pub fn starter(&self) -> impl Fn() -> Result<(), NotStarted> + Send + Sync + 'static {
        let on_command = self.handles.iter().filter(|handle| handle.is_on_command());
        let parts: Vec<_> = on_command.map(|handle| Arc::clone(handle.part())).collect();
        let gate = Arc::clone(&self.gate);
        move || {
            let ended = |part: &Arc<Part>| matches!(part.state().0, State::Ended(_));
            if parts.is_empty() {
                Err(NotStarted::NoneWaits)
            } else if parts.iter().all(ended) {
                Err(NotStarted::AllEnded)
            } else {
                gate.open();
                Ok(())
            }
        }
    }

    /// The answer of `GET /debug/sources`, made for each request.
    pub fn reporter(&self) -> impl Fn() -> String + Send + Sync + 'static {
        report::reporter(&self.handles)
    }

    /// Waits until it is known of all venues which instruments there are, but not longer than this.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn until_defined(&self, most: Duration) {
        let all = async {
            for defined in &self.defined {
                let _ = defined.clone().wait_for(|defined| *defined).await;
            }
        };
        let _ = tokio::time::timeout(most, all).await;
    }

    /// Ends every source.
    pub async fn stop(self) {
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        for handle in &self.handles {
            handle.tell_to_stop();
        }
        // They look whether to stop a few dozen times a second.
        self.handles.drain(..).for_each(SourceHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// The limit of the venue `x`, which sources with these lines have.
    fn limit(sources: &[&str]) -> SilenceLimit {
        let tables: Vec<_> = sources
            .iter()
            .map(|lines| format!("[[source]]\nvenue = \"x\"\n{lines}\n"))
            .collect();
        let config = Config::parse(&tables.join(""), "t.toml", std::iter::empty()).unwrap();
        silence_by_venue(&config.sources, config.pipeline.stale_after)[&Venue::new("x").unwrap()]
    }

    #[test]
    fn of_sources_of_one_venue_the_most_patient_counts_in_any_order() {
        let replay = "kind = \"replay\"\nformat = \"okx\"\npath = \"x.zst\"";
        let push = |port: u16, limit: &str| {
            format!(
                "kind = \"push\"\nlisten = \"127.0.0.1:{port}\"\nsymbols = [\"S{port}\"]\n{limit}"
            )
        };
        let (default, second, minute) = (
            push(1, ""),
            push(2, "stale_after = \"1s\""),
            push(3, "stale_after = \"1m\""),
        );
        let fixed = |seconds| SilenceLimit::Fixed(Duration::from_secs(seconds));
        for (sources, expected) in [
            (vec![default.as_str(), &second, &minute], fixed(60)),
            (vec![&default, &second], fixed(5)),
            (vec![replay, &second, &default], SilenceLimit::ByPace),
            (vec![replay, &minute], fixed(60)),
        ] {
            let reversed: Vec<_> = sources.iter().rev().copied().collect();
            assert_eq!(limit(&sources), expected, "{sources:?}");
            assert_eq!(limit(&reversed), expected, "{reversed:?}");
        }
    }
}
