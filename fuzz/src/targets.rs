//! Targets: one for each parser of foreign bytes, with what must hold for every input.
//!
//! A target must not panic, and beyond that it knows rules of its parser: what two readings of the
//! same thing must agree on, what may never be published. A broken rule is a finding like a panic.
//!
//! # Planted faults
//! Each target can plant one fault behind its parser, deep enough that only inputs past the head reach
//! it. A target that does not find its own fault would find nobody else's.

mod config;
mod connection;
mod frames;
mod handshake;
mod push;
mod record;
mod recording;
mod request;
mod server;
mod venue;

use crate::mutate;
use rand::rngs::SmallRng;
use tapecast_ingest::venue::Format;

/// How far an input was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// Refused at its head: no JSON, of no known kind.
    Head,
    /// Past its head: its fields were read, whatever came of it.
    Body,
}

/// A rule that does not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Broken(pub String);

/// A parser and its rules.
pub trait Target {
    /// Where its inputs begin.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Makes an input from seeds.
    fn input(&self, seeds: &[Vec<u8>], random: &mut SmallRng) -> Vec<u8> {
        mutate::input(seeds, random)
    }

    /// Reads an input.
    ///
    /// # Errors
    /// If a rule does not hold.
    fn run(&mut self, input: &[u8]) -> Result<Depth, Broken>;

    /// Plants this target's fault.
    fn plant(&mut self);
}

/// The names of all targets.
pub const NAMES: [&str; 17] = [
    "venue-binance",
    "venue-binance-usdm",
    "venue-coinbase",
    "venue-kraken",
    "venue-okx",
    "venue-bybit-spot",
    "venue-bybit-linear",
    "push",
    "recording",
    "request",
    "handshake",
    "connection",
    "frames",
    "config",
    "server-text",
    "server-binary",
    "record",
];

/// A target by its name.
///
/// # Errors
/// If there is none of this name, or its corpus cannot be read.
pub fn named(name: &str) -> Result<Box<dyn Target>, String> {
    let corpus = || {
        crate::seeds::corpus(name)
            .map_err(|e| format!("{}: {e}", crate::seeds::folder(name).display()))
    };
    Ok(match name {
        "push" => Box::new(push::Push::new(corpus()?)),
        "recording" => Box::new(recording::Recording::new(corpus()?)),
        "record" => Box::new(record::RecordTarget::new(corpus()?)),
        "request" => Box::new(request::Requests::new(corpus()?)),
        "handshake" => Box::new(handshake::Handshake::new(corpus()?)),
        "connection" => Box::new(connection::Connection::new(corpus()?)?),
        "frames" => Box::new(frames::Frames::new(corpus()?)),
        "config" => Box::new(config::Configs::new(corpus()?)),
        "server-text" => Box::new(server::Text::new(corpus()?)),
        "server-binary" => Box::new(server::Binary::new(corpus()?)),
        _ => {
            let format = name
                .strip_prefix("venue-")
                .and_then(|format| format.parse::<Format>().ok())
                .ok_or_else(|| format!("no target {name:?}: {}", NAMES.join(", ")))?;
            Box::new(venue::Venue::new(format, corpus()?))
        }
    })
}
