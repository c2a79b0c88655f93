//! Trades in all the ways in which they get lost, come twice or come late.

use super::*;
use proptest::prelude::*;
use tapecast_model::{EventTime, Price, Qty, TradeId};

fn trade(id: u64) -> Trade {
    named(TradeId::from_number(id))
}

fn named(id: TradeId) -> Trade {
    Trade {
        id,
        price: Price::from_mantissa(1),
        qty: Qty::from_mantissa(1),
        aggressor: None,
        ts_event: None,
    }
}

fn text(trade: &Trade) -> String {
    String::from_utf8_lossy(trade.id.as_bytes()).into_owned()
}

/// What of a history was passed on, word by word.
fn merged(trades: &mut Trades, history: &[Trade], ids: TradeIds) -> Vec<String> {
    let Missed { late, newer } = trades.merge(history, ids);
    let mut passed_on: Vec<_> = late.iter().map(text).collect();
    passed_on.extend(said(trades, &newer, ids));
    passed_on
}

/// What was passed on, word by word: ids, and `-n` where so many were lost.
fn said(trades: &mut Trades, batch: &[Trade], ids: TradeIds) -> Vec<String> {
    let (mut rest, mut said) = (batch, Vec::new());
    while !rest.is_empty() {
        let cut = trades.take(rest, ids);
        assert!(cut.fresh + cut.known > 0, "nothing of {rest:?} was taken");
        said.extend(cut.lost.map(|(events, _)| format!("-{events}")));
        said.extend(rest[..cut.fresh].iter().map(text));
        rest = &rest[cut.fresh + cut.known..];
    }
    said
}

struct Tape {
    trades: Trades,
    ids: TradeIds,
}

impl Tape {
    fn new(ids: TradeIds) -> Self {
        let trades = Trades::default();
        Self { trades, ids }
    }

    fn news(&mut self, ids: &[u64]) -> String {
        let batch: Vec<_> = ids.iter().map(|id| trade(*id)).collect();
        said(&mut self.trades, &batch, self.ids).join(" ")
    }

    fn history(&mut self, ids: &[u64]) -> String {
        let batch: Vec<_> = ids.iter().map(|id| trade(*id)).collect();
        merged(&mut self.trades, &batch, self.ids).join(" ")
    }

    fn breaks(&mut self, events: Option<u64>) -> Option<u64> {
        self.trades.note_break(events, LossReason::Connection)
    }

    fn kept(&mut self) -> String {
        let kept: Vec<_> = self.trades.history().iter().map(text).collect();
        kept.join(" ")
    }
}

#[test]
fn an_id_that_is_far_too_high_is_a_loss_of_one_and_blinds_nobody() {
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(
        tape.news(&[7, HOLE_MAX + 8]),
        format!("7 -{HOLE_MAX} {}", HOLE_MAX + 8)
    );
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[7, u64::MAX]), format!("7 -1 {}", u64::MAX));
    // The venue goes on as before: late at first, by the highest id.
    let some: Vec<_> = (8..8 + LATE_MAX as u64).collect();
    assert_eq!(tape.news(&some).split(' ').count(), LATE_MAX);
    let next = 8 + LATE_MAX as u64;
    assert_eq!(
        tape.news(&[next, next + 1]),
        format!("-1 {next} {}", next + 1)
    );
    assert_eq!(
        tape.news(&[next + 4]),
        format!("-2 {}", next + 4),
        "holes show again"
    );
}

#[test]
fn a_hole_in_dense_ids_is_as_long_as_it_is() {
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[7, 8]), "7 8");
    assert_eq!(tape.news(&[9, 12, 13, 20]), "9 -2 12 13 -6 20");
    assert_eq!(tape.breaks(None), None, "the ids will tell");
    assert_eq!(tape.news(&[21]), "21", "nothing was lost in the break");
    assert_eq!(tape.breaks(Some(1)), None);
    assert_eq!(tape.news(&[25]), "-3 25");
}

