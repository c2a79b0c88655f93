//! Leading a run: the phases, the edges of the windows, a line a second.
//!
//! Sleeps almost always; on the harness's only core every wake-up is taken from the readers. A server that
//! ends by itself, or a client that cannot take part, ends the run within a tick.

use super::RunError;
use super::sample::Sample;
use crate::fleet::{Control, Phase};
use crate::metrics::Counters;
use crate::process::{Memory, ThreadTime, Watched};
use crate::result::Second;
use crate::scenario::{Mode, Scenario};
use crate::server::Server;
use crate::tally::{WINDOWS, add_histogram};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(10);
const SECOND: Duration = Duration::from_secs(1);
/// Between the last acknowledgement and the first event: what a connection still costs is over then.
const SETTLE: Duration = Duration::from_millis(700);
const DRAIN_QUIET: Duration = Duration::from_millis(500);
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Who has been slow may have megabytes to read, and its sender may be waiting to try again: for about as
/// long as the stall lasted.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(60);

/// What the leader saw.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) pid: Option<u32>,
    pub(super) connect: Duration,
    pub(super) memory_before: Memory,
    pub(super) memory_idle: Memory,
    pub(super) windows: [Seen; WINDOWS],
    pub(super) counters_before: Option<Counters>,
    pub(super) counters_after: Option<Counters>,
    pub(super) seconds: Vec<Second>,
}

/// What the leader saw of a window.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) length: Duration,
    pub(super) threads: BTreeMap<String, ThreadTime>,
    pub(super) published: u64,
    pub(super) welcomed: u64,
    pub(super) memory_end: Memory,
    pub(super) counters: Option<(Counters, Counters)>,
}

/// Everything a leader looks at.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) control: &'a Control,
    pub(super) server: Option<&'a mut Server>,
    pub(super) watched: Option<&'a Watched>,
    pub(super) admin: Option<SocketAddr>,
}

/// Leads a run.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    scene: Scene<'a>,
    own: Option<Watched>,
    last: Option<Sample>,
    /// Latencies of the second that is not over everywhere.
    latency: BTreeMap<u64, Histogram<u64>>,
}

// === impl Leader ===

impl<'a> Leader<'a> {
    pub(super) fn new(scene: Scene<'a>) -> Self {
        Self {
            scene,
            own: Watched::new(std::process::id()),
            last: None,
            latency: BTreeMap::new(),
        }
    }

    /// From the first connection to the last event; [`Course`] is what was seen.
    pub(super) fn lead(
        &mut self,
        course: &mut Course,
        progress: &mut dyn Write,
    ) -> Result<(), RunError> {
        let scenario = self.scene.scenario;
        course.memory_before = self.memory();
        course.counters_before = self.counters();
        let begun = Instant::now();
        if scenario.mode != Mode::ConnectStorm {
            self.wait_for_clients(begun)?;
            course.connect = begun.elapsed();
            self.wait(SETTLE)?;
        }
        course.memory_idle = self.memory();

        self.scene.control.enter(Phase::WarmUp);
        self.last = Some(self.sample(Instant::now()));
        self.report(scenario.warm_up_s, course, progress)?;
        self.window(Phase::Measuring, scenario.duration_s, course, progress)?;
        if scenario.stall_s > 0.0 {
            self.window(Phase::Stalling, scenario.stall_s, course, progress)?;
        }
        if scenario.stall_s > 0.0 || scenario.slow_clients > 0 {
            self.scene.control.enter(Phase::Recovering);
            self.report(scenario.recover_s, course, progress)?;
        }
        self.scene.control.enter(Phase::Draining);
        self.drain()?;
        self.take_latencies(course);
        course.counters_after = self.counters();
        Ok(())
    }

    /// A measured window. What the server counts is read outside of what it is charged with.
    fn window(
        &mut self,
        phase: Phase,
        seconds: f64,
        course: &mut Course,
        progress: &mut dyn Write,
    ) -> Result<(), RunError> {
        let Some(at) = phase.window() else {
            return Ok(());
        };
        let control = self.scene.control;
        let counters = self.counters();
        let published = control.sum(|m| &m.published);
        let welcomed = control.sum(|m| &m.welcomed);
        let threads = self.threads();
        let began = Instant::now();
        control.enter(phase);
        self.report(seconds, course, progress)?;
        let length = began.elapsed();
        let after = self.threads();
        let grown = |(name, now): (&String, &ThreadTime)| {
            let before = threads.get(name).copied().unwrap_or_default();
            let time = ThreadTime {
                cpu: now.cpu.saturating_sub(before.cpu),
                waited: now.waited.saturating_sub(before.waited),
            };
            (name.clone(), time)
        };
        course.windows[at] = Seen {
            length,
            threads: after.iter().map(grown).collect(),
            published: control.sum(|m| &m.published) - published,
            welcomed: control.sum(|m| &m.welcomed) - welcomed,
            memory_end: self.memory(),
            counters: counters.zip(self.counters()),
        };
        Ok(())
    }

