//! What an exchange's own people do: listings, halts, ticks, numbers.

use crate::driver::Driver;
use tapecast_venuesim::{SimConfig, SymbolConfig, decimal};

#[test]
fn a_new_symbol_appears_and_those_who_wait_get_it() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/s7usdt@bookTicker").unwrap();
    driver.run_secs(10);
    assert!(driver.texts(1).is_empty());
    driver.venue.list_symbol(SymbolConfig::numbered(7));
    driver.run_secs(10);
    assert!(!driver.texts(1).is_empty());
    let info = driver.json("/api/v3/exchangeInfo?symbol=S7USDT");
    assert_eq!(info["symbols"][0]["status"], "TRADING");
}

#[test]
fn halted_symbols_are_quiet_and_delisted_ones_are_gone() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/ethusdt@depth@100ms").unwrap();
    driver.run_secs(10);
    for status in ["HALT", "BREAK"] {
        let stopped = match status {
            "HALT" => driver.venue.halt("ETHUSDT"),
            _ => driver.venue.pause("ETHUSDT"),
        };
        assert!(stopped);
        driver.run_secs(1);
        driver.texts(1);
        driver.run_secs(10);
        assert!(driver.texts(1).is_empty());
        let info = driver.json("/api/v3/exchangeInfo?symbol=ETHUSDT");
        assert_eq!(info["symbols"][0]["status"], status);
        assert!(driver.venue.resume("ETHUSDT"));
        driver.run_secs(10);
        assert!(!driver.texts(1).is_empty());
    }
    assert!(driver.venue.delist("ETHUSDT"));
    assert!(!driver.venue.resume("ETHUSDT"));
    assert_eq!(driver.get("/api/v3/depth?symbol=ETHUSDT").status, 400);
    let info = driver.json("/api/v3/exchangeInfo");
    assert_eq!(info["symbols"].as_array().unwrap().len(), 3);
    assert_eq!(driver.venue.symbols()[1].status, None);
}

#[test]
fn a_finer_tick_is_in_prices_and_in_the_filters() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/ethusdt@bookTicker").unwrap();
    let fine = |driver: &mut Driver| {
        driver.run_secs(60);
        let quotes = driver.values(1);
        let fine = quotes.iter().filter(|quote| {
            let price = decimal::parse(quote["b"].as_str().unwrap()).unwrap();
            price % 1_000_000 != 0
        });
        fine.count()
    };
    assert_eq!(fine(&mut driver), 0);
    assert!(driver.venue.refine_tick("ETHUSDT"));
    assert!(fine(&mut driver) > 10);
    let info = driver.json("/api/v3/exchangeInfo?symbol=ETHUSDT");
    let filter = &info["symbols"][0]["filters"][0];
    assert_eq!(filter["tickSize"], "0.00100000");
}

#[test]
fn numbers_that_begin_again_are_lower_and_chain() {
    let mut driver = Driver::new(SimConfig::new(1));
    driver.connect(1, "/ws/ethusdt@depth@100ms").unwrap();
    driver.run_secs(10);
    let before = driver.values(1).pop().unwrap();
    assert!(driver.venue.renumber("ETHUSDT"));
    driver.run_secs(10);
    let after = driver.values(1);
    assert!(after[0]["u"].as_u64() < before["U"].as_u64());
    assert!(
        after
            .windows(2)
            .all(|pair| pair[1]["U"].as_u64() == pair[0]["u"].as_u64().map(|u| u + 1))
    );
    let trades = driver.venue.trades("ETHUSDT");
    assert!(trades.iter().any(|trade| trade.renumbered == 1));
}
