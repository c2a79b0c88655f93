//! Books that begin in the stream: when they are asked for anew, and how a new line's book takes the place of an old
//! one's. [`Renewal`](super::renewal::Renewal) and [`Successor`] hold the state.

use super::line::{QUIET_AFTER, Subscription, SubscriptionState};
use super::renewal::{SNAPSHOT_WITHIN, Why};
use super::successor::Successor;
use super::{LiveInstrument, Session, Transmit};
use crate::book::EventStamp;
use crate::event::{Event, EventBody, FeedEvent};
use crate::metrics::UpstreamEvent;
use rand::Rng as _;
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelSet};

/// A book that takes over may be behind the old one for so long.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// So many renewals in a row are no accident: perhaps the digits have changed.
const DOUBTFUL: u32 = 2;

impl Session {
    /// Asks for the stream of a book anew, if that is due. Returns its line, which then has something to send.
    pub(super) fn visit_renewal(&mut self, at: usize) -> Option<u32> {
        let now = self.now;
        let instrument = &mut self.instruments[at];
        instrument.renewal.due().filter(|due| *due <= now)?;
        let number = instrument.line;
        let line = self.lines.get_mut(&number).filter(|line| line.is_open());
        let found = line.and_then(|line| Some((line.place(at, ChannelKind::Book)?, line)));
        let Some((place, line)) = found else {
            instrument.renewal.end();
            return None;
        };
        if instrument.renewal.has_failed(now) && line.data.after(SNAPSHOT_WITHIN * 2) <= now {
            // It is not about one book: requests are answered, and nothing else comes.
            self.transmits.push_back(Transmit::Close { line: number });
            let why = "the venue sends nothing but signs of life".to_owned();
            self.end_line(number, why);
            return None;
        }
        let subscription = &mut line.subscriptions[place];
        if !subscription.is_served() {
            instrument.renewal.postpone(now);
            return None;
        }
        subscription.state = SubscriptionState::Wanted;
        line.ask_anew(place);
        instrument.live = instrument.live.without(ChannelKind::Book);
        let failed = instrument.renewal.begin(now);
        match instrument.renewal.why() {
            Why::Needed => self.counters.upstream(UpstreamEvent::AskedAnew, 1),
            Why::Silent => self.counters.upstream(UpstreamEvent::Probe, 1),
            Why::Checked => {}
        }
        if failed {
            // Neither the old book nor a new one: the stream is dead.
            instrument.book.need();
            let why = "the venue sends no book when it is asked for".to_owned();
            self.say_lost(at, ChannelSet::EMPTY.with(ChannelKind::Book), why);
        }
        if self.instruments[at].renewal.times() >= DOUBTFUL {
            self.list_soon();
        }
        Some(number)
    }

    /// Asks for a book that seems right once more, if its time has come.
    pub(super) fn check_stream(&mut self, at: usize) {
        let instrument = &mut self.instruments[at];
        if instrument.check_at > self.now {
            return;
        }
        if instrument.book.is_good() && instrument.standby.is_none() {
            instrument.renewal.ask(Why::Checked, self.now);
        }
        self.check_later(at, 0.75);
    }

    /// The next check of a book; not of all at the same time.
    pub(super) fn check_later(&mut self, at: usize, least: f64) {
        let every = self.live.rules().check_every();
        let after = every.mul_f64(self.random.random_range(least..1.0));
        self.instruments[at].check_at = self.now.after(after);
    }

    /// A book, or a quote that comes alone, is silent: its stream is asked for anew, which shows whether it is only
    /// quiet.
    pub(super) fn probe(&mut self, at: usize) {
        let now = self.now;
        let instrument = &mut self.instruments[at];
        if instrument.channels.contains(ChannelKind::Book) {
            if instrument.book.is_good() {
                instrument.renewal.ask(Why::Silent, now);
            } else {
                instrument.renewal.want(now);
            }
            return;
        }
        let number = instrument.line;
        let line = self.lines.get_mut(&number).filter(|line| line.is_open());
        let found = line.and_then(|line| Some((line.place(at, ChannelKind::Quote)?, line)));
        if let Some((place, line)) = found
            && line.subscriptions[place].state == SubscriptionState::Live
        {
            line.subscriptions[place].state = SubscriptionState::Wanted;
            line.ask_anew(place);
            instrument.probes_quote = true;
            self.counters.upstream(UpstreamEvent::Probe, 1);
            self.send_requests(number);
        }
    }

    /// Whether an event of an instrument whose book begins in the stream is passed on: a book of a line that takes over
    /// is kept apart. It is lent, because moving an event costs all venues something.
    pub(super) fn in_stream(&mut self, line: u32, at: usize, event: &mut Event) -> bool {
        let instrument = &mut self.instruments[at];
        let EventBody::Book(_) = &event.body else {
            return self.answer_of_probe(at, event);
        };
        if instrument.is_beginning(event) {
            return false;
        }
        let takes_over = instrument.standby == Some(line);
        let has_taken_over = instrument.line == line && instrument.succeeds_at().is_some();
        if !takes_over && !has_taken_over {
            return self.in_order(at, event);
        }
        let Event {
            ts_event,
            ts_recv,
            venue_seq,
            body: EventBody::Book(book),
            ..
        } = event
        else {
            return false;
        };
        let (ts_event, ts_recv, venue_seq) = (*ts_event, *ts_recv, *venue_seq);
        let book = std::mem::take(book);
        let stamp = EventStamp {
            ts_event,
            ts_recv,
            venue_seq,
        };
        let scales = instrument.scales;
        let successor = instrument
            .successor
            .get_or_insert_with(|| Box::new(Successor::new(scales)));
        if !successor.take(stamp, book, self.now) {
            instrument.successor = None;
            if takes_over {
                self.ask_book_of(line, at);
            } else {
                self.lose_successor(at, "the book of a new connection is wrong");
            }
            return false;
        }
        if !successor.has_reached(instrument.position.book_time()) {
            return false;
        }
        if takes_over {
            self.join(line, at, ChannelKind::Book);
        } else {
            self.show_successor(at);
        }
        false
    }

