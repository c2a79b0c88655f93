//! The session's lines: open, stay alive, open again.

use super::line::{
    Ask, CONNECT_WITHIN, GOOD_AFTER, PONG_WITHIN, Patience, Phase, SubscriptionState,
};
use super::{Failure, Session, Transmit};
use crate::event::FeedEvent;
use crate::metrics::UpstreamEvent;
use std::collections::btree_map::Entry;
use std::time::Duration;
use tapecast_model::ChannelSet;

impl Session {
    /// A number that no line has had.
    pub(super) fn next_line(&mut self) -> u32 {
        self.last_line = self.last_line.wrapping_add(1).max(1);
        match self.lines.entry(self.last_line) {
            Entry::Vacant(_) => self.last_line,
            Entry::Occupied(_) => self.next_line(),
        }
    }

    /// The line is open: asks for its streams.
    pub(super) fn open_line(&mut self, number: u32) {
        let (now, wall) = (self.now, self.wall);
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        if !matches!(line.phase, Phase::Connecting(_)) {
            return;
        }
        line.open(now);
        line.parser.reset();
        let is_standby = line.replaces.is_some();
        let instruments = line.instruments();
        if !is_standby {
            let mut events = Vec::new();
            line.parser.announce_channels(wall, &mut events);
            self.pass_on(number, events);
            for at in instruments {
                self.begin_book(at);
            }
        }
        self.counters.upstream(UpstreamEvent::LineOpened, 1);
        tracing::info!(venue = %self.venue, line = number, "Connected to the venue");
    }

    /// The line could not be opened.
    pub(super) fn fail_line(&mut self, number: u32, failure: &Failure) {
        if let Some(pause) = failure.retry_after {
            // Whoever is banned on one line is banned on all, and as an address.
            self.obey_ban(pause);
        }
        let why = match failure.status {
            Some(status @ (403 | 451)) => {
                format!(
                    "the venue refuses connections from here ({status}): {}",
                    failure.text
                )
            }
            Some(status) => format!(
                "the venue refused the connection ({status}): {}",
                failure.text
            ),
            None => format!("no connection: {}", failure.text),
        };
        let least = match failure.status {
            Some(403 | 451) => Duration::from_secs(30),
            _ => Duration::ZERO,
        };
        self.end_line_for(number, why, failure.retry_after.unwrap_or(least));
    }

    /// The line has ended: it will be opened anew, under another number.
    pub(super) fn end_line(&mut self, number: u32, why: String) {
        self.end_line_for(number, why, Duration::ZERO);
    }

    fn end_line_for(&mut self, number: u32, why: String, least: Duration) {
        let (now, wall) = (self.now, self.wall);
        let Some(mut line) = self.lines.remove(&number) else {
            return;
        };
        let was_open = line.is_open();
        if was_open && line.opened.after(GOOD_AFTER) <= now {
            line.backoff.succeed();
        }
        if was_open {
            self.blame_request(&mut line);
            self.counters.upstream(UpstreamEvent::LineEnded, 1);
        }
        if let Some(more) = self.log.pass(now) {
            tracing::warn!(venue = %self.venue, line = number, reason = %why, more, "Connection lost");
        }
        if let Some(heir) = line.replaced_by.take() {
            // A line that takes over is there already, however far it is.
            return self.inherit(number, heir, &line, why);
        }
        let pause = line.backoff.fail(&mut self.random).max(least);
        line.phase = Phase::Waiting(now.after(pause));
        let last = match was_open {
            true => &mut line.last_end,
            false => &mut line.last_failure,
        };
        *last = Some((now, why.clone()));
        line.forget_requests();
        line.parser.reset();
        let next = self.next_line();
        let is_standby = line.replaces.is_some();
        for at in line.instruments() {
            let instrument = &mut self.instruments[at];
            if instrument.line == number {
                (instrument.line, instrument.live) = (next, ChannelSet::EMPTY);
                instrument.book.end();
                instrument.position.forget_book();
                instrument.position.forget_quote();
                instrument.quote_due = None;
                instrument.renewal.end();
                instrument.successor = None;
                instrument.agreement = Default::default();
            } else if instrument.standby == Some(number) {
                instrument.standby = Some(next);
                instrument.successor = None;
            }
        }
        if let Some(old) = line.replaces.and_then(|old| self.lines.get_mut(&old)) {
            old.replaced_by = Some(next);
        }
        if !is_standby {
            let mut events = Vec::new();
            let down = FeedEvent::Down(why.into());
            line.parser.announce(&down, wall, &mut events);
            self.pass_on(number, events);
        }
        self.lines.insert(next, line);
    }

