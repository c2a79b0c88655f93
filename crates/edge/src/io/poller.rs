//! A shard's thread: wait for readiness, do the work, sleep.
//!
//! There is one poller per shard, and connections are numbers in it: no task, no registration and no
//! buffer per connection. The loop first checks its ring, and sleeps only if the ring is empty. A part
//! that puts an item into the ring then rings the [`Doorbell`]. With a flush interval, the ring fills for
//! that time, and no part rings.
//!
//! New connections and commands come through a small bounded mailbox, which is read once per round. When
//! it is full, the listener refuses connections before their handshake: see [`ShardHandle::seat`].

use super::connection::Connection;
use crate::shard::inspect::{Answer, Query};
use crate::shard::socket::Socket as _;
use crate::shard::{Arrival, Budget, Shard, TICK};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tapecast_fanout::wake::Doorbell;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{Fault, Mono};
use tapecast_uring::BatchSend;
use tracing::info;

/// What a shard waits on.
#[derive(Debug)]
pub struct Poller {
    poll: Poll,
    doorbell: Arc<Doorbell>,
    io_uring: bool,
    fault: Fault,
}

/// A running shard, seen from outside.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    mailbox: Sender<Command>,
    doorbell: Arc<Doorbell>,
    load: Arc<AtomicUsize>,
    entrance: Arc<Entrance>,
}

/// Room in a shard's mailbox for one connection.
#[derive(Debug)]
pub struct Seat {
    shard: ShardHandle,
    taken: Taken,
}

/// How many connections are on their way to a shard, and whether it takes any.
#[derive(Debug, Default)]
struct Entrance {
    taken: AtomicUsize,
    closed: AtomicBool,
}

/// One of those on their way, until it is dropped.
#[derive(Debug)]
struct Taken(Arc<Entrance>);

/// Commands to a shard.
enum Command {
    Accept(Arrival<Connection>, Taken),
    /// List the connections.
    Inspect(Query, Answer),
    /// Close everything; the thread ends when all is closed or this time is over.
    Drain(Duration),
}

// === impl Poller ===

impl Poller {
    /// A poller, and the doorbell that ends its sleep.
    ///
    /// # Errors
    /// If the system gives no poller.
    pub fn new() -> io::Result<(Self, Arc<Doorbell>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let doorbell = Arc::new(Doorbell::new(move || {
            // Fails only if the poller is gone, and then nobody sleeps.
            let _ = waker.wake();
        }));
        Ok((
            Self {
                poll,
                doorbell: Arc::clone(&doorbell),
                io_uring: false,
                fault: Fault::default(),
            },
            doorbell,
        ))
    }

    /// Whether its shard writes to many sockets with one system call, where the system allows it.
    #[must_use]
    pub fn with_io_uring(mut self, io_uring: bool) -> Self {
        self.io_uring = io_uring;
        self
    }

    /// For tests: what makes its thread panic.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The mailbox of a shard that is about to run.
    pub fn mailbox(&self, shard: &Shard<Connection>) -> (ShardHandle, Mailbox) {
        let (sender, receiver) = bounded(MAILBOX_COMMANDS);
        let doorbell = Arc::clone(&self.doorbell);
        let entrance = Arc::new(Entrance::default());
        (
            ShardHandle {
                mailbox: sender,
                doorbell,
                load: shard.load(),
                entrance: Arc::clone(&entrance),
            },
            Mailbox(receiver, entrance),
        )
    }

