//! The trades of one instrument: which of them are new, and what was lost between them.
//!
//! If a venue's ids are in order, they prove what is missing. (If a venue gives ids to rows that are not
//! trades, the feed says so.) So after a broken connection the ids may prove that nothing was lost, and
//! they may show missing trades of which no feed knew. Each trade is passed on once: a trade that a venue
//! sends again, as an update or as history, is recognised by its id.
//!
//! | ids | when a loss is announced | its number of events |
//! |---|---|---|
//! | dense | before the first trade after missing ids | the number of missing ids |
//! | rising | after a break, before the first trade that does not follow | what the feed knows, otherwise one |
//! | opaque | at the break | what the feed knows, otherwise one; once until the next trade |
//!
//! # History
//! The first history is what topics begin with. If a history comes again, its trades that are newer than
//! all known trades were missed: they are passed on as updates, in order. So are trades between known ones
//! that were never seen, as late ones. If the history reaches back to a known trade, there is no loss. A history that is older than all kept trades, and contains none of
//! them, has no effect.
//!
//! # Opaque ids
//! A trade with an opaque id is compared with the kept trades. It is a repeated one if all of it is equal:
//! a program may give the same id to trades that differ. If a single id of an ordered tape is no number, its
//! trade is treated in this way, and the order of the others goes on. Such a trade stands for one id.
//!
//! # When ids are wrong
//! A trade may have an unknown id that is lower than the newest. If it is newer than the oldest kept
//! trade, or its id was told as missing, it came late and is passed on. If its id is dense and was seen before, the venue sent it again.
//! Otherwise the venue's numbers may have started again. This is a loss of one event at once, and the trade
//! is passed on. But only a second trade that is near the first proves it: then the chain begins at the
//! first. If the old numbers go on, they stay in force. So no trade is treated as old unless it was seen
//! before.
//!
//! Too many late or repeated trades in a row ([`LATE_MAX`]) also mean that the numbers have started again;
//! those that were taken for repeated ones are lost then. So one id
//! that is far too high does not hide later losses. More missing ids than [`HOLE_MAX`] are not a number of
//! lost trades: they count as a loss of one event.
//!
//! # Limits
//! [`History::TRADES_MAX`] trades; nothing waits here.

use super::history::History;
use super::seen::SeenIds;
use crate::event::TradeIds;
use crate::metrics::LossReason;
use tapecast_model::Trade;

/// What has come of an instrument's trades.
#[derive(Debug, Default)]
pub(super) struct Trades {
    history: History,
    /// The newest id, where ids are in order.
    newest: Option<u64>,
    /// The id with which the present numbering began.
    first: u64,
    /// So many ids above the newest are accounted for, by trades without a number and by losses told before
    /// these.
    unnumbered: u64,
    /// There have been trades: there are some to lose.
    begun: bool,
    /// Ids are in order: a loss is said when they tell of it.
    ordered: bool,
    /// Trades may have been lost since the last one.
    hole: Option<Hole>,
    /// The last trade that may have begun new numbers.
    doubtful: Option<Trade>,
    /// There was a break since that trade.
    broken: bool,
    /// Dense ids of the present numbering that were seen.
    seen: SeenIds,
    /// So many trades in a row came late, or were seen long before.
    late: usize,
    /// So many of these were taken for repeated ones, and not passed on.
    repeated: u64,
}

/// Trades in a row that may come late.
const LATE_MAX: usize = History::TRADES_MAX;

/// Ids that may be missing in one piece: the busiest instrument has so many in half a year. No number of a
/// stream comes near its limit by holes of this length.
const HOLE_MAX: u64 = 1_000_000_000;

/// Trades may have been lost.
#[derive(Clone, Copy, Debug)]
struct Hole {
    /// How many, as far as the feed knows.
    events: u64,
    reason: LossReason,
    /// It has been said already.
    said: bool,
}

/// The beginning of a batch: first `lost` trades that never came, then `fresh` that are new, then
/// `known` that were seen before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Cut {
    pub(super) lost: Option<(u64, LossReason)>,
    pub(super) fresh: usize,
    pub(super) known: usize,
}

/// What a history has of trades that were missed live.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Missed {
    /// Trades between known ones: they are kept already, and are published as they are.
    pub(super) late: Vec<Trade>,
    /// Trades that are newer than all known ones: they are taken like updates.
    pub(super) newer: Vec<Trade>,
}

/// The relation of a trade to the trades before it.
enum TradeFit {
    Follows,
    Lost(u64, LossReason),
    Known,
    /// It was seen so long ago that only its id tells.
    Repeated,
    Late,
    /// It is older than all that is kept: numbers may have started again.
    Doubtful,
    /// Numbers have started again with this trade; so many events are lost.
    Restarted(u64),
    /// Numbers have started again with the doubtful trade before this one; so many ids are missing since.
    Confirmed(u64),
}