    fn wait_for_clients(&mut self, begun: Instant) -> Result<(), RunError> {
        let Scenario {
            clients,
            connect_rate,
            ..
        } = *self.scene.scenario;
        let planned = if connect_rate > 0.0 {
            clients as f64 / connect_rate
        } else {
            0.0
        };
        let limit = CONNECT_MAX + Duration::from_secs_f64(planned);
        while self.scene.control.live() < clients {
            self.wait(TICK)?;
            if begun.elapsed() > limit {
                let live = self.scene.control.live();
                return Err(RunError::Connect {
                    live,
                    clients,
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
            if let Some(failure) = self.scene.control.failure() {
                return Err(RunError::Fleet(failure));
            }
            if let Some(server) = &mut self.scene.server {
                server.check()?;
            }
            match until.checked_duration_since(Instant::now()) {
                Some(rest) if !rest.is_zero() => std::thread::sleep(rest.min(TICK)),
                _ => return Ok(()),
            }
        }
    }

    /// Waits for so many seconds, with a line for each of them.
    fn report(
        &mut self,
        seconds: f64,
        course: &mut Course,
        progress: &mut dyn Write,
    ) -> Result<(), RunError> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let rest = until.saturating_duration_since(Instant::now());
            self.wait(rest.min(SECOND))?;
            if rest.is_zero() {
                return Ok(());
            }
            let Some(last) = self.last.take() else {
                return Ok(());
            };
            let sample = self.sample(last.began);
            let second = sample.since(&last, self.scene.control.phase());
            self.last = Some(sample);
            self.scene.control.next_second();
            let lost = self.scene.control.sum(|m| &m.losses);
            // A closed stderr must not end a run.
            let _ = writeln!(progress, "{}, lost {lost}", line(&second));
            course.seconds.push(second);
            self.take_latencies(course);
        }
    }

    fn sample(&self, began: Instant) -> Sample {
        let scenario = self.scene.scenario;
        let slow = scenario.slow_clients > 0 || scenario.stall_s > 0.0;
        let watched = self.scene.watched;
        let counters = if slow { self.counters() } else { None };
        Sample {
            began,
            at: began.elapsed(),
            server_cpu: watched.map(Watched::cpu).unwrap_or_default(),
            own_cpu: self.own.as_ref().map(Watched::cpu).unwrap_or_default(),
            rss_kib: watched.map_or(0, |w| w.memory().rss_kib),
            outbox_bytes: counters.as_ref().map(|c| c.get("tapecast_outbox_bytes")),
            parked: counters.map(|c| c.get("tapecast_parked_connections")),
            // Counting them takes as long as there are connections.
            files: watched
                .filter(|_| scenario.churn_per_s > 0.0)
                .and_then(Watched::open_files),
            clients: self.scene.control.live(),
            ..Sample::of_meters(self.scene.control, began)
        }
    }

    /// Puts the latencies that threads have handed over to the seconds they belong to.
    fn take_latencies(&mut self, course: &mut Course) {
        for (second, latency) in self.scene.control.take_posts() {
            let all = self.latency.entry(second);
            add_histogram(all.or_insert_with(crate::tally::histogram), &latency);
        }
        for (second, latency) in &self.latency {
            let at = usize::try_from(*second).unwrap_or(usize::MAX);
            if let Some(second) = course.seconds.get_mut(at) {
                let us = |nanos: u64| Some(nanos as f64 / 1e3);
                second.p50_us = us(latency.value_at_quantile(0.5));
                second.p99_us = us(latency.value_at_quantile(0.99));
                second.max_us = us(latency.max());
            }
        }
        // A thread hands over within a turn; what is two seconds old is complete.
        let done = (course.seconds.len() as u64).saturating_sub(2);
        self.latency.retain(|second, _| *second >= done);
    }

    /// Waits until nothing more arrives and who was slow is up to date.
    fn drain(&mut self) -> Result<(), RunError> {
        let control = self.scene.control;
        let began = Instant::now();
        let (mut events, mut moved) = (0, began);
        loop {
            let catching_up = control.sum(|m| &m.catching_up) > 0;
            let limit = if catching_up { CATCH_UP_MAX } else { DRAIN_MAX };
            let quiet = moved.elapsed() >= DRAIN_QUIET && !catching_up;
            if quiet || began.elapsed() >= limit {
                return Ok(());
            }
            let now = control.sum(|m| &m.events) + control.sum(|m| &m.slow_events);
            if now != events {
                (events, moved) = (now, Instant::now());
            }
            self.wait(TICK)?;
        }
    }

    fn threads(&self) -> BTreeMap<String, ThreadTime> {
        self.scene.watched.map(Watched::threads).unwrap_or_default()
    }

    fn memory(&self) -> Memory {
        self.scene.watched.map(Watched::memory).unwrap_or_default()
    }

    fn counters(&self) -> Option<Counters> {
        self.scene.admin.and_then(Counters::read)
    }
}

fn line(second: &Second) -> String {
    let p99 = match second.p99_us {
        Some(us) => format!(", p99 {us:.0} us"),
        None => String::new(),
    };
    format!(
        "{:5.1} s {:<10} published {}, delivered {:.0}, {:.1} MB{p99}, server {:.0} % of a \
         processor, {} MiB, clients {} (+{})",
        second.at,
        second.phase,
        second.published,
        second.deliveries,
        second.bytes as f64 / 1e6,
        second.server_cpu_share * 100.0,
        second.server_rss_kib / 1024,
        second.clients,
        second.welcomed,
    )
}
