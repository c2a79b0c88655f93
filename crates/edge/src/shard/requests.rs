//! Requests of clients, and their answers.
//!
//! The requests of a connection are answered in order. A subscription is acknowledged when the start of
//! each of its topics is known, which takes one round through the pipeline, or after [`ACK_PATIENCE`]. A
//! topic whose snapshot has not come after this time starts with `none`, and the snapshot follows.
//! Requests that come before the acknowledgement wait, and so do frames of the new topics; frames of all
//! other topics do not. Here, only a violation of the protocol or a flood of requests ends a connection.

use super::index::{ConnId, NOT_AWAITED, SlotId};
use super::intake::WORK_PER_ROUND;
use super::reader::{Incoming, Violation};
use super::session::{PendingAck, PendingTopic, Started, Verdict};
use super::socket::Socket;
use super::{Shard, Shared, SubState};
use hashbrown::HashSet;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tapecast_fanout::TopicEntry;
use tapecast_model::catalog::{CatalogError, Resolved};
use tapecast_model::{Mono, RateLimit, StreamPos, Topic, TopicError, UnixNanos};
use tapecast_wire::reply::{self, Rejected, Start};
use tapecast_wire::request::{OP_LABELS, Request, RequestError, RequestId, TopicRequest};
use tapecast_wire::{CloseReason, ErrorCode, Opcode, frame};

impl<S: Socket> Shard<S> {
    /// Takes what a connection's socket gave. Returns how many frames it was.
    pub(super) fn hear(&mut self, id: ConnId, bytes: &mut [u8], now: Mono, wall: UnixNanos) -> u32 {
        let max = self.limits(id).request_bytes_max;
        self.granted = 0;
        let Some(conn) = self.conn_mut(id) else {
            return 0;
        };
        conn.session.last_heard = now;
        let mut reader = std::mem::take(&mut conn.session.reader);
        let result = reader.feed(bytes, max, |incoming| {
            self.incoming(id, &incoming, now, wall)
        });
        if let Some(conn) = self.conn_mut(id) {
            conn.session.reader = reader;
        }
        self.answer_ping(id, now);
        let frames = match result {
            Ok(frames) => frames,
            Err(Violation { reason, message }) => {
                let message = match reason == CloseReason::TooLarge {
                    true => format!("{message}: a request has at most {max} bytes").into(),
                    false => Cow::Borrowed(message),
                };
                self.close(id, reason, &message, now);
                1
            }
        };
        self.set_dirty(id);
        frames
    }

    /// Answers the last ping of those that came in a row.
    fn answer_ping(&mut self, id: ConnId, now: Mono) {
        let Some(payload) = self.pinged.take() else {
            return;
        };
        if let Some(conn) = self.conn_mut(id).filter(|conn| !conn.muted) {
            let pong = frame::whole(Opcode::Pong, &payload);
            conn.outbox(now).push_pong(pong.into());
        }
    }

    /// Returns whether to go on.
    fn incoming(&mut self, id: ConnId, said: &Incoming<'_>, now: Mono, wall: UnixNanos) -> bool {
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        if conn.session.ended.is_some() {
            return false;
        }
        let closing = conn.session.closing.as_ref().map(|c| c.reason);
        match (said, closing) {
            (Incoming::Close(_), Some(reason)) => {
                // The answer to our close: the handshake is complete.
                self.end(id, reason);
                return false;
            }
            (_, Some(_)) | (Incoming::Pong, None) => {}
            (Incoming::Close(code), None) => {
                let code = code.unwrap_or_else(|| CloseReason::Client.close_code());
                self.close_with(id, CloseReason::Client, code, "", now);
                return false;
            }
            (Incoming::Ping(payload), None) => {
                let pinged = self.pinged.get_or_insert_default();
                pinged.clear();
                pinged.extend_from_slice(payload);
            }
            (Incoming::Text(text), None) => self.ask(id, text, now, wall),
        }
        true
    }

    fn ask(&mut self, id: ConnId, text: &[u8], now: Mono, wall: UnixNanos) {
        let per_second = self.limits(id).requests_per_s;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        match conn.session.rate.ask(per_second, now) {
            Verdict::Granted if conn.pending.is_some() || conn.session.waiting.is_some() => {
                // Bounded by the rate of requests.
                let waiting = conn.session.waiting.get_or_insert_default();
                waiting.0.push_back(text.into());
                self.granted += 1;
            }
            Verdict::Granted => {
                self.granted += 1;
                self.request(id, text, now, wall);
            }
            Verdict::Refused => {
                let code = ErrorCode::TooManyRequests;
                let message = format!("more than {per_second} requests per second; send fewer");
                let request_id = Request::parse(text).map_or_else(|e| e.id, |r| r.id().clone());
                self.refuse(id, &request_id.error(code, message), now);
            }
            Verdict::Hopeless => {
                let message = format!("far more than {per_second} requests per second; send fewer");
                self.close(id, CloseReason::RequestRate, &message, now);
            }
        }
    }

