//! What was found in a recording: numbers by symbol, and the verdict.
//!
//! A [`Finding`] is something wrong with the recording. What a venue does itself (crossed books, repeated trades,
//! new kinds of messages) is counted and is no finding.

use crate::capture::BrokenRow;
use crate::plan::LeftOut;
use crate::venue::{Format, Reject};
use std::path::PathBuf;
use std::time::Duration;
use tapecast_model::{Symbol, UnixNanos, Venue};

/// What was found in a recording.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// How it was read.
    pub format: Format,
    /// The venue's name in topics.
    pub venue: Venue,
    /// Rows, also those that hold no message.
    pub rows: u64,
    /// Messages, of every kind.
    pub messages: u64,
    /// Messages, and parts of messages, that were refused.
    pub rejects: Rejects,
    /// The recorded times.
    pub span: Span,
    /// How long reading and checking took, without the first reading that finds out what there is.
    pub processing: Duration,
    /// Its instruments, by name.
    pub symbols: Vec<SymbolReport>,
    /// Ids of which nothing was checked.
    pub left_out: Vec<LeftOut>,
}

/// What was found of one instrument.
#[derive(Clone, Debug)]
pub struct SymbolReport {
    /// Its name.
    pub symbol: Symbol,
    /// The venue's name for it.
    pub native: Box<str>,
    /// Messages that say something of it, whether that is used or not.
    pub messages: u64,
    /// Messages, and parts of messages, that name it and were refused.
    pub rejects: Rejects,
    /// The recorded times of its messages.
    pub span: Span,
    /// Its book.
    pub book: BookReport,
    /// Its quotes.
    pub quotes: QuoteReport,
    /// Its trades.
    pub trades: TradeReport,
    /// When its data could not be trusted.
    pub gaps: GapReport,
}

/// What was found of a book.
#[derive(Clone, Debug, Default)]
pub struct BookReport {
    /// How the venue shows that a message is missing.
    pub chain: ChainKind,
    /// Messages of the stream of the book that is used.
    pub messages: u64,
    /// Snapshots that became the book.
    pub snapshots: u64,
    /// Changes that followed the message before them, by all that the venue says of it: unbroken links.
    pub unbroken: u64,
    /// Messages that did not follow the message before them.
    pub broken: u64,
    /// The first of them.
    pub first_broken: Option<Place>,
    /// Checksums that agreed.
    pub checksums_passed: u64,
    /// Checksums that did not.
    pub checksums_failed: u64,
    /// The first of them.
    pub first_failed: Option<Place>,
    /// States in which the best bid was not below the best ask.
    pub crossed: u64,
    /// Messages that changed nothing: older than the book, or the last one once more.
    pub old: u64,
    /// Changes that came before a snapshot and could not be kept for it.
    pub dropped: u64,
}

/// How a venue shows that a message of a book is missing, apart from checksums.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ChainKind {
    /// It does not.
    #[default]
    None,
    /// The messages of the book have numbers.
    Numbers,
    /// All messages of the connection have numbers.
    Connection,
}

/// What was found of quotes of a stream of their own.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QuoteReport {
    /// Quotes, those from the book included.
    pub quotes: u64,
    /// Quotes whose bid was not below their ask.
    pub crossed: u64,
    /// States of the book that were compared with the quote of the same moment, by the venue's numbers.
    pub compared: u64,
    /// Those of them whose best levels were the quote, price and size.
    pub agreed: u64,
}

/// What was found of trades.
#[derive(Clone, Debug, Default)]
pub struct TradeReport {
    /// Trades, each once.
    pub trades: u64,
    /// Trades that never came, by the ids of those that came.
    pub missing: u64,
    /// The first place where some are missing.
    pub first_missing: Option<Place>,
    /// Trades that came again.
    pub repeated: u64,
}

/// When data could not be trusted: states `gap` of single channels.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GapReport {
    /// How often one began.
    pub found: u64,
    /// How many of them ended, with a snapshot or with what came next.
    pub healed: u64,
    /// How long these lasted together, by recorded time.
    pub total: Duration,
    /// How long the longest of these lasted.
    pub longest: Duration,
}

/// Where something is wrong, and what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The number of the row, from 1.
    pub row: u64,
    /// What is wrong there.
    pub reason: Box<str>,
}

