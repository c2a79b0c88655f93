//! The loop of one thread: all its clients and, in the first thread, the publisher.
//!
//! Level-triggered `epoll`, one read per ready socket and turn, so that no client starves another. The
//! publisher's schedule is a timer in the same set: its times are kept to microseconds while
//! nothing spins. Phases are set from outside through [`Control`]; a thread takes up a phase within
//! a turn, and what it counts of the measured window lies between two such moments.
//!
//! # What can go wrong
//! A client that cannot subscribe, a server that breaks the protocol, or a push source that is gone
//! stops the whole run: the first error is kept in [`Control`] and every thread ends. A connection
//! that the server closes later is counted by close code.

use crate::publisher::{PublishError, Published, Publisher};
use crate::subscriber::{Desk, Role, Stage, Subscriber, SubscriberError};
use crate::tally::{Tally, Traffic};
use crate::{machine, socket};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tapecast_model::{Mono, clock};

const PUBLISHER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// Ready sockets taken in one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Connections under way at once.
const CONNECTING_MAX: usize = 256;
/// Every client says that it is alive once in this time; servers allow three times as much.
const ALIVE_EVERY: Duration = Duration::from_secs(8);

/// What a run is doing.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Phase {
    /// Clients connect and subscribe.
    Connecting,
    /// The load runs and is not measured.
    WarmUp,
    /// The load runs and is measured.
    Measuring,
    /// Nothing more is published; what is on its way arrives.
    Draining,
    /// Over.
    Done,
}

/// What threads and whoever leads them share. All of it is advisory: counts may be read a moment late,
/// and nothing else is guarded by them, so every access is relaxed.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    live: AtomicUsize,
    failure: Mutex<Option<String>>,
    /// One meter per thread.
    pub meters: Vec<Meter>,
}

/// What a thread shows while it runs.
#[derive(Debug, Default)]
pub struct Meter {
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Bytes received by parsed clients.
    pub parsed_bytes: AtomicU64,
    /// Events in them.
    pub parsed_events: AtomicU64,
    /// Losses of every kind.
    pub losses: AtomicU64,
    /// Events published.
    pub published: AtomicU64,
    /// Events that every parsed client has (one topic), or the newest that any has (several).
    seen: AtomicU64,
}

/// One client to be.
#[derive(Clone, Debug)]
pub struct ClientPlan {
    /// Its number in the whole run.
    pub index: usize,
    /// What it does once it is subscribed.
    pub role: Role,
    /// The topics it wants.
    pub topics: Vec<u32>,
}

/// The clients of one thread and how they get there.
#[derive(Debug)]
pub struct FleetPlan {
    /// Which meter is this thread's.
    pub thread: usize,
    /// The server.
    pub target: SocketAddr,
    /// The clients.
    pub clients: Vec<ClientPlan>,
    /// Connections begun a second; zero for as many as are taken.
    pub connect_rate: f64,
    /// There is one topic, so that all clients see the same events.
    pub one_topic: bool,
}

/// Why a loop ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A client cannot take part.
    #[error("client {index}: {source}")]
    Client {
        /// Its number.
        index: usize,
        /// Why.
        #[source]
        source: SubscriberError,
    },
    /// Nothing can be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The loop itself failed.
    #[error("the harness's own loop failed: {0}")]
    Loop(#[from] io::Error),
}

/// The loop of one thread.
#[derive(Debug)]
pub struct Fleet<'a> {
    plan: FleetPlan,
    control: &'a Control,
    desk: Desk,
    publisher: Option<Publisher>,
    epoll: OwnedFd,
    timer: OwnedFd,
    clients: Vec<Subscriber>,
    parsed: Vec<usize>,
    phase: Phase,
    begun: Mono,
    connecting: usize,
    alive_next: usize,
    turn_began: Mono,
    window_began: Traffic,
    cpu_began: Duration,
    armed: Option<Mono>,
}

// === impl Phase, Control ===

impl Phase {
    const ALL: [Self; 5] = [
        Self::Connecting,
        Self::WarmUp,
        Self::Measuring,
        Self::Draining,
        Self::Done,
    ];
}

impl Control {
    /// For so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Connecting as u8),
            live: AtomicUsize::new(0),
            failure: Mutex::new(None),
            meters: (0..threads).map(|_| Meter::default()).collect(),
        }
    }

    /// What the run is doing.
    pub fn phase(&self) -> Phase {
        let phase = self.phase.load(Ordering::Relaxed);
        Phase::ALL
            .get(usize::from(phase))
            .copied()
            .unwrap_or(Phase::Done)
    }

    /// Moves the run on. There is no way back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// Clients that are subscribed.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Ends the run with an error; the first one is kept.
    pub fn fail(&self, error: &FleetError) {
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert_with(|| error.to_string());
        }
        self.enter(Phase::Done);
    }

    /// What ended the run before its time.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().ok().and_then(|f| f.clone())
    }

    /// The sum of one figure over all threads.
    pub fn sum(&self, figure: fn(&Meter) -> &AtomicU64) -> u64 {
        self.meters
            .iter()
            .map(|m| figure(m).load(Ordering::Relaxed))
            .sum()
    }

    fn seen(&self, one_topic: bool) -> u64 {
        let seen = self.meters.iter().map(|m| m.seen.load(Ordering::Relaxed));
        let all = if one_topic { seen.min() } else { seen.max() };
        all.unwrap_or(0)
    }
}

