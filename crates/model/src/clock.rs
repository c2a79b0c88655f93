//! The only module that reads the clocks. All other code receives the time as an argument.

use crate::time::{Mono, UnixNanos};
use std::sync::OnceLock;
use std::time::Instant;

/// The wall clock.
#[expect(
    clippy::disallowed_types,
    reason = "this is the one reader of the wall clock"
)]
pub fn unix_now() -> UnixNanos {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default();
    UnixNanos::new(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The monotonic clock.
pub fn mono_now() -> Mono {
    static ZERO: OnceLock<Instant> = OnceLock::new();
    let zero = ZERO.get_or_init(Instant::now);
    Mono::new(u64::try_from(zero.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