#[test]
fn rising_ids_prove_a_loss_only_where_there_was_a_break() {
    let mut tape = Tape::new(TradeIds::Rising);
    assert_eq!(tape.news(&[7, 9, 40]), "7 9 40");
    tape.breaks(None);
    tape.breaks(None);
    assert_eq!(tape.news(&[50, 60]), "-1 50 60");
    tape.breaks(None);
    assert_eq!(tape.news(&[61]), "61", "no number lies between");
    tape.breaks(Some(2));
    tape.breaks(Some(3));
    assert_eq!(tape.news(&[70]), "-5 70");
}

#[test]
fn opaque_ids_say_a_loss_at_the_break_and_once() {
    let mut tape = Tape::new(TradeIds::Opaque);
    assert_eq!(tape.breaks(None), None, "there was nothing yet");
    assert_eq!(tape.news(&[5, 6, 3]), "5 6 3");
    assert_eq!(tape.breaks(None), Some(1));
    assert_eq!(tape.breaks(None), None);
    assert_eq!(tape.breaks(Some(4)), Some(4), "what a feed knows is added");
    assert_eq!(tape.news(&[2]), "2");
    assert_eq!(tape.breaks(None), Some(1));
}

#[test]
fn trades_that_could_not_be_read_before_the_first_are_lost_too() {
    for (ids, expected) in [
        (TradeIds::Opaque, "-2 5"),
        (TradeIds::Rising, "-2 5"),
        (TradeIds::Dense, "-2 5"),
    ] {
        let mut tape = Tape::new(ids);
        assert_eq!(tape.breaks(Some(2)), None);
        assert_eq!(tape.news(&[5]), expected, "{ids:?}");
        assert_eq!(tape.news(&[6]), "6", "{ids:?}");
    }
}

#[test]
fn a_trade_that_comes_again_after_many_others_is_known() {
    let mut tape = Tape::new(TradeIds::Dense);
    let many: Vec<_> = (1..=3_000).collect();
    tape.news(&many);
    assert_eq!(tape.news(&[1, 3_001]), "3001");
    let again: Vec<_> = (2_941..=2_990).collect();
    assert_eq!(tape.news(&again), "");
    assert_eq!(tape.news(&[3_002]), "3002");
    // What was lost and comes late is no repeated trade.
    assert_eq!(
        tape.news(&[3_010, 3_005, 3_005, 3_011]),
        "-7 3010 3005 3011"
    );
}

#[test]
fn numbers_that_start_over_within_what_was_seen_are_old_for_fifty_trades() {
    let mut tape = Tape::new(TradeIds::Dense);
    let many: Vec<_> = (1..=3_000).collect();
    tape.news(&many);
    let again: Vec<_> = (1..=50).collect();
    assert_eq!(tape.news(&again), "");
    assert_eq!(tape.news(&[51, 52]), "-51 51 52");
}

#[test]
fn no_order_of_ids_breaks_it() {
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        let mut tape = Tape::new(ids);
        for id in [3, 2, 3, 1, 4] {
            tape.news(&[id]);
        }
    }
}

#[test]
fn a_trade_is_passed_on_once() {
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        let mut tape = Tape::new(ids);
        tape.news(&[1, 2, 3]);
        assert_eq!(tape.news(&[2, 3, 4, 4, 3, 5]), "4 5", "{ids:?}");
        assert_eq!(tape.kept(), "1 2 3 4 5");
    }
}

#[test]
fn a_trade_that_comes_late_is_passed_on_and_lost_no_other() {
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[1, 2, 4, 3, 5]), "1 2 -1 4 3 5");
    assert_eq!(tape.kept(), "1 2 3 4 5");
    assert_eq!(tape.news(&[3]), "");
}

