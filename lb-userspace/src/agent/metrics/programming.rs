//! How long it takes until a change in the cluster is in the maps.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime},
};

use prometheus_client::{metrics::histogram::Histogram, registry::Registry};

use lb_sources::Arrival;

/// Seconds; the aim is 10 ms.
const OWN_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0];
/// Seconds; the controllers before us batch for up to a second.
const NETWORK_BUCKETS: [f64; 13] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The histograms of programming time.
#[derive(Debug)]
pub(super) struct Programming {
    own: Histogram,
    network: Histogram,
    /// When the maps were first in step.
    since: OnceLock<SystemTime>,
}

impl Programming {
    /// Histograms in `registry`.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (own, network) = (Histogram::new(OWN_BUCKETS), Histogram::new(NETWORK_BUCKETS));
        registry.register(
            "programming_duration_seconds",
            "Time from the arrival of a watch event to the last map write for it",
            own.clone(),
        );
        registry.register(
            "network_programming_duration_seconds",
            "Time from endpoints.kubernetes.io/last-change-trigger-time of a slice to the last map write for it",
            network.clone(),
        );
        Self { own, network, since: OnceLock::new() }
    }

    /// Notes that the maps hold what `arrivals` brought.
    pub(super) fn done(&self, arrivals: &[Arrival]) {
        let (now, wall_clock) = (Instant::now(), SystemTime::now());
        let since = *self.since.get_or_init(|| wall_clock);
        for Arrival { at, triggered } in arrivals {
            self.own.observe(now.saturating_duration_since(*at).as_secs_f64());
            // What was decided before the maps were first in step waited for the agent's start (kube-proxy
            // `endpointschangetracker.go`, `trackerStartTime`); a time to come is another clock's.
            let took =
                triggered.filter(|time| *time >= since).and_then(|time| wall_clock.duration_since(time).ok());
            if let Some(took) = took {
                self.network.observe(took.as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::encoding::text::encode;

    use super::*;

    fn count(registry: &Registry, name: &str) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}_count ")));
        line.unwrap().to_owned()
    }

    #[test]
    fn only_trigger_times_between_the_first_sync_and_now_count() {
        let mut registry = Registry::default();
        let programming = Programming::new(&mut registry);
        programming.done(&[]);
        let arrival = |triggered| Arrival { at: Instant::now(), triggered };
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        let arrivals =
            [None, Some(now - hour), Some(now), Some(now + hour), Some(SystemTime::UNIX_EPOCH)].map(arrival);
        programming.done(&arrivals);
        assert_eq!(count(&registry, "network_programming_duration_seconds"), "1");
        assert_eq!(count(&registry, "programming_duration_seconds"), "5");
    }
}