    /// A change that is older than the one before it came in the wrong order, and sums do not show that of all levels:
    /// the book begins anew. Times that fall again and again are a habit of the venue.
    fn in_order(&mut self, at: usize, event: &Event) -> bool {
        let now = self.now;
        let instrument = &mut self.instruments[at];
        let is_change = matches!(&event.body, EventBody::Book(book) if !book.snapshot);
        let times = event.ts_event.zip(instrument.position.book_time());
        let falls = times.is_some_and(|(time, last)| time.nanos() < last.nanos());
        if !is_change || !falls || !instrument.book.is_good() || !instrument.disorder.note(now) {
            return true;
        }
        instrument.book.need();
        instrument.renewal.want(now);
        let why = "changes of the book came in the wrong order".to_owned();
        self.say_lost(at, ChannelSet::EMPTY.with(ChannelKind::Book), why);
        false
    }

    /// A quote that is what it was answers the question whether it is only quiet.
    fn answer_of_probe(&mut self, at: usize, event: &Event) -> bool {
        let instrument = &mut self.instruments[at];
        if let EventBody::Quote(quote) = &event.body
            && std::mem::take(&mut instrument.probes_quote)
            && instrument.position.best() == Some(*quote)
        {
            let channels = ChannelSet::EMPTY.with(ChannelKind::Quote);
            self.say(at, EventBody::Feed(FeedEvent::Quiet(channels)));
            return false;
        }
        true
    }

    /// The scales have changed: the book of a line that takes over begins anew too.
    pub(super) fn begin_successor_anew(&mut self, at: usize) {
        let instrument = &mut self.instruments[at];
        if let Some(standby) = instrument.standby
            && instrument.in_stream
        {
            instrument.successor = None;
            self.ask_book_of(standby, at);
        }
    }

    /// The book of a line that takes over is wrong: its stream is asked for anew there.
    fn ask_book_of(&mut self, line: u32, at: usize) {
        let place = self.lines.get(&line);
        if let Some(place) = place.and_then(|line| line.place(at, ChannelKind::Book)) {
            self.ask_anew(line, place);
        }
    }

    /// Whether a stream of a line that takes over has said all that there is: a quiet book.
    pub(super) fn is_quietly_right(&self, subscription: &Subscription) -> bool {
        let successor = subscription
            .instrument
            .filter(|_| subscription.channels.contains(ChannelKind::Book))
            .and_then(|at| self.instruments[at].successor.as_ref());
        let since = successor.and_then(|successor| successor.since());
        since.is_some_and(|since| since.after(QUIET_AFTER) <= self.now)
    }

    /// The instrument has a new line: its book takes over, at once if it has come as far.
    pub(super) fn hand_over_book(&mut self, at: usize) {
        let now = self.now;
        let instrument = &mut self.instruments[at];
        if !instrument.in_stream || !instrument.channels.contains(ChannelKind::Book) {
            return;
        }
        instrument.renewal.end();
        match &mut instrument.successor {
            Some(successor) if successor.since().is_some() => {
                let is_good = instrument.book.is_good();
                if !is_good || successor.has_reached(instrument.position.book_time()) {
                    self.show_successor(at);
                } else {
                    successor.until = Some(now.after(BEHIND_MAX));
                }
            }
            _ => {
                instrument.successor = None;
                if instrument.book.is_good() {
                    self.lose_successor(at, "a new connection took over before its book came");
                } else {
                    self.begin_book(at);
                }
            }
        }
    }

    /// Uses a book that has taken over, however far it has come, if its time is up.
    pub(super) fn visit_successor(&mut self, at: usize) {
        let until = self.instruments[at].succeeds_at();
        if until.is_some_and(|until| until <= self.now) {
            self.show_successor(at);
        }
    }

    fn show_successor(&mut self, at: usize) {
        if let Some(event) = self.take_successor(at) {
            let line = self.instruments[at].line;
            self.admit(line, &mut vec![event], false);
        }
    }

    /// The book of the new line, whole, which is the instrument's from now on.
    fn take_successor(&mut self, at: usize) -> Option<Event> {
        let instrument = &mut self.instruments[at];
        let event = instrument
            .successor
            .take()?
            .into_event(instrument.id, self.wall);
        if event.is_none() {
            self.lose_successor(at, "a new connection took over before its book came");
        }
        event
    }

    /// There is no book to take over with.
    fn lose_successor(&mut self, at: usize, why: &str) {
        self.say_lost(
            at,
            ChannelSet::EMPTY.with(ChannelKind::Book),
            why.to_owned(),
        );
        self.begin_book_anew(at);
    }
}

// === impl LiveInstrument ===

impl LiveInstrument {
    /// Whether a snapshot is only the beginning of one: with a few levels and without a sum, it has been seen before
    /// the whole one. If it comes twice, it is all that there is.
    fn is_beginning(&mut self, event: &Event) -> bool {
        let EventBody::Book(book) = &event.body else {
            return false;
        };
        if !book.snapshot {
            return false;
        }
        let levels = book.bids.len().max(book.asks.len());
        let is_thin = book.checksum.is_none() && book.depth.is_some_and(|depth| levels < depth);
        let was_thin = std::mem::replace(&mut self.was_thin, is_thin);
        is_thin && !was_thin
    }
}
