//! Addresses, ports, checksums, TTL and next hop of packets that are forwarded.

use lb_common::{
    abi::{map, program},
    stat::Stat,
};
use lb_tests::{
    lab::{
        CLIENT_MAC, LOCAL_POD, NODE, NODE_B_MAC, OVERLAY_ADDRESS, OVERLAY_POD, REMOTE_POD, UNRESOLVED_POD,
        endpoint, ip,
    },
    packet::{ACK, SYN, SYN_ACK, Seen, Spec, read, tcp, udp},
    prog::run,
};

use crate::setup::{
    FROM, POD_PORT, TC_NEXT, TC_REDIRECT, TO_LOCAL, TO_REMOTE, XDP_PASS, XDP_REDIRECT, XDP_TX, forward,
    index, lab, source_port, tcx, xdp,
};

/// The packet that `Spec` describes, as it would be read back with other addresses.
fn expected(packet: &Spec, src: (std::net::Ipv4Addr, u16), dst: (std::net::Ipv4Addr, u16)) -> Seen {
    Seen { src, dst, ..read(&packet.build()) }
}

fn ignoring_checksum(seen: Seen) -> Seen {
    Seen { udp_checksum: seen.udp_checksum.map(|_| 0), ..seen }
}

#[test]
fn a_local_endpoint_gets_the_packet_with_the_clients_address() {
    let lab = lab();
    for packet in [tcp(FROM, TO_LOCAL, SYN), udp(FROM, TO_LOCAL)] {
        let out = xdp(&lab, &packet);
        assert_eq!(out.verdict, XDP_PASS);
        let wanted = expected(&packet, FROM, (LOCAL_POD, POD_PORT));
        assert_eq!(ignoring_checksum(read(&out.packet)), ignoring_checksum(wanted));
    }
}

#[test]
fn a_local_endpoints_reply_leaves_from_the_vip() {
    let lab = lab();
    for (packet, reply) in [
        (tcp(FROM, TO_LOCAL, SYN), tcp((LOCAL_POD, POD_PORT), FROM, SYN_ACK)),
        (udp(FROM, TO_LOCAL), udp((LOCAL_POD, POD_PORT), FROM)),
    ] {
        xdp(&lab, &packet);
        let out = tcx(&lab, program::TCX_EGRESS, &reply);
        assert_eq!(out.verdict, TC_NEXT);
        let wanted = expected(&reply, TO_LOCAL, FROM);
        assert_eq!(ignoring_checksum(read(&out.packet)), ignoring_checksum(wanted));
    }
}

#[test]
fn a_remote_endpoint_gets_the_packet_from_the_nodes_address_with_its_next_hop() {
    let mut lab = lab();
    for packet in [tcp(FROM, TO_REMOTE, SYN), udp(FROM, TO_REMOTE)] {
        let out = xdp(&lab, &packet);
        let flow = forward(&mut lab, &packet);
        assert_eq!((out.verdict, flow.ifindex), (XDP_REDIRECT, lab.devices.down));
        let seen = read(&out.packet);
        assert_eq!(seen.macs[..6], NODE_B_MAC);
        let wanted = Seen {
            ttl: 63,
            macs: seen.macs,
            ..expected(&packet, (NODE, source_port(&flow)), (REMOTE_POD, POD_PORT))
        };
        assert_eq!(ignoring_checksum(seen), ignoring_checksum(wanted));
        assert!(source_port(&flow) >= lb_common::snat::PORT_MIN);
    }
}

#[test]
fn a_remote_endpoints_reply_goes_to_the_client_from_the_vip() {
    let mut lab = lab();
    for (packet, is_tcp) in [(tcp(FROM, TO_REMOTE, SYN), true), (udp(FROM, TO_REMOTE), false)] {
        xdp(&lab, &packet);
        let source = (NODE, source_port(&forward(&mut lab, &packet)));
        let pod = (REMOTE_POD, POD_PORT);
        let reply = if is_tcp { tcp(pod, source, SYN_ACK) } else { udp(pod, source) };
        let out = xdp(&lab, &reply);
        assert_eq!(out.verdict, XDP_REDIRECT);
        let seen = read(&out.packet);
        assert_eq!(seen.macs[..6], CLIENT_MAC);
        let wanted = Seen { ttl: 63, macs: seen.macs, ..expected(&reply, TO_REMOTE, FROM) };
        assert_eq!(ignoring_checksum(seen), ignoring_checksum(wanted));
    }
}

