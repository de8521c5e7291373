//! What the kernel keeps in maps.

use std::{
    cell::{RefCell, UnsafeCell},
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use crate::{
    abi::capacity,
    address::{Address, IpAddress, V4, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    drop_reason::DropReason,
    filter::{self, Bit},
    flow::{Flow, FlowKey, RestoreBucket},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    limit::{BUCKETS, Bucket},
    monitor::Event,
    pipeline::{FIB_NOT_FORWARDED, Route},
    ring::{self, CHUNK_SLOTS, RingChunk},
    service::{Service, ServiceKey},
    snat,
    source_range::SourceRangeKey,
    stat::{ServiceStats, Stat},
    time::Tick,
    workspace::Workspace,
};

/// Every map. What packets write is behind cells, because the pipeline holds its hook by a shared reference.
#[derive(Debug)]
pub struct Tables {
    /// Now.
    pub now: Tick,
    /// See [`Runtime::epoch`](crate::runtime::Runtime::epoch).
    pub epoch: u32,
    /// Lowest and highest SNAT port.
    pub snat_ports: (u16, u16),
    /// Flows that a CPU may open a tick, 0 for any number.
    pub new_flows_per_tick: u32,
    /// Number of restore buckets, a power of two, minus one.
    pub restore_mask: u32,
    /// Frontends.
    pub services: BTreeMap<ServiceKey, Service>,
    /// Ring chunks; those that were never written hold zeros.
    pub rings: BTreeMap<u32, RingChunk>,
    /// Endpoints; those that were never written hold zeros.
    pub backends: BTreeMap<u32, Backend>,
    /// Devices.
    pub interfaces: BTreeMap<u32, Interface>,
    /// Ranges of services that are limited to some.
    pub source_ranges: BTreeSet<SourceRangeKey>,
    /// Nodes that may send encapsulated packets.
    pub peers: BTreeSet<Address>,
    /// Words of the filter.
    pub filter: Vec<u64>,
    /// Routes by destination.
    pub routes: BTreeMap<Destination, Route<Address>>,
    /// What is kept for IPv4.
    pub ipv4: FamilyTables<V4>,
    /// What is kept for IPv6.
    pub ipv6: FamilyTables<V6>,
    /// Ports of fragmented datagrams.
    pub fragments: RefCell<BTreeMap<FragmentKey, FragmentPorts>>,
    /// Clients' endpoints.
    pub affinity: RefCell<BTreeMap<AffinityKey, Affinity>>,
    /// Token buckets of one CPU.
    pub limits: RefCell<[Bucket; BUCKETS as usize]>,
    /// Counters of services.
    pub service_stats: RefCell<BTreeMap<u32, ServiceStats>>,
    /// Drops by reason.
    pub drops: RefCell<[u64; DropReason::COUNT as usize]>,
    /// Events.
    pub stats: RefCell<[u64; Stat::COUNT as usize]>,
    /// What a monitor was told since somebody last took it away.
    pub told: RefCell<Vec<Event>>,
}

/// What is kept for each family apart.
#[derive(Debug, Default)]
pub struct FamilyTables<A> {
    /// Flow halves.
    pub flows: RefCell<BTreeMap<FlowKey<A>, Flow<A>>>,
    /// Restore buckets; those that were never written hold zeros.
    pub restore: RefCell<BTreeMap<u32, RestoreBucket<A>>>,
    pub(super) workspace: UnsafeCell<Workspace<A>>,
}

/// A route's destination: of all that hold an address the longest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// Length of the prefix, bits of [`Address`].
    pub bits: u32,
    /// Its address.
    pub address: Address,
}

/// A family and its tables.
pub trait Family: IpAddress {
    /// The family's tables.
    fn of(tables: &Tables) -> &FamilyTables<Self>;
}

impl Family for V4 {
    fn of(tables: &Tables) -> &FamilyTables<Self> {
        &tables.ipv4
    }
}

impl Family for V6 {
    fn of(tables: &Tables) -> &FamilyTables<Self> {
        &tables.ipv6
    }
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            now: 0,
            epoch: 0,
            snat_ports: (snat::PORT_MIN, snat::PORT_MAX),
            new_flows_per_tick: 0,
            restore_mask: capacity::RESTORE - 1,
            services: BTreeMap::new(),
            rings: BTreeMap::new(),
            backends: BTreeMap::new(),
            interfaces: BTreeMap::new(),
            source_ranges: BTreeSet::new(),
            peers: BTreeSet::new(),
            filter: std::vec![0; filter::WORDS as usize],
            routes: BTreeMap::new(),
            ipv4: FamilyTables::default(),
            ipv6: FamilyTables::default(),
            fragments: RefCell::default(),
            affinity: RefCell::default(),
            limits: RefCell::default(),
            service_stats: RefCell::default(),
            drops: RefCell::default(),
            stats: RefCell::default(),
            told: RefCell::default(),
        }
    }
}

impl Tables {
    /// Sets a bit of the filter.
    pub fn set_filter(&mut self, bit: Bit) {
        self.filter[bit.word() as usize] |= bit.mask();
    }

    /// Writes a ring of `backends`, slot by slot in turn, and returns its number of slots.
    pub fn set_ring(&mut self, first: u32, backends: &[u32]) -> u32 {
        let size = ring::size_for(backends.len());
        self.rings.extend((first..).zip(ring_chunks(backends)));
        size
    }

    /// Writes a route.
    pub fn set_route(&mut self, address: Address, bits: u32, route: Route<Address>) {
        let bits = bits + if address.is_v4() { 96 } else { 0 };
        self.routes.insert(Destination { bits, address }, route);
    }

    /// Packets dropped for a reason.
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.drops.borrow()[reason as usize]
    }

    /// Events counted.
    pub fn events(&self, stat: Stat) -> u64 {
        self.stats.borrow()[stat as usize]
    }

    /// The route to an address.
    pub(super) fn route(&self, to: Address) -> Route<Address> {
        let unknown =
            Route { code: FIB_NOT_FORWARDED, ifindex: 0, macs: [0; 3], source_be: Address::NONE, mtu: 0 };
        let longest = self.routes.iter().rev().find(|(route, _)| holds(route.address, route.bits, to));
        longest.map_or(unknown, |(_, route)| *route)
    }

    /// True where a client is inside a service's ranges.
    pub(super) fn admits(&self, service: u32, client: Address) -> bool {
        self.source_ranges.iter().any(|range| {
            range.service() == service
                && range.prefix_len >= 32
                && holds(range.address, range.prefix_len - 32, client)
        })
    }
}

/// Chunks of a ring that holds `backends` slot by slot in turn.
pub fn ring_chunks(backends: &[u32]) -> Vec<RingChunk> {
    let mut turns = backends.iter().copied().cycle();
    let mut chunk = || core::array::from_fn(|_| turns.next().unwrap_or(0));
    (0..ring::chunks(ring::size_for(backends.len()))).map(|_| RingChunk { slots: chunk() }).collect()
}

const _: () = assert!(CHUNK_SLOTS == 16);

/// True where the first `bits` bits of two addresses are the same.
fn holds(prefix: Address, bits: u32, address: Address) -> bool {
    let number = |address: Address| u128::from_be_bytes(zerocopy::transmute!(address));
    let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
    (number(prefix) ^ number(address)) & mask == 0
}
