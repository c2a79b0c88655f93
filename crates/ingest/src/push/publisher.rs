//! One publisher's connection: lines in, events out, answers back.
//!
//! It is a task, which does not read while there is no room for its events. The answers that the
//! publisher has not read are limited.

use super::line::{self, Astray, Taken};
use super::mistake::{LineError, Mistake};
use super::names::{Instruments, Names};
use super::served::Served;
use super::{ANSWERS_BYTES_MAX, LINE_BYTES_MAX, PushShared, data_channels, send};
use crate::capture::unmarked;
use crate::event::{BATCH_EVENTS_MAX, Event, Events, FeedEvent};
use crate::feed::words;
use crate::venue::NoTrade;
use hashbrown::HashSet;
use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tapecast_model::clock::{mono_now, unix_now};
use tapecast_model::{ChannelSet, Instrument, InstrumentId, UnixNanos};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// One publisher's connection.
pub(super) struct Publisher {
    shared: PushShared,
    stream: TcpStream,
    known: NamedInstruments,
    answers: Vec<u8>,
    /// Events of the lines that were read last.
    events: Events,
    /// Lines so far.
    lines: u64,
    /// The rest of a line that is too long is being skipped.
    skipping: bool,
    /// Everything it has named is lost already, and it has sent nothing since.
    all_lost: bool,
    /// It has read none of its answers for a while.
    deaf: bool,
}

/// Instruments that this publisher has named.
struct NamedInstruments {
    names: Names,
    /// Their ids: all that this source has named, and all that this publisher has.
    of_source: Arc<Mutex<HashSet<InstrumentId>>>,
    named: Arc<Mutex<Vec<InstrumentId>>>,
    served: Served,
}

/// A publisher's connection is at its end.
struct Closed;

// === impl Publisher ===

impl Publisher {
    pub(super) fn new(shared: PushShared, stream: TcpStream) -> Self {
        let known = NamedInstruments {
            names: Names::new(shared.venue.clone(), Arc::clone(&shared.catalog)),
            of_source: Arc::clone(&shared.named),
            served: shared.served.clone(),
            named: Arc::default(),
        };
        Self {
            shared,
            stream,
            known,
            answers: Vec::new(),
            events: Events::new(),
            lines: 0,
            skipping: false,
            all_lost: false,
            deaf: false,
        }
    }

    /// The instruments it has named so far.
    pub(super) fn named(&self) -> Arc<Mutex<Vec<InstrumentId>>> {
        Arc::clone(&self.known.named)
    }

    pub(super) async fn run(mut self, peer: SocketAddr, mut stopped: watch::Receiver<()>) {
        // An error means that the sender is gone, which is how it says stop.
        let stopping = async { while stopped.changed().await.is_ok() {} };
        tokio::select! {
            () = stopping => {}
            () = self.serve_and_leave() => {}
        }
        if let Some(more) = self.shared.log.disconnects.pass(mono_now()) {
            let (venue, lines) = (&self.shared.venue, self.lines);
            tracing::info!(%peer, %venue, lines, more, "Publisher disconnected");
        }
    }

    async fn serve_and_leave(&mut self) {
        let (Ok(()) | Err(Closed)) = self.serve().await;
        let named = self.known.ids();
        self.shared.served.leave(&named, &self.shared.tx).await;
    }

