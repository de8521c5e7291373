//! The pipeline on the host: the code that the kernel runs, with maps that a test can look into.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod errors;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use lb_common::{
    address::{Address, V4},
    backend::Backend,
    drop_reason::DropReason,
    filter::Bit,
    flow::{Flow, FlowKey},
    host::{
        Host, Tables, Xdp,
        verdict::{XDP_PASS, XDP_REDIRECT, XDP_TX},
        xdp,
    },
    interface::{INTERFACE_XDP, Interface},
    packet::Packet,
    pipeline::{FIB_SUCCESS, Route},
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    snat,
    tcp::{TCP, UDP},
};
use proptest::prelude::*;

/// Address and port.
type Side = ([u8; 4], u16);

const CLIENT: [u8; 4] = [198, 51, 100, 7];
const VIP: [u8; 4] = [203, 0, 113, 10];
const POD: [u8; 4] = [10, 244, 2, 5];

/// Interface that packets come in by, and the one that every route leads through.
const IN: u32 = 1;
const OUT: u32 = 7;
/// Source address that routes prefer.
const NODE: [u8; 4] = [10, 0, 0, 1];

fn v4(address: [u8; 4]) -> Address {
    Address::v4(u32::from_ne_bytes(address))
}

fn node() -> Tables {
    let mut node = Tables { epoch: 1, now: 1000, ..Tables::default() };
    for port in (80..=91).chain(snat::PORT_MIN..=snat::PORT_MAX) {
        node.set_filter(Bit::frontend_port(port.to_be()));
    }
    node.set_filter(Bit::vip_of(v4(VIP)));
    let route = Route { code: FIB_SUCCESS, ifindex: OUT, macs: [1, 2, 3], source_be: v4(NODE), mtu: 1500 };
    node.set_route(v4([0; 4]), 0, route);
    node.interfaces.insert(OUT, Interface { flags: INTERFACE_XDP, ..Interface::default() });
    for (index, protocol) in [(1, TCP), (2, UDP)] {
        let ring = index * 1000;
        let ring_size = node.set_ring(ring, &[index]);
        let key = ServiceKey::new(v4(VIP), 80u16.to_be(), protocol);
        node.services.insert(key, Service { id: index, ring, ring_size, ..Service::default() });
        let endpoint = Backend {
            address: v4(POD),
            port_be: 8080u16.to_be(),
            protocol,
            generation: 1,
            ..Backend::default()
        };
        node.backends.insert(index, endpoint);
    }
    node
}

fn tcp(src: Side, dst: Side, syn: bool, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(src.0, dst.0, 64).tcp(src.1, dst.1, 1, 1000);
    let builder = if syn { builder.syn() } else { builder.ack(1) };
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

fn udp(src: Side, dst: Side, payload: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(src.0, dst.0, 64).udp(src.1, dst.1);
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).unwrap();
    packet
}

/// Sends a packet through and returns the verdict with what became of it.
fn send(node: &Tables, packet: Vec<u8>) -> (u32, Vec<u8>) {
    let out = xdp(node, IN, packet);
    (out.verdict, out.frame)
}

/// Source, destination and payload, with every checksum verified.
fn read(packet: &[u8]) -> (Side, Side, Vec<u8>) {
    let sliced = SlicedPacket::from_ethernet(packet).unwrap();
    let Some(etherparse::NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            assert_eq!(tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()), Ok(tcp.checksum()));
            (
                (header.source, tcp.source_port()),
                (header.destination, tcp.destination_port()),
                tcp.payload().to_vec(),
            )
        }
        Some(TransportSlice::Udp(udp)) => {
            assert_eq!(udp.to_header().calc_checksum_ipv4(&header, udp.payload()), Ok(udp.checksum()));
            (
                (header.source, udp.source_port()),
                (header.destination, udp.destination_port()),
                udp.payload().to_vec(),
            )
        }
        other => panic!("{other:?}"),
    }
}

