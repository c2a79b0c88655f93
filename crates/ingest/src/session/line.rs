//! One line: a connection to the venue, what is asked for on it, and what came of that.
//!
//! What is *wanted* is the list of subscriptions. Whether the venue has accepted one, and whether its data have come,
//! is kept apart: an acknowledgement is not data. A request that is not answered in time is sent again, and one that
//! is refused is halved until the subscription is found that the venue does not like. That one is tried again
//! later; all others go on.

use super::backoff::Backoff;
use super::budget::Budget;
use super::venue::VenueRules;
use crate::normaliser::Parser;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use tapecast_model::{ChannelKind, Mono};

/// A connection, or the attempt to have one.
pub(super) struct Line {
    pub(super) group: u8,
    pub(super) phase: Phase,
    pub(super) parser: Parser,
    pub(super) subscriptions: Vec<Subscription>,
    /// Places of subscriptions by name.
    pub(super) by_name: HashMap<String, usize>,
    /// The same by instrument and channel.
    by_stream: HashMap<(usize, ChannelKind), usize>,
    /// Batches of subscriptions that are to be asked for.
    pub(super) unsent: VecDeque<Vec<usize>>,
    /// Requests without an answer, oldest first.
    pub(super) asked: VecDeque<Asked>,
    pub(super) messages: Budget,
    /// When the budget allows the next message, if one waits.
    pub(super) send_at: Option<Mono>,
    /// The last frame of any kind.
    pub(super) heard: Mono,
    /// A ping that is not answered.
    pub(super) pinged: Option<Mono>,
    /// Since when it is open.
    pub(super) opened: Mono,
    pub(super) backoff: Backoff,
    /// It takes over from this line.
    pub(super) replaces: Option<u32>,
    /// Another line takes over from it.
    pub(super) replaced_by: Option<u32>,
    /// Streams with messages in a row that could not be read, and how many. The empty name is of messages that
    /// name none.
    pub(super) bad: HashMap<String, u32>,
    /// How many subscriptions a request has at most: fewer after lines that ended on a request.
    pub(super) batch_max: usize,
    /// Lines in a row that ended right behind a request.
    pub(super) ended_on_request: u32,
    /// Why the last connection ended.
    pub(super) last_end: Option<(Mono, String)>,
    /// Why the last attempt to connect failed.
    pub(super) last_failure: Option<(Mono, String)>,
}

/// How far a line is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Until then it is not tried.
    Waiting(Mono),
    /// The shell connects; after this time it should have said how that went.
    Connecting(Mono),
    /// It is open.
    Open,
}

/// One stream that is wanted on a line.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Its place among the instruments.
    pub(super) instrument: usize,
    pub(super) channel: ChannelKind,
    pub(super) name: String,
    pub(super) state: SubscriptionState,
    /// Requests in a row without success.
    pub(super) tries: u32,
    /// It has come as far as the line that it takes over from.
    pub(super) joined: bool,
}

/// What the venue has done about a subscription.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SubscriptionState {
    /// It has not been asked, or not in this life of the line.
    Wanted,
    /// It has been asked.
    Asked,
    /// It has said yes, at this time. That is not data.
    Accepted(Mono),
    /// Data have come.
    Live,
    /// It is left alone until then.
    Refused(Mono),
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) subscriptions: Vec<usize>,
    pub(super) deadline: Mono,
}

/// An answer to a request must come in this time.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the shell may take to connect.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Without any frame for so long, the other side is asked whether it lives.
pub(super) const PING_AFTER: Duration = Duration::from_secs(15);
/// So long it may take to answer a ping.
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(10);
/// After so long, a line is good: the next failure begins with short pauses again.
pub(super) const GOOD_AFTER: Duration = Duration::from_secs(60);
/// A line that ends within this time after a request has ended because of it, perhaps.
pub(super) const BLAME_WITHIN: Duration = Duration::from_secs(3);
/// Requests in a row without an answer, after which a subscription counts as refused.
pub(super) const TRIES: u32 = 3;
/// A line that takes over has so long for all of its streams.
pub(super) const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// A stream without data for so long after it was accepted is quiet: nothing was missed since.
pub(super) const QUIET_AFTER: Duration = Duration::from_secs(5);