#[test]
fn a_packet_that_leaves_by_the_device_it_came_by_is_transmitted_from_there() {
    let mut lab = lab();
    // A device takes part in `test_run` as ingress once a program is attached to it.
    let down = lab.devices.down;
    let pass: &mut aya::programs::Xdp =
        lab.programs.ebpf.program_mut(program::PASS).unwrap().try_into().unwrap();
    pass.attach_to_if_index(down, aya::programs::xdp::XdpMode::default()).unwrap();
    let out = run(lab.programs.xdp(program::XDP), &tcp(FROM, TO_REMOTE, SYN).build(), Some(down)).unwrap();
    assert_eq!(out.verdict, XDP_TX);
}

#[test]
fn established_packets_follow_the_flow_and_keep_their_payload() {
    let mut lab = lab();
    xdp(&lab, &tcp(FROM, TO_REMOTE, SYN));
    for size in [0, 1, 2, 3, 700, 1399] {
        let packet = Spec { payload: vec![0xa5; size], ..tcp(FROM, TO_REMOTE, ACK) };
        let out = xdp(&lab, &packet);
        assert_eq!(out.verdict, XDP_REDIRECT);
        assert_eq!(read(&out.packet).payload, packet.payload);
    }
    let stats = lab.programs.service_stats(index::REMOTE_TCP).unwrap();
    assert_eq!((stats.packets, stats.new_flows, stats.drops), (7, 1, 0));
}

#[test]
fn ip_options_are_kept() {
    let lab = lab();
    let packet = Spec { options: vec![1; 12], ..tcp(FROM, TO_REMOTE, SYN) };
    let out = xdp(&lab, &packet);
    assert_eq!(out.verdict, XDP_REDIRECT);
    assert_eq!(out.packet[34..46], [1; 12]);
    assert_eq!(read(&out.packet).dst, (REMOTE_POD, POD_PORT));
}

#[test]
fn udp_without_a_checksum_stays_without_one() {
    let lab = lab();
    let packet = Spec { without_checksum: true, ..udp(FROM, TO_REMOTE) };
    assert_eq!(read(&xdp(&lab, &packet).packet).udp_checksum, Some(0));
    let out = tcx(&lab, program::TCX_INGRESS, &Spec { src: (FROM.0, 7), ..packet });
    assert_eq!(read(&out.packet).udp_checksum, Some(0));
}

#[test]
fn tcx_ingress_translates_as_xdp_does() {
    let mut lab = lab();
    for (packet, verdict) in [
        (tcp(FROM, TO_REMOTE, SYN), TC_REDIRECT),
        (udp(FROM, TO_REMOTE), TC_REDIRECT),
        (tcp(FROM, TO_LOCAL, SYN), TC_NEXT),
        (udp(FROM, TO_LOCAL), TC_NEXT),
    ] {
        let at_tcx = tcx(&lab, program::TCX_INGRESS, &packet);
        let flow = forward(&mut lab, &packet);
        assert_eq!(at_tcx.verdict, verdict);
        let remote = packet.dst == TO_REMOTE;
        let (src, dst) = if remote { ((NODE, source_port(&flow)), REMOTE_POD) } else { (FROM, LOCAL_POD) };
        let wanted = Seen { ttl: if remote { 63 } else { 64 }, ..expected(&packet, src, (dst, POD_PORT)) };
        assert_eq!(ignoring_checksum(read(&at_tcx.packet)), ignoring_checksum(wanted));
    }
}

