//! One line: a connection to the venue, what is asked for on it, and what came of that.
//!
//! What is *wanted* is the list of subscriptions. Whether the venue has accepted one, and whether its data have come,
//! is kept apart: an acknowledgement is not data. How they are asked for is in `subscribe`.

use super::backoff::Backoff;
use super::budget::Budget;
use super::venue::{StreamName, VenueRules};
use crate::normaliser::Parser;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelSet, Mono};

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
    /// The place of the venue's list of instruments, if it comes on this line.
    pub(super) list: Option<usize>,
    /// Streams that are wanted since a moment ago.
    pub(super) new: Vec<usize>,
    /// What is to be asked.
    pub(super) unsent: VecDeque<Ask>,
    /// Requests without an answer, oldest first.
    pub(super) asked: VecDeque<Asked>,
    pub(super) messages: Budget,
    /// When the budget allows the next message, if one waits.
    pub(super) send_at: Option<Mono>,
    /// Nothing is asked before: the venue has said that we ask too fast.
    pub(super) held: Mono,
    /// How often in a row it has said so, and when last.
    pub(super) exceeded: Option<(u32, Mono)>,
    /// The last of our messages.
    pub(super) sent: Mono,
    /// The last frame of any kind.
    pub(super) heard: Mono,
    /// The last data.
    pub(super) data: Mono,
    /// The last answer to a request.
    pub(super) answered: Mono,
    /// A ping since which no frame has come.
    pub(super) pinged: Option<Mono>,
    /// When the answer to a ping in a message is due.
    pub(super) pong_due: Option<Mono>,
    /// How it is found dead.
    pub(super) patience: Patience,
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

/// How a line is found dead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Without any frame for so long, the other side is asked whether it lives.
    pub(super) ping_after: Duration,
    /// So long it may take to answer.
    pub(super) pong_within: Duration,
    /// We send something at least so often.
    pub(super) ping_every: Option<Duration>,
}

/// One stream that is wanted on a line.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    /// Its place among the instruments; none if it is the venue's list of them.
    pub(super) instrument: Option<usize>,
    /// What it serves.
    pub(super) channels: ChannelSet,
    /// Streams of different kinds are asked for by different requests.
    pub(super) request: u8,
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

/// A request that has not been sent: subscriptions of one kind.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// They are wanted.
    Join(Vec<usize>),
    /// They end, because they begin anew right after.
    Leave(Vec<usize>),
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: u64,
    pub(super) subscriptions: Vec<usize>,
    pub(super) sent: Mono,
    pub(super) deadline: Mono,
    /// So many of them the venue refused without a name, and why.
    pub(super) refused: Option<(usize, String)>,
    /// It may not have been read: no answer is no fault of it.
    pub(super) excused: bool,
}

