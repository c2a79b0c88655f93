//! A connection to a venue as a source: its thread drives a session, and the session's shell owns the sockets.
//!
//! The thread carries out what the session wants, gives its events to the pipeline, and sleeps until the shell
//! reports something, the pipeline asks for a snapshot, or the session has something to do. While the channel to the
//! pipeline is full, it waits; the shell reads on meanwhile, and pings are answered. After a run that failed, the
//! next one serves the same instruments, and the venue's list is read again. So does a process after a restart, with
//! what was kept in `state_dir`.
//!
//! With a recorder, all that goes in and out of the session is written down, in its order: see [`Recording`].

use super::handle::SharedReport;
use super::recording::{Recording, recorder_config, write_down};
use super::{Feed, Finish, Run};
use crate::config::LiveSource;
use crate::faults::Faults;
use crate::parts::State;
use crate::state_dir::KeptVenues;
use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tapecast_connect::{
    Command, Commands, ConnectConfig, ConnectError, Failure, FailureKind, Frame, Report, Reports,
    Shell,
};
use tapecast_ingest::event::Events;
use tapecast_ingest::feed::{Ended, send};
use tapecast_ingest::reseed::{ReseedRequests, ReseedSession};
use tapecast_ingest::session::{
    Failure as SessionFailure, Frame as SessionFrame, HttpAnswer, Session, SessionCommand,
    SessionConfig, SessionEvents, Transmit,
};
use tapecast_ingest::sources::EventTx;
use tapecast_model::catalog::Offer;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Catalog, ChannelKind, Fault, InstrumentId, Mono, UnixNanos, Venue};
use tokio::sync::watch;

/// A venue that can be connected to.
pub(super) struct LiveFeed {
    source: LiveSource,
    catalog: Arc<Catalog>,
    reseed: ReseedRequests,
    /// The instruments that it serves.
    served: Vec<InstrumentId>,
    /// Whether it is known which instruments there are.
    defined: watch::Sender<bool>,
    report: SharedReport,
    venues: Arc<KeptVenues>,
    fault: Fault,
}

/// Why a connection to a venue cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    /// A file or an address.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The directory of its recording.
    #[error("cannot write recordings to {}: {source}; choose another directory", dir.display())]
    Record {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two sources would be one recording.
    #[error("another source is recorded in {} too; give one of them another name, or another directory", .0.display())]
    Taken(PathBuf),
}

/// A session and its shell.
struct Driver<'a> {
    session: Session,
    commands: Commands,
    reports: Reports,
    reseed: ReseedSession,
    run: &'a Run,
    /// The way of the last line's events.
    line: EventTx,
    /// For the pipeline.
    outgoing: VecDeque<SessionEvents>,
    recording: Option<Recording>,
    report: SharedReport,
    reported: Mono,
    /// Why there is no connection, as it was said last.
    down: Option<Option<String>>,
}

/// How long the thread sleeps at most before it looks whether it should end.
const STOP_CHECK: Duration = Duration::from_millis(20);
/// Reports that are taken before events are given on.
const REPORTS_AT_ONCE: usize = 64;
/// How often the session's state is shown.
const SHOW_EVERY: Duration = Duration::from_millis(500);

// === impl LiveFeed ===

impl LiveFeed {
    /// Checks what can be checked without a connection.
    ///
    /// # Errors
    /// If a file or an address of its configuration cannot be used.
    pub(super) fn new(
        source: LiveSource,
        catalog: &Arc<Catalog>,
        reseed: &ReseedRequests,
        faults: &Faults,
    ) -> Result<Self, LiveError> {
        // A shell that is dropped at once: it has no connection.
        Shell::start("venue-check", connect_config(&source)).map(drop)?;
        if let Some(config) = recorder_config(&source) {
            config.check().map_err(|source| LiveError::Record {
                dir: config.dir,
                source,
            })?;
        }
        if let Some(url) = source.rules.retired_url() {
            tracing::warn!(venue = %source.venue, url, "The venue has left this address; delete the key from [source.rules]");
        }
        catalog.add_venue(
            &source.venue,
            Offer {
                channels: source
                    .wanted
                    .channels
                    .with(ChannelKind::Status)
                    .with(ChannelKind::Instrument),
                ..Offer::default()
            },
        );
        Ok(Self {
            catalog: Arc::clone(catalog),
            reseed: reseed.clone(),
            served: Vec::new(),
            defined: watch::Sender::new(false),
            report: SharedReport::default(),
            venues: Arc::default(),
            fault: faults.of("live"),
            source,
        })
    }
}

