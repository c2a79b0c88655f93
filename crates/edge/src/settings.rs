//! What of the configuration shards and the public listener read while they run. It is swapped as a whole: see
//! [`InForce`](tapecast_model::InForce). Which hosts and origins may send requests is a value beside it
//! ([`Rules`](crate::io::listener::Rules)), for it is not for shards.

use crate::limits::Limits;
use std::time::Duration;

/// The settings of the edge.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What connections may have.
    pub limits: Limits,
    /// The shortest time between two turns of a shard.
    pub flush_interval: Duration,
}

impl From<Limits> for Settings {
    /// These limits, and the defaults of everything else.
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}
