//! The loop of one thread: all its clients and, in the first thread, the publisher.
//!
//! Level-triggered `epoll`, one read per ready socket and turn, so that no client starves another. The
//! publisher's schedule is a timer in the same set: its times are kept to microseconds while
//! nothing spins. Phases are set from outside through [`Control`]; a thread takes up a phase within
//! a turn, and what it counts of a measured window lies between two such moments.
//!
//! # What can go wrong
//! A client that cannot subscribe, a server that breaks the protocol, or a push source that is gone
//! stops the whole run: the first error is kept in [`Control`] and every thread ends. A connection
//! that the server closes later is counted by close code.

use crate::machine;
use crate::publisher::{PublishError, Published, Publisher, SplitMix};
use crate::subscriber::{Desk, Role, Stage, Subscriber, SubscriberError};
use crate::tally::{Cost, Tally, Traffic};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tapecast_model::{Mono, clock};

mod arrivals;
mod control;
mod slow_readers;

pub use control::{Control, Meter, Phase};

const PUBLISHER: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;
/// Ready sockets taken in one turn.
const EVENTS_PER_TURN: usize = 1024;
/// Every client says that it is alive once in this time; servers allow three times as much.
const ALIVE_EVERY: Duration = Duration::from_secs(8);

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
#[derive(Clone, Debug)]
pub struct FleetPlan {
    /// Which meter is this thread's.
    pub thread: usize,
    /// The server.
    pub target: SocketAddr,
    /// The clients.
    pub clients: Vec<ClientPlan>,
    /// Connections begun a second; zero for as many as are taken.
    pub connect_rate: f64,
    /// Connections under way at once.
    pub connecting: usize,
    /// Clients that were welcomed make room for new ones, without end.
    pub connect_storm: bool,
    /// Something may have been published before they subscribe.
    pub late: bool,
    /// Clients a second that come and go.
    pub churn_per_s: f64,
    /// Bytes a second that slow clients read.
    pub slow_bytes_per_s: u64,
    /// Receive buffers of stalled and slow clients; zero for the kernel's choice.
    pub slow_receive_bytes: usize,
    /// There are slow clients.
    pub has_slow: bool,
    /// There is one topic, so that all clients see the same events.
    pub one_topic: bool,
    /// Seed of who comes and goes.
    pub seed: u64,
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
    slots: Vec<Slot>,
    parsed: Vec<usize>,
    phase: Phase,
    second: u64,
    begun: Mono,
    begun_count: usize,
    connecting: usize,
    asked: usize,
    churned: u64,
    random: SplitMix,
    alive_next: usize,
    turn_began: Mono,
    phase_began: Mono,
    recovering_since: Mono,
    looked_at: Mono,
    at_window: AtWindow,
    cost: Cost,
    armed: Option<Mono>,
}

/// Where a client sits. Sockets come and go; what the kernel still has to say of an earlier one is
/// known by its generation.
#[derive(Debug)]
struct Slot {
    client: Subscriber,
    generation: u32,
    /// When it reads next, or read last.
    reads_at: Mono,
    /// It was slow, reads on, and is not known to be up to date.
    catching_up: bool,
    /// It has read anything since.
    has_read: bool,
}

/// The state of the counters when a window began.
#[derive(Clone, Copy, Debug, Default)]
struct AtWindow {
    traffic: Traffic,
    cpu: Duration,
    waited: Duration,
}

// === impl Slot ===

impl Slot {
    fn token(&self, at: usize) -> u64 {
        u64::from(self.generation) << 32 | at as u64
    }
}

// === impl FleetPlan ===

impl FleetPlan {
    /// Clients that come as fast as they are taken, and stay.
    pub fn new(target: SocketAddr, clients: Vec<ClientPlan>) -> Self {
        Self {
            thread: 0,
            target,
            clients,
            connect_rate: 0.0,
            connecting: 256,
            connect_storm: false,
            late: false,
            churn_per_s: 0.0,
            slow_bytes_per_s: 0,
            slow_receive_bytes: 0,
            has_slow: false,
            one_topic: true,
            seed: 1,
        }
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
        let is_parsed = |at: &usize| plan.clients[*at].role == Role::Parsed;
        Ok(Self {
            slots: Vec::with_capacity(plan.clients.len()),
            parsed: (0..plan.clients.len()).filter(is_parsed).collect(),
            random: SplitMix::new(plan.seed ^ plan.thread as u64),
            plan,
            control,
            desk,
            publisher,
            epoll,
            timer,
            phase: Phase::Connecting,
            second: 0,
            begun: now,
            begun_count: 0,
            connecting: 0,
            asked: 0,
            churned: 0,
            alive_next: 0,
            turn_began: now,
            phase_began: now,
            recovering_since: now,
            looked_at: now,
            at_window: AtWindow::default(),
            cost: Cost::default(),
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
            self.begin_turn(now)?;
            self.connect_due(now)?;
            self.subscribe_all()?;
            self.churn(now)?;
            self.ration(now)?;
            self.keep_alive(now);
            self.publish(now)?;
            events.clear();
            let slept = clock::mono_now();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&pause)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let woke = clock::mono_now();
            self.cost.busy += slept - now;
            for event in &events {
                // Copied out: the kernel's record is packed.
                let (data, flags) = (event.data, event.flags);
                match data.u64() {
                    TIMER => {}
                    PUBLISHER => self.publisher_ready()?,
                    client => self.client_ready(client, flags, woke)?,
                }
            }
            self.end_catching_up(woke);
            self.show();
            self.cost.busy += clock::mono_now() - woke;
        }
        Ok(())
    }

