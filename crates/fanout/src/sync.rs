//! The types that loom replaces: atomics, locks and the request queue; loom's own under `--cfg loom`,
//! otherwise real ones.
//!
//! loom models memory orderings but does not support crossbeam, so its queue is a plain mutex around a
//! deque. loom then checks our protocol of flags and masks around the queue, not the queue.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::{Mutex, MutexGuard};

#[cfg(not(loom))]
pub use crossbeam_channel::{Receiver, Sender, bounded};

#[cfg(loom)]
pub use self::queue::{Receiver, Sender, bounded};

#[cfg(loom)]
mod queue {
    use loom::sync::{Arc, Mutex};
    use std::collections::VecDeque;

    /// Sends into the model queue.
    #[derive(Debug)]
    pub struct Sender<T>(Arc<Mutex<VecDeque<T>>>, usize);
    /// Takes from the model queue.
    #[derive(Debug)]
    pub struct Receiver<T>(Arc<Mutex<VecDeque<T>>>);

    /// A queue of at most `capacity` elements.
    pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Arc::new(Mutex::new(VecDeque::new()));
        (Sender(Arc::clone(&queue), capacity), Receiver(queue))
    }

    impl<T> Clone for Sender<T> {
        fn clone(&self) -> Self {
            Self(Arc::clone(&self.0), self.1)
        }
    }

    impl<T> Sender<T> {
        /// Appends, or gives the element back if the queue is full.
        pub fn try_send(&self, value: T) -> Result<(), T> {
            let mut queue = self.0.lock().unwrap();
            if queue.len() == self.1 {
                return Err(value);
            }
            queue.push_back(value);
            Ok(())
        }
    }

    impl<T> Receiver<T> {
        /// Takes the oldest element.
        pub fn try_recv(&self) -> Result<T, ()> {
            self.0.lock().unwrap().pop_front().ok_or(())
        }
    }
}
