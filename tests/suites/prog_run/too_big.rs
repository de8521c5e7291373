//! Packets longer than the route's MTU: the sender is told (RFC 1191, RFC 8201).

use lb_common::{
    drop_reason::DropReason,
    host::verdict::{XDP_REDIRECT, XDP_TX},
    service::SERVICE_DSR,
    tcp::UDP,
};
use lb_tests::model::{
    Frontend,
    frame::{self, Ip},
    read,
};

use crate::node::{Family, Node, PORT, families, frontend};

/// A datagram to the VIP that is `length` bytes long with its IP header.
fn datagram(family: &Family, length: usize) -> Vec<u8> {
    let ip = Ip::new(family.client, family.vip);
    let headers = if family.vip.is_ipv6() { 48 } else { 28 };
    ip.packet(UDP, &frame::udp(&ip, (family.from().1, PORT), true, &vec![7; length - headers]))
}

/// Expects that `mtu` bytes fit and one more does not.
fn expect_mtu(node: &mut Node, family: &Family, mtu: u16) {
    assert_eq!(node.xdp(&datagram(family, mtu.into())).verdict, XDP_REDIRECT);
    let sent = datagram(family, usize::from(mtu) + 1);
    let out = node.xdp(&sent);
    let seen = read(&out.frame);
    assert_eq!((out.verdict, seen.src, seen.dst), (XDP_TX, family.vip, family.client));
    assert_eq!(seen.body[..2], if family.vip.is_ipv6() { [2, 0] } else { [3, 4] });
    assert_eq!(seen.body[4..8], u32::from(mtu).to_be_bytes());
    assert_eq!(seen.quoted().ends(), (family.from(), family.to()));
    assert_eq!(node.drops(DropReason::PacketTooBig), 1);
}

#[test]
fn the_client_learns_the_mtu_of_the_way_to_the_endpoint() {
    for family in families() {
        let mut node = Node::new();
        node.serve(family.vip, UDP, family.narrow_pod);
        expect_mtu(&mut node, &family, 1300);
    }
}

#[test]
fn an_outer_header_counts() {
    for family in families() {
        let mut node = Node::new();
        node.endpoint(1, family.remote_pod, Some(family.node_b));
        node.frontend(Frontend { flags: SERVICE_DSR, ..frontend(family.vip, UDP, &[1]) });
        expect_mtu(&mut node, &family, if family.vip.is_ipv6() { 1460 } else { 1480 });
    }
}