fn key(src: Side, dst: Side, protocol: u8) -> FlowKey {
    FlowKey::new(u32::from_ne_bytes(src.0), u32::from_ne_bytes(dst.0), src.1.to_be(), dst.1.to_be(), protocol)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_packet_and_its_reply_come_out_as_client_and_service_know_them(
        port in 1u16.., is_tcp: bool, payload in prop::collection::vec(any::<u8>(), 0..64)
    ) {
        let node = node();
        let (client, vip, pod) = ((CLIENT, port), (VIP, 80), (POD, 8080));
        let packet = if is_tcp { tcp(client, vip, true, &payload) } else { udp(client, vip, &payload) };
        let (verdict, out) = send(&node, packet);
        let (source, destination, carried) = read(&out);
        prop_assert_eq!((verdict, source.0, destination, &carried), (XDP_REDIRECT, NODE, pod, &payload));
        let reply = if is_tcp { tcp(pod, source, false, &payload) } else { udp(pod, source, &payload) };
        let (verdict, out) = send(&node, reply);
        prop_assert_eq!((verdict, read(&out)), (XDP_REDIRECT, (vip, client, payload)));
    }

    #[test]
    fn whatever_halves_are_lost_a_connection_keeps_its_translation(
        port in 1u16.., losses in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0u32..600), 1..20)
    ) {
        let mut node = node();
        let (client, vip, pod) = ((CLIENT, port), (VIP, 80), (POD, 8080));
        let (_, out) = send(&node, tcp(client, vip, true, &[]));
        let source = read(&out).0;
        send(&node, tcp(pod, source, false, &[]));
        send(&node, tcp(client, vip, false, &[]));
        for (forward, reverse, from_client, ticks) in losses {
            if forward {
                node.ipv4.flows.borrow_mut().remove(&key(client, vip, TCP));
            }
            if reverse {
                node.ipv4.flows.borrow_mut().remove(&key(pod, source, TCP));
            }
            node.now += ticks;
            let packet = if from_client { tcp(client, vip, false, b"x") } else { tcp(pod, source, false, b"x") };
            let (verdict, out) = send(&node, packet);
            let wanted = if from_client { (source, pod) } else { (vip, client) };
            let (src, dst, _) = read(&out);
            prop_assert_eq!((verdict, (src, dst)), (XDP_REDIRECT, wanted));
        }
    }

    #[test]
    fn no_bytes_make_the_pipeline_panic_and_what_is_not_parsed_is_not_touched(
        mut bytes in prop::collection::vec(any::<u8>(), 0..120), ipv4: bool
    ) {
        if ipv4 && bytes.len() > 24 {
            bytes[12..14].copy_from_slice(&[8, 0]);
            bytes[14] = 0x45;
            bytes[23] = if bytes[0] & 1 == 0 { TCP } else { UDP };
        }
        let node = node();
        let parsed = Packet::<V4>::parse(&Host::<Xdp, V4>::new(&node, IN, bytes.clone())).is_some();
        let (verdict, out) = send(&node, bytes.clone());
        prop_assert!(parsed || (verdict == XDP_PASS && out == bytes));
    }
}

#[test]
fn flows_of_many_clients_never_share_a_reverse_tuple() {
    let node = node();
    for port in 1..=5000 {
        assert_eq!(send(&node, udp((CLIENT, port), (VIP, 80), &[])).0, XDP_REDIRECT);
    }
    let flows = node.ipv4.flows.borrow();
    assert_eq!(flows.len(), 10_000);
    for (key, flow) in flows.iter() {
        let other: &Flow = &flows[&flow.other_key(key)];
        assert!(other.is_other_of(flow, key));
    }
}

#[test]
fn refusals_are_counted_under_their_reason() {
    let mut node = node();
    let empty = ServiceKey::new(v4(VIP), 90u16.to_be(), TCP);
    node.services.insert(empty, Service::default());
    let catch_all = ServiceKey::catch_all(v4(VIP));
    node.services.insert(catch_all, Service { flags: SERVICE_CATCH_ALL, ..Service::default() });
    for (port, reason) in [(90, DropReason::NoEndpoint), (91, DropReason::UnknownPort)] {
        let (verdict, out) = send(&node, tcp((CLIENT, 9), (VIP, port), true, &[]));
        assert_eq!((verdict, read(&out).1), (XDP_TX, (CLIENT, 9)));
        assert_eq!(node.drops(reason), 1);
    }
}