#[test]
fn numbers_that_start_over_are_a_loss_and_not_old_for_ever() {
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        let mut tape = Tape::new(ids);
        tape.history(&[898, 899]);
        tape.news(&[900]);
        assert_eq!(tape.news(&[1, 2]), "-1 1 2", "{ids:?}");
        assert_eq!(tape.news(&[3]), "3");
        // The same behind a history.
        let mut tape = Tape::new(ids);
        tape.news(&[899, 900]);
        assert_eq!(tape.history(&[41, 42]), "");
        assert_eq!(tape.news(&[43, 44]), "-1 43 44", "{ids:?}");
    }
    // An id that is used again for another trade.
    let mut tape = Tape::new(TradeIds::Rising);
    tape.news(&[1, 2, 3]);
    let other = Trade {
        price: Price::from_mantissa(77),
        ..trade(2)
    };
    assert_eq!(said(&mut tape.trades, &[other], TradeIds::Rising), ["2"]);
}

#[test]
fn one_trade_of_a_time_before_does_not_start_the_numbers_again() {
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        let mut tape = Tape::new(ids);
        assert_eq!(tape.news(&[10, 5, 10, 11]), "10 -1 5 11", "{ids:?}");
        assert_eq!(tape.news(&[5, 10, 12]), "12", "{ids:?}");
        assert_eq!(tape.kept(), "5 10 11 12", "{ids:?}");
        // Several of them, one by one: it is said once.
        let mut tape = Tape::new(ids);
        assert_eq!(tape.news(&[100, 7, 4, 7, 101]), "100 -1 7 4 101");
    }
    // Late trades behind one of a time before are not near it.
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[97, 99, 5, 98, 100]), "97 -1 99 -1 5 98 100");
}

#[test]
fn a_second_trade_proves_that_the_numbers_started_again() {
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[899, 900, 1]), "899 900 -1 1");
    assert_eq!(tape.news(&[1]), "", "the doubtful print itself is known");
    assert_eq!(tape.news(&[4, 5, 4, 2]), "-2 4 5 2");
    assert_eq!(tape.kept(), "899 900 1 2 4 5");
    // Behind a full history, of which the doubtful trade was no part.
    let mut tape = Tape::new(TradeIds::Dense);
    let many: Vec<_> = (1_001..1_101).collect();
    tape.news(&many);
    assert_eq!(tape.news(&[1, 2]), "-1 1 2");
    assert!(tape.kept().ends_with(" 1100 1 2"));
    // A break before it is said there, and only there.
    let mut tape = Tape::new(TradeIds::Rising);
    tape.news(&[900]);
    tape.breaks(Some(7));
    assert_eq!(tape.news(&[3, 40, 41]), "-7 3 40 41");
}

#[test]
fn a_break_between_two_trades_of_new_numbers_is_said_at_the_second() {
    let mut tape = Tape::new(TradeIds::Dense);
    tape.news(&[899, 900]);
    tape.breaks(None);
    assert_eq!(tape.news(&[400]), "-1 400");
    // Numbers start once more before a second trade has proved anything.
    tape.breaks(None);
    assert_eq!(tape.news(&[100]), "-1 100");
    assert_eq!(tape.news(&[101, 103]), "101 -1 103");
}

#[test]
fn opaque_trades_that_are_equal_are_one() {
    let mut tape = Tape::new(TradeIds::Opaque);
    assert_eq!(tape.news(&[5, 5, 3, 5, 4]), "5 3 4");
    assert_eq!(tape.breaks(None), Some(1));
    assert_eq!(tape.news(&[4, 3]), "", "a repeated print proves nothing");
    assert_eq!(tape.breaks(None), None, "it was said already");
    assert_eq!(tape.kept(), "5 3 4");
    // Not equal: a program gives one id to all.
    let later = Trade {
        ts_event: Some(EventTime::from_millis(1_700_000_000_000)),
        ..trade(5)
    };
    assert_eq!(said(&mut tape.trades, &[later], TradeIds::Opaque), ["5"]);
    // Only so many back as are kept.
    let many: Vec<_> = (100..100 + History::TRADES_MAX as u64).collect();
    tape.news(&many);
    assert_eq!(tape.news(&[3]), "3");
}

