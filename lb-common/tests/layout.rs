//! Every key and value of a pinned map, byte by byte. The listing of each [`LAYOUT_VERSION`] is kept: one that changes
//! under the same number would have an agent read the maps of the one before it wrongly.

use std::mem::{offset_of, size_of};

use lb_common::{
    abi::{LAYOUT_VERSION, map},
    address::{Address, V4, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    drop_reason::DropReason,
    filter,
    flow::{Flow, FlowKey, RestoreBucket, RestoreRecord},
    fragment::{FragmentKey, FragmentPorts},
    interface::{Interface, VlanTag},
    limit::{self, Bucket},
    monitor::{Event, Monitor, Sampler},
    name::Name,
    refusal::Refusal,
    ring::RingChunk,
    runtime::Runtime,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::{ServiceStats, Stat},
};

/// Size of the field that `get` gets.
fn size_of_field<T, F>(_get: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// A line a type: name, size, and each field with offset and size. Every byte belongs to a field.
macro_rules! layout {
    ($($type:ty { $($field:ident)+ })+) => {
        [$({
            let fields = [$((
                stringify!($field),
                offset_of!($type, $field),
                size_of_field(|value: &$type| &value.$field),
            ),)+];
            let sum: usize = fields.iter().map(|(_, _, size)| size).sum();
            assert_eq!(sum, size_of::<$type>(), "a field of {} is not listed", stringify!($type));
            let fields = fields.map(|(name, offset, size)| format!(" {name}@{offset}+{size}")).concat();
            format!("{} {}:{fields}", stringify!($type), size_of::<$type>())
        },)+]
    };
}

/// What each pinned map is made of, by the beginnings of the lines of [`listing`].
const MADE_OF: [(&str, &[&str]); 23] = [
    (map::FILTER, &["filter:"]),
    (map::SERVICES, &["ServiceKey ", "Service "]),
    (map::RINGS, &["RingChunk "]),
    (map::BACKENDS, &["Backend "]),
    (map::FLOWS, &["FlowKey<V4> ", "Flow<V4> "]),
    (map::FLOWS6, &["FlowKey<V6> ", "Flow<V6> "]),
    (map::RESTORE, &["RestoreBucket<V4> ", "RestoreRecord<V4> "]),
    (map::RESTORE6, &["RestoreBucket<V6> ", "RestoreRecord<V6> "]),
    (map::FRAGMENTS, &["FragmentKey ", "FragmentPorts "]),
    (map::AFFINITY, &["AffinityKey ", "Affinity "]),
    (map::SOURCE_RANGES, &["SourceRangeKey "]),
    (map::PEERS, &["Address "]),
    (map::INTERFACES, &["Interface ", "VlanTag "]),
    (map::RUNTIME, &["Runtime "]),
    (map::SERVICE_STATS, &["ServiceStats "]),
    (map::DROPS, &["drops:"]),
    (map::STATS, &["stats:"]),
    (map::LIMITS, &["Bucket ", "limits:"]),
    (map::NAMES, &["Name "]),
    (map::REFUSALS, &["Refusal "]),
    (map::MONITOR, &["Monitor "]),
    (map::SAMPLER, &["Sampler "]),
    (map::EVENTS, &["Event "]),
];

#[test]
fn a_changed_layout_has_another_version() {
    insta::assert_snapshot!(format!("layout_{LAYOUT_VERSION}"), listing());
}

#[test]
fn a_map_is_the_same_in_every_version_since_the_one_that_it_names() {
    assert_eq!(MADE_OF.map(|(name, _)| name), map::PINNED);
    let now = listing();
    for version in 2..LAYOUT_VERSION {
        let path = format!("{}/tests/snapshots/layout__layout_{version}.snap", env!("CARGO_MANIFEST_DIR"));
        let then = std::fs::read_to_string(path).unwrap();
        for (name, made_of) in MADE_OF.iter().filter(|(name, _)| map::since(name) <= version) {
            for start in *made_of {
                let line =
                    |listing: &str| listing.lines().find(|line| line.starts_with(start)).map(str::to_owned);
                assert!(line(&now).is_some(), "{start}");
                assert_eq!(
                    line(&now),
                    line(&then),
                    "map {name} was another one in version {version}: raise its `since`"
                );
            }
        }
    }
}

fn listing() -> String {
    let types = layout! {
        Address { words_be }
        Affinity { backend generation last_used }
        AffinityKey { client service }
        Backend { address node port_be protocol flags generation }
        Bucket { spent filled }
        Event {
            time src dst new_src new_dst src_port_be dst_port_be new_src_port_be new_dst_port_be service backend ifindex
            opened kind reason protocol flags _pad
        }
        Flow<V4> {
            src_be dst_be src_port_be dst_port_be l3_delta l4_delta ifindex macs epoch last_seen backend generation
            service opened state flags mtu _pad
        }
        Flow<V6> {
            src_be dst_be src_port_be dst_port_be l3_delta l4_delta ifindex macs epoch last_seen backend generation
            service opened state flags mtu _pad
        }
        FlowKey<V4> { src_be dst_be src_port_be dst_port_be protocol }
        FlowKey<V6> { src_be dst_be src_port_be dst_port_be protocol }
        FragmentKey { src dst id_be protocol }
        FragmentPorts { src_port_be dst_port_be seen }
        Interface { address_be address6_be flags parent tags mac _pad }
        Monitor { until interval burst kinds reasons }
        Name { bytes }
        RestoreBucket<V4> { ways }
        RestoreBucket<V6> { ways }
        RestoreRecord<V4> {
            key src_be dst_be src_port_be dst_port_be backend generation service written state flags check
        }
        RestoreRecord<V6> {
            key src_be dst_be src_port_be dst_port_be backend generation service written state flags check
        }
        RingChunk { slots }
        Runtime { epoch _pad }
        Sampler { due left_out lost }
        Service { id flags ring ring_size local_ring local_ring_size affinity _pad }
        ServiceKey { address port_be protocol _pad }
        ServiceStats { packets bytes reply_packets reply_bytes new_flows drops }
        SourceRangeKey { prefix_len service_be address }
        VlanTag { protocol_be id_be }
    };
    // An agent that opens pinned arrays takes their length for its own.
    let counts = [
        ("drops", DropReason::COUNT),
        ("stats", Stat::COUNT),
        ("limits", limit::BUCKETS),
        ("filter", filter::WORDS),
    ]
    .map(|(map, count)| format!("{map}: {count} elements"));
    // Its fields are its own business: text in four parts.
    let refusal = format!("Refusal {}", size_of::<Refusal>());
    [&types[..], &[refusal], &counts].concat().join("\n")
}
