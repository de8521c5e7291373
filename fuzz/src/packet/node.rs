//! The node that packets come to: a Service of every feature, in both families.

use std::net::IpAddr;

use lb_common::{
    address::Address,
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING, Backend},
    filter::Bit,
    host::Tables,
    interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, INTERFACE_XDP, Interface, VlanTag},
    pipeline::{FIB_FRAG_NEEDED, FIB_NO_NEIGHBOUR, FIB_NOT_FORWARDED, FIB_SUCCESS, Route},
    service::{
        SERVICE_CATCH_ALL, SERVICE_DSR, SERVICE_LOCAL, SERVICE_SILENT, SERVICE_SOURCE_RANGES, Service,
        ServiceKey,
    },
    snat,
    source_range::SourceRangeKey,
    tcp::{SCTP, TCP, UDP},
};

/// Device that packets come in by.
pub(super) const IN: u32 = 1;
const OUT: u32 = 2;
const OVERLAY: u32 = 3;
const TAGGED: u32 = 4;
/// A device that nobody has declared.
const PLAIN: u32 = 5;

/// Addresses in the same places of each family: VIP, node, other node, client, and pods that are local, direct, behind a
/// narrow route, an overlay, a VLAN, a plain device and nothing.
const FAMILIES: [[&str; 11]; 2] = [
    [
        "203.0.113.10",
        "192.0.2.1",
        "10.0.0.2",
        "198.51.100.7",
        "10.244.1.5",
        "10.244.2.5",
        "10.244.3.5",
        "10.244.4.5",
        "10.244.5.5",
        "10.244.6.5",
        "10.244.7.5",
    ],
    [
        "2001:db8:cb::10",
        "2001:db8:2::1",
        "fd10::2",
        "2001:db8:c::7",
        "fd10:244:1::5",
        "fd10:244:2::5",
        "fd10:244:3::5",
        "fd10:244:4::5",
        "fd10:244:5::5",
        "fd10:244:6::5",
        "fd10:244:7::5",
    ],
];

/// Frontend ports from 80 on, one for each of these: flags, affinity, pods of the ring by place, of the ring for peers.
const SERVICES: [(u32, u32, &[usize], &[usize]); 12] = [
    (0, 0, &[5], &[]),
    (0, 0, &[4, 5], &[]),
    (SERVICE_DSR, 0, &[4, 5], &[4]),
    (SERVICE_LOCAL | SERVICE_SILENT, 0, &[4], &[]),
    (SERVICE_LOCAL | SERVICE_SILENT, 0, &[], &[]),
    (SERVICE_SOURCE_RANGES, 0, &[5], &[]),
    (0, 60, &[4, 5], &[]),
    (0, 0, &[], &[]),
    (0, 0, &[6], &[]),
    (0, 0, &[7, 8], &[]),
    (SERVICE_DSR, 0, &[6, 7], &[]),
    (0, 0, &[9, 10], &[]),
];
const FIRST_PORT: u16 = 80;
const POD_PORT: u16 = 8080;
/// Longest IP packet of the narrow route.
const NARROW: u16 = 600;
/// Indices of endpoints: ten places for each family and protocol.
const PLACES: u32 = 16;
/// Chunks of a ring of one to two endpoints.
const CHUNKS: u32 = 16;

/// The node at the start of an input.
pub(super) fn node() -> Tables {
    // SNAT has few ports, so that inputs meet a full range.
    let mut node = Tables {
        now: 100_000,
        epoch: 1,
        snat_ports: (snat::PORT_MIN, snat::PORT_MIN + 3),
        ..Tables::default()
    };
    let mac = [2, 0, 0, 0, 0, 1];
    let uplink = Interface { flags: INTERFACE_XDP | INTERFACE_UPLINK, mac, ..Interface::default() };
    node.interfaces.extend([(IN, uplink), (OUT, uplink)]);
    node.interfaces.insert(OVERLAY, Interface { flags: INTERFACE_OVERLAY, ..Interface::default() });
    let tags = [VlanTag { protocol_be: 0x8100u16.to_be(), id_be: 7u16.to_be() }, VlanTag::default()];
    node.interfaces.insert(TAGGED, Interface { parent: OUT, tags, ..uplink });
    for port in (FIRST_PORT..).take(SERVICES.len()).chain(snat::PORT_MIN..=snat::PORT_MIN + 3) {
        node.set_filter(Bit::frontend_port(port.to_be()));
    }
    node.set_filter(Bit::endpoint_port(POD_PORT.to_be()));
    for (family, texts) in (0..).zip(FAMILIES) {
        fill(&mut node, family, texts.map(|text| text.parse::<IpAddr>().unwrap().into()));
    }
    node
}

