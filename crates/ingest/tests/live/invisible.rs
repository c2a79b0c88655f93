//! Faults that no rule of the venue shows: they are healed within the period in which books are compared.

use crate::rig::{Rig, wanted};
use std::time::Duration;
use tapecast_venuesim::{BinanceSpot, Fault, Mark, SimConfig, Simulated};

const NATIVES: [&str; 3] = ["BTCUSDT", "ETHUSDT", "NKNUSDT"];
const MINUTE: Duration = Duration::from_secs(60);
/// The period, and what its request and the answer take.
const WITHIN: Duration = Duration::from_secs(62);

/// Plants a fault for each seed, and waits for the period.
fn heal(fault: Fault) {
    for seed in 41..47 {
        let mut rig = Rig::new(SimConfig::new(seed), wanted(&["*"]), "check_seconds = 60");
        rig.run_until_live(MINUTE, &NATIVES);
        rig.run(MINUTE);
        rig.witness.tolerant = true;
        rig.venue.plant(fault, None);
        if fault == Fault::AckWithoutData {
            // It waits for somebody to subscribe.
            rig.venue.plant(Fault::Cut, None);
        }
        rig.run_until(20 * MINUTE, |rig| {
            rig.venue.applied().iter().any(|a| a.fault == fault)
        });
        rig.run(WITHIN);
        rig.witness.tolerant = false;
        rig.run_until_live(WITHIN / 4, &NATIVES);
        rig.check_books(&NATIVES);
        rig.check_tapes(&NATIVES, 8 * MINUTE);
        rig.run(2 * MINUTE);
        NATIVES.iter().for_each(|native| {
            rig.check_trades(native);
        });
    }
}

#[test]
fn each_invisible_fault_is_healed_within_the_period_of_comparison() {
    let faults = BinanceSpot::FAULTS.iter().copied();
    let invisible: Vec<_> = faults
        .filter(|fault| BinanceSpot::mark(*fault).0 == Mark::Invisible)
        .collect();
    let expected = [
        Fault::AckWithoutData,
        Fault::SilentStream,
        Fault::SlowedDepth,
        Fault::LostLevel,
    ];
    assert_eq!(invisible, expected);
    invisible.into_iter().for_each(heal);
}
