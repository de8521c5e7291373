//! The kernel's side.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use aya::{
    Pod,
    maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, RingBuf, lpm_trie},
    util::nr_cpus,
};
use lb_common::{
    abi::{map, program},
    address::{Address, V4, V6},
    backend::Backend,
    drop_reason::DropReason,
    flow::{Flow, FlowKey, RestoreBucket},
    host::Outcome,
    interface,
    limit::{BUCKETS, Bucket},
    monitor::{Event, Monitor},
    ring::RingChunk,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::{ServiceStats, Stat},
    time::Tick,
};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use super::{Device, Hook, Packet, Step, state::State, step::Write};
use crate::{
    lab::{Devices, Lab},
    prog::{Programs, Sizes, run},
};

/// Restore buckets of each family: few, so that flows meet in them.
pub(super) const RESTORE_BUCKETS: u32 = 64;
/// Service ids.
pub(super) const SERVICES: u32 = 32;

/// The programs in a namespace of their own.
pub struct Kernel {
    lab: Lab,
    /// The CPU that everything runs on.
    cpu: usize,
    now: Tick,
    /// Where a monitor that asks for everything is told.
    events: RingBuf<MapData>,
    /// What was written, to be taken back.
    undo: Undo,
}

#[derive(Default)]
struct Undo {
    filter: BTreeSet<u32>,
    services: BTreeSet<ServiceKey>,
    rings: BTreeSet<u32>,
    backends: BTreeSet<u32>,
    source_ranges: BTreeSet<SourceRangeKey>,
    peers: BTreeSet<Address>,
    interfaces: BTreeSet<u32>,
}

