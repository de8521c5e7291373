//! Typed access to the pinned maps. Needs no agent: the command line reads the live data plane through this.

mod counters;
mod flows;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::AsFd,
    path::PathBuf,
};

use aya::{
    maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, lpm_trie::Key},
    sys::SyscallError,
};
use lb_common::{
    abi::map,
    address::{Address, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    name::Name,
    refusal::Refusal,
    ring::{CHUNK_SLOTS, RingChunk},
    runtime::Runtime,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::ServiceStats,
};
use lb_model::slots::Slots;
use zerocopy::{FromBytes, IntoBytes};

use super::{
    pin::PinDir,
    sys::{read_array, read_entries, write_array},
};

/// Why a pinned map did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PinnedError {
    /// Nothing is pinned here.
    #[error("no data plane at {}: start `sluice agent`, or name its directory with --bpf-dir", path.display())]
    Absent {
        /// Pin of the first map that was looked for.
        path: PathBuf,
    },
    /// Opening was refused.
    #[error("not allowed to open {}: run as root or with CAP_BPF", path.display())]
    Denied {
        /// Pin of the map.
        path: PathBuf,
    },
    /// The map did not answer.
    #[error("map {name}: {source}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// What aya said.
        source: MapError,
    },
}

/// The pinned maps of one data plane.
pub struct Pinned {
    pub(super) services: HashMap<MapData, ServiceKey, Service>,
    /// Of [`RingChunk`]s, read and written a ring at a time.
    rings: MapData,
    pub(super) backends: Array<MapData, Backend>,
    pub(super) filter: Array<MapData, u64>,
    flows: HashMap<MapData, FlowKey, Flow>,
    flows6: HashMap<MapData, FlowKey<V6>, Flow<V6>>,
    affinity: HashMap<MapData, AffinityKey, Affinity>,
    fragments: HashMap<MapData, FragmentKey, FragmentPorts>,
    pub(super) interfaces: HashMap<MapData, u32, Interface>,
    pub(super) runtime: Array<MapData, Runtime>,
    pub(super) service_stats: PerCpuArray<MapData, ServiceStats>,
    pub(super) names: HashMap<MapData, u32, Name>,
    pub(super) source_ranges: LpmTrie<MapData, [u32; 5], u32>,
    pub(super) peers: HashMap<MapData, Address, u32>,
    drops: PerCpuArray<MapData, u64>,
    stats: PerCpuArray<MapData, u64>,
    pub(super) refusals: HashMap<MapData, u32, Refusal>,
    max_entries: BTreeMap<&'static str, u32>,
    dir: PinDir,
}

