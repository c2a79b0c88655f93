//! Metrics of the process from the operating system, and the metrics of its parts.

use prometheus::{
    Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use rustix::process::{Resource, getrlimit};
use tapecast_model::Venue;
use tapecast_model::clock::unix_now;

/// The process's metrics under their customary names.
#[derive(Debug)]
pub struct ProcessMetrics {
    resident: Gauge,
    cpu: Counter,
    open: Gauge,
    max: Gauge,
}

impl ProcessMetrics {
    /// Makes and registers the handles.
    ///
    /// # Errors
    /// If a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let build = IntGaugeVec::new(
            Opts::new(
                "tapecast_build_info",
                "The version of the process; always 1",
            ),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        let cpu = Counter::new("process_cpu_seconds_total", "CPU time of all threads")?;
        registry.register(Box::new(cpu.clone()))?;
        let start = gauge(
            "process_start_time_seconds",
            "When the process started, Unix time",
        )?;
        start.set(unix_now().get() as f64 / 1e9);
        Ok(Self {
            resident: gauge("process_resident_memory_bytes", "Resident memory")?,
            cpu,
            open: gauge("process_open_fds", "Open file descriptors")?,
            max: gauge("process_max_fds", "Limit of open file descriptors")?,
        })
    }

    /// Brings them up to date.
    pub fn refresh(&self) {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let pages: Option<f64> = read("/proc/self/statm")
            .split(' ')
            .nth(1)
            .and_then(|n| n.parse().ok());
        if let Some(pages) = pages {
            self.resident.set(pages * rustix::param::page_size() as f64);
        }
        // Fields 14 and 15 of stat, counted behind the name, which may contain anything.
        let stat = read("/proc/self/stat");
        let fields = stat.rsplit(')').next().unwrap_or_default().split(' ');
        let ticks: f64 = fields
            .skip(12)
            .take(2)
            .filter_map(|n| n.parse::<f64>().ok())
            .sum();
        let seconds = ticks / rustix::param::clock_ticks_per_second() as f64;
        self.cpu.inc_by((seconds - self.cpu.get()).max(0.0));
        let limit = getrlimit(Resource::Nofile).current;
        let limit = limit.map_or(f64::INFINITY, |n| n as f64);
        self.max.set(limit);
        // To count takes a descriptor: when there is none, all are open.
        let open = std::fs::read_dir("/proc/self/fd");
        self.open
            .set(open.map_or(limit, |files| files.count() as f64));
    }
}

/// The metrics of the parts that should run for ever.
#[derive(Clone, Debug)]
pub struct PartMetrics {
    restarts: IntCounterVec,
    source_up: IntGaugeVec,
}

impl PartMetrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// If a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let restarts = IntCounterVec::new(
            Opts::new(
                "tapecast_restarts_total",
                "Restarts of failed parts of the process, by kind of part",
            ),
            &["part"],
        )?;
        registry.register(Box::new(restarts.clone()))?;
        let source_up = IntGaugeVec::new(
            Opts::new(
                "tapecast_source_up",
                "1 while a source runs, waits for its command, or has played to its end; 0 before it \
                 has started, and while it has failed and is to start again",
            ),
            &["source", "kind", "venue"],
        )?;
        registry.register(Box::new(source_up.clone()))?;
        Ok(Self {
            restarts,
            source_up,
        })
    }

    /// Restarts of parts of a kind.
    pub fn restarts(&self, kind: &str) -> IntCounter {
        self.restarts.with_label_values(&[kind])
    }

    /// Whether a source, by its place in the configuration, runs.
    pub fn source_up(&self, number: usize, kind: &str, venue: &Venue) -> IntGauge {
        let number = number.to_string();
        self.source_up
            .with_label_values(&[number.as_str(), kind, venue.as_str()])
    }
}

/// What is counted of reloads, under the names that are customary.
#[derive(Debug)]
pub struct ReloadMetrics {
    taken: IntCounter,
    refused: IntCounter,
    successful: Gauge,
    succeeded_at: Gauge,
}

impl ReloadMetrics {
    /// Makes and registers them. The start counts as a success.
    ///
    /// # Errors
    /// If a name is registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let reloads = IntCounterVec::new(
            Opts::new(
                "tapecast_config_reloads_total",
                "Times that the configuration was read again, by result",
            ),
            &["result"],
        )?;
        registry.register(Box::new(reloads.clone()))?;
        let gauge = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let metrics = Self {
            taken: reloads.with_label_values(&["taken"]),
            refused: reloads.with_label_values(&["refused"]),
            successful: gauge(
                "tapecast_config_last_reload_successful",
                "1 if the configuration that was read last could be used, otherwise 0",
            )?,
            succeeded_at: gauge(
                "tapecast_config_last_reload_success_timestamp_seconds",
                "When the configuration was last read and could be used, Unix time",
            )?,
        };
        metrics.in_force();
        Ok(metrics)
    }

    /// A configuration was taken.
    pub fn succeed(&self) {
        self.taken.inc();
        self.in_force();
    }

    /// A configuration could not be used.
    pub fn fail(&self) {
        self.refused.inc();
        self.successful.set(0.0);
    }

    fn in_force(&self) {
        self.successful.set(1.0);
        self.succeeded_at.set(unix_now().get() as f64 / 1e9);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_described() {
        let registry = Registry::new();
        let metrics = ProcessMetrics::register(&registry).unwrap();
        metrics.refresh();
        assert!(metrics.resident.get() > 1e6 && metrics.open.get() >= 3.0);
        assert!(metrics.max.get() >= metrics.open.get());
    }
}
