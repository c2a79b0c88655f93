//! What is asked for on a line: requests, their answers, and what is done without one.
//!
//! A request that is not answered in time is sent again. One that is refused is halved until the stream is found that
//! the venue does not like; that one is tried again later, and all others go on. Some venues answer for each stream
//! of a request: then those without an answer are asked for again. A stream that is asked for anew ends first.

use super::Session;
use super::Transmit;
use super::backoff::Backoff;
use super::line::{
    ANSWER_WITHIN, Ask, Asked, BLAME_WITHIN, GOOD_AFTER, Line, Subscription, SubscriptionState,
    TRIES,
};
use super::venue::Refused;
use crate::metrics::UpstreamEvent;
use std::time::Duration;
use tapecast_model::{ChannelKind, TradingState};

/// Pauses between tries of what the venue refuses.
const REFUSALS: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_secs(600));
/// How long until a stream is asked for anew the second time; each further time it doubles.
pub(super) const ANEW_AFTER: Duration = Duration::from_secs(2);
/// Answers for the other streams of a request may take so long, when one without a name was refused.
const REST_WITHIN: Duration = Duration::from_secs(1);
/// The same for requests of which the venue says that some were not read.
const UNREAD_WITHIN: Duration = Duration::from_secs(2);
/// How long nothing is asked about an instrument that the venue has delisted; it may come back.
const GONE_FOR: Duration = Duration::from_secs(600);
/// How long nothing is asked when the venue says that we ask too fast; each further time it doubles.
const TOO_FAST: Duration = Duration::from_secs(1);

