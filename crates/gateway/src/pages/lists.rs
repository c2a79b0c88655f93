//! The lists of instruments and topics: made once per change of the catalogue, and cut into pages on
//! request.
//!
//! Making a list visits the whole catalogue. So it runs in its own thread, one at a time, in portions that
//! each hold the catalogue's lock for a short time. It also runs rarely: after a list has been made, the
//! next one waits ten times as long as the last one took. A request waits for a list that contains
//! everything its client can already know of; if making one fails twice in this time, it gets an error. A
//! page is copied out of the finished text; entries that a filter excludes are not read.

use hashbrown::HashMap;
use hyper::body::Bytes;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tapecast_model::{Catalog, ChannelKind, ChannelSet, Depth, Fault, Instrument, Venue};
use tokio::sync::Mutex as Turns;

/// The lists of a catalogue.
#[derive(Debug)]
pub(super) struct Lists {
    catalog: Arc<Catalog>,
    made: Mutex<Made>,
    /// When the next list may be made; the thread that makes one holds the lock.
    maker: Arc<Turns<Instant>>,
    fault: Fault,
}

/// What making lists has come to.
#[derive(Debug, Default)]
struct Made {
    latest: Option<Arc<List>>,
    /// How many times making one has panicked.
    failures: u64,
}

/// Making the list failed again and again.
#[derive(Debug)]
pub(super) struct NotMade;

/// What there was at one version of the catalogue.
#[derive(Debug)]
pub(super) struct List {
    version: u64,
    /// In the order of ids, as are the texts.
    instruments: Vec<Arc<Instrument>>,
    described: Text,
    topics: Text,
    venues: HashMap<Venue, Index>,
}

/// Which list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Instruments with what they are.
    Instruments,
    /// What can be subscribed.
    Topics,
}

/// What a list is narrowed to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Filter {
    venue: Option<String>,
    symbol: Option<String>,
    after: usize,
}

/// Entries as JSON, without separators.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Positions of one venue's instruments.
#[derive(Debug, Default)]
struct Index {
    in_order: Vec<usize>,
    by_symbol: Vec<usize>,
}

#[derive(Serialize)]
struct Described<'a> {
    venue: &'a str,
    symbol: &'a str,
    native: &'a str,
    price_scale: u8,
    qty_scale: u8,
    channels: &'a [&'static str],
}

// === impl Lists ===

impl Lists {
    /// The lists of this catalogue; the first request makes the first one. With the fault a test can make
    /// that fail.
    pub(super) fn new(catalog: Arc<Catalog>, fault: Fault) -> Self {
        Self {
            catalog,
            made: Mutex::default(),
            maker: Arc::new(Turns::new(Instant::now())),
            fault,
        }
    }

    /// The list of all there is now.
    ///
    /// # Errors
    /// If making one has failed [`TRIES`] times since the call. All calls that wait share these tries.
    ///
    /// # Cancellation
    /// Safe: a list that is being made is completed, for the next request.
    pub(super) async fn current(self: &Arc<Self>) -> Result<Arc<List>, NotMade> {
        let version = self.catalog.version();
        let failures_max = self.made().failures + TRIES;
        loop {
            if let Some(end) = self.end(version, failures_max) {
                return end;
            }
            let mut turn = Arc::clone(&self.maker).lock_owned().await;
            // Others may have made one, or failed to, while this call waited for its turn.
            if let Some(end) = self.end(version, failures_max) {
                return end;
            }
            let lists = Arc::clone(self);
            let making = tokio::spawn(async move {
                tokio::time::sleep_until((*turn).into()).await;
                let (catalog, fault) = (Arc::clone(&lists.catalog), lists.fault.clone());
                let began = Instant::now();
                let list = tokio::task::spawn_blocking(move || {
                    fault.look();
                    List::of(&catalog)
                });
                let list = list.await;
                *turn = Instant::now() + (began.elapsed() * PAUSE_TIMES).min(PAUSE_MAX);
                let mut made = lists.made();
                match list {
                    Ok(list) => made.latest = Some(Arc::new(list)),
                    // The log and `tapecast_panics_total` have it from the hook of all panics.
                    Err(_) => made.failures += 1,
                }
            });
            if making.await.is_err() {
                self.made().failures += 1;
            }
        }
    }