// === impl Fleet ===

impl<'a> Fleet<'a> {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// If the kernel gives no `epoll` or timer.
    pub fn new(
        plan: FleetPlan,
        control: &'a Control,
        desk: Desk,
        publisher: Option<Publisher>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        if let Some(publisher) = &publisher {
            let data = EventData::new_u64(PUBLISHER);
            epoll::add(&epoll, publisher.stream(), data, EventFlags::IN)?;
        }
        let now = clock::mono_now();
        Ok(Self {
            clients: Vec::with_capacity(plan.clients.len()),
            plan,
            control,
            desk,
            publisher,
            epoll,
            timer,
            parsed: Vec::new(),
            phase: Phase::Connecting,
            begun: now,
            connecting: 0,
            alive_next: 0,
            turn_began: now,
            window_began: Traffic::default(),
            cpu_began: Duration::ZERO,
            armed: None,
        })
    }

    /// Runs until the run is over. An error also ends all other threads.
    ///
    /// # Errors
    /// [`FleetError`] says what ended it before its time.
    pub fn run(mut self) -> Result<(Tally, Option<Published>), FleetError> {
        match self.turns() {
            Ok(()) => {
                self.settle();
                Ok((self.desk.tally, self.publisher.map(|p| p.outcome())))
            }
            Err(error) => {
                self.control.fail(&error);
                Err(error)
            }
        }
    }

