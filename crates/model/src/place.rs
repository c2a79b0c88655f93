//! Places in tables that are used again: an index, and which of its users is meant.
//!
//! Whatever outlives the user of a place names index and generation, and whoever meets an old generation
//! knows that another one is there now. When the generations of an index are used up it is retired, so
//! that no name ever means two.

/// Defines a place in a table: see [the module](mod@crate::place).
#[macro_export]
macro_rules! place {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name {
            index: u32,
            generation: u32,
        }

        impl $name {
            /// The first generation of an index.
            pub const fn new(index: u32) -> Self {
                Self {
                    index,
                    generation: 0,
                }
            }

            /// Where it is in a table.
            pub const fn index(self) -> usize {
                self.index as usize
            }

            /// The next generation of this index; none if they are used up.
            #[must_use]
            pub const fn next_generation(self) -> Option<Self> {
                match self.generation.checked_add(1) {
                    Some(generation) => Some(Self { generation, ..self }),
                    None => None,
                }
            }
        }
    };
}