#[test]
fn ids_that_have_no_trades_are_no_hole() {
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.trades.skip(3, 4), None);
    assert_eq!(tape.news(&[5]), "5");
    assert_eq!(tape.trades.skip(6, 8), None);
    assert_eq!(tape.news(&[9, 11]), "9 -1 11");
    assert_eq!(tape.trades.skip(14, 15), Some((2, LossReason::Ids)));
    assert_eq!(tape.trades.skip(6, 8), None, "of a time before");
    assert_eq!(tape.news(&[16]), "16");
    tape.breaks(None);
    assert_eq!(tape.trades.skip(17, 17), None);
    assert_eq!(tape.news(&[18]), "18", "nothing was lost in the break");
}

#[test]
fn a_history_sent_again_passes_on_what_was_missed() {
    for ids in [TradeIds::Dense, TradeIds::Rising, TradeIds::Opaque] {
        let mut tape = Tape::new(ids);
        assert_eq!(tape.history(&[1, 2, 3]), "");
        assert_eq!(tape.news(&[4, 5]), "4 5");
        assert_eq!(tape.history(&[2, 3, 4, 5, 6]), "6", "{ids:?}");
        assert_eq!(tape.news(&[7]), "7", "{ids:?}");
        assert_eq!(tape.kept(), "1 2 3 4 5 6 7", "{ids:?}");
    }
}

#[test]
fn a_history_that_reaches_what_is_known_closes_a_break() {
    let mut tape = Tape::new(TradeIds::Rising);
    tape.news(&[10, 14]);
    tape.breaks(None);
    assert_eq!(tape.history(&[14, 20, 23]), "20 23");
    tape.breaks(None);
    assert_eq!(tape.history(&[20, 23]), "");
    assert_eq!(tape.news(&[30]), "30");
    // One that does not, does not; nor does one that ends before what is known.
    tape.breaks(None);
    assert_eq!(tape.history(&[23]), "");
    assert_eq!(tape.history(&[40, 41]), "-1 40 41");
    assert_eq!(tape.history(&[50]), "-1 50", "a break of which nobody knew");
}

#[test]
fn a_hole_between_a_history_and_what_follows_is_told() {
    let mut tape = Tape::new(TradeIds::Dense);
    tape.history(&[1, 2]);
    assert_eq!(tape.news(&[5]), "-2 5");
    assert_eq!(tape.history(&[3, 4, 5, 8]), "3 4 -2 8", "they come late");
    assert_eq!(tape.kept(), "1 2 3 4 5 8", "who joins sees what is known");
}

#[test]
fn opaque_ids_of_a_history_are_compared_as_texts() {
    let id = |text: &str| named(TradeId::new(text.as_bytes()).unwrap());
    let (a, b, c, d) = (id("a9"), id("07"), id("c-1"), id("d"));
    let mut trades = Trades::default();
    assert_eq!(merged(&mut trades, &[a, b], TradeIds::Opaque), [""; 0]);
    assert_eq!(said(&mut trades, &[c], TradeIds::Opaque), ["c-1"]);
    assert_eq!(merged(&mut trades, &[b, c, d], TradeIds::Opaque), ["d"]);
    // Ids that are no numbers are opaque, whatever is said of them.
    let batch = [d, id("e"), id("f")];
    assert_eq!(said(&mut trades, &batch, TradeIds::Dense), ["e", "f"]);
    assert_eq!(trades.note_break(None, LossReason::Ids), Some(1));
}

