//! Snapshots: asked for by HTTP, judged, and given to the pipeline.

use super::book_check::BookCheck;
use super::book_start::Worth;
use super::line::SubscriptionState;
use super::requests::{Job, Purpose, TIMEOUT, Verdict};
use super::{HttpAnswer, Session, Transmit};
use crate::event::{Event, EventBody, FeedEvent, Link};
use crate::metrics::UpstreamEvent;
use crate::venue::{Message, Reject};
use std::collections::BTreeSet;
use std::time::Duration;
use tapecast_model::{ChannelKind, ChannelSet, Level, Quote};

/// How long the first change of a stream is waited for before its snapshot is asked for.
const CHANGE_WITHIN: Duration = Duration::from_millis(1_500);
/// How long a stream has to come as far as its venue.
const STREAM_LAG: Duration = Duration::from_secs(3);
/// How long to wait for a snapshot that is as new as the stream.
const NEWER_AFTER: Duration = Duration::from_millis(700);

/// A book as its venue has sent it.
struct Snapshot {
    /// The venue's number.
    number: u64,
    /// Its best levels.
    best: Quote,
    event: Event,
}

impl Session {
    /// A book's stream begins: it needs a snapshot.
    pub(super) fn begin_book(&mut self, at: usize) {
        if !self.instruments[at].channels.contains(ChannelKind::Book) {
            return;
        }
        let instrument = &mut self.instruments[at];
        if instrument.in_stream {
            instrument.book.begin(None);
            instrument.renewal.expect(self.now);
        } else {
            instrument.book.begin(Some(self.now.after(CHANGE_WITHIN)));
        }
        instrument.position.forget_book();
    }

    /// A book begins anew, although its stream goes on.
    pub(super) fn begin_book_anew(&mut self, at: usize) {
        self.begin_book(at);
        let instrument = &mut self.instruments[at];
        if instrument.in_stream && instrument.channels.contains(ChannelKind::Book) {
            let place = |line: &super::Line| line.place(at, ChannelKind::Book);
            let line = self.lines.get(&instrument.line);
            let state = line.and_then(|line| Some(line.subscriptions[place(line)?].state));
            if matches!(
                state,
                Some(SubscriptionState::Live | SubscriptionState::Accepted(_))
            ) {
                instrument.renewal.end();
                instrument.renewal.want_now(self.now);
            }
        }
    }

    /// Asks for a snapshot, before others if somebody waits for it.
    pub(super) fn ask_for_snapshot(&mut self, at: usize, first: bool) {
        let now = self.now;
        let instrument = &mut self.instruments[at];
        if instrument.in_stream {
            if instrument.book.is_awaiting() {
                instrument.renewal.want(now);
            }
            return;
        }
        if let Some(request) = self.live.snapshot(&instrument.native) {
            let purpose = Purpose::Snapshot(at);
            self.requests.ask(purpose, request, self.now, first);
        }
    }

    /// Finds streams that are dead: the venue has come further, and they have not followed.
    pub(super) fn visit_books(&mut self) {
        self.ask_for_checks();
        let mut touched = BTreeSet::new();
        for at in 0..self.instruments.len() {
            self.visit_quote(at);
            self.visit_agreement(at);
            if self.instruments[at].in_stream {
                self.check_stream(at);
                touched.extend(self.visit_renewal(at));
                self.visit_successor(at);
                continue;
            }
            if self.instruments[at].book.is_due(self.now) {
                self.ask_for_snapshot(at, false);
            }
            let instrument = &mut self.instruments[at];
            if !instrument
                .book
                .is_dead(instrument.position.book(), self.now)
            {
                continue;
            }
            self.revive(at, ChannelKind::Book);
        }
        for line in touched {
            self.send_requests(line);
        }
    }

    /// A quote that has not come as far as the book: its stream is dead.
    fn visit_quote(&mut self, at: usize) {
        let instrument = &mut self.instruments[at];
        let due = instrument.quote_due.filter(|(_, due)| *due <= self.now);
        let Some((number, _)) = due else { return };
        instrument.quote_due = None;
        let last = instrument.position.quote().map_or(0, |(last, _)| last);
        if last < number {
            self.revive(at, ChannelKind::Quote);
            self.ask_for_snapshot(at, true);
        }
    }

