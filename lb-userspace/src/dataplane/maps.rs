//! The pinned maps as the planner's data plane.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    io,
    ops::RangeInclusive,
};

use aya::{
    maps::{MapError, PerCpuValues},
    sys::SyscallError,
};
use lb_common::{
    abi::map,
    backend::{BACKEND_LOCAL, Backend},
    filter::Bit,
    interface::Interface,
    name::Name,
    refusal::Refusal,
    runtime::Runtime,
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    stat::ServiceStats,
};
use lb_model::{
    op::{Capacity, DataPlane, Op, Tables},
    ring_ref::RingRef,
};

use super::pinned::{Pinned, PinnedError, named, trie_key};

/// The maps, for writing.
pub struct Maps {
    pinned: Pinned,
    cpus: usize,
}

impl Maps {
    /// The maps behind `pinned`; the epoch is started where it never was.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub fn new(pinned: Pinned) -> Result<Self, PinnedError> {
        let cpus = aya::util::nr_cpus()
            .map_err(|(_, source)| named(map::SERVICE_STATS)(MapError::IoError(source)))?;
        let mut maps = Self { pinned, cpus };
        if maps.pinned.epoch()? == 0 {
            maps.raise_epoch()?;
        }
        maps.repair_filter()?;
        Ok(maps)
    }

    /// Sets the filter's bits for what the maps hold: an entry without its bit is never looked up.
    fn repair_filter(&mut self) -> Result<(), PinnedError> {
        for (key, service) in self.pinned.services()? {
            self.set_filter(filter_bit(&key, &service))?;
        }
        for backend in self.pinned.backends()?.values().filter(|backend| backend.flags & BACKEND_LOCAL != 0) {
            self.set_filter(Bit::endpoint_port(backend.port_be))?;
        }
        Ok(())
    }

    /// Has all programs look up what is addressed to these ports. Ours do so unasked, for the replies to flows that have
    /// their source port there; those that come after with another range have to for as long as these flows live.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn admit_ports(&mut self, range: RangeInclusive<u16>) -> Result<(), PinnedError> {
        let mut words: BTreeMap<u32, u64> = BTreeMap::new();
        for bit in range.map(|port| Bit::frontend_port(port.to_be())) {
            *words.entry(bit.word()).or_default() |= bit.mask();
        }
        words.into_iter().try_for_each(|(word, mask)| self.set_filter_bits(word, mask))
    }

    /// For reading.
    pub fn pinned(&self) -> &Pinned {
        &self.pinned
    }

    /// Makes every flow check its endpoint and its next hop once.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn raise_epoch(&mut self) -> Result<(), PinnedError> {
        let epoch = match self.pinned.epoch()?.wrapping_add(1) {
            0 => 1,
            epoch => epoch,
        };
        self.pinned.runtime.set(0, Runtime { epoch, _pad: 0 }, 0).map_err(named(map::RUNTIME))
    }

    /// Makes the `interfaces` map hold exactly `wanted`; true where it held something else.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn set_interfaces(&mut self, wanted: &BTreeMap<u32, Interface>) -> Result<bool, PinnedError> {
        let found = self.pinned.interfaces()?;
        for index in found.keys().filter(|index| !wanted.contains_key(index)) {
            removed(self.pinned.interfaces.remove(index)).map_err(named(map::INTERFACES))?;
        }
        for (index, interface) in
            wanted.iter().filter(|(index, interface)| found.get(index) != Some(interface))
        {
            self.pinned.interfaces.insert(index, interface, 0).map_err(named(map::INTERFACES))?;
        }
        Ok(found != *wanted)
    }

    /// Makes the `refusals` map hold `wanted`, as far as it has room, and nothing else.
    ///
    /// # Errors
    /// Where the map does not answer.
    pub fn set_refusals(&mut self, wanted: impl Iterator<Item = Refusal>) -> Result<(), PinnedError> {
        let room = self.pinned.max_entries(map::REFUSALS);
        let mut missing: BTreeSet<_> = wanted.take(room as usize).collect();
        let mut kept = BTreeSet::new();
        for (index, record) in self.pinned.refusals()? {
            if missing.remove(&record) {
                kept.insert(index);
            } else {
                removed(self.pinned.refusals.remove(&index)).map_err(named(map::REFUSALS))?;
            }
        }
        let free = (0..room).filter(|index| !kept.contains(index));
        for (index, record) in free.zip(missing) {
            self.pinned.refusals.insert(index, record, 0).map_err(named(map::REFUSALS))?;
        }
        Ok(())
    }

    /// Sets a bit of the filter, which must be there before the entry that needs it.
    fn set_filter(&mut self, bit: Bit) -> Result<(), PinnedError> {
        self.set_filter_bits(bit.word(), bit.mask())
    }

    fn set_filter_bits(&mut self, word: u32, mask: u64) -> Result<(), PinnedError> {
        let found = self.pinned.filter.get(&word, 0).map_err(named(map::FILTER))?;
        if found & mask == mask {
            return Ok(());
        }
        self.pinned.filter.set(word, found | mask, 0).map_err(named(map::FILTER))
    }

    fn set_service(&mut self, key: ServiceKey, service: Service) -> Result<(), PinnedError> {
        self.set_filter(filter_bit(&key, &service))?;
        self.pinned.services.insert(key, service, 0).map_err(named(map::SERVICES))
    }

    fn set_backend(&mut self, index: u32, backend: Backend) -> Result<(), PinnedError> {
        if backend.flags & BACKEND_LOCAL != 0 {
            self.set_filter(Bit::endpoint_port(backend.port_be))?;
        }
        self.pinned.backends.set(index, backend, 0).map_err(named(map::BACKENDS))
    }

    fn remove_name(&mut self, id: u32) -> Result<(), PinnedError> {
        let zero = PerCpuValues::try_from(vec![ServiceStats::default(); self.cpus])
            .map_err(|source| named(map::SERVICE_STATS)(MapError::IoError(source)))?;
        self.pinned.service_stats.set(id, zero, 0).map_err(named(map::SERVICE_STATS))?;
        removed(self.pinned.names.remove(&id)).map_err(named(map::NAMES))
    }
}

