//! The rows of a session: what goes in and comes out of it, in its order.
//!
//! A message is written down before it is read, and its row is given to the recorder when it is known whether the
//! session passed on what it says. If reading it panics, its row is written nevertheless.

use super::{Row, Tap};
use crate::aside::{Defined, Said, What};
use crate::event::Scales;
use crate::session::{SessionEvents, Transmit};
use hashbrown::HashMap;
use tapecast_model::{InstrumentId, UnixNanos};

/// Writes down a session.
pub struct Scribe {
    tap: Tap,
    /// What instruments are called, and their scales: all that have been, as events name them.
    instruments: HashMap<InstrumentId, (Box<str>, Scales)>,
    /// Addresses of lines that are to be opened.
    urls: HashMap<u32, String>,
    /// Addresses of requests on their way, and whose books they ask for.
    requests: HashMap<u64, String>,
    /// A message whose use is not known yet.
    held: Option<Row>,
    /// Files whose books have been asked for.
    shown: u64,
}

// === impl Scribe ===

impl Scribe {
    /// Nothing is written down yet.
    pub fn new(tap: Tap) -> Self {
        Self {
            tap,
            instruments: HashMap::new(),
            urls: HashMap::new(),
            requests: HashMap::new(),
            held: None,
            shown: 0,
        }
    }

    /// A message came, as text or as bytes.
    pub fn message(&mut self, line: u32, raw: &[u8], at: UnixNanos) {
        self.held = Some(Row::Message {
            at,
            line,
            raw: raw.to_vec(),
            used: true,
        });
    }

    /// The session has all it got: a message that is still held was not passed on.
    pub fn release(&mut self) {
        self.put_held(false);
    }

    fn put_held(&mut self, is_used: bool) {
        if let Some(mut row) = self.held.take() {
            if let Row::Message { used, .. } = &mut row {
                *used = is_used;
            }
            self.tap.put(row);
        }
    }

    /// The line is open.
    pub fn opened(&mut self, line: u32, at: UnixNanos) {
        let what = What::Open {
            line,
            url: self.urls.remove(&line).unwrap_or_default(),
            again: false,
        };
        self.tap.put(Row::aside(at, what));
    }

    /// The line has ended, or could not be opened.
    pub fn closed(&mut self, line: u32, code: Option<u16>, reason: &str, at: UnixNanos) {
        self.urls.remove(&line);
        let reason = reason.to_owned();
        let what = What::Close { line, code, reason };
        self.tap.put(Row::aside(at, what));
    }

    /// A request was answered.
    pub fn answered(&mut self, id: u64, status: u16, body: &[u8], at: UnixNanos) {
        let url = self.requests.remove(&id).unwrap_or_default();
        let row = match status {
            200 => Row::Answer {
                at,
                symbol: symbol_of(&url),
                url,
                raw: body.to_vec(),
            },
            status => Row::aside(at, What::Answer { status, url }),
        };
        self.tap.put(row);
    }

    /// A request failed on its way.
    pub fn failed(&mut self, id: u64) {
        self.requests.remove(&id);
    }

    /// The session wants this done.
    pub fn transmit(&mut self, transmit: &Transmit, at: UnixNanos) {
        match transmit {
            Transmit::Connect { line, url } => {
                self.urls.insert(*line, url.clone());
            }
            Transmit::Http { id, url, .. } => {
                self.requests.insert(*id, url.clone());
            }
            Transmit::Send { line, text } => {
                let (line, text) = (*line, text.clone());
                self.tap.put(Row::aside(at, What::Sent { line, text }));
            }
            Transmit::Close { line } => {
                let what = What::Close {
                    line: *line,
                    code: None,
                    reason: "we closed it".to_owned(),
                };
                self.tap.put(Row::aside(at, what));
            }
            Transmit::Ping { .. } => {}
        }
    }

    /// An instrument is served under this id from now on. Comes before its events.
    pub fn served(&mut self, id: InstrumentId, defined: Defined, at: UnixNanos) {
        if let Some((_, scales)) = defined.content() {
            let native = defined.native.as_str().into();
            self.instruments.insert(id, (native, scales));
        }
        self.tap.put(Row::aside(at, What::Instrument(defined)));
    }

    /// The session gives events to the pipeline; those of the message that is held are in its row.
    pub fn events(&mut self, events: &SessionEvents, at: UnixNanos) {
        if events.of_message {
            return self.put_held(true);
        }
        for event in &events.events {
            let known = self.instruments.get(&event.instrument);
            let said = known.and_then(|(native, scales)| Some((native, Said::of(event, *scales)?)));
            let what = match said {
                Some((native, event)) => What::Said {
                    line: events.line,
                    native: native.to_string(),
                    event,
                },
                // No row can say it.
                None => What::Dropped { rows: 1 },
            };
            self.tap.put(Row::aside(at, what));
        }
    }

    /// Whether a file has begun since this was asked, other than the first: it has no books.
    pub fn needs_books(&mut self) -> bool {
        let begun = self.tap.begun();
        let needs = begun > self.shown && self.shown > 0;
        self.shown = begun;
        needs
    }
}

/// The value of a parameter `symbol` of an address.
fn symbol_of(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == "symbol").then(|| value.to_owned()))
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.put_held(true);
    }
}
