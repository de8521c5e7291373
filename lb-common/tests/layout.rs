//! Every key and value of a pinned map, byte by byte. The listing of each [`LAYOUT_VERSION`] is kept: one that changes
//! under the same number would have an agent read the maps of the one before it wrongly.

use std::mem::{offset_of, size_of};

use lb_common::{
    abi::LAYOUT_VERSION,
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

#[test]
fn a_changed_layout_has_another_version() {
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
        ServiceStats { packets bytes reply_packets reply_bytes new_flows }
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
    let listing = [&types[..], &[refusal], &counts].concat().join("\n");
    insta::assert_snapshot!(format!("layout_{LAYOUT_VERSION}"), listing);
}
