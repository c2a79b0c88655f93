//! Clients that do not read as they should: stalled ones and slow ones.
//!
//! A stalled client reads like others until the window of stalls; in it nobody looks at its socket,
//! and it says nothing either. A slow one is given a ration ten times a second. When the windows are
//! over both read as fast as they can. Whether they are up to date can be told when nothing is published
//! any more: their positions are those of the others. That may take a while: a sender whose segments
//! were dropped by a full receive buffer tries again after seconds.

use super::{Fleet, FleetError, Phase};
use crate::subscriber::{Role, Stage};
use rustix::event::epoll::{self, EventData, EventFlags};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tapecast_model::Mono;

/// Between two rations.
const RATION_EVERY: Duration = Duration::from_millis(100);
/// Between two looks at who is up to date.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A read that brings less than this found the socket empty.
const SHORT_READ: usize = 64 << 10;

impl Fleet<'_> {
    /// Takes up a phase in which some clients begin or cease to read.
    pub(super) fn enter_phase(&mut self, phase: Phase, now: Mono) -> Result<(), FleetError> {
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            let role = slot.client.role();
            if !role.is_slow() || slot.client.stage() != Stage::Live {
                continue;
            }
            let flags = match (phase, role) {
                (Phase::Stalling, Role::Stalled) => EventFlags::RDHUP,
                (Phase::Recovering, _) => {
                    (slot.catching_up, slot.has_read, slot.reads_at) = (true, false, now);
                    EventFlags::IN
                }
                _ => continue,
            };
            let data = EventData::new_u64(slot.token(at));
            epoll::modify(&self.epoll, &slot.client, data, flags).map_err(io::Error::from)?;
        }
        Ok(())
    }

    /// Gives slow clients their rations.
    pub(super) fn ration(&mut self, now: Mono) -> Result<(), FleetError> {
        let bytes = self.plan.slow_bytes_per_s as f64 * RATION_EVERY.as_secs_f64();
        if !self.plan.has_slow || self.phase >= Phase::Recovering {
            return Ok(());
        }
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            let is_due = slot.client.role() == Role::Slow && slot.reads_at <= now;
            if !is_due || slot.client.stage() != Stage::Live {
                continue;
            }
            slot.reads_at = slot.reads_at.after(RATION_EVERY).max(now);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a tenth of a rate"
            )]
            let outcome = slot.client.read_at_most(bytes as usize, &mut self.desk);
            self.finish_step(at, Stage::Live, outcome.map(|_| ()))?;
        }
        Ok(())
    }

    /// A client that catches up has read something: its first read, or a full one, which means that
    /// there is more.
    pub(super) fn note_catching_up(&mut self, at: usize, read: usize, now: Mono) {
        let slot = &mut self.slots[at];
        if slot.catching_up && read > 0 && (!slot.has_read || read >= SHORT_READ) {
            (slot.has_read, slot.reads_at) = (true, now);
        }
    }

    /// Ends catching up for those whose positions are those of the others.
    pub(super) fn end_catching_up(&mut self, now: Mono) {
        if self.phase < Phase::Draining || now - self.looked_at < LOOK_EVERY {
            return;
        }
        self.looked_at = now;
        let mut newest: Vec<Option<u64>> = Vec::new();
        let live = |slot: &&mut super::Slot| slot.client.stage() == Stage::Live;
        for slot in self.slots.iter_mut().filter(live) {
            for (topic, last) in slot.client.positions() {
                newest.resize(newest.len().max(topic + 1), None);
                newest[topic] = newest[topic].max(last);
            }
        }
        let mut waiting = 0;
        for slot in self.slots.iter_mut().filter(|s| s.catching_up) {
            let is_live = slot.client.stage() == Stage::Live;
            let mut positions = slot.client.positions();
            // Somebody else's events go on: there is no last position to wait for.
            if is_live && !self.desk.foreign && !positions.all(|(t, last)| newest[t] == last) {
                waiting += 1;
                continue;
            }
            slot.catching_up = false;
            let took = slot.reads_at - self.recovering_since;
            let max = &mut self.desk.tally.caught_up_max;
            *max = (*max).max(took);
        }
        let meter = &self.control.meters[self.plan.thread];
        meter.catching_up.store(waiting, Ordering::Relaxed);
    }
}
