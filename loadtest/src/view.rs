//! What a client knows of one topic, by the protocol's rule, and whether it was right in the end.
//!
//! The rule: a snapshot is always applied; an update is ignored if it is old; on trades and books it
//! applies if it follows the last frame, else something was lost; a quote applies whenever it is new; a
//! `gap` moves the position. Instead of resyncing after a loss this counts it.

use crate::frame::{FrameHead, Levels};
use crate::integrity::Integrity;
use crate::publisher::Published;
use crate::scenario::MessageKind;

/// What a client knows of one topic.
#[derive(Clone, Debug)]
pub struct TopicView {
    /// The topic's number.
    pub number: u32,
    /// It is subscribed and acknowledged.
    pub subscribed: bool,
    /// Nothing was published before the first snapshot.
    pub whole: bool,
    /// The position: the last event known.
    pub last: Option<u64>,
    /// The newest publisher's number seen.
    pub id: Option<u64>,
    /// Trades received.
    pub received: u64,
    /// Trades announced as lost.
    pub announced: u64,
    /// Snapshots received.
    pub snapshots: u64,
    /// The book, if books are published.
    pub levels: Option<Box<Levels>>,
    epoch: u64,
    /// The position is the end of a gap: the newest event is not known.
    after_gap: bool,
}

/// What a client had of a topic at the end.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The view.
    pub view: TopicView,
    /// Of a stalled or slow client.
    pub slow: bool,
    /// Events were read, not only the beginnings of frames.
    pub parsed: bool,
}

// === impl TopicView ===

impl TopicView {
    /// Nothing known yet.
    pub fn new(number: u32) -> Self {
        Self {
            number,
            subscribed: false,
            whole: true,
            last: None,
            id: None,
            received: 0,
            announced: 0,
            snapshots: 0,
            levels: None,
            epoch: 0,
            after_gap: false,
        }
    }

    /// The subscription is given up; what comes after it is a new beginning.
    pub fn forget(&mut self) {
        *self = Self {
            whole: false,
            ..Self::new(self.number)
        };
    }

    /// Takes a frame's position; how many events it brings.
    #[inline]
    pub fn note_head(
        &mut self,
        head: &FrameHead<'_>,
        kind: MessageKind,
        integrity: &mut Integrity,
    ) -> u64 {
        let known = self.last.filter(|_| self.epoch == head.epoch);
        let mut events = match kind {
            MessageKind::Trade => head.seq.saturating_sub(head.prev),
            MessageKind::Quote | MessageKind::Book => 1,
        };
        if head.snapshot {
            // What it stands for besides what was known.
            let skipped = known.map_or(0, |last| head.seq.saturating_sub(last));
            if kind == MessageKind::Trade {
                self.announced += skipped;
                integrity.announced_lost += skipped;
            } else {
                integrity.conflated += skipped;
            }
            self.snapshots += 1;
            events = 0;
        } else {
            match known {
                Some(last) if head.seq <= last => integrity.duplicates += 1,
                Some(last) if head.prev != last => match kind {
                    MessageKind::Quote => {
                        integrity.conflated += head.prev.saturating_sub(last);
                    }
                    MessageKind::Trade | MessageKind::Book => {
                        integrity.gaps += head.prev.abs_diff(last);
                    }
                },
                // What is left of a book behind a gap nothing can be built on.
                Some(_) if kind == MessageKind::Book && self.after_gap => integrity.gaps += 1,
                Some(_) => {}
                // An update before any snapshot.
                None => integrity.gaps += 1,
            }
            self.received += events;
        }
        (self.epoch, self.last, self.after_gap) = (head.epoch, Some(head.seq), false);
        events
    }

    /// The server says that it will not deliver some events. Of a state they are not missed: it is not
    /// current until the next frame.
    pub fn note_gap(&mut self, from: u64, to: u64, of_trades: bool, integrity: &mut Integrity) {
        let lost = (to + 1).saturating_sub(from);
        if self.last.is_some_and(|last| last + 1 != from) {
            integrity.gaps += 1;
        }
        if of_trades {
            self.announced += lost;
            integrity.announced_lost += lost;
        } else {
            integrity.conflated += lost;
        }
        (self.last, self.after_gap) = (Some(to), true);
    }

    /// Takes an event's number.
    #[inline]
    pub fn note_id(&mut self, id: u64, integrity: &mut Integrity) {
        if self.id.is_some_and(|newest| id <= newest) {
            integrity.disordered += 1;
        }
        self.id = Some(id);
    }
}

/// Holds what every client had at the end against what was published and against the others. Not to be
/// asked while somebody else goes on publishing.
pub fn settle(
    endings: &[Ending],
    published: &Published,
    kind: MessageKind,
    readers: &mut Integrity,
    slow: &mut Integrity,
) {
    let topics = endings.iter().map(|e| e.view.number as usize + 1).max();
    let mut newest: Vec<Option<(u64, u64)>> = vec![None; topics.unwrap_or(0)];
    for Ending { view, .. } in endings {
        let position = view.last.map(|last| (view.epoch, last));
        let best = &mut newest[view.number as usize];
        *best = (*best).max(position);
    }
    for ending in endings {
        let integrity = if ending.slow {
            &mut *slow
        } else {
            &mut *readers
        };
        let view = &ending.view;
        let at = view.number as usize;
        let position = view.last.map(|last| (view.epoch, last));
        let is_right = ending.is_right(published, kind);
        integrity.behind += u64::from(position != newest[at] || !is_right);
        if kind == MessageKind::Trade && view.whole {
            let got = view.received + view.announced;
            integrity.missing += published.by_topic[at].saturating_sub(got);
        }
    }
}

// === impl Ending ===