#[test]
fn a_reply_that_appears_at_tcx_goes_to_the_client_from_the_vip() {
    let mut lab = lab();
    let packet = tcp(FROM, TO_REMOTE, SYN);
    xdp(&lab, &packet);
    let source = (NODE, source_port(&forward(&mut lab, &packet)));
    let reply = tcp((REMOTE_POD, POD_PORT), source, SYN_ACK);
    let out = tcx(&lab, program::TCX_INGRESS, &reply);
    assert_eq!(out.verdict, TC_REDIRECT);
    assert_eq!(read(&out.packet), Seen { ttl: 63, ..expected(&reply, TO_REMOTE, FROM) });
}

#[test]
fn a_packet_for_an_endpoint_behind_an_overlay_is_left_whole_for_tcx_which_uses_the_overlays_address() {
    let mut lab = lab();
    lab.programs.set_backend(index::REMOTE_TCP, endpoint(OVERLAY_POD, POD_PORT, 6)).unwrap();
    let packet = tcp(FROM, TO_REMOTE, SYN);
    let at_xdp = xdp(&lab, &packet);
    assert_eq!((at_xdp.verdict, at_xdp.packet), (XDP_PASS, packet.build()));
    assert_eq!(lab.programs.events(Stat::LeftToStack).unwrap(), 1);
    let at_tcx = tcx(&lab, program::TCX_INGRESS, &packet);
    let flow = forward(&mut lab, &packet);
    assert_eq!((at_tcx.verdict, flow.ifindex), (TC_REDIRECT, lab.devices.overlay));
    let seen = read(&at_tcx.packet);
    assert_eq!((seen.src, seen.dst), ((OVERLAY_ADDRESS, source_port(&flow)), (OVERLAY_POD, POD_PORT)));
}

#[test]
fn an_unresolved_next_hop_is_left_to_the_stack_and_taken_over_once_known() {
    let mut lab = lab();
    lab.programs.set_backend(index::REMOTE_TCP, endpoint(UNRESOLVED_POD, POD_PORT, 6)).unwrap();
    let packet = tcp(FROM, TO_REMOTE, SYN);
    let out = xdp(&lab, &packet);
    assert_eq!((out.verdict, out.packet), (XDP_PASS, packet.build()));
    assert_eq!(lab.programs.events(Stat::NoNeighbour).unwrap(), 1);
    assert_eq!(tcx(&lab, program::TCX_INGRESS, &packet).verdict, TC_REDIRECT);
    ip("neighbour add 10.0.0.3 lladdr 02:00:00:00:02:03 nud permanent dev down0").unwrap();
    lab.programs.set_epoch(2).unwrap();
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!(out.verdict, XDP_REDIRECT);
    assert_eq!(out.packet[..6], [2, 0, 0, 0, 2, 3]);
}

#[test]
fn a_changed_next_hop_is_used_after_the_epoch_is_raised() {
    let mut lab = lab();
    xdp(&lab, &tcp(FROM, TO_REMOTE, SYN));
    ip("neighbour replace 10.0.0.2 lladdr 02:00:00:00:02:99 nud permanent dev down0").unwrap();
    lab.programs.set_epoch(2).unwrap();
    assert_eq!(xdp(&lab, &tcp(FROM, TO_REMOTE, ACK)).packet[..6], [2, 0, 0, 0, 2, 0x99]);
}

#[test]
fn a_device_without_native_xdp_is_left_to_tcx() {
    let mut lab = lab();
    let down = lab.devices.down;
    let mut interfaces = lab.programs.hash::<u32, lb_common::interface::Interface>(map::INTERFACES).unwrap();
    let known = interfaces.get(&down, 0).unwrap();
    interfaces.insert(down, lb_common::interface::Interface { flags: 0, ..known }, 0).unwrap();
    let packet = tcp(FROM, TO_REMOTE, SYN);
    let out = xdp(&lab, &packet);
    assert_eq!((out.verdict, out.packet), (XDP_PASS, packet.build()));
    assert_eq!(tcx(&lab, program::TCX_INGRESS, &packet).verdict, TC_REDIRECT);
}
