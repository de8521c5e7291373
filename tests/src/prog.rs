//! The kernel programs, loaded without an agent: maps filled by hand, packets in and out through `test_run`.

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunOptions,
    maps::{Array, HashMap, MapData, PerCpuArray},
    programs::{SchedClassifier, Xdp},
};
use lb_common::{
    abi::{global, map, program},
    backend::{BACKEND_LOCAL, Backend},
    drop_reason::DropReason,
    filter::Bit,
    flow::{Flow, FlowKey},
    interface::Interface,
    limit,
    ring::{CHUNK_SLOTS, RingChunk},
    runtime::Runtime,
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    stat::{ServiceStats, Stat},
    time::Tick,
};
use lb_userspace::dataplane::loader::{fib_knows_source, uninterrupted};

/// Sizes of the maps; small by default, because every load allocates them anew.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Flow halves.
    pub flows: u32,
    /// Restore buckets, a power of two.
    pub restore: u32,
    /// Frontends and service ids.
    pub services: u32,
    /// Endpoints.
    pub backends: u32,
    /// Ring chunks.
    pub chunks: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { flows: 4096, restore: 4096, services: 256, backends: 256, chunks: 4096 }
    }
}

/// The loaded object.
pub struct Programs {
    /// Maps and programs.
    pub ebpf: Ebpf,
    next_chunk: u32,
}

impl Programs {
    /// Loads the object's maps and every program.
    ///
    /// # Errors
    /// Where the kernel refuses, with the verifier's log.
    pub fn load(sizes: Sizes) -> Result<Self> {
        Self::load_with(sizes, false)
    }

