//! A source as the process sees it: start it, stop it, restart it, and read its state.
//!
//! Its thread runs a [`Feed`] and watches it. If a run fails or panics, subscribers get the state `down`
//! at once. After a [pause](Pause) a new run begins, with a new epoch of every instrument, because it is
//! unknown what was lost in between. A recording that has reached its end keeps its state until it gets
//! the command to restart.
//!
//! # When it is full or late
//! Messages about a feed wait for room in the source's channel, like the feed's own events. They stop
//! waiting when the source must stop or the pipeline has ended. All runs of a source send through one channel:
//! what a run sent before it failed comes before the message that it failed.

use super::Stop;
use crate::parts::{Part, Pause, State, Watch, words};
use crate::state_dir::KeptVenues;
use prometheus::IntGauge;
use std::borrow::Cow;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tapecast_fanout::pace::Pacer;
use tapecast_ingest::event::FeedEvent;
use tapecast_ingest::feed::{Ended, announce};
use tapecast_ingest::metrics::{FeedCounters, FeedMetrics};
use tapecast_ingest::session::SessionReport;
use tapecast_ingest::sources::EventTx;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{InstrumentId, Venue};
use tokio::sync::watch;

/// What a session last said of itself, for those who look.
pub(super) type SharedReport = Arc<Mutex<SessionReport>>;

/// What a kind of source brings.
pub trait Feed: Send {
    /// Its kind, as the configuration calls it.
    fn kind(&self) -> &'static str;

    /// Whose data it has.
    fn venue(&self) -> &Venue;

    /// The instruments that become `down` when it fails.
    fn instruments(&self) -> Vec<InstrumentId>;

    /// Whether it waits for `POST /replay/start` before its first run.
    fn is_on_command(&self) -> bool {
        false
    }

    /// Whether its venue has said which instruments there are, for a feed that has to ask.
    fn defined(&self) -> Option<watch::Receiver<bool>> {
        None
    }

    /// How its connections are, for a feed that has some.
    fn details(&self) -> Option<SharedReport> {
        None
    }

    /// Where it keeps what it learns of its venue. Called once, before the first run.
    fn keep_in(&mut self, _venues: &Arc<KeptVenues>) {}

    /// Runs from the beginning until the end, a failure, or the word to stop. It may be run again.
    fn run(&mut self, run: &Run) -> Finish;
}

/// How a run came to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finish {
    /// It got the command, or its events have no more receiver.
    Stopped,
    /// There is no more.
    Done(&'static str),
    /// It could not go on.
    Failed(String),
}

/// What a run has of the process.
#[derive(Debug)]
pub struct Run {
    /// Where its events go.
    pub events: EventTx,
    /// Where it counts.
    pub metrics: FeedMetrics,
    /// Whether those downstream have room.
    pub pacer: Pacer,
    /// When it should end.
    pub stop: Stop,
    part: Arc<Part>,
    up: IntGauge,
}

/// A source whose thread was started.
#[derive(Debug)]
pub struct SourceHandle {
    number: usize,
    kind: &'static str,
    venue: Venue,
    on_command: bool,
    part: Arc<Part>,
    counters: FeedCounters,
    details: Option<SharedReport>,
    stop: Stop,
    thread: JoinHandle<()>,
}

// === impl Run ===

impl Run {
    pub(super) fn new(
        events: EventTx,
        metrics: FeedMetrics,
        pacer: Pacer,
        part: Arc<Part>,
        up: IntGauge,
    ) -> Self {
        Self {
            events,
            metrics,
            pacer,
            stop: Stop::default(),
            part,
            up,
        }
    }

    /// Notes how the source is.
    pub fn set(&self, state: State) {
        self.up.set(i64::from(!matches!(
            state,
            State::Starting | State::Down(_)
        )));
        self.part.set(state);
    }

    /// Says something of all instruments of a feed.
    ///
    /// # Errors
    /// If it is time to end.
    pub(super) fn tell(&self, feed: &dyn Feed, word: &FeedEvent) -> Result<(), Ended> {
        let (instruments, stop) = (feed.instruments(), self.stop.flag());
        announce(&self.events, &instruments, word, unix_now(), stop)
    }

