//! Goal: a session of a live venue holds, whatever the venue does, and subscribers learn of everything that is lost.
//!
//! Method: sessions and simulated venues in virtual time: what a session asks for, and what comes out of the
//! pipeline, compared with what really happened at the venue.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod binance;
mod complaints;
mod earlier;
mod faults;
mod invisible;
mod journal;
mod kraken;
mod kraken_faults;
mod memory;
mod recording;
mod rig;
mod soak;
mod top;
mod witness;