    /// What a call that wants this version comes to, if it comes to its end now.
    fn end(&self, version: u64, failures_max: u64) -> Option<Result<Arc<List>, NotMade>> {
        let made = self.made();
        let latest = made.latest.as_ref();
        if let Some(list) = latest.filter(|list| list.version >= version) {
            return Some(Ok(Arc::clone(list)));
        }
        (made.failures >= failures_max).then_some(Err(NotMade))
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl List ===

impl List {
    fn of(catalog: &Catalog) -> Self {
        let mut list = Self {
            version: catalog.version(),
            instruments: Vec::new(),
            described: Text::default(),
            topics: Text::default(),
            venues: HashMap::new(),
        };
        let offers: HashMap<_, _> = catalog.venues().into_iter().collect();
        let mut from = 0;
        loop {
            let portion = catalog.portion(from, PORTION);
            let Some(last) = portion.last() else { break };
            from = last.id.index() + 1;
            for instrument in portion {
                let offer = offers.get(&instrument.venue);
                list.add(
                    instrument,
                    offer.map_or(ChannelSet::EMPTY, |offer| offer.channels),
                );
            }
        }
        let instruments = &list.instruments;
        for index in list.venues.values_mut() {
            index.by_symbol.clone_from(&index.in_order);
            let symbol = |position: &usize| instruments[*position].symbol.as_str();
            index.by_symbol.sort_by(|a, b| symbol(a).cmp(symbol(b)));
        }
        list
    }

    fn add(&mut self, instrument: Arc<Instrument>, channels: ChannelSet) {
        let labels: Vec<_> = channels.iter().map(|kind| kind.label()).collect();
        let described = Described {
            venue: instrument.venue.as_str(),
            symbol: instrument.symbol.as_str(),
            native: &instrument.native,
            price_scale: instrument.price_scale.digits(),
            qty_scale: instrument.qty_scale.digits(),
            channels: &labels,
        };
        self.described.add(&described);
        let name = format!("{}:{}", instrument.venue, instrument.symbol);
        for kind in channels.iter() {
            if kind == ChannelKind::Book {
                for depth in Depth::ALL {
                    self.topics
                        .write(&format!("book.{}:{name}", depth.levels()));
                }
            } else {
                self.topics.write(&format!("{}:{name}", kind.label()));
            }
        }
        self.topics.end();
        let index = self.venues.entry(instrument.venue.clone()).or_default();
        index.in_order.push(self.instruments.len());
        self.instruments.push(instrument);
    }

    /// One page as JSON.
    pub(super) fn page(&self, kind: Kind, filter: &Filter) -> Bytes {
        let mut found = self.find(filter);
        let next = found.get(PAGE).map(|at| self.instruments[*at].id.index());
        found.truncate(PAGE);
        let (name, text) = match kind {
            Kind::Instruments => ("instruments", &self.described),
            Kind::Topics => ("topics", &self.topics),
        };
        let entries = found.iter().map(|at| text.entry(*at));
        let length: usize = entries.clone().map(|entry| entry.len() + 1).sum();
        let mut page = Vec::with_capacity(length + 64);
        page.extend(format!("{{\"{name}\":[").bytes());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            if page.last() != Some(&b'[') {
                page.push(b',');
            }
            page.extend(entry);
        }
        let next = next.map_or_else(|| "null".to_owned(), |id| id.to_string());
        page.extend(format!("],\"next\":{next}}}").bytes());
        page.into()
    }

    /// The positions of one page and of the first entry behind it.
    fn find(&self, filter: &Filter) -> Vec<usize> {
        let ids = |instrument: &Arc<Instrument>| instrument.id.index() < filter.after;
        let start = self.instruments.partition_point(ids);
        let venue = filter.venue.as_ref().map(|name| {
            let venue = Venue::new(name).ok();
            venue.and_then(|venue| self.venues.get(&venue))
        });
        let in_order = |index: &Index| {
            let from = index.in_order.partition_point(|at| *at < start);
            let rest = index.in_order[from..].iter().copied();
            rest.take(PAGE + 1).collect()
        };
        match (venue, filter.symbol.as_deref().unwrap_or_default()) {
            // No such venue.
            (Some(None), _) => Vec::new(),
            (None, "") => (start..self.instruments.len()).take(PAGE + 1).collect(),
            (Some(Some(index)), "") => in_order(index),
            (venue, prefix) => {
                let indexes = match venue.flatten() {
                    Some(index) => vec![index],
                    None => self.venues.values().collect(),
                };
                let ranges = indexes.iter().map(|index| self.beginning(index, prefix));
                let mut found: Vec<usize> = ranges
                    .flatten()
                    .copied()
                    .filter(|at| *at >= start)
                    .collect();
                if found.len() > PAGE + 1 {
                    found.select_nth_unstable(PAGE + 1);
                    found.truncate(PAGE + 1);
                }
                found.sort_unstable();
                found
            }
        }
    }

    /// A venue's symbols that begin so, in their own order.
    fn beginning<'a>(&self, index: &'a Index, prefix: &str) -> &'a [usize] {
        let symbol = |position: &usize| self.instruments[*position].symbol.as_str();
        let from = index.by_symbol.partition_point(|at| symbol(at) < prefix);
        let rest = &index.by_symbol[from..];
        &rest[..rest.partition_point(|at| symbol(at).starts_with(prefix))]
    }
}