    /// As [`load`](Self::load); with `fed_clock` time is what [`set_clock`](Self::set_clock) says, and new flows are limited
    /// as answers are.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_with(sizes: Sizes, fed_clock: bool) -> Result<Self> {
        let mask = sizes.restore - 1;
        let fib_src = u8::from(fib_knows_source());
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries(map::FLOWS, sizes.flows)
            .map_max_entries(map::RESTORE, sizes.restore)
            .map_max_entries(map::FLOWS6, sizes.flows)
            .map_max_entries(map::RESTORE6, sizes.restore)
            .map_max_entries(map::SERVICES, sizes.services)
            .map_max_entries(map::SERVICE_STATS, sizes.services)
            .map_max_entries(map::NAMES, sizes.services)
            .map_max_entries(map::BACKENDS, sizes.backends)
            .map_max_entries(map::RINGS, sizes.chunks)
            .override_global(global::RESTORE_MASK, &mask, true)
            .override_global(global::RESTORE6_MASK, &mask, true)
            .override_global(global::FIB_SRC, &fib_src, true);
        let fed = u8::from(fed_clock);
        let new_flows_per_tick = if fed_clock { limit::ANSWERS_PER_TICK } else { 0 };
        loader.override_global(global::FED_CLOCK, &fed, true).override_global(
            global::NEW_FLOWS_PER_TICK,
            &new_flows_per_tick,
            true,
        );
        let mut ebpf = loader.load(&object()?).context("loading the BPF object")?;
        for name in [program::XDP, program::PASS] {
            let xdp: &mut Xdp = ebpf.program_mut(name).context(name)?.try_into()?;
            uninterrupted(|| xdp.load()).context(name)?;
        }
        for name in [program::TCX_INGRESS, program::TCX_INGRESS_L3, program::TCX_EGRESS] {
            let tcx: &mut SchedClassifier = ebpf.program_mut(name).context(name)?.try_into()?;
            uninterrupted(|| tcx.load()).context(name)?;
        }
        let mut programs = Self { ebpf, next_chunk: 0 };
        programs.begin()?;
        Ok(programs)
    }

    /// Writes into empty maps what every test begins with.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.next_chunk = 0;
        self.set_epoch(1)
    }

    /// The XDP program `name`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn xdp(&self, name: &str) -> &Xdp {
        self.ebpf
            .program(name)
            .and_then(|program| program.try_into().ok())
            .unwrap_or_else(|| panic!("no XDP {name}"))
    }

    /// The tcx program `name`.
    ///
    /// # Panics
    /// Where there is none.
    pub fn tcx(&self, name: &str) -> &SchedClassifier {
        self.ebpf
            .program(name)
            .and_then(|program| program.try_into().ok())
            .unwrap_or_else(|| panic!("no tcx {name}"))
    }

    /// A hash map by name.
    ///
    /// # Errors
    /// Where there is none of that shape.
    pub fn hash<K: aya::Pod, V: aya::Pod>(&mut self, name: &str) -> Result<HashMap<&mut MapData, K, V>> {
        Ok(HashMap::try_from(self.ebpf.map_mut(name).context("no such map")?)?)
    }

    /// An array by name.
    ///
    /// # Errors
    /// Where there is none of that shape.
    pub fn array<V: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, V>> {
        Ok(Array::try_from(self.ebpf.map_mut(name).context("no such map")?)?)
    }

    /// Sets the epoch.
    ///
    /// # Errors
    /// What the map answers.
    pub fn set_epoch(&mut self, epoch: u32) -> Result<()> {
        Ok(self.array(map::RUNTIME)?.set(0, Runtime { epoch, _pad: 0 }, 0)?)
    }

    /// Sets the clock of programs that were loaded with one to be fed.
    ///
    /// # Errors
    /// What the map answers.
    pub fn set_clock(&mut self, now: Tick) -> Result<()> {
        Ok(self.array(map::CLOCK)?.set(0, now, 0)?)
    }

    /// Declares a device.
    ///
    /// # Errors
    /// What the map answers.
    pub fn set_interface(&mut self, ifindex: u32, interface: Interface) -> Result<()> {
        Ok(self.hash(map::INTERFACES)?.insert(ifindex, interface, 0)?)
    }

    /// Sets a bit of the filter.
    ///
    /// # Errors
    /// What the map answers.
    pub fn set_filter(&mut self, bit: Bit) -> Result<()> {
        let mut filter = self.array(map::FILTER)?;
        let word: u64 = filter.get(&bit.word(), 0)?;
        Ok(filter.set(bit.word(), word | bit.mask(), 0)?)
    }

    /// Writes an endpoint.
    ///
    /// # Errors
    /// What the map answers.
    pub fn set_backend(&mut self, index: u32, backend: Backend) -> Result<()> {
        if backend.flags & BACKEND_LOCAL != 0 {
            self.set_filter(Bit::endpoint_port(backend.port_be))?;
        }
        Ok(self.array(map::BACKENDS)?.set(index, backend, 0)?)
    }

    /// Writes a frontend whose ring holds `backends`, slot by slot in turn.
    ///
    /// # Errors
    /// What the maps answer.
    pub fn set_service(&mut self, key: ServiceKey, id: u32, flags: u32, backends: &[u32]) -> Result<()> {
        let size = lb_common::ring::size_for(backends.len());
        let first = self.next_chunk;
        self.next_chunk += lb_common::ring::chunks(size);
        let mut rings: Array<_, RingChunk> = self.array(map::RINGS)?;
        for chunk in 0..lb_common::ring::chunks(size) {
            let mut slots = [0; CHUNK_SLOTS];
            for (offset, slot) in slots.iter_mut().enumerate() {
                *slot = backends[(chunk as usize * CHUNK_SLOTS + offset) % backends.len()];
            }
            rings.set(first + chunk, RingChunk { slots }, 0)?;
        }
        self.set_filter(Bit::frontend_port(key.port_be))?;
        let service = Service { id, ring: first, ring_size: size, flags, ..Service::default() };
        Ok(self.hash(map::SERVICES)?.insert(key, service, 0)?)
    }

    /// Writes a frontend without endpoints, or a VIP's catch-all.
    ///
    /// # Errors
    /// What the maps answer.
    pub fn set_empty_service(&mut self, key: ServiceKey, id: u32, flags: u32) -> Result<()> {
        let catch_all = flags & SERVICE_CATCH_ALL != 0;
        self.set_filter(if catch_all { Bit::vip_of(key.address) } else { Bit::frontend_port(key.port_be) })?;
        Ok(self.hash(map::SERVICES)?.insert(key, Service { id, flags, ..Service::default() }, 0)?)
    }

    /// A flow half, if the table has it.
    ///
    /// # Errors
    /// What the map answers, other than that the key is absent.
    pub fn flow(&mut self, key: &FlowKey) -> Result<Option<Flow>> {
        match self.hash(map::FLOWS)?.get(key, 0) {
            Ok(flow) => Ok(Some(flow)),
            Err(aya::maps::MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every half in the table.
    ///
    /// # Errors
    /// What the map answers.
    pub fn flows(&mut self) -> Result<Vec<(FlowKey, Flow)>> {
        Ok(self.hash(map::FLOWS)?.iter().collect::<Result<_, _>>()?)
    }

    /// Packets dropped for a reason.
    ///
    /// # Errors
    /// What the map answers.
    pub fn drops(&mut self, reason: DropReason) -> Result<u64> {
        self.counter(map::DROPS, reason as u32)
    }

    /// Events counted.
    ///
    /// # Errors
    /// What the map answers.
    pub fn events(&mut self, stat: Stat) -> Result<u64> {
        self.counter(map::STATS, stat as u32)
    }

    /// Counters of a service id, all CPUs together.
    ///
    /// # Errors
    /// What the map answers.
    pub fn service_stats(&mut self, id: u32) -> Result<ServiceStats> {
        let map = self.ebpf.map_mut(map::SERVICE_STATS).context("no such map")?;
        let stats: PerCpuArray<_, ServiceStats> = PerCpuArray::try_from(map)?;
        Ok(stats.get(&id, 0)?.iter().copied().fold(ServiceStats::default(), ServiceStats::plus))
    }

    fn counter(&mut self, name: &str, index: u32) -> Result<u64> {
        let counters: PerCpuArray<_, u64> =
            PerCpuArray::try_from(self.ebpf.map_mut(name).context("no such map")?)?;
        Ok(counters.get(&index, 0)?.iter().sum())
    }
}

/// The object as `cargo xtask build` left it.
fn object() -> Result<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/sluice.o");
    std::fs::read(path).with_context(|| format!("{path}: run cargo xtask build first"))
}

/// Result of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The hook's return value.
    pub verdict: u32,
    /// The packet afterwards.
    pub packet: Vec<u8>,
}

/// Runs `program` once on `packet`, as if it came in by the device `ingress` (None: whatever the kernel chooses, the
/// namespace's loopback).
///
/// # Errors
/// What the kernel answers.
pub fn run<P>(program: &P, packet: &[u8], ingress: Option<u32>) -> Result<Run>
where
    P: for<'a> TestRun<Opts<'a> = TestRunOptions<'a>, Result = aya::TestRunResult>,
    for<'a> <P as TestRun>::Opts<'a>: Sized,
{
    let mut out = vec![0; packet.len() + 256];
    let context = ingress.map(|ifindex| xdp_context(packet.len(), ifindex));
    let result = program.test_run(TestRunOptions {
        data_in: Some(packet),
        data_out: Some(&mut out),
        ctx_in: context.as_ref().map(<[u8; 24]>::as_slice),
        ..TestRunOptions::default()
    })?;
    out.truncate(result.data_size_out as usize);
    Ok(Run { verdict: result.return_value, packet: out })
}

/// `struct xdp_md` (`include/uapi/linux/bpf.h`) for a frame of `length` bytes that came in by `ifindex`.
pub fn xdp_context(length: usize, ifindex: u32) -> [u8; 24] {
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(length as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&ifindex.to_ne_bytes());
    context
}
