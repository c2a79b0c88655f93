//! A fault for tests: the part of the process that holds it panics on command.
//!
//! Tests use it to check the supervision of the parts. A process that no test has started holds
//! [`Fault::default`], which cannot be armed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A part holds it and checks it once per round of its work.
#[derive(Clone, Debug, Default)]
pub struct Fault(Option<Arc<AtomicBool>>);

impl Fault {
    /// For tests: a fault that can be armed.
    pub fn armable() -> Self {
        Self(Some(Arc::default()))
    }

    /// For tests: a part with a copy panics at its next check, once.
    pub fn arm(&self) {
        if let Some(armed) = &self.0 {
            armed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a test can arm it.
    pub fn is_armable(&self) -> bool {
        self.0.is_some()
    }

    /// Whether no part has checked it yet.
    pub fn is_armed(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|armed| armed.load(Ordering::Relaxed))
    }

    /// Looks.
    ///
    /// # Panics
    /// If a test has armed it.
    #[inline]
    #[expect(clippy::panic, reason = "this is what it is for")]
    pub fn look(&self) {
        if let Some(armed) = &self.0
            && armed.swap(false, Ordering::Relaxed)
        {
            panic!("a fault injected by a test");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_strikes_once_and_only_what_was_made_for_it() {
        Fault::default().arm();
        Fault::default().look();
        let fault = Fault::armable();
        fault.look();
        fault.arm();
        let held = fault.clone();
        assert!(std::thread::spawn(move || held.look()).join().is_err());
        assert!(!fault.is_armed());
        fault.look();
    }
}
