//! Echo requests to a VIP (RFC 792, RFC 4443 section 4.2).

use lb_common::{
    host::verdict::{XDP_DROP, XDP_PASS, XDP_TX},
    limit::{ANSWERS_PER_TICK, ECHOES, FULL_TICKS},
    stat::Stat,
};
use lb_tests::model::{
    Step,
    frame::{ICMP, ICMPV6, Ip, ethernet, icmp},
    read,
};

use crate::node::{Family, Node, families};

fn request(family: &Family) -> Vec<u8> {
    let ip = Ip { ttl: 3, ..Ip::new(family.client, family.vip) };
    let v6 = family.vip.is_ipv6();
    ip.packet(if v6 { ICMPV6 } else { ICMP }, &icmp(&ip, if v6 { 128 } else { 8 }, 0, 0x1234_5678, b"ping"))
}

#[test]
fn an_echo_to_a_vip_is_answered_by_the_vip() {
    for family in families() {
        let mut node = Node::new();
        let sent = request(&family);
        let out = node.xdp(&sent);
        let (seen, sent) = (read(&out.frame), read(&ethernet([0; 6], &[], &sent)));
        assert_eq!((out.verdict, seen.src, seen.dst, seen.ttl), (XDP_TX, family.vip, family.client, 64));
        assert_eq!(seen.body[0], if family.vip.is_ipv6() { 129 } else { 0 });
        assert_eq!(seen.body[4..], sent.body[4..], "identifier, sequence number and data");
        assert_eq!(node.events(Stat::EchoAnswered), 1);
    }
}

#[test]
fn an_echo_to_the_node_is_the_stacks() {
    for family in families() {
        let sent = request(&Family { vip: family.node, ..family });
        let out = Node::new().xdp(&sent);
        assert_eq!((out.verdict, &out.frame[14..]), (XDP_PASS, &sent[..]));
    }
}

#[test]
fn echoes_are_held_back_once_the_bucket_is_empty_until_it_fills_again() {
    for family in families() {
        let mut node = Node::new();
        node.step(Step::Spent(ECHOES, ANSWERS_PER_TICK * FULL_TICKS - 1));
        let sent = request(&family);
        assert_eq!([node.xdp(&sent).verdict, node.xdp(&sent).verdict], [XDP_TX, XDP_DROP]);
        assert_eq!(node.events(Stat::AnswerSuppressed), 1);
        node.wait(1);
        assert_eq!(node.xdp(&sent).verdict, XDP_TX);
    }
}
