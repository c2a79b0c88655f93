//! For tests: faults that make a thread or task of a gateway panic, by the name of its part. Only tests
//! set them.

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tapecast_model::Fault;

/// The faults of one gateway.
#[derive(Clone, Debug, Default)]
pub struct Faults(Option<Arc<Mutex<HashMap<String, Fault>>>>);

impl Faults {
    /// For tests: each part gets one that can be armed.
    pub fn armable() -> Self {
        Self(Some(Arc::default()))
    }

    /// The fault of a part: one that cannot be armed, unless a test made it.
    pub fn of(&self, part: &str) -> Fault {
        self.0.as_ref().map_or_else(Fault::default, |faults| {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults
                .entry_ref(part)
                .or_insert_with(Fault::armable)
                .clone()
        })
    }
}
