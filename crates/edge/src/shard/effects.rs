//! Effects: the one place where the shard writes to sockets that are, or were, full or have control frames,
//! and where connections are closed.
//!
//! Rules, answers and timers change the state of a connection, and make it dirty. They never write, and they
//! do not call each other because of what a write brought. [`Shard::apply_effects`] takes the dirty connections,
//! writes what is queued for them, and applies what comes of it: topics that may resync, a queue that is too
//! long, a goodbye that is complete, a socket that is gone. Each of these may make the connection dirty
//! again; the budgets of the rules limit how often. Every entry point of the shard ends with it, so no
//! connection stays dirty.
//!
//! Data for sockets that have room do not pass here: see [`deliver`](super::deliver).

use super::index::ConnId;
use super::outbox::Outbox;
use super::socket::Socket;
use super::{Conn, Count, Shard};
use std::io::{ErrorKind, IoSlice};
use tapecast_model::Mono;
use tapecast_wire::CloseReason;

/// The socket is of no more use.
struct Gone;

impl<S: Socket> Shard<S> {
    /// A connection has something to write, or something to do that a write may bring about.
    pub(super) fn set_dirty(&mut self, id: ConnId) {
        if let Some(Some(conn)) = self.conns.get_mut(id as usize)
            && !std::mem::replace(&mut conn.dirty, true)
        {
            self.dirty.push_back(id);
        }
    }

    /// Does what dirty connections need, until none is dirty.
    pub(super) fn apply_effects(&mut self, now: Mono) {
        while let Some(id) = self.dirty.pop_front() {
            let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
                continue;
            };
            conn.dirty = false;
            if conn.session.ended.is_some() {
                conn.socket.shutdown_write();
                continue;
            }
            match conn.write(&mut self.count, now) {
                Err(Gone) => self.end(id, CloseReason::Gone),
                Ok(()) => {
                    self.note_congestion(id);
                    self.check_outbox(id, now);
                    self.finish_close(id);
                    self.resync_due(id, now);
                }
            }
        }
    }

    /// After the goodbye is written: nothing more will be. The peer reads it to the end, then answers.
    fn finish_close(&mut self, id: ConnId) {
        let Some(conn) = self.conn_mut(id).filter(|conn| conn.outbox.is_none()) else {
            return;
        };
        let Some(closing) = conn.session.closing.as_mut() else {
            return;
        };
        if !std::mem::replace(&mut closing.shut, true) {
            let (reason, peer_done) = (closing.reason, closing.peer_done);
            conn.socket.shutdown_write();
            if peer_done {
                self.end(id, reason);
            }
        }
    }
}

impl<S: Socket> Conn<S> {
    /// Writes what is queued, as far as the socket takes it, and notes topics that may resync.
    fn write(&mut self, count: &mut Count, now: Mono) -> Result<(), Gone> {
        let Self {
            socket,
            outbox,
            session,
            blocked,
            ..
        } = self;
        if !*blocked && socket.pending() > 0 {
            let queue = outbox.get_or_insert_with(|| Box::new(Outbox::new(now)));
            let before = socket.pending();
            let flushed = loop {
                match socket.flush() {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    flushed => break flushed,
                }
            };
            if socket.pending() < before {
                queue.progress = now;
                session.last_heard = now;
            }
            match flushed {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => *blocked = true,
                Err(_) => return Err(Gone),
            }
        }
        while !*blocked && let Some(queue) = outbox.as_mut() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            if !queue.has_bytes() {
                session.note_due(queue.take_due());
            }
            if queue.is_empty() {
                *outbox = None;
                break;
            }
            let filled = queue.slices(&mut slices);
            if filled == 0 {
                break;
            }
            count.writes += 1;
            match socket.try_write_vectored(&slices[..filled]) {
                Ok(0) => return Err(Gone),
                Ok(written) => {
                    count.bytes += written as u64;
                    queue.progress = now;
                    // A socket that was full and takes bytes has somebody who reads at its other end.
                    if std::mem::take(&mut queue.was_full) {
                        session.last_heard = now;
                    }
                    queue.advance(written, |slot, frames, _| {
                        count.delivered += u64::from(frames);
                        if let Some(sub) = session.find(slot) {
                            let queued = &mut session.subs[sub].queued;
                            *queued = queued.saturating_sub(frames);
                        }
                    });
                    session.note_due(queue.take_due());
                    if socket.pending() > 0 {
                        *blocked = true;
                    } else if queue.is_empty() {
                        *outbox = None;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    *blocked = true;
                    queue.was_full = true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

/// Slices of one vectored write: beyond, the call's fixed cost is spread thin enough.
const SLICES: usize = 64;
