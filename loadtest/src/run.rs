//! A run: server, clients, load, drain, result.
//!
//! This thread only leads (`run/leader.rs`); reading and publishing happen in [`crate::fleet`].
//!
//! Unless the scenario has it otherwise nothing is published before every client is subscribed, and after
//! the windows the run waits for what is on its way; so what was published can be held against what
//! each client ended with.

use crate::fleet::{ClientPlan, Control, Fleet, FleetError, FleetPlan, Phase};
use crate::machine::{self, Machine, Placement};
use crate::pace::Pace;
use crate::process::Watched;
use crate::publisher::{Feed, PublishError, Published, Publisher, StampClock};
use crate::result::{Heading, RunResult};
use crate::scenario::{Mode, PublisherKind, Scenario};
use crate::server::{Launch, Server, ServerError};
use crate::subscriber::{Desk, Role, Speech};
use crate::tally::Tally;
use crate::topics::TopicNames;
use crate::view;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use tapecast_model::clock;

pub mod ceiling;
mod conclude;
mod leader;
mod plan;
mod sample;

use conclude::conclude;
use leader::{Course, Leader, Scene};
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
        /// Where events are pushed, if the harness publishes.
        push: Option<SocketAddr>,
        /// Its admin listener, for what it counts.
        admin: Option<SocketAddr>,
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
    /// What a reader of the result should know.
    pub note: String,
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
    #[error("{0:?} is not an address; write it like ws://127.0.0.1:8080/v1/ws")]
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
    /// There is nowhere to publish.
    #[error(
        "the scenario publishes: name the push source with --push-addr, or use --publisher none"
    )]
    NoPush,
}

/// Where clients connect.
#[derive(Clone, Debug)]
struct Place {
    address: SocketAddr,
    host: String,
    path: String,
    push: Option<SocketAddr>,
}

/// The server of a run.
#[derive(Debug)]
struct Served {
    /// Its process, if it was started for the run.
    server: Option<Server>,
    place: Place,
    admin: Option<SocketAddr>,
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
        note,
    } = options;
    machine::raise_open_files(scenario.clients + scenario.connecting + scenario.threads * 4)
        .map_err(RunError::System)?;
    let machine = Machine::read();
    let allowed = machine::allowed_cpus();
    let Served {
        mut server,
        place,
        admin,
        watched,
    } = find_server(target, scenario, placement)?;
    let version = server
        .as_ref()
        .map(|s| s.version.clone())
        .unwrap_or_default();
    let mut heading = Heading::new(&version, machine, placement.clone());
    heading.note.clone_from(note);
    machine::pin(&placement.own_cpus).map_err(RunError::System)?;

    let control = Control::new(scenario.threads);
    let fleets = make_fleets(scenario, &place, &control, StampClock::new())?;
    let mut course = Course::default();
    let outcome = std::thread::scope(|scope| {
        let threads: Vec<_> = fleets
            .into_iter()
            .map(|f| scope.spawn(move || f.run()))
            .collect();
        let scene = Scene {
            scenario,
            control: &control,
            server: server.as_mut(),
            watched: watched.as_ref().map(|(_, watched)| watched),
            admin,
        };
        let led = Leader::new(scene).lead(&mut course, progress);
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
    let mut tally = Tally::new();
    let mut published = None;
    for ended in outcome? {
        let (one, by) = ended
            .map_err(|_panic| RunError::Fleet("a thread of the harness panicked".into()))?
            .map_err(|e: FleetError| RunError::Fleet(e.to_string()))?;
        tally.merge(&one);
        published = published.or(by);
    }
    if let Some(published) = &published {
        settle(scenario, &mut tally, published);
    }
    drop(server);
    machine::pin(&allowed).map_err(RunError::System)?;
    course.pid = watched.map(|(pid, _)| pid);
    Ok(conclude(
        heading,
        scenario,
        course,
        &tally,
        &published.unwrap_or_default(),
    ))
}

fn settle(scenario: &Scenario, tally: &mut Tally, published: &Published) {
    let Tally {
        endings,
        integrity,
        slow,
        ..
    } = tally;
    view::settle(endings, published, scenario.kind, integrity, slow);
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
            let server = Server::start(&Launch {
                program,
                shards,
                cpus: &placement.server_cpus,
                extra: &scenario.server,
            })?;
            let place = Place {
                address: server.public,
                host: server.public.to_string(),
                path: "/v1/ws".into(),
                push: Some(server.push),
            };
            let pid = server.pid();
            let watched = Watched::new(pid).ok_or(RunError::Pid(pid))?;
            Ok(Served {
                admin: Some(server.admin),
                server: Some(server),
                place,
                watched: Some((pid, watched)),
            })
        }
        Target::Running {
            url,
            push,
            admin,
            pid,
        } => {
            let place = parse_url(url, *push)?;
            let watch = |pid| {
                Watched::new(pid)
                    .map(|w| (pid, w))
                    .ok_or(RunError::Pid(pid))
            };
            Ok(Served {
                server: None,
                place,
                admin: *admin,
                watched: pid.map(watch).transpose()?,
            })
        }
    }
}

fn parse_url(url: &str, push: Option<SocketAddr>) -> Result<Place, RunError> {
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
    let mut publisher = make_publisher(scenario, place, clock)?;
    let clients = plan_clients(scenario);
    let threads = scenario.threads;
    let mut fleets = Vec::new();
    for thread in 0..threads {
        let own = |c: &&ClientPlan| c.index % threads == thread;
        let clients: Vec<ClientPlan> = clients.iter().filter(own).cloned().collect();
        let plan = FleetPlan {
            thread,
            connect_rate: scenario.connect_rate / threads as f64,
            connecting: scenario.connecting.div_ceil(threads),
            connect_storm: scenario.mode == Mode::ConnectStorm,
            late: scenario.mode == Mode::SubscribeStorm
                || scenario.publisher == PublisherKind::None,
            churn_per_s: scenario.churn_per_s / threads as f64,
            slow_bytes_per_s: scenario.slow_bytes_per_s,
            slow_receive_bytes: scenario.slow_receive_bytes,
            has_slow: clients.iter().any(|c| c.role == Role::Slow),
            one_topic: scenario.topics == 1,
            seed: scenario.seed,
            ..FleetPlan::new(place.address, clients)
        };
        let mut desk = Desk::new(Speech::Tapecast, &place.host, &place.path, clock);
        desk.names = TopicNames::new(scenario.topic_pattern());
        desk.kind = scenario.kind;
        desk.foreign = scenario.publisher == PublisherKind::None;
        desk.hold = matches!(scenario.mode, Mode::ConnectStorm | Mode::SubscribeStorm);
        fleets.push(Fleet::new(plan, control, desk, publisher.take())?);
    }
    Ok(fleets)
}

fn make_publisher(
    scenario: &Scenario,
    place: &Place,
    clock: StampClock,
) -> Result<Option<Publisher>, RunError> {
    if !scenario.publishes() {
        return Ok(None);
    }
    let now = clock::mono_now();
    let pace = if scenario.is_closed_loop() {
        Pace::closed(scenario.window, scenario.topics == 1, now)
    } else {
        Pace::open(scenario.rate, now)
    };
    let feed = Feed {
        address: place.push.ok_or(RunError::NoPush)?,
        kind: scenario.kind,
        topics: scenario.topics,
        seed: scenario.seed,
    };
    Ok(Some(Publisher::connect(feed, pace, clock)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_a_path() {
        let push = None;
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
