//! Protocols that a VIP does not speak.

use lb_common::{
    drop_reason::DropReason,
    host::verdict::{XDP_DROP, XDP_PASS},
};
use lb_tests::model::frame::Ip;

use crate::node::{Node, families};

/// GRE, ESP, PIM, and one that nobody uses.
const UNKNOWN: [u8; 4] = [47, 50, 103, 254];

#[test]
fn an_unknown_protocol_to_a_vip_is_dropped_and_counted() {
    for family in families() {
        let mut node = Node::new();
        for (protocol, count) in UNKNOWN.into_iter().zip(1..) {
            let sent = Ip::new(family.client, family.vip).packet(protocol, &[0; 24]);
            assert_eq!(node.xdp(&sent).verdict, XDP_DROP, "{protocol}");
            assert_eq!(node.drops(DropReason::UnknownProtocol), count);
        }
    }
}

#[test]
fn an_unknown_protocol_to_the_node_is_the_stacks() {
    for family in families() {
        for protocol in UNKNOWN {
            let sent = Ip::new(family.client, family.node).packet(protocol, &[0; 24]);
            let out = Node::new().xdp(&sent);
            assert_eq!((out.verdict, &out.frame[14..]), (XDP_PASS, &sent[..]), "{protocol}");
        }
    }
}