/// An answer to a request must come in this time.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long the shell may take to connect.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Without any frame for so long, the other side is asked whether it lives, if the venue has no heartbeats.
const PING_AFTER: Duration = Duration::from_secs(15);
/// So long it may take to answer a ping.
pub(super) const PONG_WITHIN: Duration = Duration::from_secs(10);
/// A line without any frame for so many heartbeats is dead. It is asked one heartbeat before.
const HEARTBEATS: u32 = 3;
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
            list: None,
            new: Vec::new(),
            unsent: VecDeque::new(),
            asked: VecDeque::new(),
            messages: Budget::new(limit, span),
            send_at: None,
            held: at,
            exceeded: None,
            sent: at,
            heard: at,
            data: at,
            answered: at,
            pinged: None,
            pong_due: None,
            patience: Patience::of(rules),
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

    /// One more channel of an instrument is wanted; without an instrument, the venue's list of them. Returns the
    /// place of the stream that serves it, which may serve others.
    pub(super) fn want(
        &mut self,
        of: Option<(usize, ChannelKind)>,
        StreamName { name, request, .. }: StreamName,
    ) -> usize {
        let at = match self.by_name.get(&name) {
            Some(at) => *at,
            None => {
                let at = self.subscriptions.len();
                self.by_name.insert(name.clone(), at);
                self.subscriptions.push(Subscription {
                    instrument: of.map(|(instrument, _)| instrument),
                    channels: ChannelSet::EMPTY,
                    request,
                    name,
                    state: SubscriptionState::Wanted,
                    tries: 0,
                    joined: false,
                });
                self.new.push(at);
                at
            }
        };
        match of {
            Some((instrument, channel)) => {
                self.by_stream.insert((instrument, channel), at);
                let channels = &mut self.subscriptions[at].channels;
                *channels = channels.with(channel);
            }
            None => self.list = Some(at),
        }
        at
    }

    /// The same stream is wanted as on another line.
    pub(super) fn want_like(&mut self, other: &Subscription, group: u8) {
        let stream = || StreamName {
            group,
            request: other.request,
            name: other.name.clone(),
        };
        match other.instrument {
            Some(instrument) => {
                for channel in other.channels.iter() {
                    self.want(Some((instrument, channel)), stream());
                }
            }
            None => {
                self.want(None, stream());
            }
        }
    }

    /// The place of the stream of an instrument's channel.
    pub(super) fn place(&self, instrument: usize, channel: ChannelKind) -> Option<usize> {
        self.by_stream.get(&(instrument, channel)).copied()
    }

    /// The instruments that it has, each once, in order.
    pub(super) fn instruments(&self) -> Vec<usize> {
        let named = self.subscriptions.iter().filter_map(|s| s.instrument);
        let mut all: Vec<_> = named.collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Puts subscriptions into the batches that are to be asked for, apart by kind.
    pub(super) fn ask_for(&mut self, subscriptions: &[usize]) {
        let mut kinds = BTreeMap::<u8, Vec<usize>>::new();
        for at in subscriptions {
            let kind = self.subscriptions[*at].request;
            kinds.entry(kind).or_default().push(*at);
        }
        for kind in kinds.into_values() {
            for batch in kind.chunks(self.batch_max.max(1)) {
                self.unsent.push_back(Ask::Join(batch.to_vec()));
            }
        }
    }

    /// Puts a stream that shall end and begin anew among what is to be asked, together with others of its kind.
    pub(super) fn ask_anew(&mut self, place: usize) {
        let most = self.batch_max.max(1);
        let kind = self.subscriptions[place].request;
        let last = self.unsent.len().saturating_sub(2);
        let (before, behind) = self.unsent.make_contiguous().split_at_mut(last);
        let _ = before;
        if let [Ask::Leave(leave), Ask::Join(join)] = behind
            && leave == join
            && join.len() < most
            && self.subscriptions[join[0]].request == kind
        {
            leave.push(place);
            join.push(place);
            return;
        }
        self.unsent.push_back(Ask::Leave(vec![place]));
        self.unsent.push_back(Ask::Join(vec![place]));
    }

    /// A new connection: everything is asked for, except what is left alone.
    pub(super) fn open(&mut self, now: Mono) {
        self.phase = Phase::Open;
        self.new.clear();
        (self.opened, self.heard, self.sent) = (now, now, now);
        (self.data, self.answered) = (now, now);
        (self.pinged, self.pong_due) = (None, None);
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
        let is_not = |s: &&Subscription| !s.is_served();
        self.subscriptions.iter().filter(is_not).count()
    }

    /// When something is to do next.
    pub(super) fn next_deadline(&self, life: Duration) -> Mono {
        match self.phase {
            Phase::Waiting(until) | Phase::Connecting(until) => until,
            Phase::Open => {
                let Patience {
                    ping_after,
                    pong_within,
                    ping_every,
                } = self.patience;
                let alive = match self.pinged {
                    Some(at) => at.after(pong_within),
                    None => self.heard.after(ping_after),
                };
                let mut next = alive;
                let pong = match (self.pong_due, ping_every) {
                    (Some(due), _) => Some(due),
                    (None, Some(every)) => Some(self.sent.after(every)),
                    (None, None) => None,
                };
                if self.replaced_by.is_none() && self.replaces.is_none() {
                    next = next.min(self.opened.after(life));
                }
                let answer = self.asked.iter().map(|asked| asked.deadline).min();
                let refused = self.subscriptions.iter().filter_map(|s| match s.state {
                    SubscriptionState::Refused(until) => Some(until),
                    _ => None,
                });
                let other = answer.into_iter().chain(self.send_at).chain(pong);
                other.chain(refused).fold(next, Mono::min)
            }
        }
    }
}

// === impl Subscription ===

impl Subscription {
    /// Whether the venue has accepted it.
    pub(super) const fn is_served(&self) -> bool {
        matches!(
            self.state,
            SubscriptionState::Accepted(_) | SubscriptionState::Live
        )
    }
}

// === impl Patience ===

impl Patience {
    fn of(rules: &VenueRules) -> Self {
        let (ping_after, pong_within) = match rules.heartbeat() {
            Some(every) => (every * (HEARTBEATS - 1), every),
            None => (PING_AFTER, PONG_WITHIN),
        };
        Self {
            ping_after,
            pong_within,
            ping_every: rules.ping_every(),
        }
    }
}