    /// A book with this number and these best levels is right: so the quote stream, which has the same numbers, must
    /// say the same. A stream of changes says nothing in a quiet market; then the quote is the book's.
    fn check_quote(&mut self, at: usize, number: u64, best: Quote) {
        let instrument = &mut self.instruments[at];
        if !instrument.channels.contains(ChannelKind::Quote) || !self.live.shares_numbers() {
            return;
        }
        let channels = ChannelSet::EMPTY.with(ChannelKind::Quote);
        match instrument.position.quote() {
            Some((last, quote)) if last <= number && quote == best => {
                self.say(at, EventBody::Feed(FeedEvent::Quiet(channels)));
            }
            Some((last, _)) if last <= number => {
                // It may be on its way.
                let due = self.now.after(STREAM_LAG);
                instrument.quote_due = Some((number, due));
            }
            Some(_) => {}
            None => {
                let event = Event {
                    instrument: instrument.id,
                    ts_event: None,
                    ts_recv: self.wall,
                    venue_seq: Some(number),
                    body: EventBody::Quote(best),
                };
                instrument.position.note(&event);
                let line = instrument.line;
                self.pass_on(line, [event]);
            }
        }
    }

    /// Sends requests that may be sent, and gives up those that are overdue.
    pub(super) fn visit_requests(&mut self) {
        while let Some(job) = self.requests.overdue(self.now) {
            self.ask_again(job, "there was no answer");
        }
        while let Some((id, job)) = self.requests.next(self.now) {
            if let Purpose::Check(at) = job.purpose {
                self.instruments[at].check = Some(BookCheck::default());
            }
            let transmit = Transmit::Http {
                id,
                url: job.request.url.clone(),
                timeout: TIMEOUT,
            };
            self.transmits.push_back(transmit);
        }
    }

    /// A request failed: it is tried again after a pause.
    pub(super) fn ask_again(&mut self, job: Job, why: &str) {
        self.counters.upstream(UpstreamEvent::RequestFailed, 1);
        self.request_failure = Some((self.now, why.to_owned()));
        if let Purpose::Check(at) = job.purpose {
            // It was not urgent: the next one comes in its time.
            self.instruments[at].check = None;
            return;
        }
        if let Some(more) = self.log.pass(self.now) {
            tracing::warn!(venue = %self.venue, purpose = ?job.purpose, reason = why, more, "Request failed");
        }
        self.requests.ask_again(job, self.now, &mut self.random);
    }

    /// An answer came.
    pub(super) fn take_answer(&mut self, id: u64, answer: HttpAnswer<'_>) {
        let header = self.live.rules().weight_header.as_deref();
        let used = header.and_then(|name| answer.header(name)?.trim().parse().ok());
        if let Some(used) = used {
            self.requests.note_weight(used, self.now);
        }
        let Some(job) = self.requests.answered(id) else {
            return;
        };
        match Verdict::of(answer.status, answer.retry_after()) {
            Verdict::Granted => {
                self.requests.permit();
                match job.purpose {
                    Purpose::Definitions => self.take_list(job, answer.body),
                    Purpose::Turnover => self.take_turnover(job, answer.body),
                    Purpose::Snapshot(at) => self.take_snapshot(job, at, answer.body),
                    Purpose::Check(at) => self.take_check(&job, at, answer.body),
                }
            }
            Verdict::Forbidden(pause) => {
                let seconds = self.requests.forbid(pause, self.now).as_secs();
                let why = format!(
                    "status {}: not from here; asked again in {seconds} s",
                    answer.status
                );
                self.ask_again(job, &why);
            }
            Verdict::Paused(pause) => {
                // Whoever asks too much may be kept out altogether: no new line either.
                self.obey_ban(pause);
                let seconds = pause.as_secs();
                let why = format!(
                    "status {}; the venue is left alone for {seconds} s",
                    answer.status
                );
                self.ask_again(job, &why);
            }
            Verdict::Wrong => self.take_refusal(job, answer.status),
            Verdict::Failed => {
                let why = format!("status {}", answer.status);
                self.ask_again(job, &why);
            }
        }
    }

    /// The venue refuses this request: its book has a gap, and is asked for again.
    fn take_refusal(&mut self, job: Job, status: u16) {
        if let Purpose::Snapshot(at) = job.purpose {
            let native = &self.instruments[at].native;
            let why = format!("the venue refuses a snapshot of {native} (status {status})");
            self.counters.upstream(UpstreamEvent::Refusal, 1);
            self.say_lost(at, ChannelSet::EMPTY.with(ChannelKind::Book), why);
        }
        self.ask_again(job, &format!("status {status}"));
    }

