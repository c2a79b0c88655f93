//! A new line in the place of an old one, without a gap: the new one is opened, asks for the same streams, and the
//! old one is closed when each stream of the new one has come as far.
//!
//! Meanwhile both are read. [`Position`](super::position::Position) tells which message continues. A quiet stream has
//! come as far when it was accepted a few seconds ago. If the old line is cut before, the new one is all that is
//! left: then ids and chains tell what is missing, and the rest is said.

use super::line::{JOIN_WITHIN, Line, Phase, QUIET_AFTER, SubscriptionState};
use super::position::Admission;
use super::{Session, Transmit};
use crate::event::{Event, EventBody, FeedEvent};
use crate::metrics::UpstreamEvent;
use crate::normaliser::Parser;
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelSet, Mono};

/// No message is on its way for longer.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// How often it is looked whether a new line has come as far.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Session {
    /// Puts a new line in the place of this one, if that has not begun.
    pub(super) fn rotate(&mut self, old: u32) {
        let now = self.now;
        let Some(line) = self.lines.get(&old).filter(|line| line.is_open()) else {
            return;
        };
        if line.replaced_by.is_some() || line.replaces.is_some() {
            return;
        }
        let wanted = line.subscriptions.clone();
        let instruments = line.instruments();
        let parser = self.parser_of(&instruments);
        let number = self.next_line();
        let group = self.lines[&old].group;
        let mut new = Line::new(group, parser, self.live.rules(), now);
        for subscription in &wanted {
            new.want_like(subscription, group);
        }
        new.replaces = Some(old);
        for at in instruments {
            self.instruments[at].standby = Some(number);
            self.instruments[at].successor = None;
        }
        self.lines.insert(number, new);
        if let Some(line) = self.lines.get_mut(&old) {
            line.replaced_by = Some(number);
        }
        self.counters.upstream(UpstreamEvent::Rotation, 1);
    }

    /// A parser that serves these instruments.
    pub(super) fn parser_of(&self, instruments: &[usize]) -> Parser {
        let mut plan = crate::plan::FeedPlan::default();
        let mut ids = Vec::new();
        for at in instruments {
            plan.instruments.push(self.planned(*at));
            ids.push(self.instruments[*at].id);
        }
        Parser::new(self.live.format(), plan, &ids)
    }

    /// Whether an event of a line is news. Without a line that takes over, all of its events are.
    pub(super) fn is_news(
        &mut self,
        number: u32,
        at: usize,
        event: &Event,
        channel: Option<ChannelKind>,
    ) -> bool {
        let instrument = &self.instruments[at];
        let Some(standby) = instrument.standby else {
            return instrument.line == number;
        };
        let place = instrument.position.place(event);
        if number != standby {
            return place != Admission::Behind;
        }
        let Some(channel) = channel else {
            // What the new line says of itself is not yet said of the instrument, except for the word on trading.
            return matches!(event.body, EventBody::Trading(_));
        };
        match place {
            Admission::Next | Admission::Behind | Admission::Unknown => {
                self.join(number, at, channel);
                place == Admission::Next
            }
            Admission::Ahead => false,
        }
    }

    /// A stream of a new line has come as far.
    pub(super) fn join(&mut self, number: u32, at: usize, channel: ChannelKind) {
        if let Some(line) = self.lines.get_mut(&number)
            && let Some(place) = line.place(at, channel)
        {
            line.subscriptions[place].joined = true;
        }
    }

    /// When it must be looked whether new lines have come as far.
    pub(super) fn joins_due(&self) -> Option<Mono> {
        let joining = self.lines.values().filter(|line| line.replaces.is_some());
        joining
            .filter(|line| line.is_open())
            .map(|_| self.now.after(LOOK_EVERY))
            .min()
    }

    /// Closes old lines whose places are taken.
    pub(super) fn visit_rotations(&mut self) {
        let now = self.now;
        let mut ready = Vec::new();
        for (number, line) in &self.lines {
            let Some(old) = line.replaces.filter(|_| line.is_open()) else {
                continue;
            };
            let all = line.subscriptions.iter().all(|s| {
                s.joined
                    || match s.state {
                        SubscriptionState::Accepted(at) => at.after(QUIET_AFTER) <= now,
                        SubscriptionState::Refused(_) => true,
                        SubscriptionState::Live => self.is_quietly_right(s),
                        SubscriptionState::Wanted | SubscriptionState::Asked => false,
                    }
            });
            if all || line.opened.after(JOIN_WITHIN) <= now {
                ready.push((old, *number));
            }
        }
        for (old, new) in ready {
            self.take_over(old, new);
            if self.lines.remove(&old).is_some_and(|line| line.is_open()) {
                self.transmits.push_back(Transmit::Close { line: old });
            }
        }
    }

    /// From now on the new line has the streams.
    fn take_over(&mut self, old: u32, new: u32) {
        let Some(line) = self.lines.get_mut(&new) else {
            return;
        };
        line.replaces = None;
        let mut late = Vec::new();
        for subscription in &line.subscriptions {
            // Since it was accepted, it brings all that happens; a second covers what was on its way on the old line.
            let accepted = matches!(
                subscription.state,
                SubscriptionState::Accepted(at) if at.after(ON_ITS_WAY) <= self.now
            );
            if let Some(at) = subscription.instrument
                && !subscription.joined
                && !accepted
            {
                // Chains and ids say what is missing of the others.
                let states = subscription.channels.iter().filter(|kind| is_state(*kind));
                late.extend(states.map(|kind| (at, kind)));
            }
        }
        let instruments = line.instruments();
        let live: Vec<_> = line
            .subscriptions
            .iter()
            .filter(|s| s.state == SubscriptionState::Live)
            .filter_map(|s| Some((s.instrument?, s.channels)))
            .collect();
        for at in instruments.iter().copied() {
            let instrument = &mut self.instruments[at];
            if instrument.standby == Some(new) || instrument.line == old {
                (instrument.line, instrument.standby) = (new, None);
                instrument.live = ChannelSet::EMPTY;
            }
        }
        for (at, channels) in live {
            let instrument = &mut self.instruments[at];
            instrument.live = instrument.live.union(channels);
        }
        for at in instruments {
            self.hand_over_book(at);
        }
        for (at, channel) in late {
            let why = "a new connection took over before its data came".to_owned();
            self.say_lost(at, ChannelSet::EMPTY.with(channel), why);
        }
    }

    /// The old line has ended before the new one has come as far.
    pub(super) fn inherit(&mut self, old: u32, new: u32, line: &Line, why: String) {
        let is_open = self.lines.get(&new).is_some_and(Line::is_open);
        if is_open {
            return self.take_over(old, new);
        }
        let Some(heir) = self.lines.get_mut(&new) else {
            return;
        };
        heir.replaces = None;
        if let Phase::Waiting(at) = &mut heir.phase {
            *at = (*at).min(self.now);
        }
        heir.last_end = Some((self.now, why.clone()));
        let mut events = Vec::new();
        let down = FeedEvent::Down(why.into());
        heir.parser.announce(&down, self.wall, &mut events);
        for at in line.instruments() {
            let instrument = &mut self.instruments[at];
            (instrument.line, instrument.standby) = (new, None);
            instrument.live = ChannelSet::EMPTY;
            instrument.book.end();
            instrument.position.forget_book();
            instrument.position.forget_quote();
            instrument.quote_due = None;
            instrument.renewal.end();
            instrument.successor = None;
            instrument.agreement = Default::default();
        }
        self.pass_on(new, events);
    }
}

/// States replace each other: without numbers, nothing tells what is missing between two.
const fn is_state(channel: ChannelKind) -> bool {
    matches!(channel, ChannelKind::Quote | ChannelKind::Ticker)
}