// === impl Trades ===

impl Trades {
    /// The trades that are kept cannot be shown any more. Their ids are known again.
    pub(super) fn forget_history(&mut self) {
        self.history = History::default();
        self.doubtful = None;
    }

    /// The newest trades, oldest first.
    pub(super) fn history(&mut self) -> &[Trade] {
        self.history.trades()
    }

    /// There have been trades.
    pub(super) const fn have_begun(&self) -> bool {
        self.begun
    }

    /// Whether this id is not above the newest.
    pub(super) fn reach(&self, id: u64) -> bool {
        self.newest.is_some_and(|newest| id <= newest)
    }

    /// No trades may have been lost since the last one.
    pub(super) const fn are_whole(&self) -> bool {
        self.hole.is_none()
    }

    /// Trades may have been lost here: so many, where the feed knows. Returns how many are to be said
    /// at once.
    pub(super) fn note_break(&mut self, events: Option<u64>, reason: LossReason) -> Option<u64> {
        self.broken = true;
        let known = events.unwrap_or(0);
        if !self.begun && known == 0 {
            return None;
        }
        let before = self.hole;
        let mut hole = before.unwrap_or(Hole {
            events: 0,
            reason,
            said: false,
        });
        if self.ordered || !self.begun {
            hole.events = hole.events.saturating_add(known);
            hole.said = false;
            self.hole = Some(hole);
            return None;
        }
        let lost = match before {
            Some(_) => known,
            None => known.max(1),
        };
        hole.said = true;
        self.hole = Some(hole);
        (lost > 0).then_some(lost)
    }

    /// Begins a batch of updates.
    pub(super) fn take(&mut self, trades: &[Trade], ids: TradeIds) -> Cut {
        let mut cut = Cut::default();
        let first = trades.first().and_then(|trade| trade.id.number());
        if ids == TradeIds::Opaque {
            return self.take_opaque(trades);
        }
        if first.is_none() {
            let is_odd = |trade: &&Trade| trade.id.number().is_none();
            let odd = &trades[..trades.iter().take_while(is_odd).count()];
            return match self.newest {
                Some(_) => self.take_odd(odd),
                None => self.take_opaque(odd),
            };
        }
        (self.begun, self.ordered) = (true, true);
        for (at, trade) in trades.iter().enumerate() {
            let Some(id) = trade.id.number() else { break };
            match self.fit(trade, id, ids) {
                TradeFit::Known => {
                    if self.doubtful_id() != Some(id) {
                        self.doubtful = None;
                    }
                    cut.known += 1;
                    continue;
                }
                TradeFit::Repeated => {
                    self.late += 1;
                    self.repeated += 1;
                    cut.known += 1;
                    continue;
                }
                _ if cut.known > 0 => break,
                TradeFit::Follows => {}
                _ if at > 0 => break,
                TradeFit::Lost(events, reason) => cut.lost = Some((events, reason)),
                TradeFit::Restarted(events) => {
                    self.first = id;
                    cut.lost = Some((events, LossReason::Ids));
                    self.seen.clear();
                    self.history.restart();
                }
                TradeFit::Confirmed(missing) => {
                    cut.lost = (missing > 0).then_some((length(missing), LossReason::Ids));
                    self.begin_again_at_doubtful(ids);
                }
                TradeFit::Doubtful => {
                    cut.lost = self.doubt(trade, ids);
                    self.note_late(trade, id, ids);
                    cut.fresh = 1;
                    break;
                }
                TradeFit::Late => {
                    self.note_late(trade, id, ids);
                    cut.fresh = 1;
                    break;
                }
            }
            if self.newest.is_none() {
                self.first = id;
            }
            (self.newest, self.hole, self.doubtful) = (Some(id), None, None);
            self.unnumbered = 0;
            (self.late, self.repeated) = (0, 0);
            self.note_seen(id, id, ids);
            self.history.extend(std::slice::from_ref(trade));
            cut.fresh += 1;
        }
        cut
    }

    /// These ids were seen and have no trades: they are no hole. Returns what is missing before them.
    pub(super) fn skip(&mut self, first: u64, last: u64) -> Option<(u64, LossReason)> {
        let newest = match self.newest {
            Some(newest) if last > newest => newest,
            // Of a time before, or of other numbers: the next trade will tell.
            Some(_) => return None,
            None if self.hole.is_some() => return None,
            None => {
                self.first = first;
                first.saturating_sub(1)
            }
        };
        let hole = self.hole.take();
        (self.newest, self.begun, self.ordered) = (Some(last), true, true);
        self.seen.add(first, last);
        let missing = first.saturating_sub(newest.saturating_add(1));
        let accounted = self.history.between(newest, first) + std::mem::take(&mut self.unnumbered);
        let missing = missing.saturating_sub(accounted);
        let reason = hole.map_or(LossReason::Ids, |hole| hole.reason);
        (missing > 0).then_some((length(missing), reason))
    }