    /// Reads lines until the publisher closes or its events have no more receiver.
    async fn serve(&mut self) -> Result<(), Closed> {
        let mut buffer: Vec<u8> = vec![0; READ_BYTES];
        // Of the buffer, so much holds bytes, and so much of them has no newline.
        let (mut filled, mut searched) = (0, 0);
        let mut reads = 0_u32;
        loop {
            let interest = match self.answers.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = self.stream.ready(interest).await.or(Err(Closed))?;
            self.answer(ready);
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            match self.stream.try_read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Err(Closed),
            }
            let used = self.take_lines(&buffer[..filled], searched).await?;
            buffer.copy_within(used..filled, 0);
            filled -= used;
            searched = filled;
            if filled >= LINE_BYTES_MAX {
                self.too_long(&buffer[..filled]).await?;
                (filled, searched) = (0, 0);
            }
            if filled == 0 && buffer.len() > READ_BYTES {
                buffer = vec![0; READ_BYTES];
            }
            reads += 1;
            if reads.is_multiple_of(READS_PER_TURN) {
                tokio::task::yield_now().await;
            }
        }
        if filled > 0 && !self.skipping {
            self.take_line(&buffer[..filled], unix_now()).await?;
            self.send().await?;
        }
        let farewell = timeout(FAREWELL, self.answer_all());
        farewell.await.or(Err(Closed))?
    }

    /// Takes the whole lines of what was read, the first `searched` bytes of which have no newline;
    /// returns how many bytes they are.
    async fn take_lines(&mut self, bytes: &[u8], searched: usize) -> Result<usize, Closed> {
        let (mut used, mut searched) = (0, searched);
        // What is read together has arrived together.
        let now = unix_now();
        while let Some(length) = newline(&bytes[searched..]) {
            let end = searched + length;
            let line = &bytes[used..end];
            used = end + 1;
            searched = used;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.take_line(line, now).await?;
        }
        self.send().await?;
        if self.skipping {
            used = bytes.len();
        }
        Ok(used)
    }

    async fn take_line(&mut self, line: &[u8], now: UnixNanos) -> Result<(), Closed> {
        self.shared.fault.look();
        self.lines += 1;
        let line = match self.lines {
            1 => unmarked(line),
            _ => line,
        };
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        self.shared.counters.messages.inc();
        self.shared.counters.bytes.inc_by(line.len() as u64);
        if line.len() > LINE_BYTES_MAX {
            return self.refuse_long(line, now).await;
        }
        let Taken {
            events,
            mistakes,
            astray,
        } = line::take(line, now, &mut self.known);
        for mistake in &mistakes {
            self.refuse(mistake).await;
        }
        for event in events {
            self.gather(event).await?;
        }
        match astray {
            Some(astray) => self.lose(astray, now).await,
            None => Ok(()),
        }
    }

    /// Refuses a line that is too long, of which this is the beginning, and says what is lost with it.
    async fn refuse_long(&mut self, beginning: &[u8], now: UnixNanos) -> Result<(), Closed> {
        self.refuse(&too_large()).await;
        let Taken { events, astray, .. } = line::lose(beginning, now, &mut self.known);
        for event in events {
            self.gather(event).await?;
        }
        match astray {
            Some(astray) => self.lose(astray, now).await,
            None => Ok(()),
        }
    }

    /// Announces a loss to everything that this publisher has named and lost data may belong to.
    async fn lose(&mut self, astray: Astray, now: UnixNanos) -> Result<(), Closed> {
        let all = astray == Astray::default();
        if all && self.all_lost {
            return Ok(());
        }
        let word = FeedEvent::Lost {
            channels: astray
                .kind
                .map_or_else(data_channels, |kind| ChannelSet::EMPTY.with(kind)),
            events: None,
            reason: Cow::Borrowed("a line of a publisher could not be read"),
        };
        let ids = match astray.instrument {
            Some(id) => vec![id],
            None => self.known.ids(),
        };
        for some in ids.chunks(BATCH_EVENTS_MAX) {
            for event in words(some, &word, now) {
                self.gather(event).await?;
            }
        }
        self.all_lost = all;
        Ok(())
    }

    /// Adds an event to what was read at once.
    async fn gather(&mut self, event: Event) -> Result<(), Closed> {
        self.all_lost = false;
        self.events.push(event);
        if self.events.len() < BATCH_EVENTS_MAX {
            return Ok(());
        }
        self.send().await
    }

    /// Sends what was read; while there is no room, nothing is read.
    async fn send(&mut self) -> Result<(), Closed> {
        if self.events.is_empty() {
            return Ok(());
        }
        match send(&self.shared.tx, std::mem::take(&mut self.events)).await {
            true => Ok(()),
            false => Err(Closed),
        }
    }

    /// Begins to skip a line that is too long, of which this is the beginning.
    async fn too_long(&mut self, beginning: &[u8]) -> Result<(), Closed> {
        if std::mem::replace(&mut self.skipping, true) {
            return Ok(());
        }
        self.lines += 1;
        self.shared.counters.messages.inc();
        self.refuse_long(beginning, unix_now()).await?;
        self.send().await
    }

    async fn refuse(&mut self, error: &LineError) {
        match error.kind.reject() {
            Some(reject) => self.shared.counters.reject(reject),
            None => self.shared.counters.no_trade(NoTrade::NoQuantity),
        }
        let mut answer = format!(
            "{{\"error\":\"{}\",\"line\":{}",
            error.kind.label(),
            self.lines
        );
        answer.push_str(",\"message\":\"");
        for character in error.message.chars() {
            match character {
                '"' | '\\' => answer.extend(['\\', character]),
                control if control.is_control() => answer.push(' '),
                other => answer.push(other),
            }
        }
        answer.push_str("\"}\n");
        self.make_room(answer.len()).await;
        if self.answers.len() + answer.len() > ANSWERS_BYTES_MAX {
            self.shared.counters.answers_dropped.inc();
        } else {
            self.answers.extend_from_slice(answer.as_bytes());
        }
    }

    /// Waits until there is room for another answer. It waits only once for a publisher that reads
    /// nothing for some time, until that publisher reads again.
    async fn make_room(&mut self, bytes: usize) {
        while self.answers.len() + bytes > ANSWERS_BYTES_MAX {
            let waiting = self.answers.len();
            self.answer(Ready::WRITABLE);
            if self.answers.len() < waiting {
                self.deaf = false;
                continue;
            }
            let writable = self.stream.writable();
            if self.deaf || !matches!(timeout(ANSWERS_PATIENCE, writable).await, Ok(Ok(()))) {
                self.deaf = true;
                return;
            }
        }
    }

    /// Writes what the socket takes of the answers.
    fn answer(&mut self, ready: Ready) {
        while ready.is_writable() && !self.answers.is_empty() {
            match self.stream.try_write(&self.answers) {
                Ok(written) if written > 0 => drop(self.answers.drain(..written)),
                // A socket that is gone shows itself to the reader.
                _ => return,
            }
        }
    }

    async fn answer_all(&mut self) -> Result<(), Closed> {
        while !self.answers.is_empty() {
            self.stream.writable().await.or(Err(Closed))?;
            match self.stream.try_write(&self.answers) {
                Ok(written) => drop(self.answers.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Closed),
            }
        }
        Ok(())
    }
}

