//! Both families go the same ways.

use lb_common::{
    host::verdict::{TC_NEXT, XDP_PASS, XDP_REDIRECT},
    tcp::{TCP, UDP},
};
use lb_tests::model::{
    Hook,
    frame::{Ip, ethernet},
    read,
};

use crate::node::{Node, POD_PORT, families, packet, segment};

#[test]
fn a_remote_endpoint_is_reached_from_the_nodes_address_and_its_reply_comes_from_the_vip() {
    for family in families() {
        for protocol in [TCP, UDP] {
            let mut node = Node::new();
            node.serve(family.vip, protocol, family.remote_pod);
            let out = node.xdp(&packet(protocol, family.from(), family.to(), false));
            let seen = read(&out.frame);
            assert_eq!((out.verdict, seen.src, seen.ttl), (XDP_REDIRECT, family.node, 63));
            let (source, pod) = seen.ends();
            assert_eq!(pod, (family.remote_pod, POD_PORT));
            let out = node.xdp(&packet(protocol, pod, source, true));
            assert_eq!((out.verdict, read(&out.frame).ends()), (XDP_REDIRECT, (family.to(), family.from())));
        }
    }
}

#[test]
fn a_local_endpoint_sees_the_client_and_its_reply_leaves_from_the_vip() {
    for family in families() {
        let mut node = Node::new();
        node.serve(family.vip, TCP, family.local_pod);
        let pod = (family.local_pod, POD_PORT);
        let out = node.xdp(&packet(TCP, family.from(), family.to(), false));
        assert_eq!((out.verdict, read(&out.frame).ends()), (XDP_PASS, (family.from(), pod)));
        let reply = packet(TCP, pod, family.from(), true);
        let out = node.send(Hook::Egress, ethernet([0; 6], &[], &reply));
        assert_eq!((out.verdict, read(&out.frame).ends()), (TC_NEXT, (family.to(), family.from())));
    }
}

#[test]
fn extension_headers_are_stepped_over_and_kept() {
    let [_, family] = families();
    let mut node = Node::new();
    node.serve(family.vip, TCP, family.remote_pod);
    let ip = Ip { extensions: vec![(0, 0), (60, 2)], ..Ip::new(family.client, family.vip) };
    let sent = ip.packet(TCP, &segment(TCP, family.from(), family.to(), false));
    let out = node.xdp(&sent);
    assert_eq!(out.verdict, XDP_REDIRECT);
    assert_eq!(out.frame.len(), 14 + sent.len());
    assert_eq!(out.frame[14 + 40..14 + 72], sent[40..72]);
    assert_eq!(out.frame[14 + 74..14 + 76], POD_PORT.to_be_bytes());
}
