//! A recording as a source: it may wait for a command, and may be lossless. After a restart it plays from
//! its beginning.

use super::{Feed, Finish, Run};
use crate::config::{ReplaySource, Start};
use crate::faults::Faults;
use crate::parts::State;
use hashbrown::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tapecast_ingest::feed::{Pace, StartGate, Unpaced};
use tapecast_ingest::replay::{Played, Replay, ReplayConfig, ReplayError, Speed};
use tapecast_model::{Catalog, Fault, InstrumentId, Venue};
use tracing::warn;

pub(super) struct ReplayFeed {
    replay: Replay,
    gate: Arc<StartGate>,
    on_command: bool,
    /// It waits for those downstream.
    lossless: bool,
    fault: Fault,
}

/// Whether there is a file, and nothing in it. What cannot be looked at is said when it is read.
pub(super) fn is_empty(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0)
}

impl ReplayFeed {
    pub(super) fn new(
        source: ReplaySource,
        catalog: &Catalog,
        gate: &Arc<StartGate>,
        faults: &Faults,
    ) -> Result<Self, ReplayError> {
        let on_command = source.start == Start::OnCommand;
        let gate = match on_command {
            true => Arc::clone(gate),
            false => Arc::new(StartGate::opened()),
        };
        let lossless = source.speed == Speed::Max;
        let config = ReplayConfig {
            venue: source.venue,
            format: source.format,
            path: source.path,
            speed: source.speed,
            looped: source.looped,
            symbols: source.symbols.into_iter().collect::<HashMap<_, _>>(),
        };
        let natives: Vec<_> = config.symbols.keys().cloned().collect();
        let replay = Replay::scan(config, catalog)?;
        warn_of_unknown(&replay, natives);
        Ok(Self {
            replay,
            gate,
            on_command,
            lossless,
            fault: faults.of("replay"),
        })
    }
}

/// Says which ids of `[source.symbols]` are not in the recording: one may be misspelt.
fn warn_of_unknown(replay: &Replay, mut natives: Vec<String>) {
    let plan = replay.plan();
    let served = plan.instruments.iter().map(|planned| &*planned.native);
    let left_out = plan.left_out.iter().map(|left_out| &*left_out.native);
    let known: HashSet<_> = served.chain(left_out).collect();
    natives.retain(|native| !known.contains(native.as_str()));
    natives.sort();
    if !natives.is_empty() {
        let (venue, ids) = (replay.venue(), natives.join(", "));
        warn!(%venue, ids, "The recording lacks ids of [source.symbols]; correct or delete them there");
    }
}

impl Feed for ReplayFeed {
    fn kind(&self) -> &'static str {
        "replay"
    }

    fn venue(&self) -> &Venue {
        self.replay.venue()
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        self.replay.instruments().to_vec()
    }

    fn is_on_command(&self) -> bool {
        self.on_command
    }

    fn run(&mut self, run: &Run) -> Finish {
        if !self.gate.is_open() {
            run.set(State::Waiting("for POST /replay/start"));
            if self.gate.wait(run.stop.flag()).is_err() {
                return Finish::Stopped;
            }
            run.set(State::Up);
        }
        self.fault.look();
        let fault = self.fault.clone();
        let pacer = run.pacer.clone();
        let pace: Box<dyn Pace> = match self.lossless {
            true => Box::new(move || {
                fault.look();
                pacer.is_clear()
            }),
            false => Box::new(Unpaced),
        };
        let (events, stop) = (run.events.clone(), Arc::clone(run.stop.flag()));
        match self
            .replay
            .run(&self.gate, events, pace, stop, &run.metrics)
        {
            Ok(Played::Stopped) => Finish::Stopped,
            Ok(Played::End) => Finish::Done("end of recording"),
            Err(unreadable) => Finish::Failed(unreadable.to_string()),
        }
    }
}
