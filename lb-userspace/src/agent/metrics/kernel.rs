//! The kernel programs' counters, read at each scrape.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use lb_common::stat::ServiceStats;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};

use crate::dataplane::pinned::{Pinned, PinnedError};

/// Counters in the pinned maps.
pub(super) struct KernelCounters {
    pinned: Arc<Pinned>,
    totals: Mutex<Totals>,
}

/// Sums over all Services since the agent started. A Service's counters are zeroed when it goes, and a sum that falls
/// would read as a restart: so differences are summed.
#[derive(Debug, Default)]
struct Totals {
    last: BTreeMap<u32, ServiceStats>,
    sum: ServiceStats,
}

impl fmt::Debug for KernelCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelCounters").finish_non_exhaustive()
    }
}

impl KernelCounters {
    /// Counters behind `pinned`; what they hold now is the starting point.
    pub(super) fn new(pinned: Arc<Pinned>) -> Self {
        // Unreadable counters start from nothing, and are an error at the first scrape.
        let last = read(&pinned).unwrap_or_default();
        Self { pinned, totals: Mutex::new(Totals { last, sum: ServiceStats::default() }) }
    }
}

impl Collector for KernelCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let drops = self.pinned.drops().map_err(unreadable)?;
        let drops = drops.into_iter().map(|(reason, count)| ("reason", reason.as_str(), count));
        family(&mut encoder, "drops", "Packets dropped or answered in an endpoint's stead", drops)?;
        let stats = self.pinned.stats().map_err(unreadable)?;
        let stats = stats.into_iter().map(|(stat, count)| ("event", stat.as_str(), count));
        family(&mut encoder, "events", "Events of the packet path", stats)?;
        // Locked first: of two scrapes at once, the one that has read less would take the other's counters for new ones.
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.advance(read(&self.pinned).map_err(unreadable)?);
        let sum = totals.sum;
        let packets = [("direction", "request", sum.packets), ("direction", "reply", sum.reply_packets)];
        family(&mut encoder, "packets", "Packets of all Services since the agent started", packets)?;
        let bytes = [("direction", "request", sum.bytes), ("direction", "reply", sum.reply_bytes)];
        family(&mut encoder, "bytes", "Bytes of all Services since the agent started", bytes)?;
        let flows = ConstCounter::new(sum.new_flows);
        let help = "Connections opened to all Services since the agent started";
        flows.encode(encoder.encode_descriptor("flows_opened", help, None, MetricType::Counter)?)
    }
}

impl Totals {
    fn advance(&mut self, read: BTreeMap<u32, ServiceStats>) {
        for (id, now) in &read {
            let last = self.last.get(id).copied().unwrap_or_default();
            let gained = |now: u64, last: u64| if now < last { now } else { now - last };
            self.sum.packets += gained(now.packets, last.packets);
            self.sum.bytes += gained(now.bytes, last.bytes);
            self.sum.reply_packets += gained(now.reply_packets, last.reply_packets);
            self.sum.reply_bytes += gained(now.reply_bytes, last.reply_bytes);
            self.sum.new_flows += gained(now.new_flows, last.new_flows);
        }
        self.last = read;
    }
}

fn read(pinned: &Pinned) -> Result<BTreeMap<u32, ServiceStats>, PinnedError> {
    pinned.names()?.into_keys().map(|id| Ok((id, pinned.service_stats(id)?))).collect()
}

fn family<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counters: impl IntoIterator<Item = (&'a str, &'a str, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (label, value, count) in counters {
        ConstCounter::new(count).encode(metric.encode_family(&[(label, value)])?)?;
    }
    Ok(())
}

fn unreadable(error: PinnedError) -> fmt::Error {
    tracing::warn!(%error, "counters are unreadable");
    fmt::Error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(count: u64) -> ServiceStats {
        ServiceStats { packets: count, ..ServiceStats::default() }
    }

    #[test]
    fn sums_never_fall_when_a_service_goes_or_its_id_is_used_again() {
        let mut totals = Totals { last: [(1, packets(100))].into(), sum: ServiceStats::default() };
        let mut sums = Vec::new();
        for read in [
            vec![(1, packets(110)), (2, packets(5))],
            vec![(2, packets(6))],
            vec![(1, packets(3)), (2, packets(2))],
        ] {
            totals.advance(read.into_iter().collect());
            sums.push(totals.sum.packets);
        }
        assert_eq!(sums, [15, 16, 21]);
    }
}
