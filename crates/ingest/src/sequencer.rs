//! The sequencer: the position of each stream of one instrument, numbered once for all clients.
//!
//! The pipeline owns it, one per instrument. A stream is one kind of event, bars of each timeframe one; its number rises by one per
//! event, with or without subscribers. It cannot be full or late. If continuity is lost permanently (a
//! recording starts again), a new epoch begins, in which every stream begins at zero: clients compare
//! positions, never numbers alone.

use tapecast_model::{Epoch, Seq, StreamKind, StreamPos};

/// The positions of one instrument's streams.
#[derive(Clone, Debug)]
pub struct Sequencer {
    streams: [StreamPos; StreamKind::COUNT],
}

// === impl Sequencer ===

impl Sequencer {
    /// Every stream before its first event in `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            streams: [StreamPos {
                epoch,
                seq: Seq::ZERO,
            }; StreamKind::COUNT],
        }
    }

    /// The position of a stream: the number of its last event.
    pub fn position(&self, kind: StreamKind) -> StreamPos {
        self.streams[kind.index()]
    }

    /// Numbers the next `events` events of a stream and returns the last one's position.
    pub fn advance(&mut self, kind: StreamKind, events: u64) -> StreamPos {
        let stream = &mut self.streams[kind.index()];
        stream.seq = stream.seq.plus(events);
        *stream
    }

    /// The epoch that the streams are in.
    pub fn epoch(&self) -> Epoch {
        self.position(StreamKind::Status).epoch
    }

    /// Begins a new life of every stream, in a higher epoch.
    pub fn restart(&mut self, epoch: Epoch) {
        debug_assert!(epoch > self.epoch(), "epochs only rise");
        *self = Self::new(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapecast_model::Timeframe;

    #[test]
    fn streams_are_numbered_each_on_its_own() {
        let mut sequencer = Sequencer::new(Epoch::new(7));
        assert_eq!(sequencer.position(StreamKind::Trade).seq, Seq::ZERO);
        assert_eq!(sequencer.advance(StreamKind::Trade, 3).seq, Seq::new(3));
        assert_eq!(sequencer.advance(StreamKind::Trade, 1).seq, Seq::new(4));
        assert_eq!(sequencer.advance(StreamKind::Book, 1).seq, Seq::new(1));
        assert_eq!(sequencer.position(StreamKind::Quote).seq, Seq::ZERO);
        let bar = |timeframe| StreamKind::Bar(timeframe);
        assert_eq!(
            sequencer.advance(bar(Timeframe::Second), 1).seq,
            Seq::new(1)
        );
        assert_eq!(
            sequencer.advance(bar(Timeframe::Second), 1).seq,
            Seq::new(2)
        );
        assert_eq!(
            sequencer.advance(bar(Timeframe::Minute), 1).seq,
            Seq::new(1)
        );
    }

    #[test]
    fn a_restart_is_a_higher_position_although_the_number_falls() {
        let mut sequencer = Sequencer::new(Epoch::new(7));
        let before = sequencer.advance(StreamKind::Book, 90);
        sequencer.restart(Epoch::new(8));
        assert_eq!(sequencer.epoch(), Epoch::new(8));
        let after = sequencer.position(StreamKind::Book);
        assert_eq!(
            after,
            StreamPos {
                epoch: Epoch::new(8),
                seq: Seq::ZERO
            }
        );
        assert!(after > before);
        assert!(sequencer.advance(StreamKind::Book, 1) > after);
    }
}
