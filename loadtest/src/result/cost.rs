//! What a run cost the server and the harness, and whether the harness was the bottleneck.

use crate::process::Memory;
use crate::tally::Cost;
use serde::{Deserialize, Serialize};

/// What a run cost the server.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ServerCost {
    /// Its process.
    pub pid: u32,
    /// Processor time in the window, all threads.
    pub cpu_s: f64,
    /// The same as a share of one processor.
    pub cpu_share: f64,
    /// By name of thread.
    pub threads: Vec<ServerThread>,
    /// Events delivered per second of processor time.
    pub deliveries_per_cpu_s: f64,
    /// Processor time per event delivered.
    pub us_per_delivery: f64,
    /// Memory before the first connection.
    pub memory_before: Memory,
    /// Memory with all clients there and nothing published yet.
    pub memory_idle: Memory,
    /// Memory at the end of the window.
    pub memory_end: Memory,
    /// Resident bytes per connection: idle less before.
    pub rss_per_connection: f64,
    /// Resident bytes per connection at the end of the window.
    pub rss_per_connection_end: f64,
}

/// What the threads of one name cost.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ServerThread {
    /// Their name.
    pub name: String,
    /// Processor time in the window.
    pub cpu_s: f64,
    /// The same as a share of one processor.
    pub cpu_share: f64,
    /// Time ready to run with another on the processor.
    pub waited_s: f64,
}

/// What a run cost the harness.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HarnessCost {
    /// Each of its threads.
    pub threads: Vec<HarnessThread>,
    /// Processor time in the window, all of them.
    pub cpu_s: f64,
    /// Processor time of the busiest, as a share of the window.
    pub cpu_share: f64,
    /// The largest share of the window in which a loop was not waiting for events.
    pub busy_share: f64,
    /// The largest share of the window in which a thread was ready and another was on its processor.
    pub waited_share: f64,
    /// The longest turn of a loop.
    pub turn_max_us: f64,
    /// The latest an event was made after it was due (open loop).
    pub publish_late_max_us: f64,
    /// The latest an event left after it was due, a full socket of the server's included.
    pub publish_sent_late_max_us: f64,
    /// How often the push source's socket was full.
    pub publish_blocked: u64,
    /// How often a closed loop went on although not everybody had the last event.
    pub window_timeouts: u64,
    /// Reads in the window.
    pub receives: u64,
    /// Seconds until all clients were there.
    pub connect_s: f64,
}

/// What a thread of the harness cost in the window.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct HarnessThread {
    /// Processor time.
    pub cpu_s: f64,
    /// The same as a share of the window.
    pub cpu_share: f64,
    /// Share of the window in which it was not waiting for events.
    pub busy_share: f64,
    /// Share of the window in which it was ready and another was on its processor.
    pub waited_share: f64,
    /// The longest turn of its loop.
    pub turn_max_us: f64,
}

// === impl HarnessThread ===

impl HarnessThread {
    /// Of what was counted.
    pub fn of(cost: &Cost) -> Self {
        let share = |part: std::time::Duration| {
            part.as_secs_f64() / cost.length.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        Self {
            cpu_s: cost.cpu.as_secs_f64(),
            cpu_share: share(cost.cpu),
            busy_share: share(cost.busy),
            waited_share: share(cost.waited),
            turn_max_us: cost.turn_max.as_secs_f64() * 1e6,
        }
    }
}

// === impl HarnessCost ===

impl HarnessCost {
    /// Of its threads; what the publisher did is added by the caller.
    pub fn of(costs: &[Cost]) -> Self {
        let threads: Vec<HarnessThread> = costs.iter().map(HarnessThread::of).collect();
        let most =
            |figure: fn(&HarnessThread) -> f64| threads.iter().map(figure).fold(0.0, f64::max);
        Self {
            cpu_s: threads.iter().map(|t| t.cpu_s).sum(),
            cpu_share: most(|t| t.cpu_share),
            busy_share: most(|t| t.busy_share),
            waited_share: most(|t| t.waited_share),
            turn_max_us: most(|t| t.turn_max_us),
            threads,
            ..Self::default()
        }
    }

    /// Why throughput and latency may say more of the harness than of the server.
    pub fn limits(&self) -> Vec<String> {
        const CPU_SHARE_MAX: f64 = 0.90;
        const BUSY_SHARE_MAX: f64 = 0.95;
        const WAITED_SHARE_MAX: f64 = 0.10;
        const TURN_US_MAX: f64 = 50_000.0;
        const LATE_US_MAX: f64 = 20_000.0;
        let mut reasons = Vec::new();
        let mut check = |figure: f64, most: f64, reason: String| {
            if figure >= most {
                reasons.push(reason);
            }
        };
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let ms = |us: f64| format!("{:.0} ms", us / 1e3);
        check(
            self.cpu_share,
            CPU_SHARE_MAX,
            format!(
                "a thread was computing {} of the time",
                percent(self.cpu_share)
            ),
        );
        check(
            self.busy_share,
            BUSY_SHARE_MAX,
            format!("a loop was busy {} of the time", percent(self.busy_share)),
        );
        check(
            self.waited_share,
            WAITED_SHARE_MAX,
            format!(
                "others were on its processor {} of the time",
                percent(self.waited_share)
            ),
        );
        check(
            self.turn_max_us,
            TURN_US_MAX,
            format!("a turn of a loop took {}", ms(self.turn_max_us)),
        );
        check(
            self.publish_late_max_us,
            LATE_US_MAX,
            format!("an event was made {} late", ms(self.publish_late_max_us)),
        );
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cost(cpu_ms: u64, turn_ms: u64) -> HarnessCost {
        let idle = Cost {
            length: Duration::from_secs(1),
            ..Cost::default()
        };
        let busy = Cost {
            cpu: Duration::from_millis(cpu_ms),
            turn_max: Duration::from_millis(turn_ms),
            ..idle
        };
        HarnessCost::of(&[idle, busy])
    }

    #[test]
    fn a_busy_or_stalled_harness_admits_it() {
        assert!(cost(500, 2).limits().is_empty());
        let expected = ["a thread was computing 95 % of the time"];
        assert_eq!(cost(950, 2).limits(), expected);
        assert_eq!(cost(500, 60).limits(), ["a turn of a loop took 60 ms"]);
        let pushed = HarnessCost {
            waited_share: 0.2,
            publish_late_max_us: 25_000.0,
            ..cost(1, 1)
        };
        let expected = [
            "others were on its processor 20 % of the time",
            "an event was made 25 ms late",
        ];
        assert_eq!(pushed.limits(), expected);
    }

    #[test]
    fn the_busiest_thread_counts() {
        let cost = cost(500, 2);
        assert!((cost.cpu_share - 0.5).abs() < 1e-9 && cost.threads.len() == 2);
    }
}
