//! The pipeline's thread: events in, frames for the shards out.
//!
//! It is a plain thread that owns the market's state (the pipeline) and the [`Publisher`], and does
//! nothing else. It takes the events that have come, from all sources in turn and a limited number at a
//! time, numbers and publishes them, answers shards that asked for snapshots, and sends everything at
//! once. It sleeps when there is no work. Between turns it
//! ends topics that have lingered long enough, and instruments that only subscribers have named: a
//! limited number at a time, without scanning.
//!
//! # When a shard's ring is nearly full
//! Before the sequencer, waiting is allowed, and a shard that gets time catches up with larger batches.
//! So the thread gives way until all rings have room again, for at most [`PATIENCE`]. Then it continues,
//! and the publisher announces and repairs what does not fit. So a shard that hangs delays the others by
//! this time, once.

mod handle;
pub mod postponed;

pub use handle::{Around, PipelineHandle, Started};

use crossbeam_channel::{Receiver, Select};
use postponed::Postponed;
use std::sync::Arc;
use std::time::Duration;
use tapecast_fanout::{FanoutMetrics, Publisher, Requests, TopicEntry};
use tapecast_ingest::sources::SourceChannels;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::market::Answer;
use tapecast_model::{Fault, MarketState, Mono, UnixNanos};

/// What the pipeline's thread owns.
pub struct PipelineThread<M: MarketState> {
    /// Where updates and the beginnings of topics come from: the pipeline.
    pub market: M,
    /// Serialises and hands out.
    pub publisher: Publisher,
    /// From the feeds.
    pub sources: SourceChannels<M::Input>,
    /// From the shards.
    pub requests: Requests,
    /// Closed when it is time to end.
    pub stop: Receiver<()>,
    /// For the latency of a turn.
    pub metrics: FanoutMetrics,
    /// For tests.
    pub fault: Fault,
    /// Topics whose beginning the market's state has to ask for.
    pub postponed: Postponed,
    /// How long it has given way since all rings had room.
    pub gave_way: Duration,
}

impl<M: MarketState> PipelineThread<M> {
    /// Runs until told to stop.
    pub fn run(mut self) {
        loop {
            self.fault.look();
            let mut worked = false;
            for _ in 0..TURNS_PER_LOOK {
                self.give_way();
                if !self.turn() {
                    break;
                }
                worked = true;
            }
            self.publisher.set_time(unix_now(), mono_now());
            self.market.handle_time(mono_now(), &mut self.publisher);
            self.publisher
                .flush(mono_now(), worked && self.sources.has_more());
            worked |= self.sweep(mono_now());
            if self.stop.try_recv() == Err(crossbeam_channel::TryRecvError::Disconnected) {
                return;
            }
            if !worked {
                self.wait();
            }
        }
    }

    /// Lets a shard catch up whose ring is nearly full.
    fn give_way(&mut self) {
        if !self.publisher.is_crowded() {
            if !self.gave_way.is_zero() && self.publisher.has_room() {
                self.gave_way = Duration::ZERO;
            }
            return;
        }
        let began = mono_now();
        while self.gave_way + (mono_now() - began) < PATIENCE && self.publisher.is_crowded() {
            std::thread::sleep(GIVE_WAY_EVERY);
        }
        self.gave_way += mono_now() - began;
    }