// === impl Filter ===

impl Filter {
    /// Reads `venue=`, `symbol=` (a beginning) and `after=` (from `next` of the page before).
    ///
    /// # Errors
    /// If there is something else, or it cannot be read.
    pub(super) fn parse(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (key, value) in tapecast_edge::io::http::query::pairs(query)? {
            match key.as_str() {
                "venue" => filter.venue = Some(value),
                "symbol" => filter.symbol = Some(value),
                "after" => {
                    let number = value.parse().ok();
                    filter.after = number.ok_or_else(|| {
                        format!("after={value}: write the `next` of the page before")
                    })?;
                }
                other => {
                    return Err(format!(
                        "unknown filter {other:?}; write venue, symbol or after"
                    ));
                }
            }
        }
        Ok(filter)
    }
}

// === impl Text ===

impl Text {
    fn add(&mut self, entry: &impl Serialize) {
        self.write(entry);
        self.end();
    }

    /// Writes one of several parts of an entry.
    fn write(&mut self, part: &impl Serialize) {
        if self.bytes.len() > self.ends.last().copied().unwrap_or_default() {
            self.bytes.push(b',');
        }
        // Texts and small numbers do not fail, nor does memory.
        let _ = serde_json::to_writer(&mut self.bytes, part);
    }

    fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    fn entry(&self, at: usize) -> &[u8] {
        let from = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[from..self.ends[at]]
    }
}