/// Refused messages and parts of messages, by reason.
#[derive(Clone, Debug, Default)]
pub struct Rejects {
    counts: [u64; Reject::LABELS.len()],
    first: Option<Place>,
}

/// The first and the last recorded time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The earliest.
    pub first: Option<UnixNanos>,
    /// The latest.
    pub last: Option<UnixNanos>,
}

/// Something wrong with a recording.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How often.
    pub times: u64,
    /// The first time.
    pub first: Option<Place>,
}

/// What can be wrong with a recording.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FindingKind {
    /// Messages are missing before others.
    ChainBroken,
    /// The book did not hash to what the venue said.
    ChecksumFailed,
    /// Trades never came.
    TradesMissing,
    /// There is no snapshot that begins the book: nothing shows what its changes change.
    NoSnapshot,
    /// Rows, or parts of their messages, cannot be read.
    Unreadable,
}

// === impl Report, SymbolReport ===

impl Report {
    /// Whether nothing is wrong.
    pub fn is_verified(&self) -> bool {
        self.unreadable().is_none() && self.symbols.iter().all(SymbolReport::is_verified)
    }

    /// What cannot be read, of all symbols.
    pub fn unreadable(&self) -> Option<Finding> {
        self.rejects.finding()
    }
}

impl SymbolReport {
    /// Whether nothing is wrong.
    pub fn is_verified(&self) -> bool {
        self.findings().next().is_none()
    }

    /// What is wrong, except for what cannot be read: see [`Report::unreadable`].
    pub fn findings(&self) -> impl Iterator<Item = Finding> {
        let (book, trades) = (&self.book, &self.trades);
        let never_began =
            book.messages > 0 && (book.snapshots, book.broken, book.checksums_failed) == (0, 0, 0);
        let found = [
            (FindingKind::ChainBroken, book.broken, &book.first_broken),
            (
                FindingKind::ChecksumFailed,
                book.checksums_failed,
                &book.first_failed,
            ),
            (
                FindingKind::TradesMissing,
                trades.missing,
                &trades.first_missing,
            ),
            (
                FindingKind::NoSnapshot,
                if never_began { book.messages } else { 0 },
                &None,
            ),
        ];
        let found = found.map(|(kind, times, first)| Finding {
            kind,
            times,
            first: first.clone(),
        });
        found.into_iter().filter(|finding| finding.times > 0)
    }
}

// === impl Rejects ===

impl Rejects {
    /// Counts one. `row` is where it was; `broken` is what is wrong with the row itself.
    pub(super) fn note(&mut self, reject: Reject, row: u64, broken: Option<BrokenRow>) {
        self.counts[reject.index()] += 1;
        if reject != Reject::Unknown && self.first.is_none() {
            let reason = broken.map_or_else(|| reject.to_string(), |broken| broken.to_string());
            let reason = reason.into();
            self.first = Some(Place { row, reason });
        }
    }

    /// How many there were for each reason, by the reason's name in metrics.
    pub fn by_reason(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reject::LABELS.into_iter().zip(self.counts)
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many cannot be read. Messages of a kind that is new to us can be.
    pub fn unreadable(&self) -> u64 {
        self.total() - self.counts[Reject::Unknown.index()]
    }

    fn finding(&self) -> Option<Finding> {
        let times = self.unreadable();
        (times > 0).then(|| Finding {
            kind: FindingKind::Unreadable,
            times,
            first: self.first.clone(),
        })
    }
}

// === impl Span ===

impl Span {
    /// Takes a time into account.
    pub(super) fn note(&mut self, time: UnixNanos) {
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
    }

    /// From the first to the last.
    pub fn duration(&self) -> Option<Duration> {
        let (first, last) = self.first.zip(self.last)?;
        Some(Duration::from_nanos(last.get().saturating_sub(first.get())))
    }
}

// === impl ChainKind, FindingKind ===

impl ChainKind {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Numbers => "numbers",
            Self::Connection => "connection",
        }
    }
}

impl FindingKind {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ChainBroken => "chain_broken",
            Self::ChecksumFailed => "checksum_failed",
            Self::TradesMissing => "trades_missing",
            Self::NoSnapshot => "no_snapshot",
            Self::Unreadable => "unreadable",
        }
    }
}