impl Ending {
    /// Whether the state is what was published last.
    fn is_right(&self, published: &Published, kind: MessageKind) -> bool {
        let at = self.view.number as usize;
        if !self.parsed || published.by_topic[at] == 0 {
            return true;
        }
        match kind {
            // Of what a gap covers only the position is known, which is compared with the others'.
            MessageKind::Trade => self.view.after_gap || self.view.id == published.last_id[at],
            MessageKind::Quote => self.view.id == published.last_id[at],
            MessageKind::Book => self.view.levels.as_deref() == published.books.get(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64, prev: u64) -> FrameHead<'static> {
        FrameHead {
            topic: b"",
            snapshot: false,
            epoch: 1,
            seq,
            prev,
            rest: b"",
        }
    }

    fn snapshot(seq: u64) -> FrameHead<'static> {
        FrameHead {
            snapshot: true,
            ..head(seq, 0)
        }
    }

    fn ending(view: &TopicView, slow: bool) -> Ending {
        Ending {
            view: view.clone(),
            slow,
            parsed: true,
        }
    }

    #[test]
    fn quotes_may_be_skipped_and_trades_may_not() {
        for (kind, gaps, conflated) in [
            (MessageKind::Quote, 0, 4),
            (MessageKind::Trade, 4, 0),
            (MessageKind::Book, 4, 0),
        ] {
            let mut integrity = Integrity::default();
            let mut view = TopicView::new(0);
            view.note_head(&snapshot(10), kind, &mut integrity);
            view.note_head(&head(15, 14), kind, &mut integrity);
            assert_eq!((integrity.gaps, integrity.conflated), (gaps, conflated));
            view.note_head(&snapshot(18), kind, &mut integrity);
            let skipped = integrity.conflated + integrity.announced_lost - conflated;
            assert_eq!(skipped, 3, "what a snapshot stands for");
        }
    }

    #[test]
    fn behind_a_gap_a_book_begins_with_a_snapshot() {
        for (snapshot, gaps) in [(true, 0), (false, 1)] {
            let (mut view, mut integrity) = (TopicView::new(0), Integrity::default());
            let next = FrameHead {
                snapshot,
                ..head(13, 12)
            };
            view.note_head(&self::snapshot(10), MessageKind::Book, &mut integrity);
            view.note_gap(11, 12, false, &mut integrity);
            view.note_head(&next, MessageKind::Book, &mut integrity);
            assert_eq!((integrity.gaps, integrity.announced_lost), (gaps, 0));
        }
    }

    #[test]
    fn what_a_snapshot_or_a_gap_skips_is_announced() {
        let mut integrity = Integrity::default();
        let mut view = TopicView::new(0);
        let kind = MessageKind::Trade;
        view.note_head(&snapshot(10), kind, &mut integrity);
        view.note_head(&snapshot(13), kind, &mut integrity);
        view.note_gap(14, 15, true, &mut integrity);
        assert_eq!(view.note_head(&head(18, 15), kind, &mut integrity), 3);
        assert_eq!((view.announced, view.received), (5, 3));
        assert_eq!(integrity.unexplained(), 0);
        view.note_gap(20, 21, true, &mut integrity);
        assert_eq!(integrity.gaps, 1, "a gap that does not begin at the last");
    }

    #[test]
    fn an_update_before_any_snapshot_is_a_loss() {
        let mut integrity = Integrity::default();
        TopicView::new(0).note_head(&head(5, 4), MessageKind::Quote, &mut integrity);
        assert_eq!(integrity.gaps, 1);
    }

    #[test]
    fn who_ends_elsewhere_than_the_others_is_behind() {
        let kind = MessageKind::Trade;
        let mut integrity = Integrity::default();
        let (mut ahead, mut late) = (TopicView::new(0), TopicView::new(0));
        for view in [&mut ahead, &mut late] {
            view.note_head(&snapshot(0), kind, &mut integrity);
            view.note_head(&head(1, 0), kind, &mut integrity);
            view.note_id(0, &mut integrity);
        }
        ahead.note_head(&head(2, 1), kind, &mut integrity);
        ahead.note_id(1, &mut integrity);
        let published = Published {
            by_topic: vec![2],
            last_id: vec![Some(1)],
            ..Published::default()
        };
        let (mut readers, mut slow) = (Integrity::default(), Integrity::default());
        let endings = [ending(&ahead, false), ending(&late, true)];
        settle(&endings, &published, kind, &mut readers, &mut slow);
        assert!(readers.is_clean(), "{readers:?}");
        assert_eq!((slow.behind, slow.missing), (1, 1));
        // After a gap the position is right although the last event is not known.
        late.note_gap(2, 2, true, &mut integrity);
        let (mut readers, mut slow) = (Integrity::default(), Integrity::default());
        let endings = [ending(&ahead, false), ending(&late, true)];
        settle(&endings, &published, kind, &mut readers, &mut slow);
        assert!(slow.is_clean(), "{slow:?}");
    }

    #[test]
    fn a_book_that_differs_from_the_published_one_is_wrong() {
        let kind = MessageKind::Book;
        let mut view = TopicView::new(0);
        view.note_head(&snapshot(1), kind, &mut Integrity::default());
        view.levels = Some(Box::new(Levels::empty()));
        let mut published = Published {
            by_topic: vec![1],
            last_id: vec![Some(0)],
            books: vec![Levels::empty()],
            ..Published::default()
        };
        let behind = |published: &Published| {
            let (mut readers, mut slow) = (Integrity::default(), Integrity::default());
            let endings = [ending(&view, false)];
            settle(&endings, published, kind, &mut readers, &mut slow);
            readers.behind
        };
        assert_eq!(behind(&published), 0);
        published.books[0].0[3] = 9;
        assert_eq!(behind(&published), 1);
    }
}