#[test]
fn what_a_history_has_between_known_trades_is_passed_on_late_and_once() {
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        let mut tape = Tape::new(ids);
        let told = tape.news(&[14, 15, 17]);
        assert!(told == "14 15 -1 17" || ids == TradeIds::Rising, "{told}");
        assert_eq!(tape.history(&[13, 14, 15, 16, 17, 18]), "16 18", "{ids:?}");
        assert_eq!(tape.history(&[13, 14, 15, 16, 17, 18]), "", "{ids:?}");
        assert_eq!(tape.news(&[16, 13, 19]), "19", "{ids:?}");
        assert_eq!(tape.kept(), "13 14 15 16 17 18 19", "{ids:?}");
    }
    let mut tape = Tape::new(TradeIds::Opaque);
    assert_eq!(tape.news(&[5, 9, 3]), "5 9 3");
    assert_eq!(tape.history(&[7, 5, 8, 2, 9, 4, 3, 6]), "8 2 4 6");
    assert_eq!(tape.kept(), "5 8 2 9 4 3 6");
    // Before the first known trade there was nobody to miss them, whatever stray trade came.
    let mut tape = Tape::new(TradeIds::Dense);
    assert_eq!(tape.news(&[97, 5, 98]), "97 -1 5 98");
    assert_eq!(tape.history(&[95, 96, 97, 98]), "");
    // A hole that is older than all that is kept.
    let mut tape = Tape::new(TradeIds::Dense);
    let after: Vec<_> = (103..203).collect();
    tape.news(&[100]);
    tape.news(&after);
    assert_eq!(tape.history(&[99, 100, 101, 202]), "101");
    assert_eq!(tape.news(&[101, 102, 203]), "102 203");
}

#[test]
fn an_odd_id_makes_nothing_forgotten() {
    let odd = |text: &str| named(TradeId::new(text.as_bytes()).unwrap());
    let long = "12345678901234567890123";
    for ids in [TradeIds::Dense, TradeIds::Rising] {
        for name in ["00003", long, "x"] {
            let mut tape = Tape::new(ids);
            let batch = [trade(1), trade(2), odd(name), trade(2), odd(name), trade(1)];
            assert_eq!(said(&mut tape.trades, &batch, ids), ["1", "2", name]);
            assert_eq!(tape.news(&[1, 2, 4]), "4", "{ids:?}: it stands for an id");
            assert_eq!(tape.news(&[5, 4, 6]), "5 6", "{ids:?}");
            tape.breaks(None);
            assert_eq!(said(&mut tape.trades, &[odd("y")], ids), ["-1", "y"]);
            assert_eq!(tape.news(&[9, 10]), "9 10", "{ids:?}");
            assert_eq!(tape.kept(), format!("1 2 {name} 4 5 6 y 9 10"));
        }
        // As the first of all.
        let mut tape = Tape::new(ids);
        assert_eq!(
            said(&mut tape.trades, &[odd("x"), trade(7)], ids),
            ["x", "7"]
        );
        assert_eq!(said(&mut tape.trades, &[odd("x"), trade(7)], ids), [""; 0]);
        // In a history.
        let mut tape = Tape::new(ids);
        let batch = [trade(1), odd("x"), trade(3)];
        assert_eq!(merged(&mut tape.trades, &batch, ids), [""; 0]);
        assert_eq!(tape.news(&[3, 1, 4, 6]).replace("-1 ", ""), "4 6");
        let batch = [trade(3), odd("y"), trade(4), odd("z"), trade(6), odd("w")];
        assert_eq!(merged(&mut tape.trades, &batch, ids), ["y", "z", "w"]);
        assert_eq!(merged(&mut tape.trades, &batch, ids), [""; 0]);
        assert_eq!(tape.kept(), "1 x 3 y 4 z 6 w");
    }
    let mut tape = Tape::new(TradeIds::Dense);
    tape.news(&[1, 2]);
    said(&mut tape.trades, &[odd("x")], TradeIds::Dense);
    assert_eq!(tape.news(&[6]), "-2 6", "what is missing besides is told");
}

#[test]
fn a_trade_that_was_told_as_lost_is_late_however_old_it_is() {
    let mut tape = Tape::new(TradeIds::Dense);
    let (before, after): (Vec<_>, Vec<_>) = ((1..30).collect(), (60..200).collect());
    tape.news(&before);
    assert!(tape.news(&after).starts_with("-30 60 61 "));
    assert_eq!(tape.news(&[30, 31, 30, 200]), "30 31 200");
    // Below all that was ever seen, numbers may have started again.
    let mut tape = Tape::new(TradeIds::Dense);
    tape.news(&after);
    assert_eq!(tape.news(&[30]), "-1 30");
    assert_eq!(tape.news(&[45, 46]), "-14 45 46");
}