fn fill(node: &mut Tables, family: u32, places: [Address; 11]) {
    let [vip, own, other, client, pods @ ..] = places;
    node.set_filter(Bit::vip_of(vip));
    node.services
        .insert(ServiceKey::catch_all(vip), Service { flags: SERVICE_CATCH_ALL, ..Service::default() });
    node.peers.insert(other);
    routes(node, own, vip, pods);
    for (kind, protocol) in (0..).zip([TCP, UDP, SCTP]) {
        let group = family * 3 + kind;
        for (place, address) in (4..).zip(pods) {
            let flags = match place {
                4 => BACKEND_LOCAL,
                9 => BACKEND_TERMINATING,
                _ => 0,
            };
            let backend =
                Backend { address, node: other, port_be: POD_PORT.to_be(), protocol, flags, generation: 1 };
            node.backends.insert(group * PLACES + place, backend);
        }
        for (number, (flags, affinity, members, local)) in (0..).zip(SERVICES) {
            let id = 1 + group * SERVICES.len() as u32 + number;
            let indices = |places: &[usize]| -> Vec<u32> {
                places.iter().map(|place| group * PLACES + *place as u32).collect()
            };
            let mut ring = |ring, members: &[usize]| match members {
                [] => 0,
                members => node.set_ring(ring, &indices(members)),
            };
            let (first, second) = (id * 2 * CHUNKS, (id * 2 + 1) * CHUNKS);
            let (ring_size, local_ring_size) = (ring(first, members), ring(second, local));
            let service = Service {
                id,
                flags,
                ring: first,
                ring_size,
                local_ring: second,
                local_ring_size,
                affinity,
                _pad: 0,
            };
            let port_be = (FIRST_PORT + number as u16).to_be();
            node.services.insert(ServiceKey::new(vip, port_be, protocol), service);
            if flags & SERVICE_SOURCE_RANGES != 0 {
                let bits = if client.is_v4() { 24 } else { 64 };
                node.source_ranges.insert(SourceRangeKey::new(id, client, bits));
            }
        }
    }
}

/// One way for each pod; everything else leaves by the device of the clients.
fn routes(node: &mut Tables, own: Address, vip: Address, pods: [Address; 7]) {
    let bits = if own.is_v4() { 32 } else { 128 };
    let via = |code, ifindex, mtu| Route { code, ifindex, macs: [1, 2, 3], source_be: own, mtu };
    let zero = if own.is_v4() { Address::v4(0) } else { Address::v6([0; 4]) };
    node.set_route(zero, 0, via(FIB_SUCCESS, IN, 1500));
    for nobody in [own, vip] {
        node.set_route(nobody, bits, Route { source_be: Address::NONE, ..via(FIB_NOT_FORWARDED, 0, 0) });
    }
    let ways = [
        via(FIB_SUCCESS, OUT, 1500),
        via(FIB_SUCCESS, OUT, 1500),
        via(FIB_FRAG_NEEDED, OUT, NARROW),
        via(FIB_SUCCESS, OVERLAY, 1450),
        via(FIB_SUCCESS, TAGGED, 1500),
        via(FIB_NO_NEIGHBOUR, PLAIN, 0),
        Route { source_be: Address::NONE, ..via(FIB_NOT_FORWARDED, 0, 0) },
    ];
    for (pod, way) in pods.into_iter().zip(ways) {
        node.set_route(pod, bits, way);
    }
}
