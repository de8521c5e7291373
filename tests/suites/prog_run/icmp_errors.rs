//! ICMP errors about translated packets go to the side that sent them, in the words that it knows.

use std::net::IpAddr;

use lb_common::{
    host::verdict::{XDP_PASS, XDP_REDIRECT},
    stat::Stat,
    tcp::TCP,
};
use lb_tests::model::{
    frame::{ICMP, ICMPV6, Ip, icmp},
    read,
};

use crate::node::{Node, Side, families, packet};

/// "Too big" (for IPv4: fragmentation needed), about a packet, to its sender.
fn too_big(from: IpAddr, quoted: &[u8], to: IpAddr) -> Vec<u8> {
    let ip = Ip::new(from, to);
    let (protocol, kind, code) = if from.is_ipv6() { (ICMPV6, 2, 0) } else { (ICMP, 3, 4) };
    ip.packet(protocol, &icmp(&ip, kind, code, 1280, quoted))
}

/// A connection to a remote endpoint: the node's side of it and the endpoint.
fn connect(node: &mut Node, family: &crate::node::Family) -> (Side, Side) {
    node.serve(family.vip, TCP, family.remote_pod);
    let out = node.xdp(&packet(TCP, family.from(), family.to(), false));
    read(&out.frame).ends()
}

#[test]
fn an_error_about_the_clients_packet_reaches_the_client_from_the_vip() {
    for family in families() {
        let mut node = Node::new();
        let (source, pod) = connect(&mut node, &family);
        let out = node.xdp(&too_big(family.node_b, &packet(TCP, source, pod, false), source.0));
        let seen = read(&out.frame);
        assert_eq!((out.verdict, seen.src, seen.dst), (XDP_REDIRECT, family.vip, family.client));
        assert_eq!(seen.quoted().ends(), (family.from(), family.to()));
        assert_eq!(seen.body[4..8], 1280u32.to_be_bytes());
        assert_eq!(node.events(Stat::ErrorTranslated), 1);
    }
}

#[test]
fn an_error_about_the_endpoints_packet_reaches_the_endpoint() {
    for family in families() {
        let mut node = Node::new();
        let (source, pod) = connect(&mut node, &family);
        let out =
            node.xdp(&too_big(family.client, &packet(TCP, family.to(), family.from(), true), family.vip));
        let seen = read(&out.frame);
        assert_eq!((out.verdict, seen.src, seen.dst), (XDP_REDIRECT, source.0, pod.0));
        assert_eq!(seen.quoted().ends(), (pod, source));
    }
}

#[test]
fn an_error_about_nothing_of_ours_passes_untouched() {
    for family in families() {
        let mut node = Node::new();
        let stranger =
            too_big(family.client, &packet(TCP, (family.node, 50_000), family.from(), false), family.node);
        let out = node.xdp(&stranger);
        assert_eq!((out.verdict, &out.frame[14..]), (XDP_PASS, &stranger[..]));
    }
}

#[test]
fn an_error_whose_quoted_ports_lie_in_the_padding_of_the_frame_passes_untouched() {
    for family in families() {
        let mut node = Node::new();
        let (source, pod) = connect(&mut node, &family);
        let whole = packet(TCP, source, pod, false);
        let header = if source.0.is_ipv6() { 40 } else { 20 };
        let mut sent = too_big(family.node_b, &whole[..header + 1], source.0);
        sent.extend(&whole[header + 1..]);
        let out = node.xdp(&sent);
        assert_eq!((out.verdict, &out.frame[14..]), (XDP_PASS, &sent[..]));
    }
}
