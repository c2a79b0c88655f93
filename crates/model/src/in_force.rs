//! A value that is replaced as a whole while others use it: the settings in force.
//!
//! [`InForce`] is the one place where the value is. It has a version, which rises with each swap. A thread that reads
//! the value all the time has a [`Held`]: it compares the version once a round, which is one atomic load, and
//! takes the new value only if there is one. In between, reading it is following a pointer. Other threads
//! [`get`](InForce::get) it when they need it. All readers see a value as a whole, each at its own time.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The value that is in force.
#[derive(Debug)]
pub struct InForce<T> {
    /// Changes only under the lock of `value`.
    version: AtomicU64,
    value: Mutex<Arc<T>>,
}

/// A reader's hold on the value that was in force when it last looked.
#[derive(Debug)]
pub struct Held<T> {
    source: Arc<InForce<T>>,
    version: u64,
    value: Arc<T>,
}

// === impl InForce ===

impl<T> InForce<T> {
    /// The first value, version 1.
    pub fn new(value: T) -> Arc<Self> {
        Arc::new(Self {
            version: AtomicU64::new(1),
            value: Mutex::new(Arc::new(value)),
        })
    }

    /// Puts another value into force.
    pub fn swap(&self, value: T) {
        let mut current = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(value);
        // Release is not needed: whoever sees the new version takes the lock, and so the value.
        self.version.fetch_add(1, Ordering::Relaxed);
    }

    /// The value now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// For a thread that reads the value all the time.
    pub fn hold(self: &Arc<Self>) -> Held<T> {
        let (version, value) = self.both();
        Held {
            source: Arc::clone(self),
            version,
            value,
        }
    }

    fn both(&self) -> (u64, Arc<T>) {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        (self.version.load(Ordering::Relaxed), Arc::clone(&value))
    }
}

// === impl Held ===

impl<T> Held<T> {
    /// The value, for whoever needs it for longer.
    pub fn share(&self) -> Arc<T> {
        Arc::clone(&self.value)
    }

    /// Takes the value that is in force now; returns the one before, if there is a new one.
    pub fn renew(&mut self) -> Option<Arc<T>> {
        if self.source.version.load(Ordering::Relaxed) == self.version {
            return None;
        }
        let (version, value) = self.source.both();
        self.version = version;
        Some(std::mem::replace(&mut self.value, value))
    }
}

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_value_keeps_it_until_he_looks_again() {
        let settings = InForce::new(1);
        let mut held = settings.hold();
        assert_eq!(held.renew(), None);
        settings.swap(2);
        settings.swap(3);
        assert_eq!((*held, *settings.get()), (1, 3));
        assert_eq!(held.renew(), Some(Arc::new(1)));
        assert_eq!(*held, 3);
        assert_eq!(held.renew(), None);
    }

    #[test]
    fn no_reader_misses_the_last_value_or_sees_parts_of_two() {
        let settings = InForce::new((0_u64, 0_u64));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let mut held = settings.hold();
                scope.spawn(move || {
                    while held.0 < 1_000 {
                        if let Some(before) = held.renew() {
                            assert!(before.0 < held.0);
                        }
                        assert_eq!(held.0, held.1);
                        std::thread::yield_now();
                    }
                });
            }
            (1..=1_000).for_each(|n| settings.swap((n, n)));
        });
    }
}