    /// One turn: a bounded number of due intervals, events and requests. Returns whether there were
    /// any.
    fn turn(&mut self) -> bool {
        // One look at the clock serves the turn, which is over within some 100 µs.
        let (wall, now) = (unix_now(), mono_now());
        self.publisher.set_time(wall, now);
        // Before the events, which fill turns: it leaves half of one to them.
        let mut worked = self.publisher.publish_due();
        let mut received: Option<UnixNanos> = None;
        let mut left = EVENTS_PER_TURN;
        'events: while left > 0 {
            // Books and health are not kept by line yet.
            let Some(share) = self.sources.next_share(left) else {
                break;
            };
            worked = true;
            for event in share {
                left -= 1;
                let ts_recv = M::received(&event);
                received.get_or_insert(ts_recv);
                self.publisher.set_time(wall.max(ts_recv), now);
                self.market.handle(event, now, &mut self.publisher);
                if self.publisher.is_turn_full() {
                    break 'events;
                }
            }
        }
        for _ in 0..REQUESTS_PER_TURN {
            let Some(entry) = self.next_request() else {
                break;
            };
            self.publisher.set_time(unix_now(), mono_now());
            self.answer(entry, now);
            worked = true;
            if self.publisher.is_turn_full() {
                break;
            }
        }
        self.publisher.flush(mono_now(), self.sources.has_more());
        if let Some(received) = received {
            let delay = unix_now().signed_since(received).max(0);
            self.metrics
                .publish_delay
                .observe(Duration::from_nanos(delay as u64).as_secs_f64());
        }
        worked
    }

    /// The next topic that is to begin, to be sent again, or to end.
    fn next_request(&mut self) -> Option<Arc<TopicEntry>> {
        while let Some(stream) = self.market.take_answered() {
            self.postponed.answer(stream);
        }
        let request = self.requests.take();
        request
            .or_else(|| self.publisher.take_reopened())
            .or_else(|| self.postponed.take())
    }

    fn answer(&mut self, entry: Arc<TopicEntry>, now: Mono) {
        let stream = entry.stream();
        if entry.successor().is_some() {
            return self.publisher.tell_replaced(&entry);
        }
        if self.publisher.let_go(&entry) {
            self.requests.linger(&entry, now);
            if !self.publisher.has_topics(stream) {
                self.market.end_interest(stream);
            }
            return;
        }
        match self.market.current(stream) {
            Answer::Now(current) => {
                self.publisher
                    .open(&entry, current.pos, current.update.as_ref());
            }
            Answer::Later => self.postponed.add(entry),
            Answer::Replaced(by) => {
                if self.requests.succeed(&entry, by) {
                    self.publisher.tell_replaced(&entry);
                } else {
                    self.publisher.reopen_later(entry);
                }
            }
        }
    }

    /// Ends what has lingered long enough. Returns whether there may be more to end.
    fn sweep(&mut self, now: Mono) -> bool {
        let more = self.requests.sweep(now, SWEPT_PER_LOOK);
        let (_, lingering) = self.requests.count();
        self.metrics.topics_lingering.set(lingering as i64);
        self.market.collect(SWEPT_PER_LOOK) || more
    }

    /// Sleeps until an event, a request or the stop comes, or it is time to look at the clock.
    fn wait(&self) {
        let longest = if self.publisher.is_behind() || self.publisher.has_reopened() {
            BEHIND_EVERY
        } else {
            IDLE_EVERY
        };
        let deadlines = [self.market.next_deadline(), self.publisher.next_deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = deadline.map_or(longest, |at| longest.min(at - mono_now()));
        let mut select = Select::new();
        select.recv(self.sources.bell());
        select.recv(self.requests.channel());
        select.recv(&self.stop);
        // Which of them it was is found out by looking.
        let _ = select.ready_timeout(timeout);
    }
}

/// Events of one turn: a few µs of work each, so that shards are fed at least every millisecond.
const EVENTS_PER_TURN: usize = 256;
/// How long the pipeline gives way to shards whose rings are nearly full: some turns of a shard with
/// ten thousand clients.
const PATIENCE: Duration = Duration::from_millis(200);
/// How often it looks whether they have room.
const GIVE_WAY_EVERY: Duration = Duration::from_micros(500);
/// Requests of one turn: each is a frame at most, and those of shards that have left are none.
const REQUESTS_PER_TURN: usize = 1_024;
/// Topics, and instruments, that are looked at between turns to see whether they have come to their end:
/// some 100 ns each, and as long is the lock held that shards take to subscribe.
const SWEPT_PER_LOOK: usize = 256;
/// Turns before the clock is looked at.
const TURNS_PER_LOOK: usize = 16;
/// How often a full ring is tried again.
const BEHIND_EVERY: Duration = Duration::from_millis(1);
/// How often an idle pipeline looks at the clock.
const IDLE_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
