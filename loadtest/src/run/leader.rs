//! Leading a run: the phases, the edges of the window, a line a second.
//!
//! Sleeps almost always; on the harness's only core every wake-up is taken from the readers. A server that
//! ends by itself, or a client that cannot take part, ends the run within a tick.

use super::RunError;
use crate::fleet::{Control, Meter, Phase};
use crate::process::{Memory, Watched};
use crate::result::Second;
use crate::scenario::Scenario;
use crate::server::Server;
use std::io::Write;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(10);
/// Between the last acknowledgement and the first event: what a connection still costs is over then.
const SETTLE: Duration = Duration::from_millis(700);
const DRAIN_QUIET: Duration = Duration::from_millis(500);
const DRAIN_MAX: Duration = Duration::from_secs(10);
const CONNECT_MAX: Duration = Duration::from_secs(60);

/// What the leader saw.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) connect: Duration,
    pub(super) memory_before: Memory,
    pub(super) memory_idle: Memory,
    pub(super) memory_end: Memory,
    pub(super) window: Duration,
    pub(super) server_cpu: Duration,
    pub(super) published: u64,
    pub(super) seconds: Vec<Second>,
}

/// Leads a run.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    scenario: &'a Scenario,
    control: &'a Control,
    server: Option<&'a mut Server>,
    watched: Option<&'a Watched>,
}

// === impl Leader ===

impl<'a> Leader<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        control: &'a Control,
        server: Option<&'a mut Server>,
        watched: Option<&'a Watched>,
    ) -> Self {
        Self {
            scenario,
            control,
            server,
            watched,
        }
    }

    /// From the first connection to the last event; [`Course`] is what was seen.
    pub(super) fn lead(
        &mut self,
        course: &mut Course,
        progress: &mut dyn Write,
    ) -> Result<(), RunError> {
        let scenario = self.scenario;
        course.memory_before = self.memory();
        let begun = Instant::now();
        self.wait_for_clients(begun)?;
        course.connect = begun.elapsed();
        self.wait(SETTLE)?;
        course.memory_idle = self.memory();

        self.control.enter(Phase::WarmUp);
        let began = Instant::now();
        let mut last = Sample::take(self, began);
        self.report(
            Duration::from_secs_f64(scenario.warm_up_s),
            &mut last,
            course,
            progress,
        )?;
        let published = self.control.sum(|m| &m.published);
        let cpu = self.cpu();
        let window = Instant::now();
        self.control.enter(Phase::Measuring);
        self.report(
            Duration::from_secs_f64(scenario.duration_s),
            &mut last,
            course,
            progress,
        )?;
        self.control.enter(Phase::Draining);
        course.window = window.elapsed();
        course.server_cpu = self.cpu().saturating_sub(cpu);
        course.published = self.control.sum(|m| &m.published) - published;
        course.memory_end = self.memory();
        self.drain()
    }

    fn wait_for_clients(&mut self, begun: Instant) -> Result<(), RunError> {
        let Scenario {
            clients,
            connect_rate,
            ..
        } = self.scenario;
        let planned = if *connect_rate > 0.0 {
            *clients as f64 / connect_rate
        } else {
            0.0
        };
        let limit = CONNECT_MAX + Duration::from_secs_f64(planned);
        while self.control.live() < *clients {
            self.wait(TICK)?;
            if begun.elapsed() > limit {
                let live = self.control.live();
                return Err(RunError::Connect {
                    live,
                    clients: *clients,
                    seconds: limit.as_secs_f64(),
                });
            }
        }
        Ok(())
    }

    /// Waits, unless the run is over.
    fn wait(&mut self, time: Duration) -> Result<(), RunError> {
        let until = Instant::now() + time;
        loop {
            if let Some(failure) = self.control.failure() {
                return Err(RunError::Fleet(failure));
            }
            if let Some(server) = &mut self.server {
                server.check()?;
            }
            match until.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(TICK)),
                _ => return Ok(()),
            }
        }
    }

    /// Waits for `time`, with a line for each second of it.
    fn report(
        &mut self,
        time: Duration,
        last: &mut Sample,
        course: &mut Course,
        progress: &mut dyn Write,
    ) -> Result<(), RunError> {
        let until = Instant::now() + time;
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            self.wait(rest.min(Duration::from_secs(1)))?;
            if rest.is_zero() {
                return Ok(());
            }
            let sample = Sample::take(self, last.began);
            let measured = self.control.phase() == Phase::Measuring;
            let second = sample.since(last, measured);
            *last = sample;
            course.seconds.push(second);
            // A closed stderr must not end a run.
            let _ = writeln!(
                progress,
                "{:5.1} s {} published {}, delivered {:.0}, {:.1} MB, server {:.0} % of a \
                 processor, {} MiB, lost {}, clients {}",
                second.at,
                if measured { "measured:" } else { "warm-up: " },
                second.published,
                second.deliveries,
                second.bytes as f64 / 1e6,
                second.server_cpu_share * 100.0,
                second.server_rss_kib / 1024,
                self.control.sum(|m| &m.losses),
                self.control.live(),
            );
        }
    }

    /// Waits until nothing more arrives.
    fn drain(&mut self) -> Result<(), RunError> {
        let began = Instant::now();
        let (mut events, mut moved) = (0, began);
        while moved.elapsed() < DRAIN_QUIET && began.elapsed() < DRAIN_MAX {
            let now = self.control.sum(|m| &m.parsed_events);
            if now != events {
                (events, moved) = (now, Instant::now());
            }
            self.wait(TICK)?;
        }
        Ok(())
    }

    fn cpu(&self) -> Duration {
        self.watched.map(Watched::cpu).unwrap_or_default()
    }

    fn memory(&self) -> Memory {
        self.watched.map(Watched::memory).unwrap_or_default()
    }
}

/// What is shown of a moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    began: Instant,
    at: Duration,
    published: u64,
    bytes: u64,
    parsed_bytes: u64,
    parsed_events: u64,
    cpu: Duration,
    rss_kib: u64,
}

impl Sample {
    fn take(leader: &Leader<'_>, began: Instant) -> Self {
        let sum = |figure: fn(&Meter) -> &AtomicU64| leader.control.sum(figure);
        Self {
            began,
            at: began.elapsed(),
            published: sum(|m| &m.published),
            bytes: sum(|m| &m.bytes),
            parsed_bytes: sum(|m| &m.parsed_bytes),
            parsed_events: sum(|m| &m.parsed_events),
            cpu: leader.cpu(),
            rss_kib: leader.memory().rss_kib,
        }
    }

    fn since(&self, last: &Self, measured: bool) -> Second {
        let seconds = (self.at - last.at).as_secs_f64().max(1e-9);
        let bytes = self.bytes - last.bytes;
        let parsed_bytes = self.parsed_bytes - last.parsed_bytes;
        let parsed_events = self.parsed_events - last.parsed_events;
        let deliveries = match parsed_bytes {
            0 => 0.0,
            parsed_bytes => parsed_events as f64 * bytes as f64 / parsed_bytes as f64,
        };
        Second {
            at: self.at.as_secs_f64(),
            measured,
            published: self.published - last.published,
            deliveries,
            bytes,
            server_cpu_share: self.cpu.saturating_sub(last.cpu).as_secs_f64() / seconds,
            server_rss_kib: self.rss_kib,
        }
    }
}