// === impl Line ===

impl Line {
    pub(super) fn new(group: u8, parser: Parser, rules: &VenueRules, at: Mono) -> Self {
        let (limit, span) = rules.messages();
        Self {
            group,
            phase: Phase::Waiting(at),
            parser,
            subscriptions: Vec::new(),
            by_name: HashMap::new(),
            by_stream: HashMap::new(),
            unsent: VecDeque::new(),
            asked: VecDeque::new(),
            messages: Budget::new(limit, span),
            send_at: None,
            heard: at,
            pinged: None,
            opened: at,
            backoff: Backoff::new(Duration::from_millis(250), Duration::from_secs(30)),
            replaces: None,
            replaced_by: None,
            bad: HashMap::new(),
            batch_max: rules.batch_max,
            ended_on_request: 0,
            last_end: None,
            last_failure: None,
        }
    }

    /// One more stream is wanted.
    pub(super) fn want(&mut self, instrument: usize, channel: ChannelKind, name: String) -> usize {
        let at = self.subscriptions.len();
        self.by_name.insert(name.clone(), at);
        self.by_stream.insert((instrument, channel), at);
        self.subscriptions.push(Subscription {
            instrument,
            channel,
            name,
            state: SubscriptionState::Wanted,
            tries: 0,
            joined: false,
        });
        at
    }

    /// The place of the stream of an instrument's channel.
    pub(super) fn place(&self, instrument: usize, channel: ChannelKind) -> Option<usize> {
        self.by_stream.get(&(instrument, channel)).copied()
    }

    /// The instruments that it has, each once, in order.
    pub(super) fn instruments(&self) -> Vec<usize> {
        let mut all: Vec<_> = self.subscriptions.iter().map(|s| s.instrument).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Puts subscriptions into the batches that are to be asked for.
    pub(super) fn ask_for(&mut self, subscriptions: &[usize]) {
        for batch in subscriptions.chunks(self.batch_max.max(1)) {
            self.unsent.push_back(batch.to_vec());
        }
    }

    /// A new connection: everything is asked for, except what is left alone.
    pub(super) fn open(&mut self, now: Mono) {
        self.phase = Phase::Open;
        (self.opened, self.heard, self.pinged) = (now, now, None);
        self.forget_requests();
        let mut wanted = Vec::new();
        for (at, subscription) in self.subscriptions.iter_mut().enumerate() {
            subscription.joined = false;
            match subscription.state {
                SubscriptionState::Refused(until) if until > now => {}
                _ => {
                    subscription.state = SubscriptionState::Wanted;
                    wanted.push(at);
                }
            }
        }
        self.ask_for(&wanted);
    }

    /// The connection has ended: what was asked for is forgotten, what is wanted stays.
    pub(super) fn forget_requests(&mut self) {
        self.unsent.clear();
        self.asked.clear();
        self.send_at = None;
        self.bad.clear();
        self.messages = self.messages.anew();
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Streams that the venue has neither accepted nor refused for good.
    pub(super) fn unaccepted(&self) -> usize {
        let is_not = |s: &&Subscription| {
            !matches!(
                s.state,
                SubscriptionState::Accepted(_) | SubscriptionState::Live
            )
        };
        self.subscriptions.iter().filter(is_not).count()
    }

    /// When something is to do next.
    pub(super) fn next_deadline(&self, life: Duration) -> Mono {
        match self.phase {
            Phase::Waiting(until) | Phase::Connecting(until) => until,
            Phase::Open => {
                let alive = match self.pinged {
                    Some(at) => at.after(PONG_WITHIN),
                    None => self.heard.after(PING_AFTER),
                };
                let mut next = alive;
                if self.replaced_by.is_none() && self.replaces.is_none() {
                    next = next.min(self.opened.after(life));
                }
                let answer = self.asked.front().map(|asked| asked.deadline);
                let refused = self.subscriptions.iter().filter_map(|s| match s.state {
                    SubscriptionState::Refused(until) => Some(until),
                    _ => None,
                });
                let rest = answer.into_iter().chain(self.send_at).chain(refused);
                rest.fold(next, Mono::min)
            }
        }
    }
}
