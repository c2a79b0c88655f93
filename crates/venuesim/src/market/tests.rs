//! Tests of a market: its book, its numbers, its trades.

use super::*;
use std::collections::BTreeMap;

fn market(config: SymbolConfig) -> Market {
    Market::open(config, &Kept::default(), 1_000_000_000, Random::new(1, 1))
}

fn configs() -> [SymbolConfig; 5] {
    [
        SymbolConfig::btcusdt(),
        SymbolConfig::ethusdt(),
        SymbolConfig::thin(),
        SymbolConfig::non_ascii(),
        SymbolConfig::numbered(3),
    ]
}

#[test]
fn a_book_is_deep_and_never_locked_and_keeps_to_tick_and_step() {
    for config in configs() {
        let (tick, step) = (config.tick, config.step);
        let levels = config.levels;
        let mut market = market(config);
        let mut spreads = 0;
        for _ in 0..20_000 {
            market.act(7);
            let (Some((bid, _)), Some((ask, _))) = market.book.best() else {
                panic!("a side is empty");
            };
            assert!(bid < ask);
            spreads += (ask - bid) / tick;
        }
        let book = market.book.truth(usize::MAX);
        assert!(book.bids.len() >= levels && book.asks.len() >= levels);
        for (price, qty) in book.bids.iter().chain(&book.asks) {
            assert!(price % tick == 0 && *price > 0);
            assert!(qty % step == 0 && *qty > 0);
        }
        assert!(spreads / 20_000 < 30, "{spreads}");
        let off = (market.day.last - market.config.price).abs();
        assert!(off < market.config.price / 20, "{off}");
    }
}

#[test]
fn changes_chain_and_rebuild_the_book() {
    let mut market = market(SymbolConfig::btcusdt());
    let start = market.book.truth(usize::MAX);
    let mut bids: BTreeMap<i64, i64> = start.bids.into_iter().collect();
    let mut last = start.last_update_id;
    let (mut messages, mut numbers) = (0, 0);
    for round in 0..20_000 {
        market.act(7);
        if round % 5 != 0 {
            continue;
        }
        let Some(changes) = market.fast.take() else {
            continue;
        };
        assert_eq!(changes.first, last + 1);
        messages += 1;
        numbers += changes.last - last;
        last = changes.last;
        for (price, qty) in changes.bids {
            if qty == 0 {
                bids.remove(&price);
            } else {
                bids.insert(price, qty);
            }
        }
        let truth = market.book.truth(usize::MAX);
        assert_eq!(truth.last_update_id, last);
        assert!(
            truth
                .bids
                .iter()
                .copied()
                .eq(bids.iter().rev().map(|(p, q)| (*p, *q)))
        );
    }
    assert!(numbers > 2 * messages);
}

#[test]
fn trades_count_by_one_and_their_orders_hold_all_of_them() {
    let mut market = market(SymbolConfig::btcusdt());
    let (mut qty, mut ordered) = (0, 0);
    for _ in 0..20_000 {
        let acted = market.act(7);
        qty += acted.trades.iter().map(|trade| trade.qty).sum::<i64>();
        for aggregate in &acted.aggregates {
            ordered += aggregate.qty;
            assert!(aggregate.first <= aggregate.last);
        }
        assert!(acted.trades.is_empty() || acted.best);
    }
    let trades = market.trades();
    assert!(trades.len() > 1_000);
    let ids = trades.iter().map(|trade| trade.id);
    assert!(
        ids.clone()
            .zip(ids.skip(1))
            .all(|(id, next)| next == id + 1)
    );
    assert_eq!(qty, ordered);
    assert_eq!(market.day.last_id, trades.back().unwrap().id);
    assert_eq!(
        market.day.first_id() + market.day.count - 1,
        market.day.last_id
    );
}

#[test]
fn a_halted_market_is_quiet_and_a_renumbered_one_begins_below() {
    let mut market = market(SymbolConfig::thin());
    market.status = Status::Halt;
    let id = market.book.id();
    for _ in 0..100 {
        assert!(!market.act(7).best);
    }
    assert_eq!(market.book.id(), id);
    market.status = Status::Trading;
    market.renumber();
    assert!(market.book.id() < id);
    market.act(7);
    let changes = market.fast.take();
    assert!(changes.is_none_or(|changes| changes.last < id));
}
