//! Clients coming and going: the first connections, storms, churn.
//!
//! Connections are begun when they are due, a bounded number at once. In a connect storm a client that was
//! welcomed makes room for the next; a connection that fails is counted by reason and not an
//! error. Under churn clients leave and come back, or give up a topic and subscribe again, in turns,
//! chosen at random by the seed.

use super::{Fleet, FleetError, Phase, Slot};
use crate::socket;
use crate::subscriber::{Role, Stage, Subscriber, SubscriberError};
use crate::ws::WsError;
use rustix::event::epoll::{self, EventData, EventFlags};
use std::io;
use std::time::Duration;
use tapecast_model::Mono;

/// Subscribe requests written in one turn of a storm, so that answers are read in between.
const REQUESTS_PER_TURN: usize = 256;

impl Fleet<'_> {
    /// Begins the connections that are due.
    pub(super) fn connect_due(&mut self, now: Mono) -> Result<(), FleetError> {
        let storm = self.plan.connect_storm;
        loop {
            let done = self.begun_count >= self.plan.clients.len();
            let over = self.phase >= Phase::Draining;
            if self.connecting >= self.plan.connecting || over || (done && !storm) {
                return Ok(());
            }
            let due = self.due_at(self.begun_count);
            if due > now {
                return Ok(());
            }
            let at = self.begun_count % self.plan.clients.len();
            if done && !self.make_room(at) {
                return Ok(());
            }
            let begun = if self.plan.connect_rate > 0.0 {
                due
            } else {
                now
            };
            self.begin_connection(at, begun)?;
            self.begun_count += 1;
        }
    }

    /// When the connection of a number is due.
    fn due_at(&self, number: usize) -> Mono {
        if self.plan.connect_rate > 0.0 {
            let after = number as f64 / self.plan.connect_rate;
            self.begun.after(Duration::from_secs_f64(after))
        } else {
            self.begun
        }
    }

    /// Gives up the client in a slot; not if it is still on its way.
    fn make_room(&mut self, at: usize) -> bool {
        let client = &self.slots[at].client;
        match client.stage() {
            Stage::Connecting | Stage::Upgrading | Stage::Subscribing => return false,
            Stage::Welcomed | Stage::Live => self.control.went(),
            Stage::Closed(_) => {}
        }
        true
    }

    /// Begins the connection of a slot; whoever was there is gone.
    pub(super) fn begin_connection(&mut self, at: usize, begun: Mono) -> Result<(), FleetError> {
        let plan = &self.plan.clients[at];
        let index = plan.index;
        let failed = |source: io::Error| FleetError::Client {
            index,
            source: source.into(),
        };
        self.desk.tally.joins.attempts += 1;
        let buffer = match self.plan.slow_receive_bytes {
            bytes if bytes > 0 && plan.role.is_slow() => Some(bytes),
            _ => None,
        };
        let socket = socket::connect(self.plan.target, index, buffer).map_err(failed)?;
        let mut client = Subscriber::new(socket, plan.role, &plan.topics, begun);
        if self.plan.late || self.phase.has_load() {
            client.joins_late();
        }
        let generation = self.slots.get(at).map_or(0, |s| s.generation + 1);
        let slot = Slot {
            client,
            generation,
            reads_at: begun,
            catching_up: false,
            has_read: false,
        };
        let data = EventData::new_u64(slot.token(at));
        epoll::add(&self.epoll, &slot.client, data, EventFlags::OUT)
            .map_err(|e| failed(e.into()))?;
        match self.slots.get_mut(at) {
            // The old socket closes here, and leaves the set by that.
            Some(old) => *old = slot,
            None => self.slots.push(slot),
        }
        self.connecting += 1;
        Ok(())
    }

    /// A client could not be welcomed or subscribed. In a storm that is counted, else it ends the run.
    pub(super) fn note_failure(
        &mut self,
        at: usize,
        before: Stage,
        source: SubscriberError,
    ) -> Result<(), FleetError> {
        if !self.plan.connect_storm {
            let index = self.plan.clients[at].index;
            return Err(FleetError::Client { index, source });
        }
        let failed = &mut self.desk.tally.joins.failed;
        *failed.entry(reason(&source)).or_default() += 1;
        if matches!(
            before,
            Stage::Connecting | Stage::Upgrading | Stage::Subscribing
        ) {
            self.connecting -= 1;
        } else {
            self.control.went();
        }
        let slot = &mut self.slots[at];
        // Whatever it is called, the connection is of no use any more.
        let _ = slot.client.end(1006);
        epoll::delete(&self.epoll, &slot.client).map_err(io::Error::from)?;
        Ok(())
    }

    /// Tells everybody to subscribe.
    pub(super) fn subscribe_all(&mut self) -> Result<(), FleetError> {
        if self.desk.storm.is_none() || self.asked >= self.slots.len() {
            return Ok(());
        }
        let end = (self.asked + REQUESTS_PER_TURN).min(self.slots.len());
        for at in self.asked..end {
            let client = &mut self.slots[at].client;
            if client.stage() != Stage::Welcomed {
                continue;
            }
            if let Err(source) = client.subscribe(&self.desk) {
                let index = self.plan.clients[at].index;
                return Err(FleetError::Client { index, source });
            }
        }
        self.asked = end;
        Ok(())
    }

    /// Lets clients leave and come back, or give up a topic and ask for it again.
    pub(super) fn churn(&mut self, now: Mono) -> Result<(), FleetError> {
        let rate = self.plan.churn_per_s;
        if rate <= 0.0 || self.phase.window().is_none() || self.slots.is_empty() {
            return Ok(());
        }
        while (now - self.phase_began).as_secs_f64() * rate >= (self.churned + 1) as f64 {
            self.churned += 1;
            let at = self.random.below(self.slots.len());
            let client = &mut self.slots[at].client;
            if client.role().is_slow() || client.stage() != Stage::Live {
                continue;
            }
            let topics = self.plan.clients[at].topics.len();
            if self.churned.is_multiple_of(2) {
                let which = self.random.below(topics.max(1));
                let done = client.unsubscribe(which, &self.desk);
                let index = self.plan.clients[at].index;
                if done.map_err(|source| FleetError::Client { index, source })? {
                    continue;
                }
            }
            self.control.went();
            self.desk.tally.joins.reconnects += 1;
            self.begin_connection(at, now)?;
        }
        Ok(())
    }

    /// Waits for what matters in the client's new stage.
    pub(super) fn moved(
        &mut self,
        at: usize,
        before: Stage,
        after: Stage,
    ) -> Result<(), FleetError> {
        let slot = &self.slots[at];
        let client = &slot.client;
        let data = EventData::new_u64(slot.token(at));
        let modify = |flags| epoll::modify(&self.epoll, client, data, flags);
        // One that waits to be told to subscribe has arrived and will not arrive again.
        let arrived = |stage| match stage {
            Stage::Welcomed => true,
            Stage::Subscribing | Stage::Live => stage == Stage::Live || self.desk.hold,
            _ => false,
        };
        if arrived(after) && !arrived(before) {
            self.connecting -= 1;
            self.control.came();
        }
        let waited = match after {
            Stage::Live if client.role() == Role::Slow && self.phase < Phase::Recovering => {
                modify(EventFlags::RDHUP)
            }
            Stage::Closed(code) => {
                *self.desk.tally.closed.entry(code).or_default() += 1;
                if arrived(before) {
                    self.control.went();
                }
                epoll::delete(&self.epoll, client)
            }
            _ if before == Stage::Connecting => modify(EventFlags::IN),
            _ => Ok(()),
        };
        waited.map_err(|e| FleetError::Loop(e.into()))
    }
}

/// A few words for a failure, the same for all failures of a kind.
fn reason(error: &SubscriberError) -> String {
    match error {
        SubscriberError::Socket(error) => error.kind().to_string(),
        SubscriberError::Ws(WsError::Refused(text)) => {
            let words: Vec<&str> = text.split_whitespace().skip(1).take(2).collect();
            format!("refused with {}", words.join(" "))
        }
        SubscriberError::Ws(_) => "no WebSocket".into(),
        SubscriberError::Refused(_) => "subscription refused".into(),
        SubscriberError::Early(code) => format!("closed with {code}"),
        SubscriberError::Unexpected(..) => "protocol".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_a_kind_have_one_name() {
        let refused = |text: &str| reason(&WsError::Refused(text.into()).into());
        let expected = "refused with 503 Service";
        assert_eq!(refused("HTTP/1.1 503 Service Unavailable busy"), expected);
        assert_eq!(reason(&SubscriberError::Early(1013)), "closed with 1013");
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(reason(&error.into()), "connection refused");
    }
}