impl Pinned {
    /// Opens the maps.
    ///
    /// # Errors
    /// Where nothing is pinned, or opening is refused.
    pub fn open(dir: &PinDir) -> Result<Self, PinnedError> {
        let mut max_entries = BTreeMap::new();
        for name in map::PINNED.into_iter().filter(|name| !map::MONITORING.contains(name)) {
            let info = open_map(dir, name)?.info().map_err(named(name))?;
            max_entries.insert(name, info.max_entries());
        }
        let open = |name: &'static str| {
            let data = open_map(dir, name)?;
            Map::from_map_data(data).map_err(|source| PinnedError::Map { name, source })
        };
        Ok(Self {
            services: typed(map::SERVICES, open(map::SERVICES)?)?,
            rings: open_map(dir, map::RINGS)?,
            backends: typed(map::BACKENDS, open(map::BACKENDS)?)?,
            filter: typed(map::FILTER, open(map::FILTER)?)?,
            flows: typed(map::FLOWS, open(map::FLOWS)?)?,
            flows6: typed(map::FLOWS6, open(map::FLOWS6)?)?,
            affinity: typed(map::AFFINITY, open(map::AFFINITY)?)?,
            fragments: typed(map::FRAGMENTS, open(map::FRAGMENTS)?)?,
            interfaces: typed(map::INTERFACES, open(map::INTERFACES)?)?,
            runtime: typed(map::RUNTIME, open(map::RUNTIME)?)?,
            service_stats: typed(map::SERVICE_STATS, open(map::SERVICE_STATS)?)?,
            names: typed(map::NAMES, open(map::NAMES)?)?,
            source_ranges: typed(map::SOURCE_RANGES, open(map::SOURCE_RANGES)?)?,
            peers: typed(map::PEERS, open(map::PEERS)?)?,
            drops: typed(map::DROPS, open(map::DROPS)?)?,
            stats: typed(map::STATS, open(map::STATS)?)?,
            refusals: typed(map::REFUSALS, open(map::REFUSALS)?)?,
            max_entries,
            dir: dir.clone(),
        })
    }

    /// A map by name, for what is the same for every map.
    pub(super) fn data(&self, name: &'static str) -> Result<MapData, PinnedError> {
        open_map(&self.dir, name)
    }

    /// How many entries the map `name` of [`map::PINNED`] holds at most.
    pub fn max_entries(&self, name: &str) -> u32 {
        self.max_entries.get(name).copied().unwrap_or_default()
    }

    /// Every frontend.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn services(&self) -> Result<BTreeMap<ServiceKey, Service>, PinnedError> {
        self.entries(map::SERVICES)
    }

    /// Every endpoint index that was ever used; a free one has address 0.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn backends(&self) -> Result<BTreeMap<u32, Backend>, PinnedError> {
        /// Entries a call.
        const BATCH: usize = 4096;
        let data = self.data(map::BACKENDS)?;
        let (mut found, mut first, end) = (BTreeMap::new(), 1, self.backends.len());
        while first < end {
            let mut values = vec![0u8; BATCH.min((end - first) as usize) * size_of::<Backend>()];
            read_array(data.fd().as_fd(), first, size_of::<Backend>(), &mut values)
                .map_err(|source| named(map::BACKENDS)(MapError::IoError(source)))?;
            let backends = records::<Backend>(&values);
            let used = (first..).zip(backends).filter(|(_, backend)| *backend != Backend::default());
            found.extend(used);
            first += BATCH as u32;
        }
        Ok(found)
    }

    /// Every range of clients that a Service lets in.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn source_ranges(&self) -> Result<BTreeSet<SourceRangeKey>, PinnedError> {
        let keys = self.source_ranges.keys().map(|key| key.map(|key| source_range_key(&key)));
        keys.collect::<Result<_, _>>().map_err(named(map::SOURCE_RANGES))
    }

    /// Every node that encapsulated packets may come from.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn peers(&self) -> Result<BTreeSet<Address>, PinnedError> {
        self.peers.keys().collect::<Result<_, _>>().map_err(named(map::PEERS))
    }

    /// One endpoint.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn backend(&self, index: u32) -> Result<Backend, PinnedError> {
        self.backends.get(&index, 0).map_err(named(map::BACKENDS))
    }

    /// The slots of a service's ring, backend indices.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn ring(&self, service: &Service) -> Result<Vec<u32>, PinnedError> {
        self.slots(service.ring, service.ring_size)
    }

    /// The `size` slots of the ring that begins at `chunk`, as far as the map goes.
    pub(super) fn slots(&self, chunk: u32, size: u32) -> Result<Vec<u32>, PinnedError> {
        let chunks =
            size.div_ceil(CHUNK_SLOTS as u32).min(self.max_entries(map::RINGS).saturating_sub(chunk));
        let mut values = vec![0u8; chunks as usize * size_of::<RingChunk>()];
        if chunks > 0 {
            read_array(self.rings.fd().as_fd(), chunk, size_of::<RingChunk>(), &mut values)
                .map_err(|source| named(map::RINGS)(MapError::IoError(source)))?;
        }
        let mut slots: Vec<u32> = records::<RingChunk>(&values).flat_map(|chunk| chunk.slots).collect();
        slots.truncate(size as usize);
        Ok(slots)
    }

    /// Writes a ring that begins at `chunk`.
    pub(super) fn set_slots(&mut self, chunk: u32, slots: &Slots) -> Result<(), PinnedError> {
        let mut chunks = vec![RingChunk::default(); slots.len().div_ceil(CHUNK_SLOTS)];
        for (number, slot) in slots.iter().enumerate() {
            chunks[number / CHUNK_SLOTS].slots[number % CHUNK_SLOTS] = slot;
        }
        write_array(self.rings.fd().as_fd(), chunk, size_of::<RingChunk>(), chunks.as_bytes())
            .map_err(|source| named(map::RINGS)(MapError::IoError(source)))
    }

    /// Every entry of a hash map.
    fn entries<K: FromBytes + Ord, V: FromBytes>(
        &self,
        name: &'static str,
    ) -> Result<BTreeMap<K, V>, PinnedError> {
        let mut found = BTreeMap::new();
        self.each_entry(name, |key, value| drop(found.insert(key, value)))?;
        Ok(found)
    }

    /// Hands over every entry of a hash map, a batch a call to the kernel.
    pub(super) fn each_entry<K: FromBytes, V: FromBytes>(
        &self,
        name: &'static str,
        mut take: impl FnMut(K, V),
    ) -> Result<(), PinnedError> {
        let data = self.data(name)?;
        let (key, value) = (size_of::<K>() as u32, size_of::<V>() as u32);
        read_entries(data.fd().as_fd(), key, value, self.max_entries(name), |keys, values| {
            records(keys).zip(records(values)).for_each(|(key, value)| take(key, value));
        })
        .map_err(|source| named(name)(MapError::IoError(source)))
    }

    /// Devices by interface index.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn interfaces(&self) -> Result<BTreeMap<u32, Interface>, PinnedError> {
        self.entries(map::INTERFACES)
    }

    /// The frontend at a key.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn service(&self, key: &ServiceKey) -> Result<Option<Service>, PinnedError> {
        found(self.services.get(key, 0)).map_err(named(map::SERVICES))
    }

    /// The name of a service id.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn name(&self, id: u32) -> Result<Option<String>, PinnedError> {
        let name = found(self.names.get(&id, 0)).map_err(named(map::NAMES))?;
        Ok(name.map(|name| name.as_str().to_owned()))
    }

    /// Names by service id.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn names(&self) -> Result<BTreeMap<u32, String>, PinnedError> {
        let names: BTreeMap<u32, Name> = self.entries(map::NAMES)?;
        Ok(names.into_iter().map(|(id, name)| (id, name.as_str().to_owned())).collect())
    }

    /// What is asked for and not served.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn refusals(&self) -> Result<BTreeMap<u32, Refusal>, PinnedError> {
        self.entries(map::REFUSALS)
    }

    /// The current [`Runtime::epoch`].
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn epoch(&self) -> Result<u32, PinnedError> {
        Ok(self.runtime.get(&0, 0).map_err(named(map::RUNTIME))?.epoch)
    }
}