impl Kernel {
    /// Loads the programs, and [enters](Self::enter).
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn new() -> Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let sizes =
            Sizes { flows: 1 << 16, restore: RESTORE_BUCKETS, services: SERVICES * 4, ..Sizes::default() };
        let mut lab = Lab::with_fed_clock(sizes)?;
        for device in [lab.devices.up, lab.devices.down, lab.devices.overlay] {
            lab.programs.hash::<u32, interface::Interface>(map::INTERFACES)?.remove(&device)?;
        }
        let everything =
            Monitor { until: u64::MAX, interval: 0, burst: u64::MAX, kinds: u32::MAX, reasons: u32::MAX };
        lab.programs.array(map::MONITOR)?.set(0, everything, 0)?;
        let events = RingBuf::try_from(lab.programs.ebpf.take_map(map::EVENTS).context("no such map")?)?;
        let cpu = first.context("no CPU to run on")?;
        let mut kernel = Self { lab, cpu, now: 0, events, undo: Undo::default() };
        kernel.enter()?;
        kernel.reset()?;
        Ok(kernel)
    }

    /// Takes the calling thread into the namespace, and to the one CPU whose counters are read.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        let mut one = CpuSet::new();
        one.set(self.cpu)?;
        sched_setaffinity(Pid::from_raw(0), &one).context("staying on one CPU")?;
        self.lab.enter()
    }

    /// Devices of the namespace.
    pub const fn devices(&self) -> Devices {
        self.lab.devices
    }

    /// The programs and their maps.
    pub fn programs(&mut self) -> &mut Programs {
        &mut self.lab.programs
    }

    /// Takes a step; what became of the packet if it is one.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn take(&mut self, step: &Step) -> Result<Option<Outcome>> {
        if let Step::Packet(packet) = step {
            return self.run(packet).map(Some);
        }
        let devices = self.lab.devices;
        step.writes(&devices).into_iter().try_for_each(|write| self.write(write))?;
        Ok(None)
    }

    /// What a monitor was told since this was last asked; the time of day apart.
    pub fn told(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        while let Some(item) = self.events.next() {
            told.extend(Event::read(&item).map(|event| Event { time: 0, ..event }));
        }
        told
    }

    fn run(&self, packet: &Packet) -> Result<Outcome> {
        let programs = &self.lab.programs;
        let by = (packet.by != Device::Loopback).then(|| packet.by.index(&self.lab.devices));
        let done = match packet.hook {
            Hook::Xdp => run(programs.xdp(program::XDP), &packet.frame, by),
            Hook::Ingress => run(programs.tcx(program::TCX_INGRESS), &packet.frame, None),
            Hook::Egress => run(programs.tcx(program::TCX_EGRESS), &packet.frame, None),
        };
        let done = done.with_context(|| format!("{:?}", Step::Packet(packet.clone())))?;
        Ok(Outcome { verdict: done.verdict, frame: done.packet })
    }

    fn write(&mut self, write: Write) -> Result<()> {
        let (programs, undo) = (&mut self.lab.programs, &mut self.undo);
        match write {
            Write::Wait(ticks) => {
                self.now = self.now.wrapping_add(ticks);
                programs.set_clock(self.now)?;
            }
            Write::Epoch(epoch) => programs.set_epoch(epoch)?,
            Write::Filter(bit) => {
                undo.filter.insert(bit.word());
                programs.set_filter(bit)?;
            }
            Write::Service(key, Some(service)) => {
                undo.services.insert(key);
                programs.hash(map::SERVICES)?.insert(key, service, 0)?;
            }
            Write::Service(key, None) => forget(programs.hash::<ServiceKey, Service>(map::SERVICES)?, &key)?,
            Write::Ring(first, chunks) => {
                let mut rings = programs.array(map::RINGS)?;
                for (chunk, slots) in (first..).zip(chunks) {
                    undo.rings.insert(chunk);
                    rings.set(chunk, slots, 0)?;
                }
            }
            Write::Backend(index, backend) => {
                undo.backends.insert(index);
                programs.array(map::BACKENDS)?.set(index, backend, 0)?;
            }
            Write::SourceRange(range) => {
                undo.source_ranges.insert(range);
                self.source_ranges()?.insert(&lpm_key(&range), 1, 0)?;
            }
            Write::Peer(address) => {
                undo.peers.insert(address.into());
                programs.hash(map::PEERS)?.insert(Address::from(address), 1u32, 0)?;
            }
            Write::Interface(ifindex, interface) => {
                undo.interfaces.insert(ifindex);
                programs.set_interface(ifindex, interface)?;
            }
            Write::Spent(bucket, spent) => {
                let value = Bucket { spent, filled: self.now };
                self.set_per_cpu(map::LIMITS, &[bucket], value)?;
            }
            Write::Evict(tuple) if tuple.src.0.is_ipv4() => {
                forget(programs.hash::<FlowKey<V4>, Flow<V4>>(map::FLOWS)?, &tuple.key())?;
            }
            Write::Evict(tuple) => {
                forget(programs.hash::<FlowKey<V6>, Flow<V6>>(map::FLOWS6)?, &tuple.key())?;
            }
        }
        Ok(())
    }

    fn source_ranges(&mut self) -> Result<LpmTrie<&mut MapData, [u32; 5], u32>> {
        let map = self.lab.programs.ebpf.map_mut(map::SOURCE_RANGES).context("no such map")?;
        Ok(LpmTrie::try_from(map)?)
    }

    /// What packets wrote.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn state(&mut self) -> Result<State> {
        Ok(State {
            flows: self.entries(map::FLOWS)?,
            flows6: self.entries(map::FLOWS6)?,
            restore: self.elements(map::RESTORE)?,
            restore6: self.elements(map::RESTORE6)?,
            fragments: self.entries(map::FRAGMENTS)?,
            affinity: self.entries(map::AFFINITY)?,
            limits: self.per_cpu(map::LIMITS, BUCKETS)?,
            service_stats: self.per_cpu(map::SERVICE_STATS, SERVICES)?,
            drops: self.per_cpu(map::DROPS, DropReason::COUNT)?,
            stats: self.per_cpu(map::STATS, Stat::COUNT)?,
        })
    }

    fn entries<K: Pod + Ord, V: Pod>(&mut self, name: &str) -> Result<BTreeMap<K, V>> {
        Ok(self.lab.programs.hash(name)?.iter().collect::<Result<_, _>>()?)
    }

    /// Restore buckets that are not free.
    fn elements<V: Pod + Default + PartialEq>(&mut self, name: &str) -> Result<BTreeMap<u32, V>> {
        let map: Array<_, V> = self.lab.programs.array(name)?;
        let values = (0..RESTORE_BUCKETS).map(|index| Ok((index, map.get(&index, 0)?)));
        let values: Result<Vec<_>> = values.collect();
        Ok(values?.into_iter().filter(|(_, value)| *value != V::default()).collect())
    }

    /// Elements that some CPU has written; each is written by one alone.
    fn per_cpu<V: Pod + Default + PartialEq>(&mut self, name: &str, count: u32) -> Result<BTreeMap<u32, V>> {
        let map = self.lab.programs.ebpf.map_mut(name).context("no such map")?;
        let map: PerCpuArray<_, V> = PerCpuArray::try_from(map)?;
        let mut found = BTreeMap::new();
        for index in 0..count {
            for value in map.get(&index, 0)?.iter().filter(|value| **value != V::default()) {
                found.insert(index, *value);
            }
        }
        Ok(found)
    }

    /// Empties every map.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn reset(&mut self) -> Result<()> {
        let state = self.state()?;
        let undo = std::mem::take(&mut self.undo);
        for range in &undo.source_ranges {
            self.source_ranges()?.remove(&lpm_key(range))?;
        }
        let programs = &mut self.lab.programs;
        state
            .flows
            .keys()
            .try_for_each(|key| forget(programs.hash::<FlowKey<V4>, Flow<V4>>(map::FLOWS)?, key))?;
        state
            .flows6
            .keys()
            .try_for_each(|key| forget(programs.hash::<FlowKey<V6>, Flow<V6>>(map::FLOWS6)?, key))?;
        for key in state.fragments.keys() {
            programs.hash::<_, lb_common::fragment::FragmentPorts>(map::FRAGMENTS)?.remove(key)?;
        }
        for key in state.affinity.keys() {
            programs.hash::<_, lb_common::affinity::Affinity>(map::AFFINITY)?.remove(key)?;
        }
        for key in &undo.services {
            forget(programs.hash::<_, Service>(map::SERVICES)?, key)?;
        }
        for key in &undo.peers {
            programs.hash::<_, u32>(map::PEERS)?.remove(key)?;
        }
        for key in &undo.interfaces {
            programs.hash::<_, interface::Interface>(map::INTERFACES)?.remove(key)?;
        }
        zero::<RestoreBucket<V4>>(programs.array(map::RESTORE)?, state.restore.keys())?;
        zero::<RestoreBucket<V6>>(programs.array(map::RESTORE6)?, state.restore6.keys())?;
        zero::<u64>(programs.array(map::FILTER)?, undo.filter.iter())?;
        zero::<RingChunk>(programs.array(map::RINGS)?, undo.rings.iter())?;
        zero::<Backend>(programs.array(map::BACKENDS)?, undo.backends.iter())?;
        self.set_per_cpu(map::LIMITS, &keys(&state.limits), Bucket::default())?;
        self.set_per_cpu(map::SERVICE_STATS, &keys(&state.service_stats), ServiceStats::default())?;
        self.set_per_cpu(map::DROPS, &keys(&state.drops), u64::default())?;
        self.set_per_cpu(map::STATS, &keys(&state.stats), u64::default())?;
        self.now = 0;
        self.lab.programs.set_clock(0)?;
        self.lab.programs.set_epoch(0)
    }

    /// Writes this CPU's elements, and zeros into the others'.
    fn set_per_cpu<V: Pod + Default>(&mut self, name: &str, indices: &[u32], value: V) -> Result<()> {
        let map = self.lab.programs.ebpf.map_mut(name).context("no such map")?;
        let mut map: PerCpuArray<_, V> = PerCpuArray::try_from(map)?;
        let cpus = nr_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?;
        for index in indices {
            let values = (0..cpus).map(|cpu| if cpu == self.cpu { value } else { V::default() });
            map.set(*index, values.collect::<Vec<_>>().try_into()?, 0)?;
        }
        Ok(())
    }
}

fn zero<'a, V: Pod + Default>(
    mut map: Array<&mut MapData, V>,
    mut indices: impl Iterator<Item = &'a u32>,
) -> Result<()> {
    indices.try_for_each(|index| Ok(map.set(*index, V::default(), 0)?))
}

fn keys<V>(map: &BTreeMap<u32, V>) -> Vec<u32> {
    map.keys().copied().collect()
}

/// Removes a key that may not be there.
fn forget<K: Pod, V: Pod>(mut map: HashMap<&mut MapData, K, V>, key: &K) -> Result<()> {
    match map.remove(key) {
        Ok(()) | Err(aya::maps::MapError::KeyNotFound) => Ok(()),
        Err(aya::maps::MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn lpm_key(range: &SourceRangeKey) -> lpm_trie::Key<[u32; 5]> {
    let [a, b, c, d] = range.address.words_be;
    lpm_trie::Key::new(range.prefix_len, [range.service_be, a, b, c, d])
}
