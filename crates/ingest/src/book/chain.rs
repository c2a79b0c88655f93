//! The chain: whether a book message follows the one before it, by its venue's own numbers.
//!
//! It is pure arithmetic, without levels. A change without a number proves nothing of its place: it follows
//! only where no message has had one. A snapshot that does not come in the stream (Binance) can lie
//! between the first and the last number of a change. So the first change after a snapshot may overlap
//! it: it is applied completely, because sizes are absolute.

use crate::event::Link;
use std::fmt;

/// The position of a book in its venue's numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Chain {
    /// No message so far had a number: anything follows.
    #[default]
    Unnumbered,
    /// At a snapshot's number: the first change may straddle it.
    AtSnapshot(i128),
    /// At a change's number: the next must follow exactly.
    AtChange(i128),
}

/// How a change fits behind a chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ChainFit {
    /// It is the next one.
    Follows,
    /// All it says is in the book already.
    Old,
    /// Messages are missing in between.
    Broken(LinkBreak),
    /// It has no number, and those before it had: nothing shows what it follows.
    Unplaced,
}

/// Two numbers that do not follow each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LinkBreak {
    /// The number the message begins with, or names as the one before it.
    pub found: i128,
    /// The position of the book.
    pub after: i128,
    /// The message names the number before it, not its own.
    pub names_previous: bool,
}

// === impl Chain ===

impl Chain {
    /// The chain a snapshot begins.
    pub(super) fn at_snapshot(link: Link) -> Self {
        last(link).map_or(Self::Unnumbered, Self::AtSnapshot)
    }

    /// The chain after a change.
    pub(super) fn at_change(link: Link) -> Self {
        last(link).map_or(Self::Unnumbered, Self::AtChange)
    }

    /// Its number.
    pub(super) const fn number(self) -> Option<i128> {
        match self {
            Self::Unnumbered => None,
            Self::AtSnapshot(number) | Self::AtChange(number) => Some(number),
        }
    }

    /// Whether a change follows.
    pub(super) fn fit(self, link: Link) -> ChainFit {
        let Some(at) = self.number() else {
            return ChainFit::Follows;
        };
        let at_snapshot = matches!(self, Self::AtSnapshot(_));
        let broken = |found, names_previous| {
            ChainFit::Broken(LinkBreak {
                found,
                after: at,
                names_previous,
            })
        };
        match link {
            Link::None | Link::Whole(_) => ChainFit::Unplaced,
            Link::Range { first, last } => {
                let (first, last) = (i128::from(first), i128::from(last));
                if last <= at {
                    ChainFit::Old
                } else if first == at + 1 || (at_snapshot && first <= at) {
                    ChainFit::Follows
                } else {
                    broken(first, false)
                }
            }
            Link::Previous {
                first: Some(first),
                previous,
                last,
            } => {
                let (first, last) = (i128::from(first), i128::from(last));
                // What it names as the number before it is judged first: it is the venue's own word.
                if i128::from(previous) == at {
                    ChainFit::Follows
                } else if last <= at {
                    ChainFit::Old
                } else if at_snapshot && first <= at {
                    ChainFit::Follows
                } else {
                    broken(i128::from(previous), true)
                }
            }
            Link::Previous {
                first: None,
                previous,
                ..
            } => {
                if i128::from(previous) == at {
                    ChainFit::Follows
                } else {
                    broken(i128::from(previous), true)
                }
            }
            Link::Step(number) => {
                if i128::from(number) == at + 1 {
                    ChainFit::Follows
                } else {
                    broken(i128::from(number), false)
                }
            }
        }
    }

    /// Where a message that it calls old begins.
    pub(super) fn beginning(self, link: Link) -> LinkBreak {
        let found = match link {
            Link::Range { first, .. } => i128::from(first),
            Link::Previous {
                first: Some(first), ..
            } => i128::from(first),
            other => last(other).unwrap_or_default(),
        };
        LinkBreak {
            found,
            after: self.number().unwrap_or_default(),
            names_previous: false,
        }
    }

    /// Goes on to a change that follows.
    pub(super) fn advance(&mut self, link: Link) {
        if let Some(last) = last(link) {
            *self = Self::AtChange(last);
        }
    }
}

/// Whether a message's venue hands out snapshots beside its stream of changes, so that changes are
/// worth keeping until one comes.
pub(crate) const fn bridges(link: Link) -> bool {
    matches!(
        link,
        Link::Range { .. } | Link::Previous { first: Some(_), .. }
    )
}

/// Whether a message has the number of the one before it: it should say nothing then.
pub(super) const fn stands_still(link: Link) -> bool {
    matches!(link, Link::Previous { previous, last, .. } if previous == last)
}

