//! A connection: how it begins, what it has subscribed to, what it may send, how it ends.

use super::messages::{self, HEARTBEAT};
use super::twist::Twist;
use super::view::BookMessage;
use super::{KrakenSpot, Task};
use crate::clock::Unit;
use crate::late::Late;
use crate::target::Target;
use crate::venue::{Output, Refusal};
use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of data.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Channel {
    Book,
    Trade,
    Ticker,
    Instrument,
}

/// A subscription: of which symbol in the list, and of what. Definitions are of all: [`INSTRUMENTS`].
pub(super) type Key = (usize, Channel);

/// The key of the definitions.
pub(super) const INSTRUMENTS: Key = (usize::MAX, Channel::Instrument);

/// A client's connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// What it has subscribed to.
    pub(super) subscriptions: BTreeMap<Key, Subscription>,
    /// Half open: nothing is sent or read any more.
    pub(super) muted: bool,
    /// Only signs of life and answers are sent.
    pub(super) silent: bool,
    /// Messages that come late.
    pub(super) late: Late,
    /// The venue's number of it.
    id: u64,
    /// When the client last said something.
    heard: Duration,
    /// When the messages of the client so far are paid for, for the limit.
    paid: Duration,
    /// Whether it has signs of life.
    beats: bool,
}

/// What a client has asked for.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// Levels of each side, of books.
    pub(super) depth: usize,
    /// Of tickers: whether changes of the best prices bring one, and not trades.
    pub(super) bbo: bool,
    /// Of definitions: whether shares as tokens are in it.
    pub(super) tokenised: bool,
    /// The whole book comes soon, and nothing before it.
    pub(super) held: bool,
    /// Faults of the next messages.
    pub(super) twists: Vec<Twist>,
}

// === impl Channel ===

impl Channel {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Book => "book",
            Self::Trade => "trade",
            Self::Ticker => "ticker",
            Self::Instrument => "instrument",
        }
    }

    pub(super) fn of(name: &str) -> Option<Self> {
        let all = [Self::Book, Self::Trade, Self::Ticker, Self::Instrument];
        all.into_iter().find(|channel| channel.name() == name)
    }
}

// === impl KrakenSpot ===

impl KrakenSpot {
    /// A handshake. The first message is the venue's status `[C]`.
    pub(super) fn open_connection(&mut self, conn: u64, target: &str) -> Result<(), Refusal> {
        self.attempts.note(self.now, &mut self.counts);
        self.attempts.judge(self.now, &mut self.counts)?;
        if let Some(fault) = self.faults.handshakes.pop_front() {
            self.note_applied(fault, None, Some(conn));
            return Err(self.attempts.refuse(fault, self.now));
        }
        if Target::parse(target).path.trim_end_matches('/') != "/v2" {
            return Err(Refusal::of(404, ""));
        }
        let connection = Connection {
            subscriptions: BTreeMap::new(),
            muted: false,
            silent: false,
            late: Late::default(),
            // Above 2^53, as captured [C].
            id: self.random.next() | 1 << 62,
            heard: self.now,
            paid: self.now,
            beats: false,
        };
        self.connections.insert(conn, connection);
        self.agenda
            .note(self.now + self.config.rates.idle, Task::Idle(conn));
        self.say_status(conn);
        Ok(())
    }

    /// Counts a message of a client. Whether it may be read: what is too much is lost, and that is said.
    pub(super) fn count_message(&mut self, conn: u64) -> bool {
        let limits = &self.config.limits;
        let second = Duration::from_secs(1);
        let price = second / u32::try_from(limits.messages).unwrap_or(1).max(1);
        let burst = price * u32::try_from(limits.burst).unwrap_or(1);
        let now = self.now;
        let Some(connection) = self.connections.get_mut(&conn) else {
            return false;
        };
        if connection.muted {
            return false;
        }
        connection.heard = now;
        let paid = connection.paid.max(now) + price;
        if paid > now + burst {
            self.counts.refused_messages += 1;
            self.say(conn, messages::EXCEEDED.to_owned());
            return false;
        }
        connection.paid = paid;
        true
    }

    /// A subscription that messages are sent for.
    pub(super) fn speaking(&mut self, conn: u64, key: Key) -> Option<&mut Subscription> {
        let connection = self.connections.get_mut(&conn)?;
        if connection.muted || connection.silent {
            return None;
        }
        connection.subscriptions.get_mut(&key)
    }