    /// Goes on with requests that waited for an acknowledgement, where it has been sent, and with what
    /// is to be cleaned up. To be called once a round.
    pub fn handle_resumed(&mut self, now: Mono, wall: UnixNanos) {
        while self.work < WORK_PER_ROUND
            && let Some(id) = self.resumed.pop()
        {
            while let Some(conn) = self.conn_mut(id)
                && conn.pending.is_none()
                && let Some(text) = conn.session.next_waiting()
            {
                self.request(id, &text, now, wall);
                if self.work >= WORK_PER_ROUND {
                    self.resumed.push(id);
                    break;
                }
            }
        }
        self.wall = wall;
        self.evict();
        self.resync_some(now);
        self.drain_some(now);
        self.inspect_some(now);
        self.apply_effects(now);
        self.reap();
        self.refill_chores();
        self.work = 0;
    }

    fn request(&mut self, id: ConnId, text: &[u8], now: Mono, wall: UnixNanos) {
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(error) => return self.refuse(id, &error, now),
        };
        if let Some(op) = OP_LABELS.iter().position(|op| *op == request.op()) {
            self.metrics.requests[op].inc();
        }
        self.work += 1 + request.topics();
        match request {
            Request::Subscribe(request_id, topics) => {
                self.subscribe(id, request_id, &topics, now);
            }
            Request::Unsubscribe(request_id, topics) => {
                let (done, rejected) = self.unsubscribe_topics(id, topics);
                self.say(id, &reply::unsubscribed(&request_id, &done, &rejected), now);
            }
            Request::Resync(request_id, topics) => self.resync(id, request_id, topics, now),
            Request::List(request_id) => self.list(id, &request_id, now),
            Request::Ping(request_id) => self.say(id, &reply::pong(&request_id, wall), now),
        }
    }

    fn refuse(&mut self, id: ConnId, error: &RequestError, now: Mono) {
        self.metrics.errors[error.code.index()].inc();
        self.say(id, &reply::error(error), now);
    }

    fn subscribe(&mut self, id: ConnId, request: RequestId, topics: &[TopicRequest], now: Mono) {
        let (mut joins, mut rejected) = (Vec::new(), Vec::new());
        let room = self.limits(id).topics_per_connection_max;
        if let Some(conn) = self.conn_mut(id) {
            let subs = &mut conn.session.subs;
            subs.reserve_exact(topics.len().min(room.saturating_sub(subs.len())));
        }
        for asked in topics {
            match self.admit(id, &asked.topic, now) {
                Ok(entry) => {
                    let sub = self.add_subscription(id, &entry);
                    joins.push((sub, asked.after));
                }
                Err((code, message)) => {
                    self.metrics.errors[code.index()].inc();
                    rejected.push(Rejected {
                        topic: clip(&asked.topic),
                        code,
                        message,
                    });
                }
            }
        }
        if let Some(conn) = self.conn_mut(id)
            && conn.session.subs.capacity() > 2 * conn.session.subs.len()
        {
            conn.session.subs.shrink_to_fit();
        }
        self.await_snapshots(id, request, &joins, rejected, now);
    }

    fn resync(&mut self, id: ConnId, request: RequestId, topics: Vec<String>, now: Mono) {
        let (mut joins, mut rejected) = (Vec::new(), Vec::new());
        for topic in topics {
            match self.find_subscription(id, &topic) {
                Some(sub) => {
                    self.metrics.resyncs_asked.inc();
                    joins.push((sub, None));
                }
                None => rejected.push(self.not_subscribed(&topic)),
            }
        }
        self.await_snapshots(id, request, &joins, rejected, now);
    }

    /// Asks for snapshots; the acknowledgement is sent when they have come.
    fn await_snapshots(
        &mut self,
        id: ConnId,
        request: RequestId,
        joins: &[(usize, Option<StreamPos>)],
        rejected: Vec<Rejected>,
        now: Mono,
    ) {
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let mut topics: Vec<PendingTopic> = Vec::with_capacity(joins.len());
        let mut subs = Vec::with_capacity(joins.len());
        for &(sub, after) in joins {
            let subscription = &mut conn.session.subs[sub];
            // A topic named twice is acknowledged once.
            if subscription.awaited == NOT_AWAITED {
                subscription.awaited = topics.len() as u32;
                let outbox = conn.outbox.as_ref();
                subscription.queued = outbox.map_or(0, |o| o.partly_written(subscription.slot));
                subs.push(sub);
                topics.push(PendingTopic {
                    slot: subscription.slot,
                    after,
                    started: None,
                });
            }
        }
        let ack = PendingAck {
            id: request,
            outstanding: topics.len(),
            since: now,
            topics,
            rejected,
        };
        if ack.topics.is_empty() {
            let text = reply::subscribed(&ack.id, std::iter::empty(), &ack.rejected);
            return self.say(id, &text, now);
        }
        conn.pending = Some(Box::new(ack));
        // What is queued of a topic that resyncs would come behind the acknowledgement, which says
        // that the client is further already.
        let (session, outbox) = (&conn.session, conn.outbox.as_mut());
        let starts_over = |slot: SlotId| {
            let sub = session.find(slot).map(|sub| session.subs[sub]);
            sub.is_some_and(|sub| sub.awaited != NOT_AWAITED)
        };
        let gone = outbox.map_or(0, |outbox| outbox.give_up(starts_over).frames);
        self.count.conflated += u64::from(gone);
        for sub in subs {
            // The acknowledgement says where it starts, whatever it had before.
            self.join(id, sub, StreamPos::default());
        }
    }

    /// Acknowledges a subscription that has waited long enough.
    pub(super) fn acknowledge_late(&mut self, id: ConnId, now: Mono) {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return;
        };
        let is_late = |ack: &mut Box<PendingAck>| now - ack.since >= ACK_PATIENCE;
        let Some(mut ack) = conn.pending.take_if(is_late) else {
            return;
        };
        self.start_over_replaced(id, &mut ack);
        for topic in ack.topics.iter_mut().filter(|t| t.started.is_none()) {
            let slot = self.index.slot(topic.slot);
            topic.started = Some(Started {
                pos: slot.map_or_else(StreamPos::default, |slot| slot.pos),
                start: Start::Nothing,
                tid: slot.map_or(0, |slot| slot.entry.tid),
            });
        }
        self.push_acknowledgement(id, &ack, now);
        self.set_dirty(id);
    }

    /// Finds out whether a connection may subscribe a topic.
    fn admit(
        &mut self,
        id: ConnId,
        text: &str,
        now: Mono,
    ) -> Result<Arc<TopicEntry>, (ErrorCode, String)> {
        let max = self.limits(id).topics_per_connection_max;
        let topic: Topic = text
            .parse()
            .map_err(|error: TopicError| (topic_code(&error), error.to_string()))?;
        let shared = Arc::clone(&self.shared);
        let refusal = |error: CatalogError| (catalog_code(&error), error.to_string());
        // What lives was let in before.
        let encoding = self.conn_mut(id).map(|conn| conn.session.encoding);
        let living = shared.interests.find(&topic).map(|entry| {
            let before = encoding.and_then(|encoding| self.index.predecessor(&entry, encoding));
            before.unwrap_or(entry)
        });
        let named = match living {
            Some(_) => None,
            None => shared.catalog.find(&topic).map_err(refusal)?,
        };
        let has = |shard: &mut Self| shard.conn_mut(id).map_or(0, |c| c.session.subs.len());
        if has(self) >= max && self.find_subscription(id, text).is_none() {
            return Err((
                ErrorCode::TooManyTopics,
                format!("more than {max} topics on this connection; unsubscribe from some first"),
            ));
        }
        if let Some(entry) = living {
            return Ok(entry);
        }
        let resolved = match named.filter(|resolved| resolved.lease.is_none()) {
            Some(resolved) => resolved,
            None => {
                self.may_invent(id, now)?;
                invent(&shared, &topic).map_err(refusal)?
            }
        };
        let entry = shared.interests.entry(&topic, resolved);
        entry.map_err(|error| (ErrorCode::TooManyTopics, error.to_string()))
    }

    /// Whether a connection may bring one more topic into being of a symbol that no source has named.
    fn may_invent(&mut self, id: ConnId, now: Mono) -> Result<(), (ErrorCode, String)> {
        let (max, linger) = {
            let limits = self.limits(id);
            (limits.invented_topics_max, limits.topic_linger)
        };
        let passes = self.conn_mut(id).is_some_and(|conn| {
            let every = linger / max.max(1);
            let fresh = || Box::new(RateLimit::new(max, every));
            let inventions = conn.session.inventions.get_or_insert_with(fresh);
            inventions.set(max, every);
            inventions.pass(now).is_some()
        });
        if passes {
            return Ok(());
        }
        let seconds = linger.as_secs_f64();
        let message = format!(
            "more than {max} topics of symbols that no source has published, within {seconds} s; try again later"
        );
        Err((ErrorCode::TooManyTopics, message))
    }

    fn add_subscription(&mut self, id: ConnId, entry: &Arc<TopicEntry>) -> usize {
        let Some(Some(conn)) = self.conns.get_mut(id as usize) else {
            return 0;
        };
        let session = &mut conn.session;
        let slot = self.index.ensure(entry, session.encoding);
        if let Some(sub) = session.find(slot) {
            return sub;
        }
        session.lossless += u32::from(entry.instrument.lossless);
        let sub = self.index.add(id, &mut session.subs, slot);
        session.note_place(sub);
        sub
    }

    fn find_subscription(&self, id: ConnId, text: &str) -> Option<usize> {
        let session = &self.conns.get(id as usize)?.as_ref()?.session;
        session.find(self.index.find_text(text, session.encoding)?)
    }

    fn unsubscribe_topics(
        &mut self,
        id: ConnId,
        topics: Vec<String>,
    ) -> (Vec<String>, Vec<Rejected>) {
        let (mut done, mut rejected) = (Vec::new(), Vec::new());
        let mut gone = HashSet::new();
        for topic in topics {
            match self.find_subscription(id, &topic) {
                Some(sub) => {
                    gone.insert(self.unsubscribe(id, sub));
                    done.push(topic);
                }
                None => rejected.push(self.not_subscribed(&topic)),
            }
        }
        let outbox = self.conn_mut(id).and_then(|conn| conn.outbox.as_mut());
        let given_up = outbox.map_or(0, |o| o.give_up(|slot| gone.contains(&Some(slot))).frames);
        self.count.dropped += u64::from(given_up);
        (done, rejected)
    }

    fn not_subscribed(&self, topic: &str) -> Rejected {
        let code = ErrorCode::NotSubscribed;
        self.metrics.errors[code.index()].inc();
        Rejected {
            topic: clip(topic),
            code,
            message: "you are not subscribed to this topic".to_owned(),
        }
    }

    fn list(&mut self, id: ConnId, request: &RequestId, now: Mono) {
        let Some(Some(conn)) = self.conns.get(id as usize) else {
            return;
        };
        let topics = conn.session.subs.iter().filter_map(|sub| {
            let slot = self.index.slot(sub.slot)?;
            let pos = match sub.state {
                SubState::Behind(since) => since,
                SubState::Live | SubState::Joining(_) => slot.pos,
            };
            Some((&*slot.entry.text, pos))
        });
        let text = reply::subscriptions(request, topics);
        self.say(id, &text, now);
    }
}

