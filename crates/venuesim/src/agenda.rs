//! What is due when, in order of time; what is due at the same time in the order in which it was noted, so that
//! a simulation is the same each time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Tasks by time.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    entries: BinaryHeap<Reverse<Entry<T>>>,
    noted: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    number: u64,
    task: T,
}

// === impl Agenda ===

impl<T> Agenda<T> {
    /// Without tasks.
    pub(crate) fn new() -> Self {
        Self {
            entries: BinaryHeap::new(),
            noted: 0,
        }
    }

    /// Notes a task.
    pub(crate) fn note(&mut self, at: Duration, task: T) {
        let number = self.noted;
        self.noted += 1;
        self.entries.push(Reverse(Entry { at, number, task }));
    }

    /// The time of the first task.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.entries.peek().map(|Reverse(entry)| entry.at)
    }

    /// The first task, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<(Duration, T)> {
        if self.first()? > now {
            return None;
        }
        let Reverse(entry) = self.entries.pop()?;
        Some((entry.at, entry.task))
    }
}

// === impl Entry ===

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_come_by_time_and_then_as_they_were_noted() {
        let mut agenda = Agenda::new();
        let second = Duration::from_secs;
        agenda.note(second(2), 'b');
        agenda.note(second(1), 'a');
        agenda.note(second(2), 'c');
        assert_eq!(agenda.take(Duration::ZERO), None);
        assert_eq!(agenda.take(second(9)), Some((second(1), 'a')));
        assert_eq!(agenda.take(second(9)), Some((second(2), 'b')));
        assert_eq!(agenda.first(), Some(second(2)));
        assert_eq!(agenda.take(second(9)), Some((second(2), 'c')));
        assert_eq!(agenda.take(second(9)), None);
    }
}
