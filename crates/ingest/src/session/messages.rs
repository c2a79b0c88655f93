//! Messages with data: read by the line's decoder, measured, and passed on if they are news.

use super::freshness::FreshnessNews;
use super::line::SubscriptionState;
use super::position::channel_of;
use super::{Session, SessionEvents, Transmit};
use crate::book::bridges;
use crate::event::{BATCH_EVENTS_MAX, Event, EventBody, FeedEvent, Link};
use crate::metrics::UpstreamEvent;
use crate::venue::{Message, Reject};
use std::collections::VecDeque;
use tapecast_model::{ChannelKind, ChannelSet};

/// The delay of one message among so many is measured.
const MEASURED_ONE_IN: u32 = 8;
/// Messages of one stream in a row that cannot be read, after which it is asked for anew.
const BAD_IN_A_ROW: u32 = 10;

impl Session {
    /// Reads a message with data, and passes on what continues.
    pub(super) fn read_data(&mut self, line: u32, raw: &mut [u8]) {
        let Some(it) = self.lines.get_mut(&line) else {
            return;
        };
        let mut events = std::mem::take(&mut self.scratch);
        let message = Message {
            raw,
            http: None,
            symbol: None,
        };
        let result = it.parser.parse(message, self.wall, &mut events);
        self.counters.count_asides(it.parser.asides());
        match result {
            Ok(()) if it.bad.is_empty() => {}
            Ok(()) => {
                it.bad.remove("");
                if let Some(name) = self.live.name_of(raw) {
                    it.bad.remove(name.as_str());
                }
            }
            Err(reject) => {
                self.counters.reject(reject);
                self.samples.note(reject, raw, (self.now, self.wall));
                self.note_bad(line, reject, raw);
            }
        }
        self.measure(&events);
        self.admit(line, &mut events, true);
        events.clear();
        self.scratch = events;
    }

    /// Measures the delay of one message among some.
    pub(super) fn measure(&mut self, events: &[Event]) {
        self.unmeasured += 1;
        if self.unmeasured < MEASURED_ONE_IN {
            return;
        }
        let Some(time) = events.iter().find_map(|event| event.ts_event) else {
            return;
        };
        self.unmeasured = 0;
        let delay = self.wall.signed_since(time.nanos());
        self.counters.observe_delay(delay);
        let seconds = |nanos: i64| nanos as f64 / 1e9;
        match self.freshness.note(delay, self.now) {
            Some(FreshnessNews::Slow { usual, now }) => {
                let (usual_s, now_s) = (seconds(usual), seconds(now));
                self.counters.upstream(UpstreamEvent::Slowed, 1);
                tracing::warn!(venue = %self.venue, usual_s, now_s, "The venue's messages come later than usual");
            }
            Some(FreshnessNews::Usual) => {
                tracing::info!(venue = %self.venue, "The venue's messages come as usual again");
            }
            Some(FreshnessNews::ClockAhead(by)) => {
                tracing::warn!(venue = %self.venue, ahead_s = seconds(by), "The venue's clock is ahead of ours; check this machine's clock");
            }
            None => {}
        }
    }

    /// Notes what events say of a line's streams, if they came on it, and passes on those that are news.
    pub(super) fn admit(&mut self, line: u32, events: &mut Vec<Event>, on_stream: bool) {
        for mut event in events.drain(..) {
            let Some(at) = self.by_id.get(&event.instrument).copied() else {
                continue;
            };
            let channel = channel_of(&event);
            if let Some(channel) = channel.filter(|_| on_stream && is_life(&event)) {
                self.note_data(line, at, channel);
            }
            let instrument = &mut self.instruments[at];
            if on_stream && instrument.line == line {
                instrument.agree(&event, self.now);
            }
            if on_stream && instrument.in_stream && !self.in_stream(line, at, &mut event) {
                continue;
            }
            if !self.is_news(line, at, &event, channel) {
                continue;
            }
            let (mut ask, mut of_message) = (false, on_stream);
            let instrument = &mut self.instruments[at];
            if let EventBody::Book(book) = &mut event.body {
                if book.snapshot {
                    instrument.book.snapshots += 1;
                    if instrument.in_stream {
                        book.is_probe = instrument.renewal.settle(self.now);
                        // The message alone does not say what was asked.
                        of_message &= !book.is_probe;
                        instrument.book.set_good();
                    }
                } else if let Link::Range { first, .. } = book.link {
                    ask = instrument.book.note_change(first);
                    if let Some(check) = &mut instrument.check {
                        check.note(book);
                    }
                }
            }
            instrument.position.note(&event);
            if ask {
                self.ask_for_snapshot(at, false);
            }
            let lost = lost_by(&event);
            batch(&mut self.events, line, of_message).push(event);
            if lost.contains(ChannelKind::Book) || lost.contains(ChannelKind::Quote) {
                self.make_good(at, lost);
            }
        }
    }

