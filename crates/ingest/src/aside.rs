//! What a recording says besides a venue's messages: who wrote it, which lines there were, what was sent, and what
//! the session itself said to the pipeline.
//!
//! An [`Aside`] is a row with the one key `tapecast`. Other readers of the format skip it. Numbers are decimal text,
//! so that they are the same whatever scale the reader gives to the instrument.

mod said;

pub use said::{Said, SaidTerms};

use crate::event::Scales;
use crate::venue::VenueStream;
use serde::{Deserialize, Serialize};
use tapecast_model::{Scale, Symbol, UnixNanos};

/// A row that is no message.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Aside {
    /// What it says.
    #[serde(flatten)]
    pub what: What,
    /// When, in nanoseconds since 1970.
    pub ts: u64,
}

/// What a row says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum What {
    /// A file begins.
    Begin {
        /// The version of these rows: [`VERSION`].
        version: u32,
        /// The venue's name in topics.
        venue: String,
        /// The format of its messages.
        format: String,
        /// No file was before it: the session begins.
        #[serde(default, skip_serializing_if = "is_false")]
        first: bool,
    },
    /// An instrument that is served.
    Instrument(Defined),
    /// A line is open.
    Open {
        /// Which.
        line: u32,
        /// Where to.
        url: String,
        /// It was open when the file began.
        #[serde(default, skip_serializing_if = "is_false")]
        again: bool,
    },
    /// A line has ended.
    Close {
        /// Which.
        line: u32,
        /// The code of the venue's close frame, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        /// Why.
        reason: String,
    },
    /// We sent a message.
    Sent {
        /// On which line.
        line: u32,
        /// What.
        text: String,
    },
    /// An answer to a request that is no success.
    Answer {
        /// The status.
        status: u16,
        /// What was asked for.
        url: String,
    },
    /// A message that is no text.
    Binary {
        /// On which line.
        line: u32,
        /// Its length.
        bytes: usize,
    },
    /// The session said something to the pipeline that is in no message.
    Said {
        /// On which line.
        line: u32,
        /// The venue's id of the instrument.
        native: String,
        /// What.
        event: Said,
    },
    /// Rows are missing here.
    Dropped {
        /// How many.
        rows: u64,
    },
    /// Of a later version.
    #[serde(other)]
    Unknown,
}

/// An instrument, as the venue's list defines it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Defined {
    /// The venue's id.
    pub native: String,
    /// Ours.
    pub symbol: String,
    /// Digits after the point of its prices.
    pub price_scale: u8,
    /// Digits after the point of its quantities.
    pub qty_scale: u8,
    /// What is asked for, whether or not messages of it are in the file.
    pub streams: Vec<VenueStream>,
}

/// The version of these rows. A reader refuses a later one.
pub const VERSION: u32 = 1;

/// What begins each row.
pub const PREFIX: &str = "{\"tapecast\":{\"row\":";

#[derive(Deserialize)]
struct Read {
    tapecast: Aside,
}

#[derive(Serialize)]
struct Written<'a> {
    tapecast: &'a Aside,
}

// === impl Aside ===

impl Aside {
    /// Reads a line that begins with [`PREFIX`].
    ///
    /// # Errors
    /// If it is no such row: what is wrong.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Read>(line).map(|read| read.tapecast)
    }

    /// Appends it as one line.
    pub fn write_to(&self, out: &mut String) {
        let text = serde_json::to_string(&Written { tapecast: self });
        // It has no map with keys that are no text: nothing can fail.
        out.push_str(&text.unwrap_or_default());
        out.push('\n');
    }

    /// Whether something happened then. A heading of a file repeats what was before.
    pub const fn is_event(&self) -> bool {
        !matches!(
            self.what,
            What::Begin { .. }
                | What::Instrument(_)
                | What::Open { again: true, .. }
                | What::Sent { .. }
        )
    }

    /// When.
    pub const fn at(&self) -> UnixNanos {
        UnixNanos::new(self.ts)
    }
}

// === impl Defined ===

impl Defined {
    /// Its symbol and scales, if they are some.
    pub fn content(&self) -> Option<(Symbol, Scales)> {
        let symbol = Symbol::new(&self.symbol).ok()?;
        let price_scale = Scale::new(self.price_scale)?;
        let qty_scale = Scale::new(self.qty_scale)?;
        let scales = Scales {
            price_scale,
            qty_scale,
        };
        Some((symbol, scales))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_false(it: &bool) -> bool {
    !*it
}
