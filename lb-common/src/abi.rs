//! Names, sizes and the version of the layout that the kernel programs, the agent and the command line share.

/// Version of every key and value layout in this crate; part of the pin directory's name, so that an agent never
/// opens maps of another layout. `tests/layout.rs` fails when a layout changes and this number, or [`map::since`], does
/// not.
pub const LAYOUT_VERSION: u32 = 5;

/// Map names as the kernel sees them (at most 15 bytes, `BPF_OBJ_NAME_LEN` - 1).
pub mod map {
    /// [`ServiceKey`](crate::service::ServiceKey) → [`Service`](crate::service::Service), hash.
    pub const SERVICES: &str = "services";
    /// Chunk number → [`RingChunk`](crate::ring::RingChunk), array.
    pub const RINGS: &str = "rings";
    /// Backend index → [`Backend`](crate::backend::Backend), array.
    pub const BACKENDS: &str = "backends";
    /// [`FlowKey`](crate::flow::FlowKey) → [`Flow`](crate::flow::Flow) of IPv4, LRU hash.
    pub const FLOWS: &str = "flows";
    /// The same of IPv6.
    pub const FLOWS6: &str = "flows6";
    /// Bucket → [`RestoreBucket`](crate::flow::RestoreBucket) of IPv4, array.
    pub const RESTORE: &str = "restore";
    /// The same of IPv6.
    pub const RESTORE6: &str = "restore6";
    /// [`FragmentKey`](crate::fragment::FragmentKey) → [`FragmentPorts`](crate::fragment::FragmentPorts), LRU hash.
    pub const FRAGMENTS: &str = "fragments";
    /// [`AffinityKey`](crate::affinity::AffinityKey) → [`Affinity`](crate::affinity::Affinity), LRU hash.
    pub const AFFINITY: &str = "affinity";
    /// [`SourceRangeKey`](crate::source_range::SourceRangeKey) → 1, LPM trie.
    pub const SOURCE_RANGES: &str = "source_ranges";
    /// [`Address`](crate::address::Address) of a node that may send encapsulated packets → 1, hash.
    pub const PEERS: &str = "peers";
    /// Word → 64 bits of [`filter`](crate::filter), array.
    pub const FILTER: &str = "filter";
    /// Interface index → [`Interface`](crate::interface::Interface), hash.
    pub const INTERFACES: &str = "interfaces";
    /// 0 → [`Runtime`](crate::runtime::Runtime), array of one.
    pub const RUNTIME: &str = "runtime";
    /// Service id → [`ServiceStats`](crate::stat::ServiceStats), per-CPU array.
    pub const SERVICE_STATS: &str = "service_stats";
    /// [`DropReason`](crate::drop_reason::DropReason) → packets, per-CPU array.
    pub const DROPS: &str = "drops";
    /// [`Stat`](crate::stat::Stat) → events, per-CPU array.
    pub const STATS: &str = "stats";
    /// Number of the bucket → [`Bucket`](crate::limit::Bucket), per-CPU array.
    pub const LIMITS: &str = "limits";
    /// Service id → [`Name`](crate::name::Name), hash; never read by the kernel programs.
    pub const NAMES: &str = "names";
    /// Number → [`Refusal`](crate::refusal::Refusal), hash; never read by the kernel programs.
    pub const REFUSALS: &str = "refusals";
    /// Step number → [`TraceStep`](crate::trace::TraceStep), array; written by the tracing build of a program only.
    pub const TRACE: &str = "trace";
    /// 0 → [`Tick`](crate::time::Tick), array of one; read only where [`FED_CLOCK`](super::global::FED_CLOCK) is set.
    pub const CLOCK: &str = "clock";

    /// 0 → [`Monitor`](crate::monitor::Monitor), array of one.
    pub const MONITOR: &str = "monitor";
    /// 0 → [`Sampler`](crate::monitor::Sampler), per-CPU array of one.
    pub const SAMPLER: &str = "sampler";
    /// [`Event`](crate::monitor::Event)s on their way to a monitor, ring buffer.
    pub const EVENTS: &str = "events";

    /// What `sluice monitor` needs, which releases before it do not have.
    pub const MONITORING: [&str; 3] = [MONITOR, SAMPLER, EVENTS];

