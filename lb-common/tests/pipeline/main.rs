//! The pipeline on the host: the code that the kernel runs, with maps that a test can look into.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod host;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use host::{Host, NODE_BE, OUT};
use lb_common::{
    address::Address,
    backend::Backend,
    drop_reason::DropReason,
    flow::{Flow, FlowKey},
    packet::Packet,
    pipeline::{Action, finish},
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    tcp::{TCP, UDP},
};
use proptest::prelude::*;

/// Address and port.
type Side = ([u8; 4], u16);

const CLIENT: [u8; 4] = [198, 51, 100, 7];
const VIP: [u8; 4] = [203, 0, 113, 10];
const POD: [u8; 4] = [10, 244, 2, 5];

fn node() -> Host {
    let mut host = Host { epoch: 1, ..Host::default() };
    host.now.set(1000);
    for (index, protocol) in [(1, TCP), (2, UDP)] {
        let key = ServiceKey::new(Address::v4(u32::from_ne_bytes(VIP)), 80u16.to_be(), protocol);
        host.services
            .insert(key, Service { id: index, ring: index * 1000, ring_size: 251, ..Service::default() });
        let endpoint = Backend {
            address: Address::v4(u32::from_ne_bytes(POD)),
            port_be: 8080u16.to_be(),
            protocol,
            generation: 1,
            ..Backend::default()
        };
        host.backends.insert(index, endpoint);
    }
    host
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

/// Sends a packet through and returns the action with what became of it.
fn send(host: &mut Host, packet: Vec<u8>) -> (Action, Vec<u8>) {
    host.packet = packet;
    let verdict = finish(host);
    assert!(verdict.action() != Action::Forward || verdict.number() == OUT);
    (verdict.action(), host.packet.clone())
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
        let mut host = node();
        let (client, vip, pod) = ((CLIENT, port), (VIP, 80), (POD, 8080));
        let packet = if is_tcp { tcp(client, vip, true, &payload) } else { udp(client, vip, &payload) };
        let (action, out) = send(&mut host, packet);
        let (source, destination, carried) = read(&out);
        prop_assert_eq!((action, source.0, destination, &carried), (Action::Forward, NODE_BE.to_ne_bytes(), pod, &payload));
        let reply = if is_tcp { tcp(pod, source, false, &payload) } else { udp(pod, source, &payload) };
        let (action, out) = send(&mut host, reply);
        prop_assert_eq!((action, read(&out)), (Action::Forward, (vip, client, payload)));
    }

    #[test]
    fn whatever_halves_are_lost_a_connection_keeps_its_translation(
        port in 1u16.., losses in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), 0u32..600), 1..20)
    ) {
        let mut host = node();
        let (client, vip, pod) = ((CLIENT, port), (VIP, 80), (POD, 8080));
        let (_, out) = send(&mut host, tcp(client, vip, true, &[]));
        let source = read(&out).0;
        send(&mut host, tcp(pod, source, false, &[]));
        for (forward, reverse, from_client, ticks) in losses {
            if forward {
                host.flows.borrow_mut().remove(&key(client, vip, TCP));
            }
            if reverse {
                host.flows.borrow_mut().remove(&key(pod, source, TCP));
            }
            host.now.set(host.now.get() + ticks);
            let packet = if from_client { tcp(client, vip, false, b"x") } else { tcp(pod, source, false, b"x") };
            let (action, out) = send(&mut host, packet);
            let wanted = if from_client { (source, pod) } else { (vip, client) };
            let (src, dst, _) = read(&out);
            prop_assert_eq!((action, (src, dst)), (Action::Forward, wanted));
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
        let mut host = node();
        host.packet = bytes.clone();
        let parsed = Packet::parse(&host).is_some();
        let (action, out) = send(&mut host, bytes.clone());
        prop_assert!(parsed || (action == Action::Pass && out == bytes));
    }
}

#[test]
fn flows_of_many_clients_never_share_a_reverse_tuple() {
    let mut host = node();
    for port in 1..=5000 {
        assert_eq!(send(&mut host, udp((CLIENT, port), (VIP, 80), &[])).0, Action::Forward);
    }
    let flows = host.flows.borrow();
    assert_eq!(flows.len(), 10_000);
    for (key, flow) in flows.iter() {
        let other: &Flow = &flows[&flow.other_key(key)];
        assert!(other.is_other_of(flow, key));
    }
}

#[test]
fn refusals_are_counted_under_their_reason() {
    let mut host = node();
    let empty = ServiceKey::new(Address::v4(u32::from_ne_bytes(VIP)), 90u16.to_be(), TCP);
    host.services.insert(empty, Service::default());
    let catch_all = ServiceKey::catch_all(Address::v4(u32::from_ne_bytes(VIP)));
    host.services.insert(catch_all, Service { flags: SERVICE_CATCH_ALL, ..Service::default() });
    for (port, reason) in [(90, DropReason::NoEndpoint), (91, DropReason::UnknownPort)] {
        let (action, out) = send(&mut host, tcp((CLIENT, 9), (VIP, port), true, &[]));
        assert_eq!((action, read(&out).1), (Action::Answer, (CLIENT, 9)));
        assert_eq!(host.drops(reason), 1);
    }
}
