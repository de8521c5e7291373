//! How large the pinned maps are, and whether maps that are already pinned can be used as they are.

use std::mem::size_of;

use aya::maps::MapInfo;
use lb_common::{
    abi::{capacity, map},
    address::{Address, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    drop_reason::DropReason,
    filter,
    flow::{Flow, FlowKey, RestoreBucket},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    limit::{self, Bucket},
    monitor::{self, Monitor, Sampler},
    name::Name,
    refusal::Refusal,
    ring::RingChunk,
    runtime::Runtime,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::{ServiceStats, Stat},
};

use super::pin::PinDir;

/// How much the maps hold at most; the agent's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Frontends, and as many service ids.
    pub services: u32,
    /// Ring chunks.
    pub ring_chunks: u32,
    /// Endpoints.
    pub backends: u32,
    /// Flow halves of IPv4.
    pub flows: u32,
    /// Flow halves of IPv6.
    pub flows6: u32,
    /// Fragmented datagrams on their way.
    pub fragments: u32,
    /// Clients with an endpoint of their own.
    pub affinity: u32,
    /// Source ranges of all Services.
    pub source_ranges: u32,
    /// Addresses of nodes.
    pub peers: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            services: capacity::SERVICES,
            ring_chunks: capacity::RINGS,
            backends: capacity::BACKENDS,
            flows: capacity::FLOWS,
            flows6: capacity::FLOWS6,
            fragments: capacity::FRAGMENTS,
            affinity: capacity::AFFINITY,
            source_ranges: capacity::SOURCE_RANGES,
            peers: capacity::PEERS,
        }
    }
}

/// A pinned map as the programs need it.
pub(super) struct MapSpec {
    /// Name in the object and of the pin.
    pub(super) name: &'static str,
    key: u32,
    value: u32,
    /// Entries at most.
    pub(super) entries: u32,
    /// The flag that sets `entries`.
    pub(super) flag: &'static str,
}

/// A pinned map that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Mismatch {
    /// Made with other flags.
    #[error(
        "map {name} in {dir} was made for {found} entries, not {wanted}: start with {flag} {found} as before, or run \
         `sluice cleanup` first (it ends live connections)"
    )]
    Entries {
        /// Name of the map.
        name: &'static str,
        /// The pin directory.
        dir: String,
        /// Entries of the pinned map.
        found: u32,
        /// Entries asked for.
        wanted: u32,
        /// The flag that asks.
        flag: &'static str,
    },
    /// Not made by this program.
    #[error(
        "map {name} in {dir} has another layout (key {key}, value {value} bytes): run `sluice cleanup` first"
    )]
    Layout {
        /// Name of the map.
        name: &'static str,
        /// The pin directory.
        dir: String,
        /// Bytes of its keys.
        key: u32,
        /// Bytes of its values.
        value: u32,
    },
}

impl Sizes {
    /// The sizes of maps that are already pinned, `None` where one is missing.
    pub fn of_pinned(dir: &PinDir) -> Option<Self> {
        let entries = |name| MapInfo::from_pin(dir.map(name)).map(|info| info.max_entries()).ok();
        Some(Self {
            services: entries(map::SERVICES)?,
            ring_chunks: entries(map::RINGS)?,
            backends: entries(map::BACKENDS)?,
            flows: entries(map::FLOWS)?,
            flows6: entries(map::FLOWS6)?,
            fragments: entries(map::FRAGMENTS)?,
            affinity: entries(map::AFFINITY)?,
            source_ranges: entries(map::SOURCE_RANGES)?,
            peers: entries(map::PEERS)?,
        })
    }

    /// Buckets of `restore`: a record for each half on average; a power of two, because the hash is masked.
    pub fn restore_buckets(&self) -> u32 {
        buckets(self.flows)
    }

    /// Buckets of `restore6`.
    pub fn restore6_buckets(&self) -> u32 {
        buckets(self.flows6)
    }