/// An error of the map `name`.
pub(super) fn named(name: &'static str) -> impl FnOnce(MapError) -> PinnedError {
    move |source| PinnedError::Map { name, source }
}

/// None where the key is not there.
fn found<T>(result: Result<T, MapError>) -> Result<Option<T>, MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(None),
        other => other.map(Some),
    }
}

pub(super) fn open_map(dir: &PinDir, name: &'static str) -> Result<MapData, PinnedError> {
    let path = dir.map(name);
    MapData::from_pin(&path).map_err(|source| match &source {
        MapError::SyscallError(SyscallError { io_error, .. }) => match io_error.kind() {
            io::ErrorKind::NotFound => PinnedError::Absent { path },
            io::ErrorKind::PermissionDenied => PinnedError::Denied { path },
            _ => PinnedError::Map { name, source },
        },
        _ => PinnedError::Map { name, source },
    })
}

pub(super) fn typed<M: TryFrom<Map, Error = MapError>>(
    name: &'static str,
    map: Map,
) -> Result<M, PinnedError> {
    M::try_from(map).map_err(named(name))
}

/// Records that lie one behind the other.
fn records<T: FromBytes>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(size_of::<T>()).filter_map(|record| T::read_from_bytes(record).ok())
}

/// aya keeps the length of a trie's prefix apart from the rest of its key.
pub(super) fn trie_key(key: &SourceRangeKey) -> Key<[u32; 5]> {
    let [a, b, c, d] = key.address.words_be;
    Key::new(key.prefix_len, [key.service_be, a, b, c, d])
}

fn source_range_key(key: &Key<[u32; 5]>) -> SourceRangeKey {
    let [service_be, a, b, c, d] = key.data();
    SourceRangeKey { prefix_len: key.prefix_len(), service_be, address: Address::v6([a, b, c, d]) }
}