impl DataPlane for Maps {
    type Error = PinnedError;

    fn dump(&mut self) -> Result<Tables, PinnedError> {
        let services = self.pinned.services()?;
        let mut rings = BTreeMap::new();
        for found in services.values().flat_map(RingRef::of) {
            if let Entry::Vacant(ring) = rings.entry(found.chunk) {
                ring.insert(self.pinned.slots(found.chunk, found.size)?.into());
            }
        }
        Ok(Tables {
            services,
            backends: self.pinned.backends()?,
            rings,
            names: self.pinned.names()?,
            source_ranges: self.pinned.source_ranges()?,
            peers: self.pinned.peers()?,
        })
    }

    /// One map, and one ring, after the other: two copies of all of them would be most of what the agent keeps in memory.
    fn holds(&mut self, believed: &Tables) -> Result<bool, PinnedError> {
        let pinned = &self.pinned;
        let same = pinned.services()? == believed.services
            && pinned.backends()? == believed.backends
            && pinned.names()? == believed.names
            && pinned.source_ranges()? == believed.source_ranges
            && pinned.peers()? == believed.peers;
        if !same {
            return Ok(false);
        }
        for (chunk, slots) in &believed.rings {
            if !pinned.slots(*chunk, slots.len() as u32)?.into_iter().eq(slots.iter()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn apply(&mut self, op: &Op) -> Result<(), PinnedError> {
        match op {
            Op::SetBackend { index, backend } => self.set_backend(*index, *backend),
            Op::SetRing { chunk, slots } => self.pinned.set_slots(*chunk, slots),
            Op::SetName { id, name } => {
                self.pinned.names.insert(id, Name::new(name), 0).map_err(named(map::NAMES))
            }
            Op::SetService { key, service } => self.set_service(*key, *service),
            Op::SetSourceRange { key } => {
                self.pinned.source_ranges.insert(&trie_key(key), 1, 0).map_err(named(map::SOURCE_RANGES))
            }
            Op::SetPeer { address } => self.pinned.peers.insert(address, 1, 0).map_err(named(map::PEERS)),
            Op::RemoveSourceRange { key } => {
                removed(self.pinned.source_ranges.remove(&trie_key(key))).map_err(named(map::SOURCE_RANGES))
            }
            Op::RemovePeer { address } => {
                removed(self.pinned.peers.remove(address)).map_err(named(map::PEERS))
            }
            Op::RemoveService { key } => {
                removed(self.pinned.services.remove(key)).map_err(named(map::SERVICES))
            }
            Op::RemoveName { id } => self.remove_name(*id),
            Op::RemoveBackend { index, generation } => {
                self.set_backend(*index, Backend { generation: *generation, ..Backend::default() })
            }
            Op::RaiseEpoch => self.raise_epoch(),
        }
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            services: self.pinned.max_entries(map::SERVICES),
            chunks: self.pinned.max_entries(map::RINGS),
            backends: self.pinned.max_entries(map::BACKENDS),
            source_ranges: self.pinned.max_entries(map::SOURCE_RANGES),
            peers: self.pinned.max_entries(map::PEERS),
        }
    }
}

/// The filter's bit that a frontend needs.
fn filter_bit(key: &ServiceKey, service: &Service) -> Bit {
    if service.flags & SERVICE_CATCH_ALL != 0 {
        Bit::vip_of(key.address)
    } else {
        Bit::frontend_port(key.port_be)
    }
}

/// What is gone already need not be removed.
fn removed(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::SyscallError(SyscallError { io_error, .. }))
            if io_error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        other => other,
    }
}