    /// Runs the feed, again and again where it fails.
    fn supervise(&self, feed: &mut dyn Feed) {
        let mut pause = Pause::default();
        loop {
            self.set(State::Up);
            let began = mono_now();
            let finish = catch_unwind(AssertUnwindSafe(|| feed.run(self)));
            let finish = finish.unwrap_or_else(|panic| {
                Finish::Failed(format!("it panicked: {}", words(panic.as_ref())))
            });
            match finish {
                Finish::Stopped if self.stop.take_start_over() => {}
                Finish::Stopped => return,
                Finish::Done(reason) => {
                    self.set(State::Ended(reason));
                    self.stop.wait(Duration::MAX);
                    if !self.stop.take_start_over() {
                        return;
                    }
                }
                Finish::Failed(reason) => {
                    let pause = pause.after(mono_now() - began);
                    self.up.set(0);
                    self.part.set_failed(&reason, pause);
                    let word = FeedEvent::Down(Cow::Borrowed("the source failed and restarts"));
                    // Where it cannot be said, nobody listens, or it is time to go on.
                    let _ = self.tell(feed, &word);
                    self.stop.wait(pause);
                    self.stop.take_start_over();
                }
            }
            if self.stop.is_end() {
                return;
            }
            let _ = self.tell(feed, &FeedEvent::Restarted);
        }
    }
}

// === impl SourceHandle ===