/// Entries of one page of a list.
const PAGE: usize = 1_000;
/// Instruments that are read at a time.
const PORTION: usize = 1_024;
/// So many times a list is tried for one request. A second time, because the first may have been going on
/// when the request came.
const TRIES: u64 = 2;
/// A list is made again after so many times the time that making it took.
const PAUSE_TIMES: u32 = 10;
/// But never later than this.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tapecast_model::catalog::Offer;
    use tapecast_model::{Scale, Symbol};

    fn catalog(venues: &[(&str, &[&str])]) -> Arc<Catalog> {
        let catalog = Catalog::new(100_000);
        for (venue, symbols) in venues {
            let venue = Venue::new(venue).unwrap();
            let channels = ChannelSet::EMPTY
                .with(ChannelKind::Trade)
                .with(ChannelKind::Book);
            let offer = Offer {
                channels,
                any_symbol: Some((Scale::default(), Scale::default())),
                lossless: false,
            };
            catalog.add_venue(&venue, offer);
            for symbol in *symbols {
                catalog
                    .ensure(&venue, &Symbol::new(symbol).unwrap())
                    .unwrap();
            }
        }
        Arc::new(catalog)
    }

    fn symbols(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("A{n}")).collect()
    }

    fn page(list: &List, kind: Kind, query: &str) -> Value {
        let filter = Filter::parse(query).unwrap();
        serde_json::from_slice(&list.page(kind, &filter)).unwrap()
    }

    /// Every symbol that matches, page by page.
    fn all(list: &List, query: &str) -> Vec<String> {
        let (mut found, mut next) = (Vec::new(), Value::from(0));
        while next != Value::Null {
            let page = page(list, Kind::Instruments, &format!("{query}&after={next}"));
            let entries = page["instruments"].as_array().unwrap();
            assert!(entries.len() <= PAGE);
            found.extend(entries.iter().map(|entry| {
                let text = |key: &str| entry[key].as_str().unwrap().to_owned();
                format!("{}:{}", text("venue"), text("symbol"))
            }));
            next = page["next"].clone();
        }
        found
    }

    #[test]
    fn lists_are_filtered_and_paged() {
        let many = symbols(1_500);
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let list = List::of(&catalog(&[("one", &many), ("other", &["B"])]));
        let first = page(&list, Kind::Instruments, "venue=one");
        assert_eq!(first["instruments"].as_array().unwrap().len(), PAGE);
        assert_eq!(first["next"], 1_000);
        let rest = page(&list, Kind::Instruments, "venue=one&after=1000");
        assert_eq!(rest["instruments"].as_array().unwrap().len(), 500);
        assert_eq!(rest["next"], Value::Null);
        let topics = page(&list, Kind::Topics, "venue=other&symbol=B");
        assert_eq!(topics["topics"][0], "trade:other:B");
        assert_eq!(topics["topics"][1], "book.1:other:B");
        assert_eq!(topics["topics"].as_array().unwrap().len(), 7);
        let instrument = page(&list, Kind::Instruments, "symbol=%42");
        assert_eq!(
            instrument.to_string(),
            r#"{"instruments":[{"channels":["trade","book"],"native":"B","price_scale":0,"qty_scale":0,"symbol":"B","venue":"other"}],"next":null}"#
        );
        assert!(Filter::parse("limit=3").unwrap_err().contains("limit"));
        assert!(Filter::parse("after=x").unwrap_err().contains("after"));
    }

    #[test]
    fn every_filter_finds_what_a_walk_over_all_finds() {
        let many = symbols(2_500);
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let list = List::of(&catalog(&[
            ("one", &many),
            ("two", &["B", "A1", "A12-USD"]),
            ("empty", &[]),
        ]));
        for venue in [
            None,
            Some("one"),
            Some("two"),
            Some("empty"),
            Some("none"),
            Some("No Venue"),
        ] {
            for prefix in ["", "A", "A1", "A12", "A2499", "B", "C", "a", "~"] {
                let matches = |i: &&Arc<Instrument>| {
                    venue.is_none_or(|venue| i.venue.as_str() == venue)
                        && i.symbol.as_str().starts_with(prefix)
                };
                let walked = list.instruments.iter().filter(matches);
                let walked: Vec<_> = walked
                    .map(|i| format!("{}:{}", i.venue, i.symbol))
                    .collect();
                let venue = venue.map_or_else(String::new, |venue| format!("venue={venue}&"));
                let query = format!("{venue}symbol={prefix}").replace(' ', "%20");
                assert_eq!(all(&list, &query), walked, "{query}");
            }
        }
    }

    #[tokio::test]
    async fn a_list_is_made_once_per_change() {
        let catalog = catalog(&[("one", &["A", "B"])]);
        let lists = Arc::new(Lists::new(Arc::clone(&catalog), Fault::default()));
        let (first, second) = tokio::join!(lists.current(), lists.current());
        let first = first.unwrap();
        assert!(Arc::ptr_eq(&first, &second.unwrap()));
        assert!(Arc::ptr_eq(&first, &lists.current().await.unwrap()));
        let symbol = Symbol::new("C").unwrap();
        catalog
            .ensure(&Venue::new("one").unwrap(), &symbol)
            .unwrap();
        let third = lists.current().await.unwrap();
        assert_eq!(all(&third, ""), ["one:A", "one:B", "one:C"]);
    }

    #[tokio::test]
    async fn a_panic_is_tried_again_and_panics_without_end_are_not_waited_for() {
        let fault = Fault::armable();
        let lists = Arc::new(Lists::new(catalog(&[("one", &["A"])]), fault.clone()));
        let armed = fault.clone();
        let always = tokio::spawn(async move {
            loop {
                armed.arm();
                tokio::task::yield_now().await;
            }
        });
        let (one, other) = tokio::join!(lists.current(), lists.current());
        assert!(one.is_err() && other.is_err());
        assert_eq!(lists.made().failures, TRIES, "requests share the tries");
        always.abort();
        assert!(always.await.unwrap_err().is_cancelled());
        fault.arm();
        assert_eq!(all(&lists.current().await.unwrap(), ""), ["one:A"]);
        assert!(!fault.is_armed());
    }
}
