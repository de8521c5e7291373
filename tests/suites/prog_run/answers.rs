//! Packets that Sluice answers itself, or drops, and how they are counted.

use lb_common::{
    abi::program,
    drop_reason::DropReason,
    service::{SERVICE_EXTERNAL_IP, SERVICE_LOCAL, SERVICE_SILENT},
    stat::Stat,
    tcp::{TCP, UDP},
};
use lb_tests::{
    lab::{CLIENT, Lab, VIP, frontend, ip},
    packet::{ACK, FIN, RST, SYN, Spec, Tcp, read, read_icmp, tcp, udp},
};

use crate::setup::{FROM, REMOTE, TC_REDIRECT, TO_LOCAL, TO_REMOTE, XDP_DROP, XDP_TX, index, lab, tcx, xdp};

const EMPTY: u16 = 90;
const EMPTY_ID: u32 = 9;
const REMOTE_ID: u32 = index::REMOTE_TCP;

fn lab_with_empty_service(flags: u32) -> Lab {
    let mut lab = lab();
    for protocol in [TCP, UDP] {
        lab.programs
            .set_empty_service(frontend(VIP, EMPTY, protocol), EMPTY_ID, SERVICE_EXTERNAL_IP | flags)
            .unwrap();
    }
    lab
}

/// RFC 9293 §3.10.7.1: what a closed port answers.
fn reset_of(segment: Tcp, payload: usize) -> Tcp {
    if segment.ack {
        Tcp { rst: true, sequence: segment.acknowledgment, ..Tcp::default() }
    } else {
        let length = payload as u32 + u32::from(segment.syn) + u32::from(segment.fin);
        Tcp { rst: true, ack: true, acknowledgment: segment.sequence + length, ..Tcp::default() }
    }
}

#[test]
fn a_service_without_endpoints_resets_tcp_at_once() {
    let mut lab = lab_with_empty_service(0);
    for (segment, options) in [(SYN, 0), (ACK, 0), (FIN, 0), (SYN, 8)] {
        let packet = Spec { options: vec![1; options], ..tcp(FROM, (VIP, EMPTY), segment) };
        let out = xdp(&lab, &packet);
        assert_eq!((out.verdict, out.packet.len()), (XDP_TX, 54));
        let seen = read(&out.packet);
        assert_eq!((seen.src, seen.dst, seen.payload.len()), ((VIP, EMPTY), FROM, 0));
        assert_eq!(seen.tcp, Some(reset_of(segment, packet.payload.len())));
        assert_eq!((&seen.macs[..6], &seen.macs[6..]), (&packet.macs.src[..], &packet.macs.dst[..]));
    }
    assert_eq!(lab.programs.drops(DropReason::NoEndpoint).unwrap(), 4);
    assert_eq!(lab.programs.events(Stat::Answered).unwrap(), 4);
}

#[test]
fn a_service_without_endpoints_answers_udp_with_port_unreachable_from_the_vip() {
    let lab = lab_with_empty_service(0);
    for options in [0, 4, 40] {
        let packet = Spec { options: vec![1; options], ..udp(FROM, (VIP, EMPTY)) };
        let out = xdp(&lab, &packet);
        assert_eq!(out.verdict, XDP_TX);
        let seen = read_icmp(&out.packet);
        assert_eq!((seen.src, seen.dst, seen.kind), (VIP, CLIENT, (3, 3)));
        assert_eq!(seen.quoted, packet.build()[14..14 + 20 + options + 8]);
        assert_eq!(out.packet[..6], packet.macs.src);
    }
}

#[test]
fn a_reset_is_never_answered() {
    let mut lab = lab_with_empty_service(0);
    assert_eq!(xdp(&lab, &tcp(FROM, (VIP, EMPTY), RST)).verdict, XDP_DROP);
    assert_eq!(lab.programs.drops(DropReason::NoEndpoint).unwrap(), 1);
}

#[test]
fn a_local_policy_without_a_local_endpoint_drops_in_silence() {
    let mut lab = lab_with_empty_service(SERVICE_LOCAL | SERVICE_SILENT);
    assert_eq!(xdp(&lab, &tcp(FROM, (VIP, EMPTY), SYN)).verdict, XDP_DROP);
    assert_eq!(xdp(&lab, &udp(FROM, (VIP, EMPTY))).verdict, XDP_DROP);
    assert_eq!(lab.programs.drops(DropReason::NoLocalEndpoint).unwrap(), 2);
    assert_eq!(lab.programs.events(Stat::Answered).unwrap(), 0);
}

#[test]
fn an_unknown_port_of_a_vip_answers_like_a_closed_one() {
    let mut lab = lab();
    let out = xdp(&lab, &tcp(FROM, (VIP, 9999), SYN));
    assert_eq!((out.verdict, read(&out.packet).tcp), (XDP_TX, Some(reset_of(SYN, 21))));
    assert_eq!(read_icmp(&xdp(&lab, &udp(FROM, (VIP, 9999))).packet).kind, (3, 3));
    assert_eq!(lab.programs.drops(DropReason::UnknownPort).unwrap(), 2);
}