// === impl NamedInstruments ===

impl NamedInstruments {
    /// All that this publisher has named.
    fn ids(&self) -> Vec<InstrumentId> {
        let named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.clone()
    }
}

impl Instruments for NamedInstruments {
    fn found(&self, symbol: &str) -> Option<InstrumentId> {
        self.names.named(symbol)
    }

    fn find(&mut self, symbol: &str) -> Result<&Instrument, String> {
        let (of_source, named) = (&self.of_source, &self.named);
        self.names.find_and_note(symbol, |found| {
            self.served.enter(found.id);
            note_named(of_source, named, found.id);
        })
    }
}

/// Notes that an instrument was named: once per publisher and instrument.
fn note_named(
    of_source: &Mutex<HashSet<InstrumentId>>,
    named: &Mutex<Vec<InstrumentId>>,
    id: InstrumentId,
) {
    let mut of_source = of_source.lock().unwrap_or_else(PoisonError::into_inner);
    of_source.insert(id);
    let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
    named.push(id);
}

fn too_large() -> LineError {
    LineError::new(
        Mistake::TooLarge,
        format_args!("a line has at most {LINE_BYTES_MAX} bytes"),
    )
}

fn newline(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;
/// Reads after which other tasks of the thread get a turn.
const READS_PER_TURN: u32 = 16;
/// How long one that reads none of its answers is waited for.
const ANSWERS_PATIENCE: Duration = Duration::from_secs(1);
/// How long a publisher that has closed may take to read its last answers.
const FAREWELL: Duration = Duration::from_secs(1);