fn connect_config(source: &LiveSource) -> ConnectConfig {
    ConnectConfig {
        ca_file: source.ca_file.clone(),
        proxy: source.proxy.clone(),
        bind: source.bind,
        ..ConnectConfig::default()
    }
}

impl Feed for LiveFeed {
    fn kind(&self) -> &'static str {
        "live"
    }

    fn venue(&self) -> &Venue {
        &self.source.venue
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        self.served.clone()
    }

    fn defined(&self) -> Option<watch::Receiver<bool>> {
        Some(self.defined.subscribe())
    }

    fn details(&self) -> Option<SharedReport> {
        Some(Arc::clone(&self.report))
    }

    fn keep_in(&mut self, venues: &Arc<KeptVenues>) {
        self.venues = Arc::clone(venues);
    }

    fn run(&mut self, run: &Run) -> Finish {
        self.fault.look();
        let source = &self.source;
        let live = source.exchange.connector(source.rules.clone());
        let name = format!("venue-{}", source.venue);
        let (commands, reports) = match Shell::start(&name, connect_config(source)) {
            Ok(shell) => shell,
            Err(error) => return Finish::Failed(error.to_string()),
        };
        let counters = run.metrics.of_venue(&source.venue);
        let recording = match Recording::start(source, &counters) {
            Ok(recording) => recording,
            Err(error) => return Finish::Failed(format!("the recorder cannot start: {error}")),
        };
        let config = SessionConfig {
            venue: source.venue.clone(),
            live,
            wanted: source.wanted.clone(),
            known: std::mem::take(&mut self.served),
            earlier: self.venues.earlier(&source.venue, &source.address()),
            seed: RandomState::new().hash_one(0),
            catalog: Arc::clone(&self.catalog),
            counters,
        };
        let mut driver = Driver {
            session: Session::new(config, mono_now(), unix_now()),
            reseed: self.reseed.session(reports.waker()),
            commands,
            reports,
            run,
            line: run.events.clone(),
            outgoing: VecDeque::new(),
            recording,
            report: Arc::clone(&self.report),
            reported: Mono::default(),
            down: None,
        };
        loop {
            let turn = driver.turn();
            keep(&mut driver.session, &self.venues, source);
            self.served.clear();
            self.served.extend(driver.session.instruments());
            if driver.session.is_defined() {
                self.defined
                    .send_if_modified(|defined| !std::mem::replace(defined, true));
            }
            if turn.is_err() {
                return Finish::Stopped;
            }
            if driver.reports.has_ended() {
                return Finish::Failed("the thread of its connections has ended".to_owned());
            }
        }
    }
}

// === impl Driver ===

