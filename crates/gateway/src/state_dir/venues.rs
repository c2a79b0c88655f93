//! What is kept of live venues: their lists of instruments, and until when they want to be left alone.
//!
//! It is in memory, for a source that fails and runs again, and in `state_dir`, for the next process: one file per
//! venue, with a line per instrument. Sources note what they learn and never wait for the disk; a task of the control
//! side writes what has changed. A list is written at most once a minute, a ban at once.
//!
//! # Wrong
//! A file that is damaged, too long, of another version, or of another address of the venue is not used. The first
//! three are warnings that name the file and count as failures. The next list replaces it.

use super::StateDir;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tapecast_ingest::event::Scales;
use tapecast_ingest::session::venue::Listing;
use tapecast_ingest::session::{Earlier, VenueInstrument};
use tapecast_model::clock::unix_now;
use tapecast_model::{
    Decimal, InstrumentKind, Mono, QtyUnit, Scale, Symbol, Terms, TradingState, UnixNanos, Venue,
};
use tracing::{info, warn};

/// What is kept of live venues.
#[derive(Debug, Default)]
pub struct KeptVenues {
    /// None: only in memory.
    dir: Option<Arc<StateDir>>,
    venues: Mutex<BTreeMap<Venue, Kept>>,
}

/// What is kept of one venue.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Where it is.
    address: String,
    /// By its own names.
    list: BTreeMap<Box<str>, VenueInstrument>,
    /// Its own names of those that are served for their turnover.
    top: Vec<Box<str>>,
    banned_until: Option<UnixNanos>,
    /// When it is written next; none if the disk has it.
    due: Option<Mono>,
    /// When it was written last.
    written: Option<Mono>,
}

/// The second line of a file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    address: String,
    /// So many lines follow.
    instruments: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    top: Vec<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    banned_until: Option<u64>,
}

/// An instrument. What the venue has not said is absent.
#[derive(Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Line {
    native: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<String>,
    price_scale: u8,
    qty_scale: u8,
    trading: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qty_unit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inverse: Option<bool>,
    /// In the order of [`Terms::FIGURES`].
    figures: [Option<String>; Terms::FIGURES.len()],
    /// In the order of [`Terms::TIMES`].
    times: [Option<u64>; Terms::TIMES.len()],
}

/// The subdirectory.
const OWNER: &str = "venues";
/// The first line of each file: owner and version.
const VERSION: &str = "tapecast venues 1";
/// The longest file that is read: some thousand instruments have one megabyte.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// A list is not written more often.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// The longest ban that is believed over a restart. Venues ban for at most three days.
const BAN_MAX: Duration = Duration::from_secs(3 * 86_400);
/// What is lost if a file cannot be written.
const LOST: &str = "the next start has to wait for its venues";

// === impl KeptVenues ===

impl KeptVenues {
    /// Nothing is known that is not in this directory.
    pub(super) fn new(dir: Option<Arc<StateDir>>) -> Self {
        Self {
            dir,
            venues: Mutex::default(),
        }
    }

    /// What is known of a venue at this address. The first call for a venue reads its file.
    pub fn earlier(&self, venue: &Venue, address: &str) -> Earlier {
        let known = self.lock().get(venue).cloned();
        let known = known.or_else(|| self.read(venue));
        let Some(known) = known.filter(|known| known.address == address) else {
            return Earlier::default();
        };
        self.lock()
            .entry(venue.clone())
            .or_insert_with(|| known.clone());
        Earlier {
            instruments: known.list.into_values().collect(),
            top: known.top,
            banned_until: known.banned_until,
        }
    }

    /// The venue has sent its list, or a part of it.
    pub fn note_listing(&self, venue: &Venue, address: &str, listing: Listing, now: Mono) {
        let mut venues = self.lock();
        let kept = Kept::of(&mut venues, venue, address);
        let before = listing.is_whole.then(|| std::mem::take(&mut kept.list));
        let mut is_news = false;
        for instrument in listing.instruments {
            let native = instrument.native.clone();
            is_news |= before.is_none() && kept.list.get(&native) != Some(&instrument);
            kept.list.insert(native, instrument);
        }
        if is_news || before.is_some_and(|before| before != kept.list) {
            kept.due_soon(now);
        }
    }

    /// These are served for their turnover.
    pub fn note_top(&self, venue: &Venue, address: &str, top: Vec<Box<str>>, now: Mono) {
        let mut venues = self.lock();
        let kept = Kept::of(&mut venues, venue, address);
        if kept.top != top {
            kept.top = top;
            kept.due_soon(now);
        }
    }

    /// The venue wants to be left alone until then.
    pub fn note_ban(&self, venue: &Venue, address: &str, until: UnixNanos, now: Mono) {
        let mut venues = self.lock();
        let kept = Kept::of(&mut venues, venue, address);
        kept.banned_until = Some(until);
        kept.due_at(now);
    }

    /// Whether something is to be written.
    pub(super) fn is_due(&self, now: Mono) -> bool {
        let is_due = |kept: &Kept| kept.due.is_some_and(|at| at <= now);
        self.dir.is_some() && self.lock().values().any(is_due)
    }

    /// Writes what is due; blocks while the disk does.
    pub(super) fn write_due(&self, now: Mono) {
        self.write(now, |at| at <= now);
    }

    /// Writes all that the disk does not have yet; blocks while the disk does.
    pub fn write_all(&self, now: Mono) {
        self.write(now, |_| true);
    }

    fn write(&self, now: Mono, is_due: impl Fn(Mono) -> bool) {
        let Some(dir) = &self.dir else { return };
        let mut changed = Vec::new();
        for (venue, kept) in self.lock().iter_mut() {
            if kept.due.is_some_and(&is_due) {
                // A failure is counted; what is lost is written when something changes.
                (kept.due, kept.written) = (None, Some(now));
                changed.push((venue.clone(), kept.clone()));
            }
        }
        for (venue, kept) in changed {
            dir.replace(OWNER, venue.as_str(), &kept.text(), LOST);
        }
    }