/// The instrument of a symbol that no source has named. If there are as many as may be, topics of such
/// symbols that linger end early for it; after that, those that all have left do not count.
fn invent(shared: &Shared, topic: &Topic) -> Result<Resolved, CatalogError> {
    let (catalog, interests) = (&shared.catalog, &shared.interests);
    for _ in 0..EVICTIONS {
        match catalog.invent(&topic.venue, &topic.symbol) {
            Err(CatalogError::TooManyInvented(_)) if interests.end_invented() => {}
            Err(CatalogError::TooManyInvented(_)) => break,
            result => return result,
        }
    }
    catalog.invent_beyond(&topic.venue, &topic.symbol)
}

const fn topic_code(error: &TopicError) -> ErrorCode {
    match error {
        TopicError::Malformed(_) => ErrorCode::BadTopic,
        TopicError::Depth(_) => ErrorCode::DepthNotOffered,
        TopicError::Timeframe(_) => ErrorCode::ChannelNotOffered,
        TopicError::Interval(_) => ErrorCode::IntervalNotOffered,
    }
}

const fn catalog_code(error: &CatalogError) -> ErrorCode {
    match error {
        CatalogError::UnknownVenue(_) | CatalogError::UnknownSymbol(..) => ErrorCode::UnknownSymbol,
        CatalogError::ChannelNotOffered(..) => ErrorCode::ChannelNotOffered,
        CatalogError::IntervalNotOffered(..) => ErrorCode::IntervalNotOffered,
        CatalogError::Full(_) | CatalogError::TooManyInvented(_) => ErrorCode::TooManyTopics,
        CatalogError::Duplicate(..) => ErrorCode::Internal,
    }
}

/// A subscription that has waited for so long is acknowledged at the next visit of its connection, which is at
/// most as long again.
pub(super) const ACK_PATIENCE: Duration = Duration::from_millis(250);

/// A client's text, short enough to send back.
fn clip(text: &str) -> String {
    text.chars().take(128).collect()
}

/// Lingering topics that may end early for one new instrument: one has several.
const EVICTIONS: usize = 16;
