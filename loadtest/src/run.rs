//! A run: server, clients, load, drain, result.
//!
//! This thread only leads (`run/leader.rs`); reading and publishing happen in [`crate::fleet`].
//!
//! Nothing is published before every client is subscribed, and after the window the run waits for what
//! is on its way; so what was published can be held against what each parsed client received.

use crate::fleet::{ClientPlan, Control, Fleet, FleetError, FleetPlan, Phase};
use crate::limit::{self, LimitError, LimitOptions, Method};
use crate::machine::{self, Machine, Placement};
use crate::pace::Pace;
use crate::process::Watched;
use crate::publisher::{PublishError, Published, Publisher, StampClock};
use crate::result::{Heading, RunResult};
use crate::scenario::Scenario;
use crate::server::{Server, ServerError};
use crate::subscriber::{Desk, Speech};
use crate::tally::Tally;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use tapecast_model::clock;

mod conclude;
mod leader;
mod plan;

use conclude::conclude;
use leader::{Course, Leader};
use plan::plan_clients;

/// Which server.
#[derive(Clone, Debug)]
pub enum Target {
    /// One that is started for the run.
    Own {
        /// The program.
        program: PathBuf,
    },
    /// One that runs already.
    Running {
        /// Where clients connect: `ws://host:port/path`.
        url: String,
        /// Where events are pushed.
        push: SocketAddr,
        /// Its process, to measure what it costs.
        pid: Option<u32>,
    },
}

/// What to run, against what, and where.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What.
    pub scenario: Scenario,
    /// Against what.
    pub target: Target,
    /// Where.
    pub placement: Placement,
    /// Measure the ceiling afterwards, for so many seconds.
    pub ceiling_s: Option<f64>,
}

