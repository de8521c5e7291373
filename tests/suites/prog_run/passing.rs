//! What is not ours passes untouched through every program.

use lb_common::abi::program;
use lb_tests::{
    lab::{CLIENT, LOCAL_POD, NODE, VIP},
    packet::{ACK, SYN, Spec, tcp, udp},
    prog::run,
};

use crate::setup::{FROM, LOCAL, TC_NEXT, TO_LOCAL, TO_REMOTE, XDP_PASS, lab, xdp};

fn with(packet: &Spec, offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = packet.build();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    frame
}

/// Every shape of packet that must reach the stack as it came, by name.
fn strangers() -> Vec<(&'static str, Vec<u8>)> {
    let ours = tcp(FROM, TO_REMOTE, SYN);
    let whole = ours.build();
    vec![
        ("ARP", with(&ours, 12, &[0x08, 0x06])),
        ("IPv6", with(&ours, 12, &[0x86, 0xdd])),
        ("a VLAN tag", with(&ours, 12, &[0x81, 0x00])),
        ("IP version 5", with(&ours, 14, &[0x55])),
        ("an IP header of 16 bytes", with(&ours, 14, &[0x44])),
        ("an IP header longer than the packet", with(&ours, 14, &[0x4f])),
        ("a total length beyond the frame", with(&ours, 16, &[0xff, 0xff])),
        ("a total length shorter than the headers", with(&ours, 16, &[0, 30])),
        ("a TCP header of 16 bytes", with(&ours, 46, &[0x40])),
        ("a TCP header longer than the packet", with(&ours, 46, &[0xf0])),
        ("a frame cut inside the TCP header", whole[..44].to_vec()),
        ("a frame cut inside the IP header", whole[..30].to_vec()),
        ("an Ethernet header alone", whole[..14].to_vec()),
        ("another port of a node's address", tcp(FROM, (NODE, 22), SYN).build()),
        ("a pod's own address", tcp(FROM, (LOCAL_POD, 8080), SYN).build()),
        ("an address of nobody's", udp(FROM, (CLIENT, LOCAL)).build()),
        ("a SNAT port without a flow", udp((CLIENT, 53), (NODE, 50_000)).build()),
        ("a martian source", tcp(([127, 0, 0, 1].into(), 9), TO_LOCAL, SYN).build()),
        ("a source equal to the destination", tcp((VIP, 9), TO_LOCAL, SYN).build()),
        ("a multicast source", udp(([224, 0, 0, 1].into(), 9), TO_LOCAL).build()),
    ]
}

#[test]
fn strangers_pass_untouched_at_xdp() {
    let lab = lab();
    for (name, packet) in strangers() {
        let out = run(lab.programs.xdp(program::XDP), &packet, None).unwrap();
        assert_eq!((out.verdict, out.packet == packet), (XDP_PASS, true), "{name}");
    }
}

#[test]
fn strangers_pass_untouched_at_tcx() {
    let lab = lab();
    // `test_run` takes no skb without a whole IP header.
    for (name, packet) in strangers().into_iter().filter(|(_, packet)| packet.len() >= 34) {
        for hook in [program::TCX_INGRESS, program::TCX_EGRESS] {
            let out = run(lab.programs.tcx(hook), &packet, None).unwrap();
            assert_eq!((out.verdict, out.packet == packet), (TC_NEXT, true), "{name} at {hook}");
        }
    }
}

#[test]
fn strangers_leave_no_flow_behind() {
    let mut lab = lab();
    for (_, packet) in strangers() {
        run(lab.programs.xdp(program::XDP), &packet, None).unwrap();
    }
    assert_eq!(lab.programs.flows().unwrap(), []);
}

#[test]
fn a_reply_of_a_pod_that_no_service_flow_asked_for_leaves_as_it_is() {
    let lab = lab();
    let packet = tcp((LOCAL_POD, 8080), FROM, ACK).build();
    let out = run(lab.programs.tcx(program::TCX_EGRESS), &packet, None).unwrap();
    assert_eq!((out.verdict, out.packet), (TC_NEXT, packet));
}

#[test]
fn a_frame_for_another_station_opens_no_flow() {
    let mut lab = lab();
    // `test_run` without a context brings packets in by the loopback device, index 1.
    let interface = lb_common::interface::Interface { mac: [2, 0, 0, 0, 9, 9], ..Default::default() };
    lab.programs.set_interface(1, interface).unwrap();
    let mut packet = tcp(FROM, TO_REMOTE, SYN);
    packet.macs.dst = [2, 0, 0, 0, 9, 8];
    assert_eq!(xdp(&lab, &packet).verdict, XDP_PASS);
    assert_eq!(lab.programs.flows().unwrap(), []);
    packet.macs.dst = interface.mac;
    assert_ne!(xdp(&lab, &packet).verdict, XDP_PASS);
}
