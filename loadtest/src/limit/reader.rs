//! The readers of the ceiling: the harness's own loop, in a process of its own.

use super::LimitError;
use crate::fleet::{ClientPlan, Control, Fleet, FleetPlan, Phase};
use crate::machine;
use crate::publisher::StampClock;
use crate::result::LimitReader;
use crate::subscriber::{Desk, Role, Speech};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Connections whose frames are checked.
const PARSED: usize = 100;
const TICK: Duration = Duration::from_millis(20);
const JOIN_WITHIN: Duration = Duration::from_secs(20);

/// Where and how many.
#[derive(Clone, Copy, Debug)]
pub struct ReaderOptions {
    /// The sender.
    pub connect: SocketAddr,
    /// Sockets.
    pub connections: usize,
}

/// Reads until the sender closes.
///
/// # Errors
/// If not all connections could be made, or the sender does not speak WebSocket.
pub fn read(options: &ReaderOptions) -> Result<LimitReader, LimitError> {
    let ReaderOptions {
        connect,
        connections,
    } = *options;
    machine::raise_open_files(connections).map_err(LimitError::System)?;
    let every = (connections / PARSED).max(1);
    let role = |index: usize| {
        if index.is_multiple_of(every) {
            Role::Parsed
        } else {
            Role::Counted
        }
    };
    let clients = (0..connections).map(|index| ClientPlan {
        index,
        role: role(index),
        topics: Vec::new(),
    });
    let plan = FleetPlan::new(connect, clients.collect());
    let control = Control::new(1);
    let host = connect.to_string();
    let desk = Desk::new(Speech::Ceiling, &host, "/", StampClock::new());
    let fleet = Fleet::new(plan, &control, desk, None)?;
    let tally = std::thread::scope(|scope| {
        let reading = scope.spawn(|| fleet.run());
        let began = Instant::now();
        let (mut most, mut joined) = (0, false);
        while control.phase() != Phase::Done {
            std::thread::sleep(TICK);
            let live = control.live();
            most = most.max(live);
            joined |= most == connections;
            if (joined && live == 0) || (!joined && began.elapsed() > JOIN_WITHIN) {
                control.enter(Phase::Done);
            }
        }
        let ended = reading
            .join()
            .map_err(|_panic| LimitError::Reader("the loop panicked".into()))?;
        let (tally, _) = ended.map_err(|e| LimitError::Reader(e.to_string()))?;
        if joined {
            Ok(tally)
        } else {
            Err(LimitError::Reader(format!("only {most} joined")))
        }
    })?;
    Ok(LimitReader {
        parsed_frames: tally.total.frames,
        unreadable: tally.integrity.unreadable,
        skipped: tally.integrity.gaps,
        cpu_s: machine::process_cpu().as_secs_f64(),
    })
}
