//! What ingest counts: one file per owner of the counters, registered once at start.
//!
//! Labels are closed sets: venues, channel kinds and reasons, never a symbol. Handles are resolved
//! when a venue or channel first appears, so that nothing is looked up by label per event.

mod feed;
mod pipeline;

pub use feed::{FeedCounters, FeedMetrics};
pub use pipeline::{GapReason, LossReason, PipelineMetrics};

pub(crate) use pipeline::VenueCounters;