impl Session {
    /// The line ended right behind a request that has no answer: if this happens twice, the request was the reason.
    /// Then it is halved, until the stream is found that the venue does not like.
    pub(super) fn blame_request(&mut self, line: &mut Line) {
        let is_recent = |asked: &&Asked| asked.sent.after(BLAME_WITHIN) >= self.now;
        let Some(asked) = line.asked.front().filter(is_recent) else {
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

    /// The venue does not serve a subscription: its channels have a gap, and it is asked for again later.
    fn leave_alone(&mut self, line: &mut Line, place: usize, why: &str) {
        let Subscription {
            instrument,
            channels,
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
        let channels = *channels;
        if let Some(at) = instrument.filter(|_| line.replaces.is_none()) {
            self.say_lost(at, channels, reason);
        }
    }

    /// Asks for streams that are wanted since a moment ago, on lines that are open.
    pub(super) fn ask_for_new(&mut self) {
        let numbers: Vec<_> = self.lines.keys().copied().collect();
        for number in numbers {
            if let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) {
                let new = std::mem::take(&mut line.new);
                line.ask_for(&new);
                self.send_requests(number);
            }
        }
    }

    /// A request was accepted, or the stream of this name. Whether data come is another question.
    pub(super) fn accept(&mut self, number: u32, id: Option<u64>, name: Option<&str>) {
        let now = self.now;
        let found = match name {
            Some(name) => self.asked_by(number, id, name),
            None => None,
        };
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let at = match (found, name) {
            (Some((at, _)), _) => Some(at),
            (None, Some(_)) => None,
            (None, None) => line.asked.iter().position(|asked| Some(asked.id) == id),
        };
        let Some(at) = at else { return };
        line.answered = now;
        line.ended_on_request = 0;
        let asked = &mut line.asked[at].subscriptions;
        let accepted = match found {
            Some((_, place)) => {
                asked.retain(|other| *other != place);
                vec![place]
            }
            None => std::mem::take(asked),
        };
        for place in accepted {
            let state = &mut line.subscriptions[place].state;
            if *state == SubscriptionState::Asked {
                *state = SubscriptionState::Accepted(now);
            }
        }
        self.conclude(number, at);
        self.send_requests(number);
    }

    /// A request was refused, or a stream of it; without a number, it is the oldest one.
    pub(super) fn refuse(&mut self, number: u32, id: Option<u64>, what: &Refused, why: &str) {
        let now = self.now;
        let found = match what {
            Refused::One(name) => self.asked_by(number, id, name),
            Refused::All | Refused::Unnamed => None,
        };
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        line.answered = now;
        let at = match (found, id) {
            (Some((at, _)), _) => Some(at),
            (None, Some(id)) => line.asked.iter().position(|asked| asked.id == id),
            (None, None) => (!line.asked.is_empty()).then_some(0),
        };
        let Some(at) = at else { return };
        let asked = &mut line.asked[at];
        match (found, what) {
            (Some((_, place)), _) => {
                asked.subscriptions.retain(|other| *other != place);
                self.split(number, vec![place], why);
                self.conclude(number, at);
            }
            (None, Refused::All) => {
                if let Some(asked) = line.asked.remove(at) {
                    self.split(number, asked.subscriptions, why);
                }
            }
            (None, Refused::One(_) | Refused::Unnamed) => {
                let (count, _) = asked.refused.take().unwrap_or_default();
                asked.refused = Some((count + 1, why.to_owned()));
                asked.deadline = asked.deadline.min(now.after(REST_WITHIN));
                self.conclude(number, at);
            }
        }
        self.send_requests(number);
    }

    /// The request with a stream that an answer names, and the stream's place: of the request that it says, or of
    /// any.
    fn asked_by(&self, number: u32, id: Option<u64>, name: &str) -> Option<(usize, usize)> {
        let line = self.lines.get(&number)?;
        let is_meant = |place: &usize| {
            let Subscription {
                instrument,
                name: stream,
                ..
            } = &line.subscriptions[*place];
            let native = instrument.map(|at| &*self.instruments[at].native);
            stream == name || native == Some(name)
        };
        let of = |asked: &Asked| asked.subscriptions.iter().copied().find(|p| is_meant(p));
        let says = line.asked.iter().position(|asked| Some(asked.id) == id);
        if let Some(at) = says {
            return Some((at, of(&line.asked[at])?));
        }
        let mut all = line.asked.iter().enumerate();
        all.find_map(|(at, asked)| Some((at, of(asked)?)))
    }

    /// A request whose streams all have an answer is forgotten: those without a name were refused.
    fn conclude(&mut self, number: u32, at: usize) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let Asked {
            subscriptions,
            refused,
            ..
        } = &line.asked[at];
        let count = refused.as_ref().map_or(0, |(count, _)| *count);
        if subscriptions.len() > count {
            return;
        }
        if let Some(Asked {
            subscriptions,
            refused: Some((_, why)),
            ..
        }) = line.asked.remove(at)
        {
            for place in subscriptions {
                self.split(number, vec![place], &why);
            }
        }
    }

    /// We ask too fast, and some requests were not read: those without an answer are sent again later, in smaller
    /// batches, and not as fast.
    pub(super) fn slow_down(&mut self, number: u32) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        self.counters.upstream(UpstreamEvent::RateExceeded, 1);
        let times = match line.exceeded {
            // Many requests, one word each.
            Some((_, last)) if now < last.after(TOO_FAST) => return,
            Some((times, last)) if now < last.after(GOOD_AFTER) => times,
            _ => 0,
        };
        line.exceeded = Some((times + 1, now));
        line.held = now.after(TOO_FAST * (1 << times.min(3)));
        line.messages.halve();
        line.batch_max = (line.batch_max / 2).max(1);
        for asked in &mut line.asked {
            asked.deadline = asked.deadline.min(now.after(UNREAD_WITHIN));
            asked.excused = true;
        }
        tracing::warn!(venue = %self.venue, line = number, "The venue says that we ask too fast");
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
                line.unsent.push_back(Ask::Join(one.to_vec()));
                line.unsent.push_back(Ask::Join(other.to_vec()));
            }
        }
        self.lines.insert(number, line);
    }

    /// A request has no answer, or not for all of its streams: it is sent again for these, and after [`TRIES`] they
    /// count as refused.
    pub(super) fn repeat(&mut self, number: u32, asked: Asked) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        let is_open = |place: &usize| line.subscriptions[*place].state == SubscriptionState::Asked;
        let rest: Vec<_> = asked.subscriptions.into_iter().filter(is_open).collect();
        if let Some((_, why)) = asked.refused {
            return self.split(number, rest, &why);
        }
        if asked.excused {
            return line.ask_for(&rest);
        }
        let mut tries = 0;
        for place in &rest {
            let subscription = &mut line.subscriptions[*place];
            subscription.tries += 1;
            tries = tries.max(subscription.tries);
        }
        // Since the first of them was sent, nothing but signs of life has come.
        let last = line.data.max(line.answered);
        let deaf = last.after(ANSWER_WITHIN * TRIES) <= self.now;
        if tries >= TRIES && (deaf || !line.subscriptions.iter().any(Subscription::is_served)) {
            // It is not about one stream: nothing is answered.
            self.transmits.push_back(Transmit::Close { line: number });
            let why = "the venue answers no request on this connection".to_owned();
            self.end_line(number, why);
        } else if tries >= TRIES {
            self.split(number, rest, "it does not answer the request");
        } else if !rest.is_empty() {
            line.unsent.push_back(Ask::Join(rest));
        }
    }

    /// Asks for a stream anew, because what it sends cannot be read or does not come. What it says until then is
    /// lost.
    pub(super) fn ask_anew(&mut self, number: u32, place: usize) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) else {
            return;
        };
        self.counters.upstream(UpstreamEvent::AskedAnew, 1);
        let is_standby = line.replaces.is_some();
        let subscription = &mut line.subscriptions[place];
        subscription.tries += 1;
        if subscription.tries > 1 {
            // At first at once, then after pauses that grow to half a minute.
            let pause = ANEW_AFTER * (1 << (subscription.tries - 2).min(4));
            subscription.state = SubscriptionState::Refused(now.after(pause));
            line.unsent.push_back(Ask::Leave(vec![place]));
        } else {
            subscription.state = SubscriptionState::Wanted;
            line.ask_anew(place);
        }
        let Subscription {
            instrument,
            channels,
            name,
            ..
        } = &line.subscriptions[place];
        let (channels, reason) = (*channels, format!("{name} is asked for anew"));
        if let Some(at) = instrument.filter(|_| !is_standby) {
            let instrument = &mut self.instruments[at];
            let lost = |set, kind| tapecast_model::ChannelSet::without(set, kind);
            instrument.live = channels.iter().fold(instrument.live, lost);
            self.say_lost(at, channels, reason);
            if channels.contains(ChannelKind::Book) {
                self.begin_book(at);
            }
        }
        self.send_requests(number);
    }

    /// Sends what the budget of the line allows.
    pub(super) fn send_requests(&mut self, number: u32) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(&number).filter(|line| line.is_open()) else {
            return;
        };
        line.send_at = None;
        while let Some(ask) = line.unsent.front_mut() {
            let (Ask::Join(places) | Ask::Leave(places)) = ask;
            places.retain(|at| {
                let Subscription {
                    instrument, state, ..
                } = &mut line.subscriptions[*at];
                let listed = instrument.map(|at| self.instruments[at].listed);
                let is_gone = listed == Some(TradingState::Delisted);
                if is_gone {
                    *state = SubscriptionState::Refused(now.after(GONE_FOR));
                }
                !is_gone
            });
            if places.is_empty() {
                line.unsent.pop_front();
                continue;
            }
            let budget = match line.held {
                held if held > now => Err(held),
                _ => line.messages.spend(1, now),
            };
            if let Err(later) = budget {
                line.send_at = Some(later);
                return;
            }
            let (Ask::Join(places) | Ask::Leave(places)) = &*ask;
            let names: Vec<_> = places
                .iter()
                .map(|at| line.subscriptions[*at].name.as_str())
                .collect();
            self.last_request += 1;
            let id = self.last_request;
            let text = match ask {
                Ask::Join(_) => self.live.subscribe(id, &names),
                Ask::Leave(_) => self.live.unsubscribe(id, &names),
            };
            self.transmits
                .push_back(Transmit::Send { line: number, text });
            line.sent = now;
            let Some(Ask::Join(subscriptions)) = line.unsent.pop_front() else {
                continue;
            };
            for place in &subscriptions {
                line.subscriptions[*place].state = SubscriptionState::Asked;
            }
            line.asked.push_back(Asked {
                id,
                subscriptions,
                sent: now,
                deadline: now.after(ANSWER_WITHIN),
                refused: None,
                excused: false,
            });
        }
    }
}