    fn doubtful_id(&self) -> Option<u64> {
        self.doubtful.and_then(|trade| trade.id.number())
    }

    /// Numbers may have started again with a trade. Returns the loss that is to be said before it: one for
    /// all doubtful trades in a row, unless there was a break between them.
    fn doubt(&mut self, trade: &Trade, ids: TradeIds) -> Option<(u64, LossReason)> {
        let broken = std::mem::take(&mut self.broken);
        if self.doubtful.replace(*trade).is_some() && !broken {
            return None;
        }
        // Dense ids will tell what the break lost, if the old numbers go on.
        let hole = match ids {
            TradeIds::Dense => None,
            TradeIds::Rising | TradeIds::Opaque => self.hole.take().filter(|hole| !hole.said),
        };
        let loss = hole.map(|hole| (hole.events.max(1), hole.reason));
        Some(loss.unwrap_or((1, LossReason::Ids)))
    }

    /// Numbers have started again with the doubtful trade.
    fn begin_again_at_doubtful(&mut self, ids: TradeIds) {
        let Some((first, id)) = self.doubtful.zip(self.doubtful_id()) else {
            return;
        };
        self.first = id;
        self.seen.clear();
        self.note_seen(id, id, ids);
        self.history.remove(&first);
        self.history.restart();
        self.history.extend(&[first]);
    }

    fn note_late(&mut self, trade: &Trade, id: u64, ids: TradeIds) {
        self.late += 1;
        self.note_seen(id, id, ids);
        self.history.insert(trade, id);
    }

    fn note_seen(&mut self, first: u64, last: u64, ids: TradeIds) {
        if ids == TradeIds::Dense {
            self.seen.add(first, last);
        }
    }

    /// Takes trades whose ids have no order.
    fn take_opaque(&mut self, trades: &[Trade]) -> Cut {
        let cut = self.take_unnumbered(trades);
        if cut.fresh > 0 {
            (self.newest, self.doubtful) = (None, None);
            (self.ordered, self.begun) = (false, true);
        }
        cut
    }

    /// Takes trades without a number between trades that have one.
    fn take_odd(&mut self, trades: &[Trade]) -> Cut {
        let cut = self.take_unnumbered(trades);
        let lost = cut.lost.map_or(0, |(events, _)| events);
        let accounted = lost.saturating_add(cut.fresh as u64);
        self.unnumbered = self.unnumbered.saturating_add(accounted);
        cut
    }

    /// Compares trades with the kept ones by all that is said of them.
    #[inline]
    fn take_unnumbered(&mut self, trades: &[Trade]) -> Cut {
        let mut cut = Cut::default();
        for trade in trades {
            if self.history.contains_exact(trade) {
                cut.known += 1;
                continue;
            }
            if cut.known > 0 {
                break;
            }
            if let Some(hole) = self.hole.take().filter(|hole| !hole.said) {
                cut.lost = Some((hole.events.max(1), hole.reason));
            }
            self.history.extend(std::slice::from_ref(trade));
            cut.fresh += 1;
        }
        cut
    }

    fn fit(&self, trade: &Trade, id: u64, ids: TradeIds) -> TradeFit {
        let hole = self.hole.filter(|hole| !hole.said);
        let as_told = |hole: Hole| TradeFit::Lost(hole.events.max(1), hole.reason);
        let Some(newest) = self.newest else {
            // Trades before may have come under ids of another kind.
            if self.history.contains_exact(trade) {
                return TradeFit::Known;
            }
            return hole.map_or(TradeFit::Follows, as_told);
        };
        if id > newest {
            if id - newest == 1 {
                return TradeFit::Follows;
            }
            if ids == TradeIds::Rising {
                return hole.map_or(TradeFit::Follows, as_told);
            }
            let accounted = self
                .history
                .between(newest, id)
                .saturating_add(self.unnumbered);
            let missing = (id - newest - 1).saturating_sub(accounted);
            let reason = hole.map_or(LossReason::Ids, |hole| hole.reason);
            return match missing {
                0 => TradeFit::Follows,
                missing => TradeFit::Lost(length(missing), reason),
            };
        }
        if self.history.contains(trade) {
            return TradeFit::Known;
        }
        let was_seen = self.seen.contains(id) && !self.history.contains_id(id);
        if let Some(first) = self.doubtful_id()
            && (id.checked_sub(first)).is_some_and(|ahead| ahead > 0 && ahead < newest - id)
            && (id - first == 1 || !was_seen)
        {
            return TradeFit::Confirmed(match ids {
                TradeIds::Dense => id - first - 1,
                TradeIds::Rising | TradeIds::Opaque => 0,
            });
        }
        if self.late < LATE_MAX && was_seen {
            TradeFit::Repeated
        } else if self.late < LATE_MAX
            && (self.history.has_below(id) || self.seen.is_hole(id, self.first))
        {
            TradeFit::Late
        } else if self.late < LATE_MAX {
            TradeFit::Doubtful
        } else {
            TradeFit::Restarted(1 + self.repeated)
        }
    }

