//! Records of sequenced events, as a gateway reads them from another one or from a file.
//!
//! # Rules
//! * What is read is written with the same bytes: there is one way to write a record.
//! * What is refused is refused at a place within the record.
//! * A batch ends: it has at most as many records as it has room for, and they hold no more trades and
//!   levels than their bytes do.

use super::{Broken, Depth, Target};
use crate::mutate;
use rand::Rng as _;
use rand::rngs::SmallRng;
use tapecast_wire::record::{Content, HEADER_BYTES, Record, Records};

/// The fewest bytes of a trade or a level.
const PART_BYTES_MIN: usize = 16;

pub(super) struct RecordTarget {
    seeds: Vec<Vec<u8>>,
    planted: bool,
}

impl RecordTarget {
    pub(super) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self {
            seeds,
            planted: false,
        }
    }
}

impl Target for RecordTarget {
    fn seeds(&self) -> Vec<Vec<u8>> {
        self.seeds.clone()
    }

    /// Changes bytes, mostly behind the header, and mostly says the length that results.
    fn input(&self, seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
        if random.random_range(0..4) == 0 {
            return mutate::input(seeds, random);
        }
        let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
        for _ in 0..random.random_range(1..=4) {
            let from = if random.random() { 0 } else { HEADER_BYTES };
            let at = random.random_range(from.min(bytes.len())..=bytes.len());
            match random.random_range(0..8) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.random()),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 if at < bytes.len() => {
                    let end = (at + random.random_range(1..24)).min(bytes.len());
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                4..=5 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
                _ if at < bytes.len() => bytes[at] = [0, 1, 2, 3, 10, 127, 255][at % 7],
                _ => {}
            }
        }
        if random.random_range(0..8) > 0 && bytes.len() >= 4 {
            let length = bytes.len() as u32;
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    }

    fn plant(&mut self) {
        self.planted = true;
    }

    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken> {
        let (mut depth, mut records, mut parts) = (Depth::Head, 0, 0);
        for record in Records::new(input) {
            match record {
                Ok(record) => {
                    depth = Depth::Body;
                    records += 1;
                    parts += self.check(&record)?;
                }
                Err(error) if error.at() >= HEADER_BYTES && error.at() <= input.len() => {
                    depth = Depth::Body;
                }
                Err(error) if error.at() > input.len() => {
                    return Err(Broken(format!("behind the end: {error}")));
                }
                Err(_) => {}
            }
        }
        if records * HEADER_BYTES + parts * PART_BYTES_MIN > input.len() {
            let bytes = input.len();
            let found = format!("{records} records with {parts} parts in {bytes} bytes");
            return Err(Broken(found));
        }
        match Record::decode(input) {
            Ok((record, rest)) => {
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                let read = &input[..input.len() - rest.len()];
                if bytes != read {
                    return Err(Broken(format!("{read:?} became {bytes:?}")));
                }
            }
            Err(error) if error.to_string().is_empty() => {
                return Err(Broken("an error without a text".to_owned()));
            }
            Err(_) => {}
        }
        Ok(depth)
    }
}

impl RecordTarget {
    /// How many trades or levels a record has; or the planted fault.
    fn check(&self, record: &Record) -> Result<usize, Broken> {
        Ok(match &record.content {
            Content::Trades(trades) | Content::RecentTrades(trades) => trades.len(),
            Content::Book(levels) => levels.bids.len() + levels.asks.len(),
            Content::BookChange { levels, depth } => {
                // The planted fault: a change cuts the book to a depth that no corpus has.
                if self.planted && depth.is_some_and(|depth| depth > 99) {
                    return Err(Broken("planted: a deep cut".to_owned()));
                }
                levels.bids.len() + levels.asks.len()
            }
            _ => 0,
        })
    }
}
