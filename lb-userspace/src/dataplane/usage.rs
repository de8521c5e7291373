//! How full the maps are.

use std::{collections::BTreeMap, os::fd::AsFd};

use aya::maps::MapError;
use lb_common::{
    abi::map,
    address::{V4, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    fragment::{self, FragmentKey, FragmentPorts},
    ring,
    service::Service,
    time::{Tick, seconds, since},
};
use lb_model::{op::Tables, plan::Allocated};

use super::{
    clock,
    pinned::{Pinned, PinnedError, named},
    spec::Sizes,
    sys::count_entries,
};

/// Maps whose entries can be counted. Of `rings` and `backends`, which are arrays, only the contents tell. Other maps do
/// not fill up: `restore` and `restore6` remember what they can and forget the rest without harm.
const COUNTED: [&str; 10] = [
    map::SERVICES,
    map::FLOWS,
    map::FLOWS6,
    map::FRAGMENTS,
    map::AFFINITY,
    map::SOURCE_RANGES,
    map::PEERS,
    map::INTERFACES,
    map::NAMES,
    map::REFUSALS,
];

/// How full a map is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Name of the map.
    pub map: &'static str,
    /// Entries in use.
    pub used: u64,
    /// Entries at most.
    pub capacity: u64,
    /// The agent's flag that sets the capacity, if there is one.
    pub flag: Option<&'static str>,
}

impl Usage {
    /// In hundredths.
    pub fn percent(&self) -> u64 {
        self.used * 100 / self.capacity.max(1)
    }

    fn new(pinned: &Pinned, map: &'static str, used: u64) -> Self {
        let spec = Sizes::default().specs().into_iter().find(|spec| spec.name == map);
        let flag = spec.map(|spec| spec.flag).filter(|flag| flag.starts_with("--"));
        Self { map, used, capacity: pinned.max_entries(map).into(), flag }
    }
}

/// The maps that can be counted, each with one pass over it: 400,000 flows take a tenth of a second. Of an LRU, which keeps
/// what is over until it needs the place, only what still means something counts: on a node that runs for long enough it is
/// always full.
///
/// # Errors
/// Where a map does not answer.
pub fn counted(pinned: &Pinned) -> Result<Vec<Usage>, PinnedError> {
    let now = clock::now();
    COUNTED.into_iter().map(|map| Ok(Usage::new(pinned, map, in_use(pinned, map, now)?))).collect()
}

/// The maps that are indexed by number, by what is in use: chunks that frontends point at, and endpoints.
pub fn indexed<'a>(
    pinned: &Pinned,
    services: impl Iterator<Item = &'a Service>,
    backends: impl Iterator<Item = &'a Backend>,
) -> [Usage; 2] {
    // Frontends may share a ring.
    let rings: BTreeMap<_, _> = services
        .flat_map(|service| {
            [(service.ring, service.ring_size), (service.local_ring, service.local_ring_size)]
        })
        .collect();
    let chunks = rings.values().map(|size| u64::from(ring::chunks(*size))).sum();
    let backends = backends.filter(|backend| !backend.address.is_none()).count();
    [Usage::new(pinned, map::RINGS, chunks), Usage::new(pinned, map::BACKENDS, backends as u64)]
}

/// What the agent has just written, without asking the kernel.
pub fn written(pinned: &Pinned, tables: &Tables, allocated: Allocated) -> Vec<Usage> {
    vec![
        Usage::new(pinned, map::SERVICES, tables.services.len() as u64),
        Usage::new(pinned, map::NAMES, tables.names.len() as u64),
        Usage::new(pinned, map::SOURCE_RANGES, tables.source_ranges.len() as u64),
        Usage::new(pinned, map::PEERS, tables.peers.len() as u64),
        Usage::new(pinned, map::RINGS, allocated.chunks as u64),
        Usage::new(pinned, map::BACKENDS, allocated.backends as u64),
    ]
}

fn in_use(pinned: &Pinned, name: &'static str, now: Tick) -> Result<u64, PinnedError> {
    let mut used = 0;
    match name {
        map::FLOWS => pinned.living_halves_of::<V4>(name, now, &mut |_| used += 1)?,
        map::FLOWS6 => pinned.living_halves_of::<V6>(name, now, &mut |_| used += 1)?,
        map::FRAGMENTS => pinned.each_entry::<FragmentKey, FragmentPorts>(name, |_, ports| {
            used += u64::from(since(now, ports.seen) <= fragment::LIFETIME);
        })?,
        map::AFFINITY => {
            let lifetimes: BTreeMap<_, _> =
                pinned.services()?.values().map(|service| (service.id, seconds(service.affinity))).collect();
            pinned.each_entry::<AffinityKey, Affinity>(name, |client, affinity| {
                let lifetime = lifetimes.get(&client.service);
                let idle = since(now, affinity.last_used);
                used += u64::from(lifetime.is_some_and(|lifetime| idle <= *lifetime));
            })?;
        }
        _ => used = count(pinned, name)?,
    }
    Ok(used)
}

fn count(pinned: &Pinned, name: &'static str) -> Result<u64, PinnedError> {
    let data = pinned.data(name)?;
    let info = data.info().map_err(named(name))?;
    count_entries(data.fd().as_fd(), info.key_size(), info.value_size(), info.max_entries())
        .map_err(|source| named(name)(MapError::IoError(source)))
}