    /// Does what is due on each line.
    pub(super) fn visit_lines(&mut self) {
        let numbers: Vec<_> = self.lines.keys().copied().collect();
        for number in numbers {
            self.visit_line(number);
        }
    }

    fn visit_line(&mut self, number: u32) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        match line.phase {
            Phase::Waiting(at) if at <= now => {
                if line.subscriptions.is_empty() {
                    return self.drop_line(number);
                }
                if now < self.held {
                    line.phase = Phase::Waiting(self.held);
                    return;
                }
                if let Err(later) = self.connects.spend(1, now) {
                    line.phase = Phase::Waiting(later);
                    return;
                }
                line.phase = Phase::Connecting(now.after(CONNECT_WITHIN));
                let url = self.live.url(line.group);
                self.transmits
                    .push_back(Transmit::Connect { line: number, url });
            }
            Phase::Connecting(deadline) if deadline <= now => {
                self.transmits.push_back(Transmit::Close { line: number });
                let seconds = CONNECT_WITHIN.as_secs();
                self.end_line(number, format!("no connection within {seconds} s"));
            }
            Phase::Waiting(_) | Phase::Connecting(_) => {}
            Phase::Open => self.visit_open_line(number),
        }
    }

    fn visit_open_line(&mut self, number: u32) {
        let (now, life) = (self.now, self.live.rules().life());
        if !self.visit_life(number) {
            return;
        }
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        for (place, subscription) in line.subscriptions.iter_mut().enumerate() {
            if let SubscriptionState::Refused(until) = subscription.state
                && until <= now
            {
                subscription.state = SubscriptionState::Wanted;
                line.unsent.push_back(Ask::Join(vec![place]));
            }
        }
        let (late, waiting) = std::mem::take(&mut line.asked)
            .into_iter()
            .partition(|asked| asked.deadline <= now);
        line.asked = waiting;
        for asked in late {
            self.repeat(number, asked);
        }
        if let Some(line) = self.lines.get_mut(&number)
            && line.opened.after(life) <= now
            && line.replaced_by.is_none()
            && line.replaces.is_none()
        {
            self.rotate(number);
        }
        self.send_requests(number);
    }

    /// Finds out whether an open line lives, and ends it if it does not. Returns whether it lives.
    fn visit_life(&mut self, number: u32) -> bool {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number) else {
            return false;
        };
        let Patience {
            ping_after,
            pong_within,
            ping_every,
        } = line.patience;
        let why = if line.pinged.is_some_and(|at| at.after(pong_within) <= now) {
            let silent = (ping_after + pong_within).as_secs();
            format!("nothing came for {silent} s, not even a pong")
        } else if line.pong_due.is_some_and(|due| due <= now) {
            let seconds = PONG_WITHIN.as_secs();
            format!("a ping was not answered within {seconds} s")
        } else {
            let silent = line.pinged.is_none() && line.heard.after(ping_after) <= now;
            let due = ping_every.is_some_and(|every| line.sent.after(every) <= now);
            if silent || (due && line.pong_due.is_none()) {
                self.ping(number, silent);
            }
            return true;
        };
        self.transmits.push_back(Transmit::Close { line: number });
        self.end_line(number, why);
        false
    }

    /// Asks the other side whether it lives. A ping that the budget does not allow is late, not left out.
    fn ping(&mut self, number: u32, silent: bool) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        if line.messages.spend(1, now).is_err() {
            let later = now.after(Duration::from_millis(500));
            line.send_at = Some(line.send_at.map_or(later, |at| at.min(later)));
            if silent {
                line.heard = later.max(line.heard);
            }
            return;
        }
        line.sent = now;
        if silent {
            line.pinged = Some(now);
        }
        self.last_request += 1;
        let transmit = match self.live.ping(self.last_request) {
            Some(text) => {
                line.pong_due.get_or_insert(now.after(PONG_WITHIN));
                Transmit::Send { line: number, text }
            }
            None => Transmit::Ping { line: number },
        };
        self.transmits.push_back(transmit);
    }

    /// Nothing is wanted on the line any more.
    fn drop_line(&mut self, number: u32) {
        if self
            .lines
            .remove(&number)
            .is_some_and(|line| line.is_open())
        {
            self.transmits.push_back(Transmit::Close { line: number });
        }
    }
}
