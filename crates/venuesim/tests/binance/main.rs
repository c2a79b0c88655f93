//! The simulated Binance spot in virtual time: its protocol, its limits, its truth.

#![expect(clippy::unwrap_used, reason = "tests may stop")]

mod captured;
mod control;
mod driver;
mod faults;
mod limits;
mod mutation;
mod naive;
mod rest;
mod steer;
mod streams;
mod survivor;
mod truth;