    /// What a message said of these channels is lost: the venue's state makes up for it.
    pub(super) fn make_good(&mut self, at: usize, lost: ChannelSet) {
        let instrument = &mut self.instruments[at];
        if lost.contains(ChannelKind::Quote) {
            instrument.position.forget_quote();
        }
        if lost.contains(ChannelKind::Book) {
            instrument.book.need();
        }
        // Its own stream says what a quote is, unless snapshots do.
        let by_snapshot = lost.contains(ChannelKind::Book) || !instrument.in_stream;
        if by_snapshot && instrument.channels.contains(ChannelKind::Book) {
            self.ask_for_snapshot(at, true);
        }
    }

    /// Data of a stream came: it is live.
    pub(super) fn note_data(&mut self, line: u32, at: usize, channel: ChannelKind) {
        let instrument = &mut self.instruments[at];
        if instrument.line == line {
            if instrument.live.contains(channel) {
                return;
            }
            instrument.live = instrument.live.with(channel);
        }
        if let Some(it) = self.lines.get_mut(&line)
            && let Some(place) = it.place(at, channel)
        {
            let subscription = &mut it.subscriptions[place];
            (subscription.state, subscription.tries) = (SubscriptionState::Live, 0);
        }
    }

    pub(super) fn pass_on(&mut self, line: u32, events: impl IntoIterator<Item = Event>) {
        for event in events {
            batch(&mut self.events, line, false).push(event);
        }
    }

    /// One event of an instrument that is not of a line's data.
    pub(super) fn say(&mut self, at: usize, body: EventBody) {
        let instrument = &self.instruments[at];
        let event = Event {
            instrument: instrument.id,
            ts_event: None,
            ts_recv: self.wall,
            venue_seq: None,
            body,
        };
        let line = instrument.line;
        self.pass_on(line, [event]);
    }

    /// A channel of an instrument has a hole, for this reason.
    pub(super) fn say_lost(&mut self, at: usize, channels: ChannelSet, reason: String) {
        let lost = FeedEvent::Lost {
            channels,
            events: None,
            reason: reason.into(),
        };
        self.say(at, EventBody::Feed(lost));
    }

    /// A message of the line could not be read.
    pub(super) fn note_bad(&mut self, line: u32, reject: Reject, raw: &[u8]) {
        if reject == Reject::Scale {
            // Perhaps a tick has gained a digit: the list says so.
            self.list_soon();
        }
        if !reject.is_fault() {
            return;
        }
        let name = self.live.name_of(raw).unwrap_or_default();
        let Some(it) = self.lines.get_mut(&line) else {
            return;
        };
        let known = it.by_name.get(name.as_str()).copied();
        let name = if known.is_some() { name } else { String::new() };
        let count = it.bad.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count < BAD_IN_A_ROW {
            return;
        }
        *count = 0;
        let all = it.bad.len() >= it.subscriptions.len();
        match known {
            Some(subscription) if !all => self.ask_anew(line, subscription),
            _ => {
                self.counters.reconnects_rejects.inc();
                self.transmits.push_back(Transmit::Close { line });
                self.end_line(line, "ten messages in a row could not be read".into());
            }
        }
    }
}

/// Whether an event shows that its stream brings what it should: changes without the book that they change do not, if
/// it comes in the stream, and neither does what happened before.
fn is_life(event: &Event) -> bool {
    match &event.body {
        EventBody::Book(book) => book.snapshot || bridges(book.link),
        EventBody::Trades { history, .. } => !history,
        _ => true,
    }
}

/// Channels of which an event says that something is lost.
fn lost_by(event: &Event) -> ChannelSet {
    match &event.body {
        EventBody::Feed(FeedEvent::Lost { channels, .. }) => *channels,
        EventBody::Feed(FeedEvent::Gap(_)) => ChannelSet::ALL,
        _ => ChannelSet::EMPTY,
    }
}

/// The batch to which the next event of a line belongs.
fn batch(batches: &mut VecDeque<SessionEvents>, line: u32, of_message: bool) -> &mut Vec<Event> {
    let fits = |last: &SessionEvents| {
        last.line == line && last.of_message == of_message && last.events.len() < BATCH_EVENTS_MAX
    };
    if !batches.back().is_some_and(fits) {
        batches.push_back(SessionEvents {
            line,
            events: Vec::with_capacity(4),
            of_message,
        });
    }
    let last = batches.len() - 1;
    &mut batches[last].events
}