#[derive(Clone, Debug)]
enum Op {
    /// So many trades come live.
    News(usize),
    /// So many are lost, and the feed knows that something was.
    Break(usize),
    /// The newest so many come as a history.
    History(usize),
    /// The newest so many come again.
    Again(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_usize..5).prop_map(Op::News),
        2 => (0_usize..4).prop_map(Op::Break),
        2 => (1_usize..8).prop_map(Op::History),
        1 => (1_usize..5).prop_map(Op::Again),
    ]
}

proptest! {
    /// Ids in any order, also twice with other contents: nothing panics, and nothing is passed on twice
    /// without a loss between.
    #[test]
    fn ids_in_any_order_are_taken(
        batches in prop::collection::vec(
            (prop::collection::vec((1_u64..13, 1_i64..3), 1..6), any::<bool>()), 0..60),
        dense in any::<bool>(),
    ) {
        let ids = if dense { TradeIds::Dense } else { TradeIds::Rising };
        let mut trades = Trades::default();
        for (batch, is_history) in batches {
            let batch: Vec<_> = batch
                .into_iter()
                .map(|(id, price)| Trade { price: Price::from_mantissa(price), ..trade(id) })
                .collect();
            if is_history {
                merged(&mut trades, &batch, ids);
            } else {
                said(&mut trades, &batch, ids);
            }
            prop_assert!(trades.history().len() <= History::TRADES_MAX);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Between two trades that were passed on, either nothing is missing or a loss was told: of dense
    /// ids of the right length. No trade comes twice, and topics begin with rising ids.
    #[test]
    fn every_trade_is_passed_on_once_or_told_as_lost(
        ops in prop::collection::vec(op(), 1..40),
        steps in prop::collection::vec(1_u64..4, 200),
        dense in any::<bool>(),
    ) {
        let kind = if dense { TradeIds::Dense } else { TradeIds::Rising };
        let mut tape = Tape::new(kind);
        // All trades of the venue, and those it has made so far.
        let mut ids: Vec<u64> = steps.iter().scan(100, |id, step| {
            *id += if dense { 1 } else { *step };
            Some(*id)
        }).collect();
        ids.insert(0, 100);
        let (mut made, mut out) = (1, tape.news(&ids[..1]));
        for op in ops {
            let before = made;
            let more = match op {
                Op::News(count) => { made += count; tape.news(&ids[before..made]) }
                Op::Break(count) => {
                    made += count;
                    prop_assert_eq!(tape.breaks(None), None);
                    String::new()
                }
                Op::History(count) => tape.history(&ids[made.saturating_sub(count)..made]),
                Op::Again(count) => tape.news(&ids[made.saturating_sub(count)..made]),
            };
            out = format!("{out} {more}");
        }
        let (mut last, mut lost, mut had) = (0, 0, vec![0]);
        for word in out.split_whitespace().skip(1) {
            if let Some(count) = word.strip_prefix('-') {
                prop_assert_eq!(lost, 0, "{}", out);
                lost = count.parse::<usize>().unwrap();
                continue;
            }
            let id: u64 = word.parse().unwrap();
            let at = ids.iter().position(|other| *other == id).unwrap();
            prop_assert!(!had.contains(&at), "{} came twice: {}", id, out);
            had.push(at);
            if at < last {
                // It was told as lost, and came late.
                prop_assert_eq!(lost, 0, "{}", out);
                continue;
            }
            let missing = at - last - 1;
            prop_assert_eq!(missing > 0 && lost == 0, false, "{} before {} untold: {}", missing, id, out);
            prop_assert!(!dense || missing == lost, "{} for {}: {}", lost, missing, out);
            (last, lost) = (at, 0);
        }
        let kept: Vec<u64> = tape.trades.history().iter().filter_map(|p| p.id.number()).collect();
        prop_assert!(kept.is_sorted_by(|a, b| a < b), "{:?}", kept);
    }
}