fn last(link: Link) -> Option<i128> {
    match link {
        Link::None => None,
        Link::Range { last, .. } | Link::Step(last) | Link::Whole(last) => Some(i128::from(last)),
        Link::Previous { last, .. } => Some(i128::from(last)),
    }
}

// === impl LinkBreak ===

impl fmt::Display for LinkBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            found,
            after,
            names_previous,
        } = self;
        if *names_previous {
            write!(f, "u follows {found}, the book is at {after}")
        } else {
            write!(f, "u {found} after {after}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u64, last: u64) -> Link {
        Link::Range { first, last }
    }

    const fn futures(first: i64, previous: i64, last: i64) -> Link {
        Link::Previous {
            first: Some(first),
            previous,
            last,
        }
    }

    const fn okx(previous: i64, last: i64) -> Link {
        Link::Previous {
            first: None,
            previous,
            last,
        }
    }

    const fn broken(found: i128, after: i128, names_previous: bool) -> ChainFit {
        ChainFit::Broken(LinkBreak {
            found,
            after,
            names_previous,
        })
    }

    fn check(chain: Chain, link: Link, expected: ChainFit) {
        assert_eq!(chain.fit(link), expected, "{link:?} behind {chain:?}");
    }

    #[test]
    fn a_spot_change_straddles_a_snapshot_and_then_follows_exactly() {
        let chain = Chain::at_snapshot(range(100, 100));
        check(chain, range(90, 100), ChainFit::Old);
        check(chain, range(90, 101), ChainFit::Follows);
        check(chain, range(101, 104), ChainFit::Follows);
        check(chain, range(102, 104), broken(102, 100, false));
        let chain = Chain::AtChange(104);
        check(chain, range(105, 105), ChainFit::Follows);
        check(chain, range(100, 104), ChainFit::Old);
        check(chain, range(104, 106), broken(104, 104, false));
        check(chain, range(106, 107), broken(106, 104, false));
    }

    #[test]
    fn a_futures_change_straddles_a_snapshot_and_then_names_its_forerunner() {
        let chain = Chain::at_snapshot(okx(-1, 100));
        check(chain, futures(80, 70, 100), ChainFit::Old);
        check(chain, futures(95, 90, 120), ChainFit::Follows);
        check(chain, futures(105, 100, 120), ChainFit::Follows);
        check(chain, futures(101, 99, 120), broken(99, 100, true));
        let chain = Chain::AtChange(120);
        check(chain, futures(133, 120, 140), ChainFit::Follows);
        check(chain, futures(110, 125, 140), broken(125, 120, true));
        check(chain, futures(95, 90, 120), ChainFit::Old);
        check(chain, futures(1, 120, 3), ChainFit::Follows);
    }

    #[test]
    fn okx_accepts_keep_alives_and_resets_and_nothing_else() {
        let mut chain = Chain::at_snapshot(okx(-1, 100));
        check(chain, okx(100, 100), ChainFit::Follows);
        check(chain, okx(100, 110), ChainFit::Follows);
        check(chain, okx(99, 110), broken(99, 100, true));
        check(chain, okx(100, 3), ChainFit::Follows);
        chain.advance(okx(100, 3));
        check(chain, okx(3, 5), ChainFit::Follows);
        check(chain, okx(100, 101), broken(100, 3, true));
    }

    #[test]
    fn steps_are_one_long() {
        let mut chain = Chain::at_snapshot(Link::Step(7));
        check(chain, Link::Step(8), ChainFit::Follows);
        check(chain, Link::Step(7), broken(7, 7, false));
        check(chain, Link::Step(9), broken(9, 7, false));
        chain.advance(Link::Step(8));
        assert_eq!(chain, Chain::AtChange(8));
    }

    #[test]
    fn without_numbers_anything_follows() {
        let mut chain = Chain::at_snapshot(Link::None);
        check(chain, Link::None, ChainFit::Follows);
        check(chain, range(5, 9), ChainFit::Follows);
        chain.advance(range(5, 9));
        check(chain, range(11, 12), broken(11, 9, false));
    }

    #[test]
    fn what_has_no_number_does_not_follow_what_has_one() {
        for link in [range(5, 9), futures(5, 4, 9), okx(4, 9), Link::Step(9)] {
            check(Chain::at_snapshot(link), Link::None, ChainFit::Unplaced);
            check(Chain::at_change(link), Link::None, ChainFit::Unplaced);
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let chain = Chain::at_snapshot(range(u64::MAX, u64::MAX));
        check(chain, range(u64::MAX, u64::MAX), ChainFit::Old);
        check(chain, Link::Step(0), broken(0, i128::from(u64::MAX), false));
        check(
            Chain::AtChange(i128::from(i64::MIN)),
            okx(i64::MIN, i64::MAX),
            ChainFit::Follows,
        );
    }
}