    /// Every pinned map.
    pub(super) fn specs(&self) -> Vec<MapSpec> {
        const FIXED: &str = "the release that made it";
        fn spec<K, V>(name: &'static str, entries: u32, flag: &'static str) -> MapSpec {
            MapSpec { name, key: size_of::<K>() as u32, value: size_of::<V>() as u32, entries, flag }
        }
        vec![
            spec::<u32, u64>(map::FILTER, filter::WORDS, FIXED),
            spec::<ServiceKey, Service>(map::SERVICES, self.services, "--max-services"),
            spec::<u32, RingChunk>(map::RINGS, self.ring_chunks, "--max-ring-chunks"),
            spec::<u32, Backend>(map::BACKENDS, self.backends, "--max-backends"),
            spec::<FlowKey, Flow>(map::FLOWS, self.flows, "--max-flows"),
            spec::<FlowKey<V6>, Flow<V6>>(map::FLOWS6, self.flows6, "--max-flows6"),
            spec::<u32, RestoreBucket>(map::RESTORE, self.restore_buckets(), "--max-flows"),
            spec::<u32, RestoreBucket<V6>>(map::RESTORE6, self.restore6_buckets(), "--max-flows6"),
            spec::<FragmentKey, FragmentPorts>(map::FRAGMENTS, self.fragments, "--max-fragments"),
            spec::<AffinityKey, Affinity>(map::AFFINITY, self.affinity, "--max-affinities"),
            spec::<SourceRangeKey, u32>(map::SOURCE_RANGES, self.source_ranges, "--max-source-ranges"),
            spec::<Address, u32>(map::PEERS, self.peers, "--max-peers"),
            spec::<u32, Interface>(map::INTERFACES, capacity::INTERFACES, FIXED),
            spec::<u32, Runtime>(map::RUNTIME, 1, FIXED),
            spec::<u32, ServiceStats>(map::SERVICE_STATS, self.services, "--max-services"),
            spec::<u32, u64>(map::DROPS, DropReason::COUNT, FIXED),
            spec::<u32, u64>(map::STATS, Stat::COUNT, FIXED),
            spec::<u32, Bucket>(map::LIMITS, limit::BUCKETS, FIXED),
            spec::<u32, Name>(map::NAMES, self.services, "--max-services"),
            spec::<u32, Refusal>(map::REFUSALS, capacity::REFUSALS, FIXED),
            spec::<u32, Monitor>(map::MONITOR, 1, FIXED),
            spec::<u32, Sampler>(map::SAMPLER, 1, FIXED),
            // A ring buffer has neither keys nor values, and its size is in bytes.
            MapSpec { name: map::EVENTS, key: 0, value: 0, entries: monitor::RING_BYTES, flag: FIXED },
        ]
    }
}

fn buckets(flows: u32) -> u32 {
    (flows / 2).max(1).checked_next_power_of_two().unwrap_or(1 << 31)
}

impl MapSpec {
    /// True where a map with these properties can be used as it is.
    pub(super) fn fits(&self, info: &MapInfo) -> bool {
        (info.key_size(), info.value_size(), info.max_entries()) == (self.key, self.value, self.entries)
    }

    /// Checks the map that is pinned under this name, if there is one: aya opens it without looking.
    pub(super) fn check(&self, dir: &PinDir) -> Result<(), Mismatch> {
        let Ok(info) = MapInfo::from_pin(dir.map(self.name)) else { return Ok(()) };
        let (name, dir) = (self.name, dir.base().display().to_string());
        if (info.key_size(), info.value_size()) != (self.key, self.value) {
            return Err(Mismatch::Layout { name, dir, key: info.key_size(), value: info.value_size() });
        }
        if info.max_entries() != self.entries {
            let (found, wanted, flag) = (info.max_entries(), self.entries, self.flag);
            return Err(Mismatch::Entries { name, dir, found, wanted, flag });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_map_has_a_spec() {
        let mut names: Vec<_> = Sizes::default().specs().iter().map(|spec| spec.name).collect();
        let mut pinned = map::PINNED.to_vec();
        names.sort_unstable();
        pinned.sort_unstable();
        assert_eq!(names, pinned);
    }

    #[test]
    fn restore_buckets_are_a_power_of_two_for_any_number_of_flows() {
        for flows in [1, 2, 3, 1000, capacity::FLOWS, u32::MAX] {
            assert!(Sizes { flows, ..Sizes::default() }.restore_buckets().is_power_of_two(), "{flows}");
        }
        assert_eq!(Sizes::default().restore_buckets(), capacity::RESTORE);
        assert_eq!(Sizes::default().restore6_buckets(), capacity::RESTORE6);
    }
}
