//! The simulated Kraken spot in virtual time: its protocol, its limits, its sums, its truth.

#![expect(clippy::unwrap_used, reason = "tests may stop")]

mod book;
mod captured;
mod control;
mod driver;
mod faults;
mod instruments;
mod limits;
mod mutation;
mod rest;
mod streams;
mod survivor;
