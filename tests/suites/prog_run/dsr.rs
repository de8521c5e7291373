//! Direct server return: an outer IP header from the first node to the endpoint's (RFC 2003, RFC 2473).

use lb_common::{
    host::verdict::{XDP_DROP, XDP_PASS, XDP_REDIRECT},
    service::SERVICE_DSR,
    stat::Stat,
    tcp::{TCP, flag, timeout},
};
use lb_tests::model::{
    Frontend, Step,
    frame::{self, IPIP, IPV6_IN_IP, Ip},
    read,
};

use crate::node::{Family, Node, POD_PORT, families, frontend, packet};

fn outer(family: &Family) -> u8 {
    if family.vip.is_ipv6() { IPV6_IN_IP } else { IPIP }
}

#[test]
fn the_first_node_sends_the_packet_as_it_is_to_the_endpoints_node() {
    for family in families() {
        let mut node = Node::new();
        node.endpoint(1, family.remote_pod, Some(family.node_b));
        node.frontend(Frontend { flags: SERVICE_DSR, ..frontend(family.vip, TCP, &[1]) });
        let sent = packet(TCP, family.from(), family.to(), false);
        let out = node.xdp(&sent);
        let seen = read(&out.frame);
        assert_eq!((out.verdict, seen.src, seen.dst), (XDP_REDIRECT, family.node, family.node_b));
        assert_eq!((seen.protocol, seen.ttl), (outer(&family), 64));
        // But for the hop that it took.
        let mut inner = Ip::new(family.client, family.vip);
        inner.ttl -= 1;
        let header = sent.len() - crate::node::segment(TCP, family.from(), family.to(), false).len();
        assert_eq!(seen.body, inner.packet(TCP, &sent[header..]));
        assert_eq!(node.events(Stat::Encapsulated), 1);
    }
}

/// Nobody on the first node hears the endpoint close.
#[test]
fn the_clients_end_ends_the_flow_on_the_first_node() {
    for family in families() {
        let mut node = Node::new();
        node.endpoint(1, family.remote_pod, Some(family.node_b));
        node.frontend(Frontend { flags: SERVICE_DSR, ..frontend(family.vip, TCP, &[1]) });
        for flags in [flag::SYN, flag::ACK, flag::ACK | flag::FIN] {
            let ip = Ip::new(family.client, family.vip);
            let ports = (family.from().1, family.to().1);
            node.xdp(&ip.packet(TCP, &frame::tcp(&ip, ports, flags, 7, b"")));
        }
        assert_eq!(node.new_flows(), 1);
        node.wait(timeout::CLOSED + 1);
        node.xdp(&packet(TCP, family.from(), family.to(), true));
        assert_eq!(node.new_flows(), 2);
    }
}

/// The endpoint's node, and what comes of a packet that `from` sends on to it.
fn arrives(family: &Family, from: std::net::IpAddr, inner: &[u8]) -> (Node, u32, Vec<u8>) {
    let mut node = Node::new();
    node.endpoint(1, family.local_pod, None);
    node.frontend(Frontend { flags: SERVICE_DSR, ..frontend(family.vip, TCP, &[1]) });
    node.step(Step::Peer(family.node_b));
    let out = node.xdp(&Ip::new(from, family.node).packet(outer(family), inner));
    (node, out.verdict, out.frame)
}

#[test]
fn the_endpoints_node_takes_the_header_off_and_translates() {
    for family in families() {
        let inner = packet(TCP, family.from(), family.to(), false);
        let (mut node, verdict, frame) = arrives(&family, family.node_b, &inner);
        let seen = read(&frame);
        assert_eq!((verdict, seen.ends()), (XDP_PASS, (family.from(), (family.local_pod, POD_PORT))));
        assert_eq!(node.events(Stat::Decapsulated), 1);
    }
}

#[test]
fn a_stranger_cannot_send_packets_through_the_tunnel() {
    for family in families() {
        let inner = packet(TCP, family.from(), family.to(), false);
        let (mut node, verdict, frame) = arrives(&family, family.client, &inner);
        assert_eq!((verdict, read(&frame).body), (XDP_PASS, inner));
        assert_eq!(node.events(Stat::Decapsulated), 0);
    }
}

#[test]
fn a_tunnel_inside_the_tunnel_is_dropped() {
    for family in families() {
        let inner = packet(TCP, family.from(), family.to(), false);
        let twice = Ip::new(family.client, family.vip).packet(outer(&family), &inner);
        assert_eq!(arrives(&family, family.node_b, &twice).1, XDP_DROP);
    }
}