    /// Runs a shard on this thread, until it gets the command to drain or all its handles are dropped.
    ///
    /// # Errors
    /// If polling fails.
    pub fn run(mut self, mut shard: Shard<Connection>, mailbox: &Mailbox) -> io::Result<()> {
        if self.io_uring {
            // Made here, for a ring belongs to one thread.
            match BatchSend::new() {
                Ok(batch_send) => {
                    info!(
                        "io_uring is available: one system call writes short frames to many sockets"
                    );
                    shard.use_batch_send(batch_send);
                }
                Err(error) => {
                    info!(%error, "io_uring is not available: each write is a system call of its own")
                }
            }
        }
        let mut events = Events::with_capacity(EVENTS);
        let mut scratch = vec![0; SCRATCH_BYTES];
        let (mut ticked, mut counted, mut deadline) = (Mono::default(), Mono::default(), None);
        let (mut next_turn, mut all_done) = (Mono::default(), true);
        loop {
            self.wait(&shard, mailbox, all_done, next_turn, &mut events)?;
            let (now, wall) = (mono_now(), unix_now());
            let woken = events.iter().filter(|event| event.token() != WAKE);
            for event in woken {
                let conn = event.token().0 as u32;
                // The read tells the error, and ends the connection. What a write would tell comes after
                // much work for a client that is gone.
                if event.is_writable() && !event.is_error() {
                    shard.handle_writable(conn, now);
                }
                if event.is_readable() || event.is_error() {
                    shard.note_readable(conn);
                }
            }
            all_done = !shard.handle_readers(&mut scratch, now, wall);
            for _ in 0..COMMANDS_PER_ROUND {
                match mailbox.0.try_recv() {
                    Ok(Command::Accept(arrival, _taken)) => self.accept(&mut shard, arrival)?,
                    Ok(Command::Inspect(query, answer)) => shard.inspect(query, answer),
                    Ok(Command::Drain(patience)) => {
                        shard.drain(now);
                        deadline = Some(now.after(patience));
                    }
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        deadline = deadline.or(Some(now));
                        break;
                    }
                }
            }
            if now >= next_turn && shard.turn(Budget::default(), mono_now) {
                next_turn = now.after(shard.settings().flush_interval);
            }
            shard.handle_resumed(now, wall);
            all_done &= !shard.has_chores();
            if now - ticked >= TICK {
                ticked = now;
                shard.handle_time(now, wall);
            }
            if now - counted >= COUNT_EVERY {
                counted = now;
                shard.publish_metrics();
            }
            self.fault.look();
            if deadline.is_some_and(|at| now >= at || shard.connections() == 0) {
                shard.publish_metrics();
                return Ok(());
            }
        }
    }

    /// Sleeps until something happens; not at all if there is something to do.
    fn wait(
        &mut self,
        shard: &Shard<Connection>,
        mailbox: &Mailbox,
        all_done: bool,
        next_turn: Mono,
        events: &mut Events,
    ) -> io::Result<()> {
        if !shard.settings().flush_interval.is_zero() && all_done && mailbox.0.is_empty() {
            let left = next_turn - mono_now();
            if !left.is_zero() {
                return self.poll(left.min(TICK), events);
            }
        }
        self.doorbell.prepare_to_sleep();
        let idle = all_done && shard.ring().is_empty() && mailbox.0.is_empty();
        let timeout = match (idle, shard.connections()) {
            (false, _) => Duration::ZERO,
            (true, 0) => IDLE_EVERY,
            (true, _) => TICK,
        };
        let polled = self.poll(timeout, events);
        self.doorbell.awake();
        polled
    }

    fn poll(&mut self, timeout: Duration, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    fn accept(
        &self,
        shard: &mut Shard<Connection>,
        arrival: Arrival<Connection>,
    ) -> io::Result<()> {
        let conn = shard.accept(arrival, mono_now(), unix_now());
        if let Some(socket) = shard.socket_mut(conn) {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered =
                self.poll
                    .registry()
                    .register(socket.stream(), Token(conn as usize), interest);
            if registered.is_err() {
                // Reading will fail too, and end it.
                socket.shutdown_write();
            }
        }
        Ok(())
    }
}

// === impl ShardHandle ===

impl ShardHandle {
    /// Connections it holds.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Reserves room for a connection, if there is any. Call it before the client gets 101.
    pub fn seat(&self) -> Option<Seat> {
        if self.entrance.closed.load(Ordering::Relaxed) {
            return None;
        }
        let seen = Ordering::Relaxed;
        let next = |taken: usize| (taken < SEATS).then_some(taken + 1);
        self.entrance.taken.fetch_update(seen, seen, next).ok()?;
        Some(Seat {
            shard: self.clone(),
            taken: Taken(Arc::clone(&self.entrance)),
        })
    }

    /// Asks it for its connections. `answer` is called on the shard's thread, or dropped if the shard has
    /// no time for it: too many ask, or it has ended.
    pub fn inspect(&self, query: Query, answer: Answer) {
        // If there is no room, the answer is dropped, and who waits for it knows.
        let _ = self.mailbox.try_send(Command::Inspect(query, answer));
        self.doorbell.ring();
    }

    /// Commands it to close everything and to end within `patience`.
    pub fn drain(&self, patience: Duration) {
        // Fails only if the shard has ended already.
        let _ = self.mailbox.send(Command::Drain(patience));
        self.doorbell.ring();
    }
}

impl Seat {
    /// Gives the shard a connection.
    ///
    /// # Errors
    /// If the shard has ended.
    #[expect(
        clippy::result_unit_err,
        reason = "the connection is dropped: there is nothing to say"
    )]
    pub fn give(self, arrival: Arrival<Connection>) -> Result<(), ()> {
        let Self { shard, taken } = self;
        let given = shard.mailbox.try_send(Command::Accept(arrival, taken));
        shard.doorbell.ring();
        given.map_err(drop)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.1.closed.store(true, Ordering::Relaxed);
    }
}

/// Where a shard's commands arrive.
#[derive(Debug)]
pub struct Mailbox(Receiver<Command>, Arc<Entrance>);

const WAKE: Token = Token(usize::MAX);
/// Events taken per poll.
const EVENTS: usize = 1_024;
/// Commands that may wait for a shard: a storm of connections, at 100 ns each.
const MAILBOX_COMMANDS: usize = 4_096;
/// Of these, connections; the others are kept for other commands.
const SEATS: usize = MAILBOX_COMMANDS - 8;
/// Commands taken per round, so that a storm of connections does not hold up the data.
const COMMANDS_PER_ROUND: usize = 64;
/// One buffer to read into for all connections of a shard: four times the default request limit.
const SCRATCH_BYTES: usize = 64 * 1024;
/// A shard without connections looks around this often.
const IDLE_EVERY: Duration = Duration::from_secs(1);
/// Metrics are brought up to date this often.
const COUNT_EVERY: Duration = Duration::from_millis(250);
