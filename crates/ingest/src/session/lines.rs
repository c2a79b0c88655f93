//! The session's lines: open, ask for streams, stay alive, open again.

use super::backoff::Backoff;
use super::line::{
    ANSWER_WITHIN, Asked, BLAME_WITHIN, CONNECT_WITHIN, GOOD_AFTER, Line, PING_AFTER, PONG_WITHIN,
    Phase, Subscription, SubscriptionState, TRIES,
};
use super::{Failure, Session, Transmit};
use crate::event::FeedEvent;
use crate::metrics::UpstreamEvent;
use std::collections::btree_map::Entry;
use std::time::Duration;
use tapecast_model::{ChannelSet, Mono};

/// Pauses between tries of what the venue refuses.
const REFUSALS: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(600));

/// How long until a stream is asked for anew the second time; each further time it doubles.
const ANEW_AFTER: Duration = Duration::from_secs(2);

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
    }

    /// The line could not be opened.
    pub(super) fn fail_line(&mut self, number: u32, failure: &Failure) {
        if let Some(pause) = failure.retry_after {
            // Whoever is banned on one line is banned on all, and as an address.
            self.hold_lines(pause);
            self.requests.pause(pause, self.now);
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

    /// No line is opened for so long.
    pub(super) fn hold_lines(&mut self, pause: Duration) {
        self.held = self.held.max(self.now.after(pause));
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
            } else if instrument.standby == Some(number) {
                instrument.standby = Some(next);
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

    /// The line ended right behind a request that has no answer: if this happens twice, the request was the reason.
    /// Then it is halved, until the stream is found that the venue does not like.
    fn blame_request(&mut self, line: &mut Line) {
        let sent_within = |asked: &Asked| {
            let sent = asked.deadline - Mono::default();
            sent.saturating_sub(ANSWER_WITHIN) + BLAME_WITHIN >= self.now - Mono::default()
        };
        let Some(asked) = line.asked.front().filter(|asked| sent_within(asked)) else {
            line.ended_on_request = 0;
            return;
        };
        line.ended_on_request += 1;
        if line.ended_on_request < 2 {
            return;
        }
        line.ended_on_request = 0;
        match asked.subscriptions.as_slice() {
            [only] => {
                let only = *only;
                line.batch_max = self.live.rules().batch_max;
                let why = "the venue closes the connection when it is asked for".to_owned();
                self.leave_alone(line, only, &why);
            }
            several => line.batch_max = (several.len() / 2).max(1),
        }
    }

    /// The venue does not serve a subscription: its channel has a gap, and it is asked for again later.
    fn leave_alone(&mut self, line: &mut Line, place: usize, why: &str) {
        let Subscription {
            instrument,
            channel,
            name,
            state,
            tries,
            ..
        } = &mut line.subscriptions[place];
        let mut pause = REFUSALS.with_tries(tries.saturating_sub(1));
        let until = self.now.after(pause.fail(&mut self.random));
        *state = SubscriptionState::Refused(until);
        *tries += 1;
        let reason = format!("{} does not serve {name}: {why}", self.venue);
        self.counters.upstream(UpstreamEvent::Refusal, 1);
        tracing::warn!(venue = %self.venue, stream = %name, reason = why, "Stream refused");
        let (at, channels) = (*instrument, ChannelSet::EMPTY.with(*channel));
        if line.replaces.is_none() {
            self.say_lost(at, channels, reason);
        }
    }

    /// A request was accepted. Whether its data come is another question.
    pub(super) fn accept(&mut self, number: u32, id: u64) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let Some(at) = line.asked.iter().position(|asked| asked.id == id) else {
            return;
        };
        let asked = line.asked.remove(at);
        line.ended_on_request = 0;
        for place in asked.into_iter().flat_map(|asked| asked.subscriptions) {
            let state = &mut line.subscriptions[place].state;
            if *state == SubscriptionState::Asked {
                *state = SubscriptionState::Accepted(self.now);
            }
        }
        self.send_requests(number);
    }

    /// A request was refused; without a number, it is the oldest one.
    pub(super) fn refuse(&mut self, number: u32, id: Option<u64>, why: &str) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let at = match id {
            Some(id) => line.asked.iter().position(|asked| asked.id == id),
            None => (!line.asked.is_empty()).then_some(0),
        };
        if let Some(asked) = at.and_then(|at| line.asked.remove(at)) {
            self.split(number, asked.subscriptions, why);
        }
        self.send_requests(number);
    }

    /// A request failed: asks for halves of it, or leaves its only stream alone.
    fn split(&mut self, number: u32, subscriptions: Vec<usize>, why: &str) {
        let Some(mut line) = self.lines.remove(&number) else {
            return;
        };
        match subscriptions.as_slice() {
            [] => {}
            [only] => self.leave_alone(&mut line, *only, why),
            several => {
                let (one, other) = several.split_at(several.len() / 2);
                line.unsent.push_back(one.to_vec());
                line.unsent.push_back(other.to_vec());
            }
        }
        self.lines.insert(number, line);
    }

    /// Asks for a stream anew, because what it sends cannot be read or does not come.
    pub(super) fn ask_anew(&mut self, number: u32, place: usize) {
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) else {
            return;
        };
        let Subscription {
            instrument,
            channel,
            name,
            state,
            tries,
            ..
        } = &mut line.subscriptions[place];
        self.counters.upstream(UpstreamEvent::AskedAnew, 1);
        *state = SubscriptionState::Wanted;
        *tries += 1;
        let (at, channel, name) = (*instrument, *channel, name.clone());
        self.last_request += 1;
        let text = self.live.unsubscribe(self.last_request, &[&name]);
        // Beyond the budget, the venue gets the request without the farewell, which it takes as well.
        if line.messages.spend(1, self.now).is_ok() {
            self.transmits
                .push_back(Transmit::Send { line: number, text });
        }
        // At first at once, then after pauses that grow.
        let subscription = &mut line.subscriptions[place];
        if subscription.tries > 1 {
            let pause = ANEW_AFTER * (1 << (subscription.tries - 2).min(6));
            subscription.state = SubscriptionState::Refused(self.now.after(pause));
        } else {
            line.unsent.push_back(vec![place]);
        }
        let instrument = &mut self.instruments[at];
        instrument.live = instrument.live.without(channel);
        let reason = format!("{name} is asked for anew");
        self.say_lost(at, ChannelSet::EMPTY.with(channel), reason);
        if channel == tapecast_model::ChannelKind::Book {
            self.begin_book(at);
        }
        self.send_requests(number);
    }

    /// Sends what the budget of the line allows.
    pub(super) fn send_requests(&mut self, number: u32) {
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) else {
            return;
        };
        line.send_at = None;
        while let Some(batch) = line.unsent.front() {
            if let Err(later) = line.messages.spend(1, self.now) {
                line.send_at = Some(later);
                return;
            }
            let names: Vec<_> = batch
                .iter()
                .map(|at| line.subscriptions[*at].name.as_str())
                .collect();
            self.last_request += 1;
            let id = self.last_request;
            let text = self.live.subscribe(id, &names);
            self.transmits
                .push_back(Transmit::Send { line: number, text });
            let subscriptions = line.unsent.pop_front().unwrap_or_default();
            for place in &subscriptions {
                line.subscriptions[*place].state = SubscriptionState::Asked;
            }
            line.asked.push_back(Asked {
                id,
                subscriptions,
                deadline: self.now.after(ANSWER_WITHIN),
            });
        }
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
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        if line.pinged.is_some_and(|at| at.after(PONG_WITHIN) <= now) {
            self.transmits.push_back(Transmit::Close { line: number });
            let silent = (PING_AFTER + PONG_WITHIN).as_secs();
            return self.end_line(
                number,
                format!("nothing came for {silent} s, not even a pong"),
            );
        }
        if line.pinged.is_none() && line.heard.after(PING_AFTER) <= now {
            // A ping that the budget does not allow is late, not left out.
            if line.messages.spend(1, now).is_ok() {
                line.pinged = Some(now);
                self.transmits.push_back(Transmit::Ping { line: number });
            } else {
                line.heard = now.after(Duration::from_millis(500)).max(line.heard);
            }
        }
        for (place, subscription) in line.subscriptions.iter_mut().enumerate() {
            if let SubscriptionState::Refused(until) = subscription.state
                && until <= now
            {
                subscription.state = SubscriptionState::Wanted;
                line.unsent.push_back(vec![place]);
            }
        }
        let mut unanswered = Vec::new();
        while line
            .asked
            .front()
            .is_some_and(|asked| asked.deadline <= now)
        {
            unanswered.extend(line.asked.pop_front());
        }
        for asked in unanswered {
            self.repeat(number, asked.subscriptions);
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

    /// A request has no answer: it is sent again, and after [`TRIES`] counts as refused.
    fn repeat(&mut self, number: u32, subscriptions: Vec<usize>) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let open = |place: &usize| line.subscriptions[*place].state == SubscriptionState::Asked;
        let rest: Vec<_> = subscriptions.into_iter().filter(open).collect();
        let mut tries = 0;
        for place in &rest {
            let subscription = &mut line.subscriptions[*place];
            subscription.tries += 1;
            tries = tries.max(subscription.tries);
        }
        let any = |state: &SubscriptionState| {
            matches!(
                state,
                SubscriptionState::Accepted(_) | SubscriptionState::Live
            )
        };
        if tries >= TRIES && !line.subscriptions.iter().any(|s| any(&s.state)) {
            // It is not about one stream: nothing is answered.
            self.transmits.push_back(Transmit::Close { line: number });
            let why = "the venue answers no request on this connection".to_owned();
            self.end_line(number, why);
        } else if tries >= TRIES {
            self.split(number, rest, "it does not answer the request");
        } else if !rest.is_empty() {
            line.unsent.push_back(rest);
        }
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