    /// What the file of a venue says; none if there is none, or it is of no use.
    fn read(&self, venue: &Venue) -> Option<Kept> {
        let dir = self.dir.as_ref()?;
        let path = dir.path.join(OWNER).join(venue.as_str());
        let read = match text_of(&path) {
            Ok(text) => Kept::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(kept) => {
                let instruments = kept.list.len();
                info!(%venue, instruments, "Instruments are known from an earlier run");
                Some(kept)
            }
            Err(why) => {
                dir.failures.inc();
                let path = path.display();
                warn!(%path, why, "A file of state_dir cannot be used; the venue is asked");
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Venue, Kept>> {
        self.venues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = File::open(path)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is too long"));
    }
    Ok(text)
}

// === impl Kept ===

impl Kept {
    /// Of a venue at this address. What is known of another address is forgotten.
    fn of<'a>(venues: &'a mut BTreeMap<Venue, Self>, venue: &Venue, address: &str) -> &'a mut Self {
        let kept = venues.entry(venue.clone()).or_default();
        if kept.address != address {
            *kept = Self {
                address: address.to_owned(),
                written: kept.written,
                ..Self::default()
            };
        }
        kept
    }

    /// A list is due now, or a while after the last one.
    fn due_soon(&mut self, now: Mono) {
        let earliest = self.written.map_or(now, |at| at.after(WRITE_EVERY));
        self.due_at(earliest.max(now));
    }

    fn due_at(&mut self, at: Mono) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// As a file.
    fn text(&self) -> String {
        let head = Head {
            address: self.address.clone(),
            instruments: self.list.len(),
            top: self.top.clone(),
            banned_until: self.banned_until.map(UnixNanos::get),
        };
        let mut text = format!("{VERSION}\n");
        let mut push = |json: serde_json::Result<String>| {
            // What is only text and numbers can be written.
            text.push_str(&json.unwrap_or_default());
            text.push('\n');
        };
        push(serde_json::to_string(&head));
        for instrument in self.list.values() {
            push(serde_json::to_string(&Line::of(instrument)));
        }
        text
    }

    /// What a file says.
    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        match lines.next() {
            Some(VERSION) => {}
            first => {
                let first: String = first.unwrap_or_default().chars().take(80).collect();
                return Err(format!("it begins with {first:?} instead of {VERSION:?}"));
            }
        }
        let head = lines.next().unwrap_or_default();
        let head: Head = serde_json::from_str(head).map_err(|error| format!("line 2: {error}"))?;
        let mut list = BTreeMap::new();
        for (at, line) in lines.enumerate() {
            let wrong = |why: String| format!("line {}: {why}", at + 3);
            let line: Line = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
            let instrument = line
                .read()
                .ok_or_else(|| wrong("no instrument".to_owned()))?;
            list.insert(instrument.native.clone(), instrument);
        }
        if list.len() != head.instruments {
            let (found, expected) = (list.len(), head.instruments);
            return Err(format!("it has {found} instruments instead of {expected}"));
        }
        let most = u64::try_from(BAN_MAX.as_nanos()).unwrap_or(u64::MAX);
        let most = unix_now().get().saturating_add(most);
        let banned_until = head.banned_until.filter(|until| *until <= most);
        Ok(Self {
            address: head.address,
            list,
            top: head.top,
            banned_until: banned_until.map(UnixNanos::new),
            due: None,
            written: None,
        })
    }
}

// === impl Line ===

impl Line {
    fn of(instrument: &VenueInstrument) -> Self {
        let VenueInstrument {
            native,
            symbol,
            scales,
            trading,
            terms,
        } = instrument;
        Self {
            native: native.to_string(),
            symbol: symbol.as_ref().map(|symbol| symbol.as_str().to_owned()),
            price_scale: scales.price_scale.digits(),
            qty_scale: scales.qty_scale.digits(),
            trading: trading.label().to_owned(),
            kind: terms.kind.map(|kind| kind.label().to_owned()),
            qty_unit: terms.qty_unit.map(|unit| unit.label().to_owned()),
            inverse: terms.inverse,
            figures: terms.figures().map(|figure| figure.map(|f| f.to_string())),
            times: terms.times().map(|time| time.map(UnixNanos::get)),
        }
    }

    /// None if a word or a number cannot be.
    fn read(self) -> Option<VenueInstrument> {
        let mut figures = [None; Terms::FIGURES.len()];
        for (figure, text) in figures.iter_mut().zip(&self.figures) {
            if let Some(text) = text {
                *figure = Some(Decimal::parse(text.as_bytes()).ok()?);
            }
        }
        let mut words = Terms {
            inverse: self.inverse,
            ..Terms::UNKNOWN
        };
        if let Some(kind) = &self.kind {
            words.kind = Some(InstrumentKind::of_label(kind)?);
        }
        if let Some(unit) = &self.qty_unit {
            words.qty_unit = Some(QtyUnit::of_label(unit)?);
        }
        let symbol = match &self.symbol {
            Some(symbol) => Some(Symbol::new(symbol).ok()?),
            None => None,
        };
        Some(VenueInstrument {
            native: self.native.into(),
            symbol,
            scales: Scales {
                price_scale: Scale::new(self.price_scale)?,
                qty_scale: Scale::new(self.qty_scale)?,
            },
            trading: TradingState::of_label(&self.trading)?,
            terms: words
                .with_figures(figures)
                .with_times(self.times.map(|time| time.map(UnixNanos::new))),
        })
    }
}

#[cfg(test)]
mod tests;
