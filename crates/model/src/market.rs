//! What the pipeline's thread drives: the state of the market, from which updates come.
//!
//! The pipeline of `ingest` is one. It numbers the events of sources. A process without sources can have a
//! mirror in its place, which takes events that another process has numbered. The thread, the publisher
//! and the shards do not know which of them it is.
//!
//! It has one owner and is synchronous: no thread, no channel, no clock. It never waits. If it does not
//! know a state and has to ask for it, it answers [`Answer::Later`].

use crate::seq::StreamPos;
use crate::sink::UpdateSink;
use crate::stream::StreamKey;
use crate::symbol::Instrument;
use crate::time::{Mono, UnixNanos};
use crate::update::Update;
use std::sync::Arc;

/// The state of all instruments.
pub trait MarketState {
    /// What it takes, one at a time: an event of a source, or an event that has a number already.
    type Input;

    /// When the gateway received an input.
    fn received(input: &Self::Input) -> UnixNanos;

    /// Takes an input and publishes what comes of it.
    fn handle(&mut self, input: Self::Input, now: Mono, sink: &mut impl UpdateSink);

    /// Notes the time, and publishes what comes of it: a silence, for example. Cheap if called often.
    fn handle_time(&mut self, now: Mono, sink: &mut impl UpdateSink);

    /// When [`Self::handle_time`] next has something to look at.
    fn next_deadline(&self) -> Option<Mono>;

    /// The position of a stream and its present state, because a topic of the stream begins, or begins
    /// again. This publishes and numbers nothing.
    fn current(&mut self, stream: StreamKey) -> Answer<'_>;

    /// A stream that was [`Answer::Later`] and can be asked again, each once.
    fn take_answered(&mut self) -> Option<StreamKey> {
        None
    }

    /// No topic of this stream is left.
    fn end_interest(&mut self, stream: StreamKey) {
        let _ = stream;
    }

    /// Ends instruments that nobody needs any longer, at most `most` of them. Returns whether there may be
    /// others.
    fn collect(&mut self, most: usize) -> bool {
        let _ = most;
        false
    }
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// All that there is to know.
    Now(Current<'a>),
    /// Not known here yet: [`MarketState::take_answered`] names the stream when it is.
    Later,
    /// Another instrument is in the place of the stream's, with the same name and other scales: a topic of the
    /// stream begins again as one of this instrument.
    Replaced(&'a Arc<Instrument>),
}

/// A stream's position and state, for a topic that begins.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    /// The number of its last event.
    pub pos: StreamPos,
    /// Its state; none while nothing is known or, for a book or a quote, while it is crossed.
    pub update: Option<Update<'a>>,
}
