//! ICMP errors about packets of a flow.

use etherparse::{Icmpv6Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use lb_common::{
    address::Address,
    backend::Backend,
    filter::Bit,
    host::{
        Tables,
        verdict::{XDP_PASS, XDP_REDIRECT},
        xdp,
    },
    interface::{INTERFACE_XDP, Interface},
    pipeline::{FIB_SUCCESS, Route},
    service::{Service, ServiceKey},
    tcp::UDP,
};

use crate::{IN, OUT};

type Ip = [u8; 16];

const fn ip(net: u8, host: u8) -> Ip {
    [0x20, 1, 0xd, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]
}

const CLIENT: Ip = ip(0xc, 7);
const VIP: Ip = ip(0xf, 0x10);
const NODE: Ip = ip(0xa, 0x11);
const POD: Ip = ip(2, 0x11);
const ROUTER: Ip = ip(0xa, 1);

fn v6(address: Ip) -> Address {
    let word = |at| u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
    Address::v6([word(0), word(4), word(8), word(12)])
}

/// A node with a UDP service on one pod of another node.
fn node() -> Tables {
    let mut node = Tables { epoch: 1, now: 1000, ..Tables::default() };
    node.set_filter(Bit::frontend_port(80u16.to_be()));
    node.set_filter(Bit::vip_of(v6(VIP)));
    node.set_route(
        v6([0; 16]),
        0,
        Route { code: FIB_SUCCESS, ifindex: OUT, macs: [1, 2, 3], source_be: v6(NODE), mtu: 1500 },
    );
    node.interfaces.insert(OUT, Interface { flags: INTERFACE_XDP, ..Interface::default() });
    let ring_size = node.set_ring(1000, &[1]);
    let key = ServiceKey::new(v6(VIP), 80u16.to_be(), UDP);
    node.services.insert(key, Service { id: 1, ring: 1000, ring_size, ..Service::default() });
    let (address, port_be) = (v6(POD), 8080u16.to_be());
    let endpoint = Backend { address, port_be, protocol: UDP, generation: 1, ..Backend::default() };
    node.backends.insert(1, endpoint);
    node
}

/// A packet with a fragment header at an offset in units of eight bytes, more to come.
fn fragment(src: Ip, dst: Ip, offset: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend_from_slice(&(payload.len() as u16 + 8).to_be_bytes());
    packet.extend_from_slice(&[44, 64]);
    packet.extend_from_slice(&[src, dst].concat());
    packet.extend_from_slice(&[UDP, 0]);
    packet.extend_from_slice(&(offset << 3 | 1).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 9]);
    packet.extend_from_slice(payload);
    packet
}

/// A UDP header and what follows it.
fn datagram(src: u16, dst: u16) -> Vec<u8> {
    let head = [src.to_be_bytes(), dst.to_be_bytes(), [0x10, 0], [0x12, 0x34]].concat();
    [head, vec![0x55; 48]].concat()
}

/// "Packet too big", from the router, about a packet that the node sent.
fn too_big(quoted: &[u8]) -> Vec<u8> {
    let mut error = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv6(ROUTER, NODE, 64)
        .icmpv6(Icmpv6Type::PacketTooBig { mtu: 1300 })
        .write(&mut error, quoted)
        .unwrap();
    error
}

#[test]
fn an_error_about_a_first_fragment_reaches_the_client_and_one_about_a_later_fragment_is_left_alone() {
    let node = node();
    let ethernet = [[4; 6], [2; 6]].concat();
    let frame = [&ethernet[..], &[0x86, 0xdd], &fragment(CLIENT, VIP, 0, &datagram(40_000, 80))].concat();
    let sent = xdp(&node, IN, frame);
    assert_eq!(sent.verdict, XDP_REDIRECT);
    let sent = &sent.frame[14..];
    assert_eq!((&sent[8..24], &sent[24..40]), (&NODE[..], &POD[..]));

    let out = xdp(&node, IN, too_big(sent));
    assert_eq!(out.verdict, XDP_REDIRECT);
    let packet = SlicedPacket::from_ethernet(&out.frame).unwrap();
    let Some(NetSlice::Ipv6(ip)) = &packet.net else { panic!("{packet:?}") };
    assert_eq!(ip.header().destination(), CLIENT);
    let Some(TransportSlice::Icmpv6(icmp)) = &packet.transport else { panic!("{packet:?}") };
    assert!(icmp.is_checksum_valid(ip.header().source(), ip.header().destination()));
    assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1300 });
    // What the client sent, but for the hop that it has lost.
    let mut quoted = fragment(CLIENT, VIP, 0, &datagram(40_000, 80));
    quoted[7] -= 1;
    assert_eq!(icmp.payload(), quoted);

    let later = too_big(&fragment(NODE, POD, 181, &[0x55; 64]));
    let out = xdp(&node, IN, later.clone());
    assert_eq!((out.verdict, out.frame), (XDP_PASS, later));
}