    /// Signs of life begin with the first subscription; they come also between data `[C; the beginning U]`.
    pub(super) fn begin_heartbeats(&mut self, conn: u64) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        if !std::mem::replace(&mut connection.beats, true) {
            let first = self.now + self.config.rates.heartbeat;
            self.agenda.note(first, Task::Heartbeat(conn));
        }
    }

    pub(super) fn heartbeat(&mut self, conn: u64) {
        if self.can_write(conn) {
            self.say(conn, HEARTBEAT.to_owned());
            let next = self.now + self.config.rates.heartbeat;
            self.agenda.note(next, Task::Heartbeat(conn));
        }
    }

    /// Cuts a connection whose client has said nothing for a minute `[D; how it ends U]`.
    pub(super) fn check_idle(&mut self, conn: u64) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let until = connection.heard + self.config.rates.idle;
        if connection.muted {
            return;
        }
        if until > self.now {
            self.agenda.note(until, Task::Idle(conn));
        } else {
            self.counts.silent += 1;
            self.cut(conn);
        }
    }

    /// Says the venue's status on a connection.
    pub(super) fn say_status(&mut self, conn: u64) {
        let planned = self.system == "upcoming_maintenance";
        let at = self.clock.stamp(self.now + super::steer::LEAD);
        let at = planned.then(|| at.text(Unit::Micro));
        if let Some(connection) = self.connections.get(&conn) {
            let text = messages::status(connection.id, self.system, at);
            self.say(conn, text);
        }
    }

    /// Sends what a subscription begins with.
    pub(super) fn say_snapshot(&mut self, conn: u64, key: Key) {
        let Some(subscription) = self.speaking(conn, key) else {
            return;
        };
        let (depth, tokenised) = (subscription.depth, subscription.tokenised);
        match key.1 {
            Channel::Book => self.say_book(conn, key.0, depth),
            Channel::Instrument => self.say_instruments(conn, tokenised),
            Channel::Trade => self.say_old_trades(conn, key.0),
            Channel::Ticker => {
                if let Some(listing) = self.listings.get(key.0) {
                    let text = messages::ticker(listing, true, self.stamp());
                    self.say(conn, text);
                }
            }
        }
    }

    /// Sends a whole book.
    pub(super) fn say_book(&mut self, conn: u64, index: usize, depth: usize) {
        let us = self.stamp().text(Unit::Micro);
        let Some(listing) = self.listings.get_mut(index) else {
            return;
        };
        listing.market.remember_as(us);
        let (bids, asks) = listing.view.best(depth);
        listing.last_sum = listing.view.sum(listing.digits);
        let whole = depth >= super::sum::SUMMED;
        let message = BookMessage {
            snapshot: true,
            bids,
            asks,
            sum: whole.then_some(listing.last_sum),
            us,
            touches: false,
        };
        let text = messages::book(&listing.names(), &message);
        self.say(conn, text);
    }

    /// A few levels of a book without a sum; the whole book follows, and nothing is said between them `[L]`.
    pub(super) fn say_thin_book(&mut self, conn: u64, key: Key) {
        if let Some(subscription) = self.speaking(conn, key) {
            subscription.held = true;
            self.say_book(conn, key.0, THIN_LEVELS);
            self.agenda
                .note(self.now + DEEPER_AFTER, Task::Deeper(conn, key));
        }
    }

    pub(super) fn deeper(&mut self, conn: u64, key: Key) {
        let Some(subscription) = self.speaking(conn, key) else {
            return;
        };
        if std::mem::replace(&mut subscription.held, false) {
            self.say_snapshot(conn, key);
        }
    }

    /// Sends the last trades once more, as old ones.
    pub(super) fn say_old_trades(&mut self, conn: u64, index: usize) {
        let stamp = self.stamp();
        let Some(listing) = self.listings.get(index) else {
            return;
        };
        let trades = listing.market.trades();
        let first = trades.len().saturating_sub(OLD_TRADES);
        let old: Vec<_> = trades.range(first..).copied().collect();
        let text = messages::trades(&listing.names(), true, &old, stamp);
        self.say(conn, text);
    }

    /// Sends all definitions.
    fn say_instruments(&mut self, conn: u64, tokenised: bool) {
        let listed = self
            .listings
            .iter()
            .filter(|listing| listing.is_listed() && (tokenised || !listing.tokenised()));
        let (mut ids, mut pairs) = (Vec::new(), Vec::new());
        for listing in listed {
            let config = &listing.market.config;
            ids.extend([config.base.as_str(), config.quote.as_str()]);
            pairs.push(messages::pair(listing));
        }
        ids.sort_unstable();
        ids.dedup();
        let assets: Vec<String> = ids.into_iter().map(messages::asset).collect();
        let text = messages::instruments(true, &assets, &pairs);
        self.say(conn, text);
    }

    /// Says that the definition of a symbol has changed.
    pub(super) fn say_pair(&mut self, index: usize) {
        let Some(listing) = self.listings.get(index) else {
            return;
        };
        let (text, hidden) = (
            messages::instruments(false, &[], &[messages::pair(listing)]),
            listing.tokenised(),
        );
        for conn in self.connections() {
            let Some(subscription) = self.speaking(conn, INSTRUMENTS) else {
                continue;
            };
            let (deaf, wanted) = (!subscription.twists.is_empty(), subscription.tokenised);
            if !deaf && (wanted || !hidden) {
                self.say(conn, text.clone());
            }
        }
    }

    /// Ends a connection with a close frame.
    pub(super) fn close(&mut self, conn: u64, code: u16, reason: &str) {
        let reason = reason.to_owned();
        if self.forget(conn) {
            self.outputs.push_back(Output::Close { conn, code, reason });
        }
    }

    /// Ends a connection without a close frame.
    pub(super) fn cut(&mut self, conn: u64) {
        if self.forget(conn) {
            self.outputs.push_back(Output::Cut { conn });
        }
    }

    /// Removes a connection. Whether it was there and could be written to.
    fn forget(&mut self, conn: u64) -> bool {
        let connection = self.connections.remove(&conn);
        connection.is_some_and(|connection| !connection.muted)
    }
}

/// So many old trades come with a subscription `[D]`.
const OLD_TRADES: usize = 50;
/// Levels of a book that is thin at first.
const THIN_LEVELS: usize = 3;
/// The whole book comes so long behind it.
const DEEPER_AFTER: Duration = Duration::from_millis(200);
