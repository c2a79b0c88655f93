//! Why a gateway cannot start: one type for all rooms of the process.
//!
//! Each room has its own errors, and makes this one of them. So the start passes errors on and knows no room's
//! reasons.

use std::error::Error;
use std::io;

/// Why a gateway cannot start: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A key of the configuration asks for what cannot be had.
    #[error("{why}")]
    Key {
        /// The key, such as `source 2: path` or `listen.public`.
        key: String,
        /// What is wrong, and the remedy.
        why: Box<dyn Error + Send + Sync>,
    },
    /// The system gives no thread, poller or descriptor.
    #[error("the system refused a thread or a poller: {0}; check its limits (ulimit -a)")]
    System(#[from] io::Error),
    /// A metric is there twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

impl StartError {
    /// A key asks for what cannot be had.
    pub fn of_key(key: impl Into<String>, why: impl Error + Send + Sync + 'static) -> Self {
        Self::Key {
            key: key.into(),
            why: Box::new(why),
        }
    }

    /// The key that is wrong, if one is.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { key, .. } => Some(key),
            Self::System(_) | Self::Metrics(_) => None,
        }
    }
}