    /// A book that seems right is compared with its venue.
    fn take_check(&mut self, job: &Job, at: usize, body: &mut [u8]) {
        let instrument = &mut self.instruments[at];
        let (number, last) = (instrument.line, instrument.position.book());
        let Some((check, last)) = instrument.check.take().zip(last) else {
            return;
        };
        if !instrument.book.is_good() || instrument.standby.is_some() {
            return;
        }
        let Some(Snapshot {
            number: snapshot,
            best,
            event,
        }) = self.read_snapshot(job, at, body)
        else {
            return;
        };
        if let Some(book) = check.settle(event, snapshot, last) {
            self.admit(number, &mut vec![book], false);
            self.check_quote(at, snapshot, best);
        }
    }

    /// Reads an answer by the decoder of the instrument's line; none if it is no snapshot.
    fn read_snapshot(&mut self, job: &Job, at: usize, body: &mut [u8]) -> Option<Snapshot> {
        let instrument = &self.instruments[at];
        let line = self.lines.get_mut(&instrument.line)?;
        let mut events = Vec::new();
        let message = Message {
            raw: body,
            http: Some(&job.request.url),
            symbol: Some(&instrument.native),
        };
        if let Err(reject) = line.parser.parse(message, self.wall, &mut events) {
            self.counters.reject(reject);
            if reject == Reject::Scale {
                self.list_soon();
            }
            return None;
        }
        events.into_iter().find_map(Snapshot::of)
    }

    /// Lets each book come as a whole: it is compared with its venue, or begins anew on another line if its
    /// snapshots come in the stream.
    pub(super) fn show_books(&mut self) {
        let mut in_stream = false;
        for instrument in &mut self.instruments {
            if !instrument.channels.contains(ChannelKind::Book) {
                continue;
            }
            match self.live.snapshot(&instrument.native) {
                Some(_) => instrument.check_at = self.now,
                None => in_stream = true,
            }
        }
        if in_stream {
            let lines: Vec<_> = self.lines.keys().copied().collect();
            lines.into_iter().for_each(|line| self.rotate(line));
        }
    }

    /// Asks for a comparison of each book whose time has come.
    fn ask_for_checks(&mut self) {
        for at in 0..self.instruments.len() {
            let instrument = &self.instruments[at];
            if instrument.in_stream || instrument.check_at > self.now || !instrument.book.is_good()
            {
                continue;
            }
            self.check_later(at, 0.75);
            let instrument = &self.instruments[at];
            if let Some(request) = self.live.snapshot(&instrument.native) {
                self.requests
                    .ask(Purpose::Check(at), request, self.now, false);
            }
        }
    }

    fn take_snapshot(&mut self, job: Job, at: usize, body: &mut [u8]) {
        let instrument = &self.instruments[at];
        if !(instrument.book.is_awaiting() || instrument.book.is_good()) {
            return;
        }
        let Some(Snapshot {
            number: snapshot,
            best: quote,
            event,
        }) = self.read_snapshot(&job, at, body)
        else {
            return self.ask_again(job, "the snapshot cannot be read");
        };
        let instrument = &mut self.instruments[at];
        let number = instrument.line;
        let last = instrument.position.book();
        let wait = self.now.after(STREAM_LAG);
        match instrument.book.judge(snapshot, last, self.now, wait) {
            Worth::Begins => {
                self.check_later(at, 0.25);
                self.admit(number, &mut vec![event], false);
                self.check_quote(at, snapshot, quote);
            }
            Worth::Quiet => {
                let book = ChannelSet::EMPTY.with(ChannelKind::Book);
                self.say(at, EventBody::Feed(FeedEvent::Quiet(book)));
                self.check_quote(at, snapshot, quote);
            }
            Worth::TooOld => {
                let doublings = instrument.book.too_old.min(5);
                let after = self.now.after(NEWER_AFTER * (1 << (doublings - 1)));
                let purpose = Purpose::Snapshot(at);
                self.requests.ask(purpose, job.request, after, true);
                self.counters.upstream(UpstreamEvent::OldSnapshot, 1);
            }
            // It says something of the quote, which may be silent alone.
            Worth::AheadOfStream | Worth::Behind => self.check_quote(at, snapshot, quote),
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The snapshot that an event is, if it has a number.
    fn of(event: Event) -> Option<Self> {
        let EventBody::Book(book) = &event.body else {
            return None;
        };
        let number = match book.link {
            Link::Range { last, .. } | Link::Step(last) | Link::Whole(last) => last,
            Link::Previous { last, .. } => u64::try_from(last).ok()?,
            Link::None => return None,
        };
        let level = |level: &Level| (level.price, level.qty);
        let best = Quote {
            bid: book.bids.iter().map(level).max_by_key(|(price, _)| *price),
            ask: book.asks.iter().map(level).min_by_key(|(price, _)| *price),
        };
        book.snapshot.then_some(Self {
            number,
            best,
            event,
        })
    }
}
