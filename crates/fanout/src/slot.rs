//! Slots: the places of topics in the tables of the publisher and of the shards.
//!
//! A slot is used again after its topic has ended, and each use is a new *generation*. Everything that
//! can exist longer than its topic, such as an item in a ring, has slot and generation, and its reader
//! ignores an old generation. A slot whose generations are used up is retired, so no pair of slot and
//! generation ever means two topics. So there are only as many slots as there were topics at one time.

tapecast_model::place! {
    /// A topic's place in tables. Not its number on the wire, which is its `tid`.
    TopicSlot
}

/// Gives out slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    made: u32,
    /// Free ones, in their next generation.
    free: Vec<TopicSlot>,
}

// === impl Slots ===

impl Slots {
    /// A free slot; none if there are already `u32::MAX`.
    pub(crate) fn take(&mut self) -> Option<TopicSlot> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = TopicSlot::new(self.made);
        self.made = self.made.checked_add(1)?;
        Some(slot)
    }

    /// The topic in it has ended.
    pub(crate) fn give_back(&mut self, slot: TopicSlot) {
        self.free.extend(slot.next_generation());
    }

    /// How many were made, whether or not they are free.
    pub(crate) const fn made(&self) -> usize {
        self.made as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_again_in_the_next_generation_and_not_for_ever() {
        let mut slots = Slots::default();
        let (one, two) = (slots.take().unwrap(), slots.take().unwrap());
        assert_eq!((one.index(), two.index(), slots.made()), (0, 1, 2));
        slots.give_back(one);
        let again = slots.take().unwrap();
        assert_eq!((again.index(), slots.made()), (0, 2));
        assert_ne!(again, one);
        let last = TopicSlot {
            index: 1,
            generation: u32::MAX,
        };
        slots.give_back(last);
        assert_eq!(slots.take().unwrap().index(), 2, "the other is retired");
    }
}