impl SourceHandle {
    /// Starts the thread of a feed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        number: usize,
        mut feed: Box<dyn Feed>,
        run: Run,
        watch: Watch,
    ) -> io::Result<Self> {
        let (kind, venue) = (feed.kind(), feed.venue().clone());
        let (on_command, details) = (feed.is_on_command(), feed.details());
        let (part, stop) = (Arc::clone(&run.part), run.stop.clone());
        let counters = run.metrics.of_venue(&venue);
        run.set(State::Starting);
        let thread = std::thread::Builder::new()
            .name(format!("feed-{number}-{kind}"))
            .spawn(move || {
                let _watch = watch;
                run.supervise(feed.as_mut());
            })?;
        Ok(Self {
            number,
            kind,
            venue,
            on_command,
            part,
            counters,
            details,
            stop,
            thread,
        })
    }

    /// Its place in the configuration, from 1.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Its kind, as the configuration calls it.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Whose data it has.
    pub fn venue(&self) -> &Venue {
        &self.venue
    }

    /// Whether it waits for `POST /replay/start`.
    pub(super) fn is_on_command(&self) -> bool {
        self.on_command
    }

    /// How it is.
    pub fn part(&self) -> &Arc<Part> {
        &self.part
    }

    /// What it counts; sources of one venue count together.
    pub fn counters(&self) -> &FeedCounters {
        &self.counters
    }

    /// How its connections are, if it has some.
    pub(super) fn details(&self) -> Option<&SharedReport> {
        self.details.as_ref()
    }

    /// Ends the present run and begins another, in a new epoch.
    pub fn start_over(&self) {
        self.stop.start_over();
    }

    /// Commands it to end permanently.
    pub fn tell_to_stop(&self) {
        self.stop.end();
    }

    /// Waits for its end; to be told to stop before.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(source = self.number, "The thread of a source panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Faults;
    use crate::parts::Parts;
    use crossbeam_channel::Receiver;
    use prometheus::Registry;
    use tapecast_ingest::event::{EventBatch, EventBody};

    /// Does the given work in each run.
    struct Puppet {
        venue: Venue,
        runs: Receiver<Finish>,
        began: crossbeam_channel::Sender<()>,
    }

    impl Feed for Puppet {
        fn kind(&self) -> &'static str {
            "sim"
        }

        fn venue(&self) -> &Venue {
            &self.venue
        }

        fn instruments(&self) -> Vec<InstrumentId> {
            vec![InstrumentId::new(3), InstrumentId::new(4)]
        }

        fn run(&mut self, run: &Run) -> Finish {
            self.began.send(()).unwrap();
            loop {
                if run.stop.flag().load(std::sync::atomic::Ordering::Relaxed) {
                    return Finish::Stopped;
                }
                match self.runs.try_recv() {
                    Ok(Finish::Failed(text)) if text == "panic" => panic!("the puppet fell"),
                    Ok(finish) => return finish,
                    Err(_) => std::thread::yield_now(),
                }
            }
        }
    }

    struct Stage {
        handle: SourceHandle,
        told: Receiver<EventBatch>,
        say: crossbeam_channel::Sender<Finish>,
        began: Receiver<()>,
        up: IntGauge,
        parts: Parts,
    }

    fn stage() -> Stage {
        let registry = Registry::new();
        let parts = Parts::register(&registry, &Faults::default()).unwrap();
        parts.assume_started();
        // Room for what is said of one failure.
        let (events, told) = EventTx::alone(2);
        let (say, runs) = crossbeam_channel::bounded(10);
        let (began_tx, began) = crossbeam_channel::bounded(10);
        let up = IntGauge::new("up", "up").unwrap();
        let metrics = FeedMetrics::register(&registry).unwrap();
        let part = parts.enter("source 1 (sim)".into(), "sim", true);
        let pacer = Pacer::new(Vec::new(), tapecast_fanout::pace::Congestion::new(0));
        let watch = parts.watch_over(&part);
        let run = Run::new(events, metrics, pacer, part, up.clone());
        let venue = Venue::new("sim").unwrap();
        let feed = Box::new(Puppet {
            venue,
            runs,
            began: began_tx,
        });
        Stage {
            handle: SourceHandle::start(1, feed, run, watch).unwrap(),
            told,
            say,
            began,
            up,
            parts,
        }
    }

    /// What the next batch says, of which instruments.
    fn words_of(told: &Receiver<EventBatch>) -> Vec<(usize, FeedEvent)> {
        let batch = told.recv().unwrap().into_iter();
        batch
            .map(|event| match event.body {
                EventBody::Feed(word) => (event.instrument.index(), word),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_run_that_panics_or_fails_is_down_and_begins_again_in_a_new_epoch() {
        let stage = stage();
        for reason in ["panic", "no more"] {
            stage.began.recv().unwrap();
            stage.say.send(Finish::Failed(reason.into())).unwrap();
            let down = FeedEvent::Down("the source failed and restarts".into());
            assert_eq!(words_of(&stage.told), [(3, down.clone()), (4, down)]);
            let again = FeedEvent::Restarted;
            assert_eq!(words_of(&stage.told), [(3, again.clone()), (4, again)]);
        }
        stage.began.recv().unwrap();
        assert_eq!(stage.handle.part().restarts(), 2);
        assert_eq!((stage.parts.verdict(), stage.up.get()), (Ok(()), 1));
        stage.handle.tell_to_stop();
        stage.handle.join();
    }

    #[test]
    fn while_it_has_failed_the_process_is_not_ready() {
        let stage = stage();
        // With the channel full it cannot say that it is down, and so stays there.
        while stage.handle.part().restarts() < 2 {
            let _ = stage.say.try_send(Finish::Failed("no more".into()));
            let _ = stage.began.try_recv();
            std::thread::yield_now();
        }
        assert_eq!(
            stage.parts.verdict(),
            Err("source 1 (sim) is down: no more; it restarts".to_owned())
        );
        assert_eq!(stage.up.get(), 0);
        stage.handle.tell_to_stop();
        stage.handle.join();
    }

    #[test]
    fn a_source_that_is_done_stays_so_until_it_is_told_to_start_over() {
        let stage = stage();
        stage.began.recv().unwrap();
        stage.say.send(Finish::Done("end of recording")).unwrap();
        while stage.handle.part().state().0 != State::Ended("end of recording") {
            std::thread::yield_now();
        }
        assert_eq!((stage.parts.verdict(), stage.up.get()), (Ok(()), 1));
        stage.handle.start_over();
        assert_eq!(words_of(&stage.told)[0].1, FeedEvent::Restarted);
        stage.began.recv().unwrap();
        stage.handle.start_over();
        assert_eq!(words_of(&stage.told)[0].1, FeedEvent::Restarted);
        stage.began.recv().unwrap();
        assert_eq!(stage.handle.part().restarts(), 0, "it did not fail");
        stage.handle.tell_to_stop();
        stage.handle.join();
    }
}