#[test]
fn a_ttl_that_runs_out_is_answered_with_time_exceeded() {
    let mut lab = lab();
    for packet in [tcp(FROM, TO_REMOTE, SYN), udp(FROM, TO_REMOTE)] {
        for ttl in [0, 1] {
            let out = xdp(&lab, &Spec { ttl, ..packet.clone() });
            assert_eq!(out.verdict, XDP_TX);
            let seen = read_icmp(&out.packet);
            assert_eq!((seen.src, seen.dst, seen.kind), (VIP, CLIENT, (11, 0)));
        }
    }
    assert_eq!(lab.programs.drops(DropReason::TtlExpired).unwrap(), 4);
    assert_eq!(lab.programs.flows().unwrap(), []);
}

#[test]
fn a_ttl_of_one_suffices_for_a_local_endpoint() {
    let lab = lab();
    let out = xdp(&lab, &Spec { ttl: 1, ..tcp(FROM, TO_LOCAL, SYN) });
    assert_eq!((out.verdict, read(&out.packet).ttl), (crate::setup::XDP_PASS, 1));
}

#[test]
fn a_ttl_that_runs_out_in_mid_connection_is_answered_too() {
    let mut lab = lab();
    xdp(&lab, &tcp(FROM, TO_REMOTE, SYN));
    let out = xdp(&lab, &Spec { ttl: 1, ..tcp(FROM, TO_REMOTE, ACK) });
    assert_eq!((out.verdict, read_icmp(&out.packet).kind), (XDP_TX, (11, 0)));
    assert_eq!(lab.programs.drops(DropReason::TtlExpired).unwrap(), 1);
}

#[test]
fn what_is_refused_counts_for_the_service_that_it_was_addressed_to() {
    let mut lab = lab_with_empty_service(SERVICE_LOCAL | SERVICE_SILENT);
    let drops = |lab: &mut Lab| [REMOTE_ID, EMPTY_ID].map(|id| lab.programs.service_stats(id).unwrap().drops);
    xdp(&lab, &tcp(FROM, TO_REMOTE, SYN));
    xdp(&lab, &tcp(FROM, (VIP, 9999), SYN));
    assert_eq!(drops(&mut lab), [0, 0], "one was served, and one was for no service");
    xdp(&lab, &Spec { ttl: 1, ..tcp(FROM, TO_REMOTE, ACK) });
    assert_eq!(drops(&mut lab), [1, 0], "answered");
    xdp(&lab, &udp(FROM, (VIP, EMPTY)));
    tcx(&lab, program::TCX_INGRESS, &tcp(FROM, (VIP, EMPTY), SYN));
    assert_eq!(drops(&mut lab), [1, 2], "dropped in silence");
}

#[test]
fn answers_are_rate_limited_and_what_is_held_back_is_counted() {
    let mut lab = lab_with_empty_service(0);
    let sent =
        (0..3000).filter(|_| xdp(&lab, &tcp(FROM, (VIP, EMPTY), SYN)).verdict == XDP_TX).count() as u64;
    let suppressed = lab.programs.events(Stat::AnswerSuppressed).unwrap();
    assert!(suppressed > 0, "3,000 answers in one burst");
    assert_eq!(sent + suppressed, 3000);
    assert_eq!(lab.programs.drops(DropReason::NoEndpoint).unwrap(), 3000);
}

#[test]
fn tcx_answers_as_xdp_does() {
    let lab = lab_with_empty_service(0);
    let out = tcx(&lab, program::TCX_INGRESS, &tcp(FROM, (VIP, EMPTY), SYN));
    assert_eq!((out.verdict, read(&out.packet).tcp), (TC_REDIRECT, Some(reset_of(SYN, 21))));
    for options in [0, 8] {
        let packet = Spec { options: vec![1; options], ..udp(FROM, (VIP, EMPTY)) };
        let out = tcx(&lab, program::TCX_INGRESS, &packet);
        let seen = read_icmp(&out.packet);
        assert_eq!((out.verdict, seen.src, seen.dst, seen.kind), (TC_REDIRECT, VIP, CLIENT, (3, 3)));
        assert_eq!(seen.quoted, packet.build()[14..14 + 20 + options + 8]);
    }
}

#[test]
fn an_endpoint_without_a_route_is_a_counted_drop_at_tcx() {
    let mut lab = lab();
    ip("route delete 10.244.2.0/24\nroute add blackhole 10.244.2.0/24").unwrap();
    assert_eq!(xdp(&lab, &tcp(FROM, (VIP, REMOTE), SYN)).verdict, crate::setup::XDP_PASS);
    assert_eq!(
        tcx(&lab, program::TCX_INGRESS, &tcp(FROM, (VIP, REMOTE), SYN)).verdict,
        crate::setup::TC_SHOT
    );
    assert_eq!(lab.programs.drops(DropReason::NoRoute).unwrap(), 1);
}
