//! What /metrics tells.

mod kernel;
mod programming;
mod ready;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use lb_model::{object::Refusal, op::Tables, plan::Allocated};
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use self::{kernel::KernelCounters, programming::Programming, ready::Ready};
use super::readiness::Readiness;
use crate::dataplane::{
    attach::Attached,
    pinned::{Pinned, PinnedError},
    usage::{self, Usage},
};
use lb_sources::{Arrival, Status};

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;

/// Buckets of the sync duration, in seconds: a small change takes a millisecond, ten thousand Services some seconds.
const SYNC_BUCKETS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// The agent's metrics.
pub(super) struct Metrics {
    pinned: Arc<Pinned>,
    registry: Registry,
    sync_duration: Histogram,
    programming: Programming,
    sync_errors: Counter,
    last_sync: Gauge,
    refused: Gauges,
    entries: Gauges,
    capacity: Gauges,
    modes: Gauges,
    unattached: Gauge,
    connected: Gauges,
    source_errors: Family<Labels, Counter>,
}

impl Metrics {
    /// Metrics of this agent, those of the kernel's counters among them, which are read at each scrape.
    pub(super) fn new(pinned: Arc<Pinned>, readiness: Arc<Readiness>) -> Self {
        let mut registry = Registry::with_prefix("sluice");
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        registry.register("build", "Which release this is", Info::new(build));
        registry.register_collector(Box::new(KernelCounters::new(pinned.clone())));
        registry.register_collector(Box::new(Ready(readiness)));
        let metrics = Self {
            pinned,
            sync_duration: Histogram::new(SYNC_BUCKETS),
            programming: Programming::new(&mut registry),
            sync_errors: Counter::default(),
            last_sync: Gauge::default(),
            refused: Gauges::default(),
            entries: Gauges::default(),
            capacity: Gauges::default(),
            modes: Gauges::default(),
            unattached: Gauge::default(),
            connected: Gauges::default(),
            source_errors: Family::default(),
            registry,
        };
        metrics.register()
    }

    fn register(mut self) -> Self {
        let registry = &mut self.registry;
        registry.register(
            "sync_duration_seconds",
            "How long it took to bring the maps in step with a snapshot",
            self.sync_duration.clone(),
        );
        registry.register("sync_errors", "Attempts to do so that failed", self.sync_errors.clone());
        registry.register(
            "last_sync_timestamp_seconds",
            "When the maps were last in step, in seconds since the epoch",
            self.last_sync.clone(),
        );
        registry.register("refused_objects", "What is asked for and not served", self.refused.clone());
        registry.register("map_entries", "Entries of a map that are in use; of flow tables, fragments and affinity those that are not over", self.entries.clone());
        registry.register("map_capacity", "Entries that a map holds at most", self.capacity.clone());
        registry.register(
            "interface_mode",
            "1 for the mode in which an uplink meets packets",
            self.modes.clone(),
        );
        registry.register(
            "unattached_uplinks",
            "Uplinks, found or named by --interface, without programs",
            self.unattached.clone(),
        );
        registry.register(
            "source_connected",
            "1 where changes arrive as they happen",
            self.connected.clone(),
        );
        registry.register("source_errors", "Failures of a source's stream", self.source_errors.clone());
        self
    }

    /// Notes an attempt that went through.
    pub(super) fn synced(&self, took: Duration, tables: &Tables, allocated: Allocated) {
        self.sync_duration.observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_sync.set(now.as_secs().cast_signed());
        self.usage(&usage::written(&self.pinned, tables, allocated));
    }

    /// Notes all that is asked for and not served.
    pub(super) fn refusals<'a>(&self, refusals: impl Iterator<Item = &'a Refusal>) {
        self.refused.clear();
        for refusal in refusals {
            self.refused.get_or_create(&labels("reason", &refusal.reason)).inc();
        }
    }

    /// Notes that the maps hold what these events brought.
    pub(super) fn programmed(&self, arrivals: &[Arrival]) {
        self.programming.done(arrivals);
    }

    /// Notes an attempt that failed.
    pub(super) fn failed(&self) {
        self.sync_errors.inc();
    }

    /// Asks the kernel how full its maps are: a tenth of a second for a large flow table.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub(super) fn count_entries(&self) -> Result<(), PinnedError> {
        self.usage(&usage::counted(&self.pinned)?);
        Ok(())
    }

    fn usage(&self, usages: &[Usage]) {
        for usage in usages {
            let labels = labels("map", usage.map);
            self.entries.get_or_create(&labels).set(usage.used.cast_signed());
            self.capacity.get_or_create(&labels).set(usage.capacity.cast_signed());
        }
    }

    /// Notes where uplinks meet packets, and how many of them do not.
    pub(super) fn uplinks(&self, modes: &BTreeMap<String, Attached>, unattached: usize) {
        self.unattached.set(unattached as i64);
        self.modes.clear();
        for (device, mode) in modes {
            let labels = vec![("interface", device.clone()), ("mode", mode.as_str().to_owned())];
            self.modes.get_or_create(&labels).set(1);
        }
    }

    /// Notes how the source is doing.
    pub(super) fn source(&self, status: &Status) {
        for (stream, state) in &status.streams {
            let labels = labels("stream", stream);
            self.connected.get_or_create(&labels).set(state.connected.into());
            // The source counts them itself.
            self.source_errors.get_or_create(&labels).inner().store(state.errors, Ordering::Relaxed);
        }
    }

    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn labels(name: &'static str, value: &str) -> Labels {
    vec![(name, value.to_owned())]
}