impl Driver<'_> {
    /// Waits for something to happen, and does what follows from it.
    fn turn(&mut self) -> Result<(), Ended> {
        let (mono, wall) = (mono_now(), unix_now());
        let due = self.session.next_deadline();
        let mut wait = due.map_or(STOP_CHECK, |at| {
            if at > mono { at - mono } else { Duration::ZERO }
        });
        if due.is_some_and(|at| at <= mono) {
            self.session.handle_time(mono, wall);
            self.collect();
            wait = Duration::ZERO;
        }
        let mut report = self.reports.recv_timeout(wait.min(STOP_CHECK));
        for _ in 0..REPORTS_AT_ONCE {
            let Some(some) = report.take() else { break };
            self.take(some);
            report = self.reports.recv_timeout(Duration::ZERO);
        }
        if let Some(some) = report {
            self.take(some);
        }
        while let Some(request) = self.reseed.take() {
            let command = SessionCommand::Reseed(request);
            self.session.handle_command(command, mono_now(), unix_now());
            self.collect();
        }
        self.show_books(mono);
        self.carry_out();
        self.show(mono);
        if self
            .run
            .stop
            .flag()
            .load(std::sync::atomic::Ordering::Relaxed)
        {
            self.session
                .handle_command(SessionCommand::Stop, mono_now(), unix_now());
            self.carry_out();
            return Err(Ended);
        }
        self.give_on()
    }

    /// Tells the session what the shell reports, and writes it down before.
    fn take(&mut self, report: Report) {
        let (now, unix) = (mono_now(), unix_now());
        if let Some(Recording { scribe, .. }) = &mut self.recording {
            write_down(scribe, &report, unix);
        }
        let session = &mut self.session;
        match report {
            Report::Connected { line } => session.handle_connected(line, now, unix),
            Report::Closed { line, code, reason } => {
                session.handle_closed(line, (code, reason.as_str()), now, unix);
            }
            Report::Failed { line, failure } => {
                session.handle_failed(line, &of_shell(failure), now, unix);
            }
            Report::Message {
                line,
                frame,
                mono,
                wall,
            } => message(session, line, frame, (mono, wall)),
            Report::Overflow { line, messages, .. } => {
                session.handle_overflow(line, messages, now, unix);
            }
            Report::Http {
                id,
                status,
                headers,
                mut body,
                mono,
                wall,
            } => {
                let answer = HttpAnswer {
                    status,
                    headers: &headers,
                    body: &mut body,
                };
                session.handle_http(id, answer, mono, wall);
            }
            Report::HttpFailed { id, failure } => {
                session.handle_http_failed(id, &of_shell(failure), now, unix);
            }
        }
        self.collect();
    }

    /// Takes what the session has for the pipeline.
    fn collect(&mut self) {
        while let Some(id) = self.session.poll_served() {
            if let Some(Recording { scribe, .. }) = &mut self.recording
                && let Some(defined) = self.session.defined(id)
            {
                scribe.served(id, defined, unix_now());
            }
            self.reseed.serve(id);
        }
        while let Some(events) = self.session.poll_event() {
            if let Some(Recording { scribe, .. }) = &mut self.recording {
                scribe.events(&events, unix_now());
            }
            self.outgoing.push_back(events);
        }
        if let Some(Recording { scribe, .. }) = &mut self.recording {
            scribe.release();
        }
    }

    /// A new file of the recording needs all books once more.
    fn show_books(&mut self, now: Mono) {
        let Some(recording) = &mut self.recording else {
            return;
        };
        if recording.needs_books(now) {
            let command = SessionCommand::ShowBooks;
            self.session.handle_command(command, now, unix_now());
            self.collect();
        }
    }

    /// What the session wants of the shell.
    fn carry_out(&mut self) {
        while let Some(transmit) = self.session.poll_transmit() {
            if let Some(Recording { scribe, .. }) = &mut self.recording {
                scribe.transmit(&transmit, unix_now());
            }
            self.commands.send(match transmit {
                Transmit::Connect { line, url } => Command::Connect { line, url },
                Transmit::Send { line, text } => Command::Send { line, text },
                Transmit::Ping { line } => Command::Ping {
                    line,
                    payload: Vec::new(),
                },
                Transmit::Close { line } => Command::Close { line },
                Transmit::Http { id, url, timeout } => Command::Http {
                    id,
                    url,
                    headers: Vec::new(),
                    timeout,
                },
            });
        }
    }

    /// Gives events to the pipeline, and waits for room.
    fn give_on(&mut self) -> Result<(), Ended> {
        self.collect();
        while let Some(SessionEvents { line, events, .. }) = self.outgoing.pop_front() {
            if self.line.line().number != line {
                self.line = self.run.events.of_line(line);
            }
            send(&self.line, Events::from_vec(events), self.run.stop.flag())?;
        }
        Ok(())
    }

    /// Shows how the session is, a few times a second.
    fn show(&mut self, now: Mono) {
        if now < self.reported.after(SHOW_EVERY) {
            return;
        }
        self.reported = now;
        let report = self.session.report();
        let down = report.down();
        if self.down != Some(down.clone()) {
            self.run.set(match &down {
                Some(why) => State::Down(why.clone()),
                None => State::Up,
            });
            self.down = Some(down);
        }
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

/// Keeps what the session has learnt of its venue.
fn keep(session: &mut Session, venues: &KeptVenues, source: &LiveSource) {
    if let Some(listing) = session.poll_listing() {
        venues.note_listing(&source.venue, &source.address(), listing, mono_now());
    }
    if let Some(top) = session.poll_top() {
        venues.note_top(&source.venue, &source.address(), top, mono_now());
    }
    if let Some(until) = session.poll_ban() {
        venues.note_ban(&source.venue, &source.address(), until, mono_now());
    }
}

fn message(session: &mut Session, line: u32, frame: Frame, (mono, wall): (Mono, UnixNanos)) {
    let mut bytes;
    let frame = match frame {
        Frame::Text(text) => {
            bytes = text;
            SessionFrame::Text(&mut bytes)
        }
        Frame::Binary(binary) => {
            bytes = binary;
            SessionFrame::Binary(&mut bytes)
        }
        Frame::Ping(_) => SessionFrame::Ping,
        Frame::Pong(_) => SessionFrame::Pong,
    };
    session.handle_message(line, frame, mono, wall);
}

fn of_shell(failure: Failure) -> SessionFailure {
    let (status, retry_after) = match failure.kind {
        FailureKind::Http {
            status,
            retry_after,
        } => (Some(status), retry_after),
        _ => (None, None),
    };
    SessionFailure {
        text: failure.text,
        status,
        retry_after,
    }
}
