//! The simulated Binance spot in virtual time: its protocol, its limits, its truth.

#![expect(clippy::unwrap_used, reason = "tests may stop")]

mod control;
mod driver;
mod faults;
mod limits;
mod rest;
mod steer;
mod streams;
mod truth;