    /// Every map that is pinned and survives the agent.
    pub const PINNED: [&str; 23] = [
        FILTER,
        SERVICES,
        RINGS,
        BACKENDS,
        FLOWS,
        FLOWS6,
        RESTORE,
        RESTORE6,
        FRAGMENTS,
        AFFINITY,
        SOURCE_RANGES,
        PEERS,
        INTERFACES,
        RUNTIME,
        SERVICE_STATS,
        DROPS,
        STATS,
        LIMITS,
        NAMES,
        REFUSALS,
        MONITOR,
        SAMPLER,
        EVENTS,
    ];

    /// The layout version in which the map last changed: size or meaning of its keys or values. Two releases that agree in
    /// it can work on the same map.
    pub fn since(name: &str) -> u32 {
        match name {
            SERVICE_STATS => 5,
            DROPS | LIMITS | MONITOR | SAMPLER | EVENTS => 4,
            NAMES => 3,
            _ => 2,
        }
    }
}

/// Program names in the object and under the pin directory.
pub mod program {
    /// XDP on uplinks.
    pub const XDP: &str = "sluice_xdp";
    /// tcx ingress on devices that carry Ethernet frames.
    pub const TCX_INGRESS: &str = "sluice_in";
    /// tcx ingress on devices without a link-layer header (tun, wireguard, ipip).
    pub const TCX_INGRESS_L3: &str = "sluice_in_l3";
    /// tcx egress on uplinks.
    pub const TCX_EGRESS: &str = "sluice_out";
    /// An XDP program that only passes: the floor of benchmarks and the stub that veth peers need.
    pub const PASS: &str = "sluice_pass";
}

/// Names of the read-only globals that the agent sets before it loads the object.
pub mod global {
    /// `u8`: 1 where `bpf_fib_lookup` knows `BPF_FIB_LOOKUP_SRC` (kernel 6.7, commit dab4e1f06cab).
    pub const FIB_SRC: &str = "FIB_SRC";
    /// `u8`: 1 loads a program that writes no map but `trace`.
    pub const TRACING: &str = "TRACING";
    /// `u8`: 1 loads programs that take the time from the map `clock`, which tests feed.
    pub const FED_CLOCK: &str = "FED_CLOCK";
    /// `u16`: lowest SNAT port.
    pub const SNAT_PORT_MIN: &str = "SNAT_PORT_MIN";
    /// `u16`: highest SNAT port, inclusive.
    pub const SNAT_PORT_MAX: &str = "SNAT_PORT_MAX";
    /// `u32`: flows that a CPU may open a tick, 0 for any number.
    pub const NEW_FLOWS_PER_TICK: &str = "NEW_FLOWS_PER_TICK";
    /// `u32`: number of buckets of `restore` minus one; the number is a power of two.
    pub const RESTORE_MASK: &str = "RESTORE_MASK";
    /// The same of `restore6`.
    pub const RESTORE6_MASK: &str = "RESTORE6_MASK";
}

/// Default number of entries of each map; the agent's flags override them.
pub mod capacity {
    /// Frontends.
    pub const SERVICES: u32 = 65_536;
    /// Ring chunks of [`CHUNK_SLOTS`](crate::ring::CHUNK_SLOTS) slots (64 MiB of slots).
    pub const RINGS: u32 = 1 << 20;
    /// Endpoints.
    pub const BACKENDS: u32 = 262_144;
    /// Flow halves of IPv4: two a flow.
    pub const FLOWS: u32 = 1 << 19;
    /// Flow halves of IPv6.
    pub const FLOWS6: u32 = 1 << 18;
    /// Restore buckets of IPv4, a power of two.
    pub const RESTORE: u32 = 1 << 18;
    /// Restore buckets of IPv6, a power of two.
    pub const RESTORE6: u32 = 1 << 17;
    /// Fragmented datagrams on their way.
    pub const FRAGMENTS: u32 = 8_192;
    /// Clients with an endpoint of their own, each with each Service.
    pub const AFFINITY: u32 = 65_536;
    /// Ranges of all Services together.
    pub const SOURCE_RANGES: u32 = 65_536;
    /// Nodes of the cluster, each with each family.
    pub const PEERS: u32 = 16_384;
    /// Network devices.
    pub const INTERFACES: u32 = 256;
    /// Refusals that the command line can show; the log and the metrics have all.
    pub const REFUSALS: u32 = 1_024;
    /// Trace steps of one packet.
    pub const TRACE: u32 = 32;
}