    /// Notes how long the last turn took and takes up a new second or phase.
    fn begin_turn(&mut self, now: Mono) -> Result<(), FleetError> {
        let turn = now - std::mem::replace(&mut self.turn_began, now);
        self.cost.turn_max = self.cost.turn_max.max(turn);
        let (phase, second) = (self.control.phase(), self.control.second());
        if (phase, second) == (self.phase, self.second) {
            return Ok(());
        }
        if let Some(latency) = self.desk.tally.cut(self.phase.window()) {
            self.control.post(self.second, latency);
        }
        self.second = second;
        if phase == self.phase {
            return Ok(());
        }
        self.end_window(now);
        if let (Some(publisher), Phase::Connecting) = (&mut self.publisher, self.phase) {
            publisher.begin(now);
        }
        if phase == Phase::Measuring {
            if let Some(publisher) = &mut self.publisher {
                publisher.begin_measuring();
            }
            if self.desk.hold && !self.plan.connect_storm {
                self.desk.storm = Some(now);
            }
        }
        if phase == Phase::Recovering {
            self.recovering_since = now;
            let slow = self.slots.iter().filter(|s| s.client.role().is_slow());
            let meter = &self.control.meters[self.plan.thread];
            // Until it has been looked at, nobody is up to date.
            meter
                .catching_up
                .store(slow.count() as u64, Ordering::Relaxed);
        }
        self.at_window = AtWindow {
            traffic: self.desk.tally.total,
            cpu: machine::thread_cpu(),
            waited: machine::thread_waited(),
        };
        self.cost = Cost::default();
        self.desk.measuring = phase.has_load();
        (self.phase, self.phase_began) = (phase, now);
        self.enter_phase(phase, now)
    }

    fn end_window(&mut self, now: Mono) {
        let Some(window) = self.phase.window() else {
            return;
        };
        let AtWindow {
            traffic,
            cpu,
            waited,
        } = self.at_window;
        let window = &mut self.desk.tally.windows[window];
        window.traffic = self.desk.tally.total.since(&traffic);
        window.costs.push(Cost {
            length: now - self.phase_began,
            cpu: machine::thread_cpu().saturating_sub(cpu),
            waited: machine::thread_waited().saturating_sub(waited),
            ..self.cost
        });
    }

    /// Spread over the interval, so that no turn writes to all. Who is stalled says nothing.
    fn keep_alive(&mut self, now: Mono) {
        let count = self.slots.len();
        let round = (now - self.begun).as_secs_f64() / ALIVE_EVERY.as_secs_f64();
        while count > 0 && (self.alive_next as f64) < round * count as f64 {
            let client = &self.slots[self.alive_next % count].client;
            let hangs = client.role() == Role::Stalled && self.phase == Phase::Stalling;
            let speaks = matches!(
                client.stage(),
                Stage::Live | Stage::Welcomed | Stage::Subscribing
            );
            if speaks && !hangs {
                client.keep_alive();
            }
            self.alive_next += 1;
        }
    }

    fn publish(&mut self, now: Mono) -> Result<(), FleetError> {
        let Some(publisher) = &mut self.publisher else {
            return Ok(());
        };
        if !self.phase.has_load() {
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

    fn client_ready(&mut self, token: u64, flags: EventFlags, now: Mono) -> Result<(), FleetError> {
        let at = (token & u64::from(u32::MAX)) as usize;
        let Some(slot) = self.slots.get_mut(at).filter(|s| s.token(at) == token) else {
            return Ok(());
        };
        let before = slot.client.stage();
        let hangs = match slot.client.role() {
            Role::Stalled => self.phase == Phase::Stalling,
            Role::Slow => self.phase < Phase::Recovering,
            _ => false,
        };
        let outcome = match before {
            Stage::Connecting => slot.client.handle_writable(&self.desk),
            // Only its end is waited for: what comes stays in the kernel.
            Stage::Live if hangs => slot.client.end(1006),
            Stage::Closed(_) => Ok(()),
            Stage::Upgrading | Stage::Welcomed | Stage::Subscribing | Stage::Live => {
                match slot.client.handle_readable(&mut self.desk) {
                    // A failed socket is the server's way of saying goodbye, once subscribed.
                    Err(SubscriberError::Socket(_)) if before == Stage::Live => {
                        slot.client.end(1006)
                    }
                    Ok(_) if flags.contains(EventFlags::ERR) => slot.client.end(1006),
                    Ok(read) => {
                        self.note_catching_up(at, read, now);
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
        };
        self.finish_step(at, before, outcome)
    }

    fn finish_step(
        &mut self,
        at: usize,
        before: Stage,
        outcome: Result<(), SubscriberError>,
    ) -> Result<(), FleetError> {
        match outcome {
            Err(source) => self.note_failure(at, before, source),
            Ok(()) => match self.slots[at].client.stage() {
                after if after == before => Ok(()),
                after => self.moved(at, before, after),
            },
        }
    }

    /// Shows the thread's counts to the others.
    fn show(&self) {
        let clients = self.parsed.iter().filter_map(|at| self.slots.get(*at));
        let live = clients.filter(|s| s.client.stage() == Stage::Live);
        let seen = live.map(|s| s.client.seen());
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
        store(&meter.verified_bytes, tally.total.verified_bytes);
        store(&meter.slow_bytes, tally.total.slow_bytes);
        store(&meter.events, tally.total.events);
        store(&meter.slow_events, tally.slow_events);
        store(&meter.welcomed, tally.joins.welcomed);
        store(&meter.losses, lost.unexplained() + lost.announced_lost);
        if let Some(publisher) = &self.publisher {
            store(&meter.published, publisher.published());
        }
    }

    /// The run is over: what each client that is still there received.
    fn settle(&mut self) {
        for slot in &mut self.slots {
            if slot.client.stage() == Stage::Live {
                slot.client.settle(&mut self.desk.tally);
            }
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