    /// Takes a history, oldest first. Returns the trades that were missed live, to be published as updates.
    pub(super) fn merge(&mut self, trades: &[Trade], ids: TradeIds) -> Missed {
        let numbers = trades.iter().filter_map(|trade| trade.id.number());
        let (oldest, last) = (numbers.clone().min(), numbers.max());
        let is_first = !self.begun;
        let in_order = is_first || self.newest.is_some();
        let (Some(oldest), Some(last), true) = (oldest, last, in_order && ids != TradeIds::Opaque)
        else {
            return self.merge_opaque(trades);
        };
        let placed = by_id(trades);
        (self.begun, self.ordered) = (true, true);
        let Some(newest) = self.newest else {
            (self.first, self.newest) = (oldest, Some(last));
            for id in trades.iter().filter_map(|trade| trade.id.number()) {
                self.note_seen(id, id, ids);
            }
            let trades: Vec<_> = placed.iter().map(|(_, trade)| *trade).collect();
            self.history.extend(&trades);
            return Missed::default();
        };
        if last < newest && !placed.iter().any(|(_, trade)| self.is_kept(trade)) {
            // It ends before all that is kept; or numbers have started again, as the next trade will tell.
            return Missed::default();
        }
        if oldest > newest {
            // Where a history comes again there was a break, said or not.
            self.note_break(None, LossReason::Connection);
        } else if last >= newest {
            // It reaches from what we know to now: nothing is missing in between but what ids say.
            self.hole = None;
        }
        let mut missed = Missed::default();
        for (place, trade) in placed {
            let number = trade.id.number();
            if number.is_some_and(|id| id > newest) {
                missed.newer.push(trade);
            } else if self.is_kept(&trade) {
                // It is known.
            } else if number.is_none() && place >= newest {
                missed.newer.push(trade);
            } else {
                // What is older than all known trades is for those who join.
                if self.was_missed(place, number, ids) {
                    missed.late.push(trade);
                }
                if let Some(id) = number {
                    self.note_seen(id, id, ids);
                }
                self.history
                    .insert(&trade, place + u64::from(number.is_none()));
            }
        }
        missed
    }

    fn is_kept(&self, trade: &Trade) -> bool {
        match trade.id.number() {
            Some(_) => self.history.contains(trade),
            None => self.history.contains_exact(trade),
        }
    }

    /// Whether a trade that is not kept, and not newer than all, was missed live.
    fn was_missed(&self, place: u64, number: Option<u64>, ids: TradeIds) -> bool {
        match (number, ids) {
            (Some(id), TradeIds::Dense) => self.seen.is_hole(id, self.first),
            (Some(id), TradeIds::Rising | TradeIds::Opaque) => {
                self.history.has_between(self.first, id) && !self.history.contains_id(id)
            }
            (None, _) => self.history.has_between(self.first, place + 1),
        }
    }

    /// Trades after the first known trade that are not known were missed.
    fn merge_opaque(&mut self, trades: &[Trade]) -> Missed {
        let known = |trade: &Trade| self.history.contains_exact(trade);
        let ends = trades
            .iter()
            .position(known)
            .zip(trades.iter().rposition(known));
        let Some((first, last)) = ends else {
            self.begun = true;
            self.history.extend(trades);
            return Missed::default();
        };
        let newer = trades[last + 1..].to_vec();
        let mut late = Vec::new();
        for pair in trades[first..=last].windows(2) {
            if let [before, trade] = pair
                && !self.history.contains_exact(trade)
            {
                self.history.insert_behind(trade, before);
                late.push(*trade);
            }
        }
        Missed { late, newer }
    }
}

/// Trades in the order of their ids, each id once. A trade without a number has the place of the number
/// before it.
fn by_id(trades: &[Trade]) -> Vec<(u64, Trade)> {
    let mut place = 0;
    let place_of = |trade: &Trade| {
        place = trade.id.number().unwrap_or(place);
        (place, *trade)
    };
    let mut placed: Vec<_> = trades.iter().map(place_of).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.dedup_by(|(_, one), (_, other)| one.id.number().is_some() && one.id == other.id);
    placed
}

/// How many trades a hole stands for.
const fn length(missing: u64) -> u64 {
    if missing > HOLE_MAX { 1 } else { missing }
}

#[cfg(test)]
mod tests;
