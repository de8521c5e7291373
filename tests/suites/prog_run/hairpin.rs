//! A pod that reaches its own Service, and another pod of this node.

use std::net::IpAddr;

use lb_common::{
    address::{IpAddress, V4, V6},
    host::verdict::{TC_REDIRECT, XDP_PASS},
    stat::Stat,
    tcp::TCP,
};
use lb_tests::model::{Hook, frame::ethernet, read};

use crate::node::{CLIENT_PORT, Node, POD_PORT, families, packet};

#[test]
fn a_client_on_this_node_is_given_an_address_whose_replies_leave_by_an_uplink() {
    for family in families() {
        let v6 = family.vip.is_ipv6();
        let hairpin: IpAddr = if v6 { V6::HAIRPIN.address().into() } else { V4::HAIRPIN.address().into() };
        let other_pod = if v6 { "fd10:244:1::9" } else { "10.244.1.9" };
        for client in [family.local_pod, other_pod.parse().unwrap()] {
            let mut node = Node::new();
            node.serve(family.vip, TCP, family.local_pod);
            let (from, pod) = ((client, CLIENT_PORT), (family.local_pod, POD_PORT));
            let out = node.xdp(&packet(TCP, from, family.to(), false));
            assert_eq!(
                (out.verdict, read(&out.frame).ends()),
                (XDP_PASS, (from, family.to())),
                "left to tcx"
            );
            let out = node.send(Hook::Ingress, out.frame);
            let (source, to) = read(&out.frame).ends();
            assert_eq!((out.verdict, source.0, to), (TC_REDIRECT, hairpin, pod));
            let reply = ethernet([0; 6], &[], &packet(TCP, pod, source, true));
            let out = node.send(Hook::Egress, reply);
            assert_eq!((out.verdict, read(&out.frame).ends()), (TC_REDIRECT, (family.to(), from)));
            assert_eq!(node.events(Stat::Hairpinned), 1);
        }
    }
}
