//! Every map and every read-only global; nothing else declares one.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_NO_PREALLOC, bpf_fib_lookup},
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
};
use lb_common::{
    abi::capacity,
    address::{Address, V4, V6},
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
    pipeline::InsertError,
    refusal::Refusal,
    ring::RingChunk,
    runtime::Runtime,
    service::{Service, ServiceKey},
    snat,
    stat::{ServiceStats, Stat},
    time::Tick,
    trace::TraceStep,
    workspace::Workspace,
};

/// Counters of services; ids are dense, so as many as there may be services.
#[map(name = "service_stats")]
pub(crate) static SERVICE_STATS: PerCpuArray<ServiceStats> =
    PerCpuArray::with_max_entries(capacity::SERVICES, 0);

#[map(name = "services")]
pub(crate) static SERVICES: HashMap<ServiceKey, Service> = HashMap::with_max_entries(capacity::SERVICES, 0);

#[map(name = "rings")]
pub(crate) static RINGS: Array<RingChunk> = Array::with_max_entries(capacity::RINGS, 0);

#[map(name = "backends")]
pub(crate) static BACKENDS: Array<Backend> = Array::with_max_entries(capacity::BACKENDS, 0);

#[map(name = "flows")]
pub(crate) static FLOWS: LruHashMap<FlowKey<V4>, Flow<V4>> = LruHashMap::with_max_entries(capacity::FLOWS, 0);

#[map(name = "flows6")]
pub(crate) static FLOWS6: LruHashMap<FlowKey<V6>, Flow<V6>> =
    LruHashMap::with_max_entries(capacity::FLOWS6, 0);

/// Not pinned: each set of loaded programs has its own, and a CPU runs one of them at a time.
#[map(name = "workspace")]
pub(crate) static WORKSPACE: PerCpuArray<Workspace<V4>> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "workspace6")]
pub(crate) static WORKSPACE6: PerCpuArray<Workspace<V6>> = PerCpuArray::with_max_entries(1, 0);

/// A query of 64 bytes less on the stack.
#[map(name = "fib_query")]
pub(crate) static FIB_QUERY: PerCpuArray<bpf_fib_lookup> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "restore")]
pub(crate) static RESTORE: Array<RestoreBucket> = Array::with_max_entries(capacity::RESTORE, 0);

#[map(name = "restore6")]
pub(crate) static RESTORE6: Array<RestoreBucket<V6>> = Array::with_max_entries(capacity::RESTORE6, 0);

#[map(name = "fragments")]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FragmentPorts> =
    LruHashMap::with_max_entries(capacity::FRAGMENTS, 0);

#[map(name = "affinity")]
pub(crate) static AFFINITY: LruHashMap<AffinityKey, Affinity> =
    LruHashMap::with_max_entries(capacity::AFFINITY, 0);

/// The service id comes first in the key; aya's own key type carries the length of the prefix.
#[map(name = "source_ranges")]
pub(crate) static SOURCE_RANGES: LpmTrie<[u32; 5], u32> =
    LpmTrie::with_max_entries(capacity::SOURCE_RANGES, BPF_F_NO_PREALLOC);

#[map(name = "peers")]
pub(crate) static PEERS: HashMap<Address, u32> = HashMap::with_max_entries(capacity::PEERS, 0);

#[map(name = "filter")]
pub(crate) static FILTER: Array<u64> = Array::with_max_entries(filter::WORDS, 0);

#[map(name = "interfaces")]
pub(crate) static INTERFACES: HashMap<u32, Interface> = HashMap::with_max_entries(capacity::INTERFACES, 0);

#[map(name = "runtime")]
pub(crate) static RUNTIME: Array<Runtime> = Array::with_max_entries(1, 0);

#[map(name = "drops")]
pub(crate) static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(DropReason::COUNT, 0);

#[map(name = "stats")]
pub(crate) static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Stat::COUNT, 0);

#[map(name = "limits")]
pub(crate) static LIMITS: PerCpuArray<Bucket> = PerCpuArray::with_max_entries(limit::BUCKETS, 0);

/// Not read here: declared so that the loader creates and pins it with the rest.
#[map(name = "names")]
pub(crate) static NAMES: HashMap<u32, Name> = HashMap::with_max_entries(capacity::SERVICES, 0);

/// Not read here either; takes memory for what it holds only.
#[map(name = "refusals")]
pub(crate) static REFUSALS: HashMap<u32, Refusal> =
    HashMap::with_max_entries(capacity::REFUSALS, BPF_F_NO_PREALLOC);

#[map(name = "monitor")]
pub(crate) static MONITOR: Array<Monitor> = Array::with_max_entries(1, 0);

#[map(name = "sampler")]
pub(crate) static SAMPLER: PerCpuArray<Sampler> = PerCpuArray::with_max_entries(1, 0);

#[map(name = "events")]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(monitor::RING_BYTES, 0);

#[map(name = "trace")]
pub(crate) static TRACE: Array<TraceStep> = Array::with_max_entries(capacity::TRACE, 0);

#[map(name = "clock")]
pub(crate) static CLOCK: Array<Tick> = Array::with_max_entries(1, 0);

#[unsafe(no_mangle)]
pub(crate) static FIB_SRC: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
pub(crate) static TRACING: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
pub(crate) static FED_CLOCK: Global<u8> = Global::new(0);

#[unsafe(no_mangle)]
pub(crate) static SNAT_PORT_MIN: Global<u16> = Global::new(snat::PORT_MIN);

#[unsafe(no_mangle)]
pub(crate) static SNAT_PORT_MAX: Global<u16> = Global::new(snat::PORT_MAX);

#[unsafe(no_mangle)]
pub(crate) static NEW_FLOWS_PER_TICK: Global<u32> = Global::new(0);

#[unsafe(no_mangle)]
pub(crate) static RESTORE_MASK: Global<u32> = Global::new(capacity::RESTORE - 1);

#[unsafe(no_mangle)]
pub(crate) static RESTORE6_MASK: Global<u32> = Global::new(capacity::RESTORE6 - 1);

const EEXIST: i32 = -17;

/// Inserts an entry and looks it up, which marks it as used. An LRU takes new entries for unused, and evicts unused ones
/// first: where all others are in use, it would evict a new one before the next packet (`kernel/bpf/bpf_lru_list.c`:
/// `__local_list_flush`, `__bpf_lru_list_shrink_inactive`).
#[inline(always)]
pub(crate) fn insert_used<K, V>(
    map: &LruHashMap<K, V>,
    key: &K,
    value: &V,
    flags: u32,
) -> Result<(), InsertError> {
    match map.insert(key, value, flags.into()) {
        Ok(()) => {
            let _ = map.get_ptr(key);
            Ok(())
        }
        Err(EEXIST) => Err(InsertError::Exists),
        Err(_) => Err(InsertError::Full),
    }
}
