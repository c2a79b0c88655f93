//! The counters of ingest: one file per owner of the counters, registered once at the start.
//!
//! Labels have a fixed set of values: venues, channel kinds and reasons, never a symbol. Handles are made
//! when a venue or channel first appears, so that no label is looked up per event.

mod feed;
mod pipeline;
mod upstream;

pub use feed::{FeedCounters, FeedMetrics};
pub use pipeline::{GapReason, LossReason, PipelineMetrics};
pub use upstream::UpstreamEvent;

pub(crate) use pipeline::{PipelineCounts, VenueCounters};
