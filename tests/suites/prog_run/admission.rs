//! New flows beyond what a CPU may open: dropped, for the sake of those that exist.

use lb_common::{
    drop_reason::DropReason,
    limit::{ANSWERS_PER_TICK, FULL_TICKS, new_flows},
    pipeline::Stage,
    tcp::{TCP, UDP, flag},
};
use lb_tests::model::{
    Step,
    frame::{self, Ip},
};

use crate::{
    node::{Family, Node, families, frontend, packet},
    setup::{XDP_DROP, XDP_REDIRECT},
};

/// A node with one Service of each protocol, whose endpoint is on another node.
fn node(family: &Family) -> Node {
    let mut node = Node::new();
    node.serve(family.vip, TCP, family.remote_pod);
    node.frontend(frontend(family.vip, UDP, &[1]));
    node
}

/// Leaves `tokens` to new flows that begin at this node, or to those that it takes over.
fn leave(node: &mut Node, begins: bool, tokens: u32) {
    node.step(Step::Spent(new_flows(Stage::Xdp, begins), ANSWERS_PER_TICK * FULL_TICKS - tokens));
}

/// A packet from the middle of a connection.
fn middle(family: &Family, port: u16) -> Vec<u8> {
    let ip = Ip::new(family.client, family.vip);
    ip.packet(TCP, &frame::tcp(&ip, (port, 80), flag::ACK, 7, b"odd length"))
}

#[test]
fn beyond_the_limit_new_flows_are_dropped_and_those_that_exist_go_on() {
    for family in families() {
        for protocol in [TCP, UDP] {
            let mut node = node(&family);
            let new = |port| packet(protocol, (family.client, port), family.to(), false);
            let verdicts = |node: &mut Node| [1000, 1001, 1002].map(|port| node.xdp(&new(port)).verdict);
            leave(&mut node, true, 2);
            assert_eq!(verdicts(&mut node), [XDP_REDIRECT, XDP_REDIRECT, XDP_DROP]);
            assert_eq!(verdicts(&mut node), [XDP_REDIRECT, XDP_REDIRECT, XDP_DROP]);
            assert_eq!(node.drops(DropReason::NewFlowLimit), 2);
            node.wait(1);
            assert_eq!(verdicts(&mut node), [XDP_REDIRECT; 3]);
        }
    }
}

#[test]
fn a_flood_of_syns_does_not_keep_connections_of_another_node_from_being_taken_over() {
    for family in families() {
        let mut node = node(&family);
        leave(&mut node, true, 0);
        assert_eq!(node.xdp(&middle(&family, 1000)).verdict, XDP_REDIRECT);
        leave(&mut node, false, 0);
        assert_eq!(node.xdp(&middle(&family, 1001)).verdict, XDP_DROP, "theirs has an end too");
        assert_eq!(node.xdp(&middle(&family, 1000)).verdict, XDP_REDIRECT);
    }
}