/// Why a run gives no result.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The push source.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A client, or the loop.
    #[error("{0}")]
    Fleet(String),
    /// The system allows too little, or not what was asked.
    #[error("{0}")]
    System(String),
    /// The address is no WebSocket's.
    #[error("{0:?} is no address like ws://127.0.0.1:8080/v1/ws")]
    Url(String),
    /// There is no process of this number.
    #[error("there is no process {0} to measure")]
    Pid(u32),
    /// Not all clients could be subscribed in time.
    #[error("only {live} of {clients} clients were subscribed within {seconds:.0} s")]
    Connect {
        /// How many were.
        live: usize,
        /// How many should be.
        clients: usize,
        /// The limit.
        seconds: f64,
    },
    /// The harness's own loop could not be made.
    #[error("cannot prepare the harness: {0}")]
    Prepare(#[from] io::Error),
    /// The ceiling.
    #[error("cannot measure the ceiling: {0}")]
    Ceiling(#[from] LimitError),
}

/// Where clients connect.
#[derive(Clone, Debug)]
struct Place {
    address: SocketAddr,
    host: String,
    path: String,
    push: SocketAddr,
}

/// The server of a run.
#[derive(Debug)]
struct Served {
    /// Its process, if it was started for the run.
    server: Option<Server>,
    place: Place,
    /// What it costs, if its process is known.
    watched: Option<(u32, Watched)>,
}

/// Runs a scenario; a line a second goes to `progress`.
///
/// # Errors
/// [`RunError`] says what prevented a result.
pub fn run(options: &RunOptions, progress: &mut dyn Write) -> Result<RunResult, RunError> {
    let RunOptions {
        scenario,
        target,
        placement,
        ceiling_s,
    } = options;
    machine::raise_open_files(scenario.clients + scenario.threads * 4).map_err(RunError::System)?;
    let machine = Machine::read();
    let allowed = machine::allowed_cpus();
    let Served {
        mut server,
        place,
        watched,
    } = find_server(target, scenario, placement)?;
    let version = server
        .as_ref()
        .map(|s| s.version.clone())
        .unwrap_or_default();
    let heading = Heading::new(&version, machine, placement.clone());
    machine::pin(&placement.own_cpus).map_err(RunError::System)?;

    let control = Control::new(scenario.threads);
    let stamp_clock = StampClock::new();
    let fleets = make_fleets(scenario, &place, &control, stamp_clock)?;
    let mut course = Course::default();
    let outcome = std::thread::scope(|scope| {
        let threads: Vec<_> = fleets
            .into_iter()
            .map(|f| scope.spawn(move || f.run()))
            .collect();
        let watch = watched.as_ref().map(|(_, watched)| watched);
        let led =
            Leader::new(scenario, &control, server.as_mut(), watch).lead(&mut course, progress);
        control.enter(Phase::Done);
        let ended: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
        led.map(|()| ended)
    });
    // What ended a thread explains whatever its leader saw.
    if let Some(failure) = control.failure() {
        if let Some(server) = &mut server {
            server.check()?;
        }
        return Err(RunError::Fleet(failure));
    }
    let mut tally = Tally::new(scenario.topics);
    let mut published = Published::default();
    for ended in outcome? {
        let (one, by) = ended
            .map_err(|_panic| RunError::Fleet("a thread of the harness panicked".into()))?
            .map_err(|e: FleetError| RunError::Fleet(e.to_string()))?;
        tally.merge(&one);
        published = by.unwrap_or(published);
    }
    tally.settle(&published.by_topic);
    drop(server);
    machine::pin(&allowed).map_err(RunError::System)?;
    let pid = watched.map(|(pid, _)| pid);
    let mut result = conclude(heading, scenario, course, &tally, &published, pid);
    if let Some(seconds) = ceiling_s {
        add_ceiling(&mut result, *seconds)?;
    }
    Ok(result)
}

/// Measures the ceiling with as many connections, frames as large and batches as long.
fn add_ceiling(result: &mut RunResult, seconds: f64) -> Result<(), RunError> {
    let scenario = &result.scenario;
    let batch = if scenario.is_closed_loop() {
        scenario.window.min(limit::BATCH_MAX)
    } else {
        1
    };
    let options = LimitOptions {
        connections: scenario.clients - scenario.stalled_clients(),
        size: result.payload_bytes(),
        batch: usize::try_from(batch).unwrap_or(1),
        seconds,
        method: Method::Send,
        placement: result.heading.placement.clone(),
    };
    let ceiling = limit::run(&options)?;
    let reached = result.server.as_ref().map(|s| s.deliveries_per_cpu_s);
    result.ceiling_ratio = reached.map(|r| r / ceiling.deliveries_per_cpu_s);
    result.ceiling = Some(Box::new(ceiling));
    Ok(())
}

fn find_server(
    target: &Target,
    scenario: &Scenario,
    placement: &Placement,
) -> Result<Served, RunError> {
    match target {
        Target::Own { program } => {
            let shards = match scenario.shards {
                0 if placement.server_cpus.is_empty() => machine::allowed_cpus().len(),
                0 => placement.server_cpus.len(),
                shards => shards,
            };
            let server = Server::start(program, shards, &placement.server_cpus)?;
            let place = Place {
                address: server.public,
                host: server.public.to_string(),
                path: "/v1/ws".into(),
                push: server.push,
            };
            let pid = server.pid();
            let watched = Watched::new(pid).ok_or(RunError::Pid(pid))?;
            Ok(Served {
                server: Some(server),
                place,
                watched: Some((pid, watched)),
            })
        }
        Target::Running { url, push, pid } => {
            let place = parse_url(url, *push)?;
            let watch = |pid| {
                Watched::new(pid)
                    .map(|w| (pid, w))
                    .ok_or(RunError::Pid(pid))
            };
            let watched = pid.map(watch).transpose()?;
            Ok(Served {
                server: None,
                place,
                watched,
            })
        }
    }
}

fn parse_url(url: &str, push: SocketAddr) -> Result<Place, RunError> {
    let bad = || RunError::Url(url.to_owned());
    let rest = url.strip_prefix("ws://").ok_or_else(bad)?;
    let (host, path) = match rest.split_once('/') {
        Some((host, path)) => (host, format!("/{path}")),
        None => (rest, "/v1/ws".to_owned()),
    };
    let with_port = if host
        .rsplit(':')
        .next()
        .is_some_and(|p| p.parse::<u16>().is_ok())
    {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let mut addresses = with_port.to_socket_addrs().or(Err(bad()))?;
    let address = addresses.next().ok_or_else(bad)?;
    Ok(Place {
        address,
        host: host.to_owned(),
        path,
        push,
    })
}

/// Divides the clients among the threads; the first one publishes.
fn make_fleets<'a>(
    scenario: &Scenario,
    place: &Place,
    control: &'a Control,
    clock: StampClock,
) -> Result<Vec<Fleet<'a>>, RunError> {
    let one_topic = scenario.topics == 1;
    let now = clock::mono_now();
    let pace = if scenario.is_closed_loop() {
        Pace::closed(scenario.window, one_topic, now)
    } else {
        Pace::open(scenario.rate, now)
    };
    let seed = scenario.seed;
    let mut publisher = Some(Publisher::connect(
        place.push,
        pace,
        scenario.topics,
        seed,
        clock,
    )?);
    let clients = plan_clients(scenario);
    let mut fleets = Vec::new();
    for thread in 0..scenario.threads {
        let own = |c: &&ClientPlan| c.index % scenario.threads == thread;
        let plan = FleetPlan {
            thread,
            target: place.address,
            clients: clients.iter().filter(own).cloned().collect(),
            connect_rate: scenario.connect_rate / scenario.threads as f64,
            one_topic,
        };
        let (host, path) = (place.host.clone(), place.path.clone());
        let desk = Desk::new(Speech::Tapecast, host, path, clock, scenario.topics);
        fleets.push(Fleet::new(plan, control, desk, publisher.take())?);
    }
    Ok(fleets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_path() {
        let push = "127.0.0.1:7".parse().unwrap();
        let place = parse_url("ws://127.0.0.1:8080/a/b?c", push).unwrap();
        assert_eq!(
            (place.address.port(), place.path.as_str()),
            (8080, "/a/b?c")
        );
        let place = parse_url("ws://127.0.0.1", push).unwrap();
        assert_eq!((place.address.port(), place.path.as_str()), (80, "/v1/ws"));
        for bad in ["http://127.0.0.1/", "ws://", "127.0.0.1:1"] {
            assert!(parse_url(bad, push).is_err(), "{bad}");
        }
    }
}