    fn turns(&mut self) -> Result<(), FleetError> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_PER_TURN);
        let pause = Timespec {
            tv_sec: 0,
            tv_nsec: 1_000_000,
        };
        while self.phase != Phase::Done {
            let now = clock::mono_now();
            self.begin_turn(now);
            self.connect_due(now)?;
            self.keep_alive(now);
            self.publish(now)?;
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pause)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            for event in &events {
                // Copied out: the kernel's record is packed.
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    TIMER => {}
                    PUBLISHER => self.publisher_ready()?,
                    client => self.client_ready(client, flags)?,
                }
            }
            self.show();
        }
        Ok(())
    }

    /// Notes how long the last turn took and takes up a new phase.
    fn begin_turn(&mut self, now: Mono) {
        let turn = now - std::mem::replace(&mut self.turn_began, now);
        let tally = &mut self.desk.tally;
        if self.phase == Phase::Measuring {
            tally.turn_max = tally.turn_max.max(turn);
        }
        let phase = self.control.phase();
        if phase == self.phase {
            return;
        }
        if let (Some(publisher), Phase::Connecting) = (&mut self.publisher, self.phase) {
            publisher.begin(now);
        }
        if phase == Phase::Measuring {
            self.window_began = tally.total;
            self.cpu_began = machine::thread_cpu();
            if let Some(publisher) = &mut self.publisher {
                publisher.begin_measuring();
            }
        }
        if self.phase == Phase::Measuring {
            tally.window = tally.total.since(&self.window_began);
            tally.cpu = machine::thread_cpu().saturating_sub(self.cpu_began);
        }
        self.desk.measuring = phase == Phase::Measuring;
        self.phase = phase;
    }

    /// Begins the connections that are due.
    fn connect_due(&mut self, now: Mono) -> Result<(), FleetError> {
        while self.clients.len() < self.plan.clients.len() && self.connecting < CONNECTING_MAX {
            let rate = self.plan.connect_rate;
            let elapsed = (now - self.begun).as_secs_f64();
            if rate > 0.0 && self.clients.len() as f64 > elapsed * rate {
                break;
            }
            let at = self.clients.len();
            let plan = &self.plan.clients[at];
            let index = plan.index;
            let failed = |source: io::Error| FleetError::Client {
                index,
                source: source.into(),
            };
            let socket = socket::connect(self.plan.target, index).map_err(failed)?;
            let data = EventData::new_u64(at as u64);
            epoll::add(&self.epoll, &socket, data, EventFlags::OUT)
                .map_err(|e| failed(e.into()))?;
            if plan.role == Role::Parsed {
                self.parsed.push(at);
            }
            self.clients
                .push(Subscriber::new(socket, plan.role, &plan.topics));
            self.connecting += 1;
        }
        Ok(())
    }

    /// Spread over the interval, so that no turn writes to all.
    fn keep_alive(&mut self, now: Mono) {
        let count = self.clients.len();
        let round = (now - self.begun).as_secs_f64() / ALIVE_EVERY.as_secs_f64();
        while count > 0 && (self.alive_next as f64) < round * count as f64 {
            let client = &self.clients[self.alive_next % count];
            if client.stage() == Stage::Live {
                client.keep_alive();
            }
            self.alive_next += 1;
        }
    }

    fn publish(&mut self, now: Mono) -> Result<(), FleetError> {
        let Some(publisher) = &mut self.publisher else {
            return Ok(());
        };
        if !matches!(self.phase, Phase::WarmUp | Phase::Measuring) {
            return Ok(());
        }
        let blocked = publisher.is_blocked();
        publisher.publish(now, self.control.seen(self.plan.one_topic))?;
        if publisher.is_blocked() != blocked {
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, !blocked);
            let data = EventData::new_u64(PUBLISHER);
            epoll::modify(&self.epoll, publisher.stream(), data, flags).map_err(io::Error::from)?;
        }
        let wake = publisher.wake_at();
        if wake != self.armed
            && let Some(at) = wake
        {
            self.armed = wake;
            arm(&self.timer, at - now)?;
        }
        Ok(())
    }

    fn publisher_ready(&mut self) -> Result<(), FleetError> {
        match &mut self.publisher {
            Some(publisher) => Ok(publisher.read_answers()?),
            None => Ok(()),
        }
    }

    fn client_ready(&mut self, at: u64, flags: EventFlags) -> Result<(), FleetError> {
        let Some(at) = usize::try_from(at)
            .ok()
            .filter(|at| *at < self.clients.len())
        else {
            return Ok(());
        };
        let before = self.clients[at].stage();
        let outcome = self.step(at, before, flags);
        let index = self.plan.clients[at].index;
        if let Err(source) = outcome {
            return Err(FleetError::Client { index, source });
        }
        let after = self.clients[at].stage();
        if before != after {
            self.moved(at, before, after)?;
        }
        Ok(())
    }

    fn step(&mut self, at: usize, stage: Stage, flags: EventFlags) -> Result<(), SubscriberError> {
        let client = &mut self.clients[at];
        match stage {
            Stage::Connecting => client.handle_writable(&self.desk),
            // Only its end is waited for: what comes stays in the kernel.
            Stage::Live if client.role() == Role::Stalled => client.end(1006),
            Stage::Closed(_) => Ok(()),
            Stage::Upgrading | Stage::Subscribing | Stage::Live => {
                match client.handle_readable(&mut self.desk) {
                    // A failed socket is the server's way of saying goodbye, once subscribed.
                    Err(SubscriberError::Socket(_)) if stage == Stage::Live => client.end(1006),
                    Ok(()) if flags.contains(EventFlags::ERR) => client.end(1006),
                    outcome => outcome,
                }
            }
        }
    }

    /// Waits for what matters in the client's new stage.
    fn moved(&mut self, at: usize, before: Stage, after: Stage) -> Result<(), FleetError> {
        let client = &self.clients[at];
        let data = EventData::new_u64(at as u64);
        let modify = |flags| epoll::modify(&self.epoll, client, data, flags);
        if after == Stage::Live {
            self.connecting -= 1;
            self.control.live.fetch_add(1, Ordering::Relaxed);
        }
        let waited = match after {
            Stage::Live if client.role() == Role::Stalled => modify(EventFlags::RDHUP),
            Stage::Closed(code) => {
                *self.desk.tally.closed.entry(code).or_default() += 1;
                if before == Stage::Live {
                    self.control.live.fetch_sub(1, Ordering::Relaxed);
                }
                epoll::delete(&self.epoll, client)
            }
            _ if before == Stage::Connecting => modify(EventFlags::IN),
            _ => Ok(()),
        };
        waited.map_err(|e| FleetError::Loop(e.into()))
    }

    /// Shows the thread's counts to the others.
    fn show(&self) {
        let live = |at: &&usize| self.clients[**at].stage() == Stage::Live;
        let seen = self
            .parsed
            .iter()
            .filter(live)
            .map(|at| self.clients[*at].seen());
        let seen = if self.plan.one_topic {
            seen.min().unwrap_or(u64::MAX)
        } else {
            seen.max().unwrap_or(0)
        };
        let meter = &self.control.meters[self.plan.thread];
        let tally = &self.desk.tally;
        let lost = &tally.integrity;
        let store = |counter: &AtomicU64, value| counter.store(value, Ordering::Relaxed);
        store(&meter.seen, seen);
        store(&meter.bytes, tally.total.bytes);
        store(&meter.parsed_bytes, tally.total.parsed_bytes);
        store(&meter.parsed_events, tally.total.parsed_events);
        store(
            &meter.losses,
            lost.gaps + lost.duplicates + lost.disordered + lost.announced_lost,
        );
        if let Some(publisher) = &self.publisher {
            store(&meter.published, publisher.published());
        }
    }

    /// The run is over: what each client that is still there received.
    fn settle(&mut self) {
        for client in self.clients.iter().filter(|c| c.stage() == Stage::Live) {
            match client.role() {
                Role::Parsed => client.settle(&mut self.desk.tally),
                Role::Counted => {}
                Role::Stalled => continue,
            }
            self.desk.tally.bytes_by_client.push(client.bytes());
        }
    }
}

fn arm(timer: &OwnedFd, wait: Duration) -> io::Result<()> {
    // A timer of zero never fires.
    let wait = wait.max(Duration::from_nanos(1));
    let it_value = Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    };
    let it_interval = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    timerfd_settime(
        timer,
        TimerfdTimerFlags::empty(),
        &Itimerspec {
            it_interval,
            it_value,
        },
    )?;
    Ok(())
}
